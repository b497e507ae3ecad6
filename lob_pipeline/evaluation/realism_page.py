"""The realism page: every statistic of a recording beside that of simulated markets, and the table of ratios."""

from __future__ import annotations

from html import escape
from typing import Any

from lob_pipeline.evaluation.figures import ASK, BID, INK, QUIET, Figure, axis, layout, line
from lob_pipeline.evaluation.sheet import Sheet
from lob_pipeline.evaluation.tables import table

_REAL, _SIMULATED = INK, ASK
_BANDS = {"real": "rgba(28,39,51,0.15)", "simulated": "rgba(194,87,26,0.20)"}


def render(report: dict[str, Any], curves: list[dict[str, Any]], command: str) -> str:
    """Return the page as HTML text. ``report`` and ``curves``: what ``stages.compare`` made, as plain JSON types."""
    drawn = Sheet({"table": command, "ratios": command, **{c["statistic"]: command for c in curves}})
    days = report["dates"][0] if len(report["dates"]) == 1 else f"{report['dates'][0]} to {report['dates'][-1]}"
    first, last = report["seeds"]
    kind = "good" if report["enough"] else "bad"
    parts = [
        f"<header><h1>Simulated beside {escape(report['market'])}</h1>",
        f'<p class="under">{escape(days)}, {report["seconds"]:.0f} s; preset {escape(report["preset"])}, '
        f"stretches of the same length, seeds {first} to {last}; made by <code>{escape(command)}</code></p></header>",
        f'<section class="cards"><div class="card {kind}"><div class="what">realism</div><div class="headline">'
        f"{report['held']} of {report['of']} statistics lie within {report['largest_ratio']:g} times the recording's "
        "own distance</div><p>The recording's own distance is that between its halves, over every way of cutting eight "
        "blocks into two halves of four.</p></div></section>",
        "<h2>Ratios</h2>",
        drawn.element("ratios", ratio_figure(report), "Simulated to real by real to real; left of the line holds."),
        _rows(report),
        "<h2>The twelve statistics</h2>",
        '<div class="pair">',
    ]
    for curve in curves:
        if all(value is None for value in curve["real"]):
            parts.append(f'<p class="under">{escape(curve["statistic"])}: the recording is too short to tell it.</p>')
            continue
        caption = f"{curve['statistic']}: {curve['about']} Bands: 95 % of the halves."
        parts.append(drawn.element(curve["statistic"], curve_figure(curve), caption))
    parts.append("</div>")
    return drawn.document(f"Realism beside {report['market']}", "\n".join(parts))


def _rows(report: dict[str, Any]) -> str:
    def told(found: dict[str, Any] | None) -> str:
        if found is None:
            return "–"
        low, high = found["interval"]
        return f"{found['mean']:.4f} ({low:.4f} to {high:.4f})"

    rows = []
    for row in report["statistics"]:
        ratio = "not told"
        if row["ratio"] is not None:
            low, high = row["ratio_interval"]
            ratio = f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        colour, word = ("var(--good)", "holds") if row["holds"] else ("var(--bad)", "beyond")
        scale = " (scale: resolution)" if row["at_resolution"] else ""
        rows.append(
            [
                escape(row["statistic"]),
                told(row["real_to_real"]),
                told(row["simulated_to_real"]),
                ratio + scale,
                f'<span style="color:{colour}">{word if row["ratio"] is not None else "–"}</span>',
            ]
        )
    return table(["", "real to real", "simulated to real", "ratio", ""], rows)


def ratio_figure(report: dict[str, Any]) -> Figure:
    """Return the ratios with their intervals, a statistic a line, and the bar at which one no longer holds."""
    known = [row for row in report["statistics"] if row["ratio"] is not None][::-1]
    names, ratios = [row["statistic"] for row in known], [row["ratio"] for row in known]
    points = {
        "type": "scatter", "mode": "markers", "x": ratios, "y": names, "showlegend": False,
        "marker": {"size": 9, "color": [BID if row["holds"] else ASK for row in known]},
        "error_x": {
            "type": "data", "symmetric": False, "color": QUIET, "thickness": 1.2,
            "array": [row["ratio_interval"][1] - row["ratio"] for row in known],
            "arrayminus": [row["ratio"] - row["ratio_interval"][0] for row in known],
        },
        "hovertemplate": "%{y}: %{x:.2f}<extra></extra>",
    }  # fmt: skip
    bar = {
        "type": "line", "xref": "x", "yref": "paper", "x0": report["largest_ratio"], "x1": report["largest_ratio"],
        "y0": 0, "y1": 1, "line": line(QUIET, 1, "dash"),
    }  # fmt: skip
    spec = layout(
        60 + 28 * max(1, len(known)),
        xaxis=axis("ratio", type="log"),
        yaxis=axis("", type="category"),
        shapes=[bar],
        hovermode="closest",
        margin={"l": 170, "r": 20, "t": 12, "b": 46},
    )
    return {"data": [points], "layout": spec}


def curve_figure(curve: dict[str, Any]) -> Figure:
    """Return one statistic: the recording and the simulated markets as lines over their bands."""
    data: list[dict[str, Any]] = []
    for name, colour in (("real", _REAL), ("simulated", _SIMULATED)):
        low, high = curve[f"{name}_low"], curve[f"{name}_high"]
        if None not in low + high:
            data.append(
                {
                    "type": "scatter", "mode": "lines", "x": curve["x"] + curve["x"][::-1], "y": high + low[::-1],
                    "fill": "toself", "fillcolor": _BANDS[name], "line": {"width": 0}, "hoverinfo": "skip",
                    "showlegend": False,
                }
            )  # fmt: skip
        data.append(
            {
                "type": "scatter", "mode": "lines", "name": name, "x": curve["x"], "y": curve[name],
                "line": line(colour, 1.8), "hovertemplate": "%{y:,.4~g}",
            }
        )  # fmt: skip
    lags = curve["x_unit"] in ("ms", "orders") and curve["logged"]
    across = axis(curve["x_unit"], **({"type": "log"} if lags else {}))
    up = axis(curve["unit"], **({"type": "log"} if curve["logged"] else {}))
    return {"data": data, "layout": layout(300, xaxis=across, yaxis=up)}
