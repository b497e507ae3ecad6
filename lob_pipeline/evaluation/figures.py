"""The house style of figures, and those of the first page, as plain plotly specifications: data in, JSON out."""

from __future__ import annotations

import datetime as dt
from typing import Any

from lob_pipeline.evaluation.costs import STYLES

Figure = dict[str, Any]

BID, ASK = "#1f6fb2", "#c2571a"
INK, QUIET, RULE = "#1c2733", "#5b6875", "#dfe4e9"
STYLE_COLOURS = {"maker_maker": "#1a7f5a", "maker_taker": "#9a6700", "taker_taker": "#b42318"}
MODEL_COLOURS = {"optimistic": "#1a7f5a", "proportional": "#1f6fb2", "pessimistic": "#b42318"}
_FONT = {"family": "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif", "size": 13, "color": INK}
_AXIS = {"gridcolor": "#eceff2", "linecolor": RULE, "zerolinecolor": "#b8c1ca", "ticks": "outside", "tickcolor": RULE}


def style_words(style: str) -> str:
    """Return ``maker–taker`` for ``maker_taker``."""
    return style.replace("_", "–")


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Return a plotly layout in the house style; ``more`` adds to it or replaces parts."""
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 84, "r": 20, "t": 12, "b": 46},
        "font": _FONT,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    }
    return {**base, **more}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a quiet title."""
    return {**_AXIS, "title": {"text": title, "font": {"size": 12, "color": QUIET}, "standoff": 8}, **more}


def line(colour: str, width: float = 1.6, dash: str = "solid") -> dict[str, Any]:
    """Return a line style."""
    return {"color": colour, "width": width, "dash": dash}


def iso(t_ns: int) -> str:
    """Return an instant as plotly reads it: ISO without zone, milliseconds."""
    return dt.datetime.fromtimestamp(t_ns / 1e9, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def through_time(overview: dict[str, Any], quote: str) -> Figure:
    """Mid, spread and depth through time; stretches without a valid row are shaded, pauses cut out."""
    bins = overview["bins"]
    x = [iso(b["ts_ns"]) for b in bins]

    def trace(name: str, key: str, axis: str, colour: str, sign: int = 1, **more: Any) -> dict[str, Any]:
        y = [None if b.get(key) is None else sign * b[key] for b in bins]
        return {
            "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "yaxis": axis,
            "line": line(colour), "hovertemplate": "%{y:,.4~g}", **more,
        }  # fmt: skip

    data = [
        trace("mid", "mid_quote", "y3", INK, showlegend=False, hovertemplate="%{y:,.6~g}"),
        trace("spread, 95th percentile", "spread_bps_p95", "y2", "#a9c3dc"),
        trace("spread, median", "spread_bps_p50", "y2", BID),
        *_areas("bids within 2 bps", bins, "bid_depth_quote", BID, 1),
        *_areas("asks within 2 bps", bins, "ask_depth_quote", ASK, -1),
    ]
    shapes = [
        {
            "type": "rect", "xref": "x", "yref": "paper", "x0": iso(s["from_ns"]), "x1": iso(s["to_ns"]),
            "y0": 0, "y1": 1, "fillcolor": "#b42318", "opacity": 0.12, "line": {"width": 0},
        }
        for s in overview["invalid_spans"]
        if s["rows"]
    ]  # fmt: skip
    spec = layout(
        560,
        xaxis=axis("UTC", anchor="y", showgrid=False, rangebreaks=_pauses(overview)),
        yaxis=axis(f"depth, {quote} (asks below)", domain=[0, 0.34], tickformat="~s"),
        yaxis2=axis("spread, bps", domain=[0.39, 0.66], rangemode="tozero"),
        yaxis3=axis(f"mid, {quote}", domain=[0.71, 1.0], tickformat=",~f"),
        shapes=shapes,
    )
    return {"data": data, "layout": spec}


def _areas(name: str, bins: list[dict[str, Any]], key: str, colour: str, sign: int) -> list[dict[str, Any]]:
    """Return one filled trace a run of bins that have a value: an area drawn over a hole would look like data."""
    runs: list[list[dict[str, Any]]] = [[]]
    for entry in bins:
        if key in entry:
            runs[-1].append(entry)
        elif runs[-1]:
            runs.append([])
    return [
        {
            "type": "scatter", "mode": "lines", "name": name, "legendgroup": name, "showlegend": i == 0, "yaxis": "y",
            "x": [iso(b["ts_ns"]) for b in run], "y": [sign * b[key] for b in run], "fill": "tozeroy",
            "line": line(colour, 1), "hovertemplate": "%{y:,.4~g}",
        }
        for i, run in enumerate(r for r in runs if r)
    ]  # fmt: skip


def _pauses(overview: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the stretches that were not recorded and take more than a fiftieth of the axis: they are cut out."""
    whole = overview["last_ns"] - overview["first_ns"]
    holes = [s for s in overview["invalid_spans"] if not s["rows"] and 50 * (s["to_ns"] - s["from_ns"]) > whole]
    return [{"bounds": [iso(s["from_ns"]), iso(s["to_ns"])]} for s in holes]


def spread_distribution(overview: dict[str, Any]) -> Figure:
    """Share of time at each spread in ticks."""
    table = overview["spread_ticks"]
    names = [f"≥ {e['ticks']}" if e["more"] else str(e["ticks"]) for e in table]
    bars = {
        "type": "bar", "x": names, "y": [100 * e["share"] for e in table], "marker": {"color": BID},
        "hovertemplate": "%{x} ticks: %{y:.2f} % of the time<extra></extra>",
    }  # fmt: skip
    spec = layout(
        320,
        hovermode="closest",
        bargap=0.15 if len(table) > 5 else 0.7,
        xaxis=axis("spread, ticks", type="category", showgrid=False),
        yaxis=axis("share of valid rows, %", rangemode="tozero"),
    )
    return {"data": [bars], "layout": spec}


def message_rate(overview: dict[str, Any]) -> Figure:
    """Book messages a second through time."""
    bins = overview["bins"]
    trace = {
        "type": "scatter", "mode": "lines", "x": [iso(b["ts_ns"]) for b in bins],
        "y": [b.get("messages_hz") for b in bins], "line": line(INK, 1.2), "hovertemplate": "%{y:.3~g} a second",
    }  # fmt: skip
    x_axis = axis("UTC", showgrid=False, nticks=5, tickangle=0, rangebreaks=_pauses(overview))
    spec = layout(320, xaxis=x_axis, yaxis=axis("messages a second", rangemode="tozero"))
    return {"data": [trace], "layout": spec}


def cost_curve(costs: dict[str, Any]) -> Figure:
    """The round trip's median cost by order size, one line a style, 95th percentile dotted, the fees as a floor."""
    data: list[dict[str, Any]] = []
    for style in STYLES:
        entries = [e for e in costs["surface"] if e["style"] == style and e["side"] == "long"]
        sizes = [e["size_quote"] for e in entries]
        for name, key, dash in (("median", "p50", "solid"), ("95th percentile", "p95", "dot")):
            if style == "maker_maker" and key == "p95":
                continue  # fees only: every quantile is the same number
            data.append(
                {
                    "type": "scatter", "mode": "lines+markers" if key == "p50" else "lines", "connectgaps": False,
                    "name": f"{style_words(style)}, {name}", "x": sizes,
                    "y": [e["quantiles_bps"][key] for e in entries],
                    "line": line(STYLE_COLOURS[style], 2 if key == "p50" else 1.4, dash),
                    "hovertemplate": "%{y:.2f} bps",
                }
            )  # fmt: skip
    spec = layout(
        380,
        xaxis=axis("order size, quote currency", type="log", tickformat="~s", dtick=1, showgrid=False),
        yaxis=axis("round trip, bps", rangemode="tozero"),
        margin={"l": 84, "r": 20, "t": 64, "b": 46},
    )
    return {"data": data, "layout": spec}


def cost_by_hour(costs: dict[str, Any]) -> Figure | None:
    """Median one-way slippage by hour for each size (mean of both sides); None under three hours of data."""
    hours = sorted({h["hour"] for e in costs["slippage"] for h in e["hours"]})
    if len(hours) < 3:
        return None
    sizes = sorted({e["size_quote"] for e in costs["slippage"]})
    grid: list[list[float | None]] = []
    for size in sizes:
        sides = [e for e in costs["slippage"] if e["size_quote"] == size]
        row: list[float | None] = []
        for hour in hours:
            found = [h["quantiles_bps"]["p50"] for e in sides for h in e["hours"] if h["hour"] == hour]
            row.append(None if any(v is None for v in found) else sum(found) / len(found))
        grid.append(row)
    heat = {
        "type": "heatmap", "x": hours, "y": [f"{s:,}" for s in sizes], "z": grid,
        "colorscale": [[0, "#eaf2f9"], [1, "#15507f"]],
        "colorbar": {"title": {"text": "bps"}, "thickness": 12, "outlinewidth": 0}, "xgap": 1, "ygap": 1,
        "hovertemplate": "%{x}:00 UTC, %{y} quote: %{z:.3f} bps<extra></extra>",
    }  # fmt: skip
    spec = layout(
        300,
        hovermode="closest",
        xaxis=axis("hour, UTC", showgrid=False, zeroline=False, dtick=max(1, len(hours) // 12)),
        yaxis=axis("order size, quote", type="category", showgrid=False),
        margin={"l": 80, "r": 20, "t": 12, "b": 46},
    )
    return {"data": [heat], "layout": spec}


def feasibility_bars(found: dict[str, Any]) -> Figure:
    """The average move at each horizon with its interval, against the fees of each style as lines."""
    entries = [e for e in found["horizons"] if e["mean_abs_move_bps"]["mean"] is not None]
    moves = [e["mean_abs_move_bps"] for e in entries]
    names = [e["horizon"] for e in entries]
    error = {
        "type": "data", "symmetric": False, "thickness": 1.2, "width": 5, "color": INK,
        "array": [None if m["high"] is None else m["high"] - m["mean"] for m in moves],
        "arrayminus": [None if m["low"] is None else m["mean"] - m["low"] for m in moves],
    }  # fmt: skip
    bars = {
        "type": "bar", "name": "average move, all of it", "x": names, "y": [m["mean"] for m in moves],
        "marker": {"color": "#a9c3dc"}, "error_y": error, "hovertemplate": "%{y:.3f} bps",
    }  # fmt: skip
    lines: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for fee in sorted(set(found["fees_bps"].values())):
        styles = [s for s in STYLES if found["fees_bps"][s] == fee]
        colour = STYLE_COLOURS[styles[0]]
        words = "all fees" if len(styles) == len(STYLES) else ", ".join(map(style_words, styles)) + " fees"
        lines.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": fee, "y1": fee})
        lines[-1]["line"] = line(colour, 1.6, "dash")
        notes.append({"xref": "paper", "x": 1, "xanchor": "left", "xshift": 6, "y": fee, "showarrow": False})
        notes[-1] |= {"text": f"{words} {fee:g}", "font": {"size": 12, "color": colour}}
    spec = layout(
        360,
        hovermode="closest",
        bargap=0.45,
        xaxis=axis("horizon", type="category", showgrid=False),
        yaxis=axis("bps", rangemode="tozero"),
        shapes=lines,
        annotations=notes,
        margin={"l": 84, "r": 170, "t": 12, "b": 46},
    )
    return {"data": [bars], "layout": spec}


def fill_age_bars(labels: dict[str, Any]) -> Figure:
    """The 5 s markout against how long the order had waited, one series a queue model, with intervals."""
    data: list[dict[str, Any]] = []
    names = [f"{a['from_s']:g}–{a['to_s']:g} s" for a in labels["fill_age"]]
    for model, colour in MODEL_COLOURS.items():
        cells = [a[model] for a in labels["fill_age"]]
        data.append(
            {
                "type": "bar", "name": model, "x": names, "y": [c["mean"] for c in cells],
                "marker": {"color": colour}, "customdata": [c["effective_n"] for c in cells],
                "error_y": {
                    "type": "data", "symmetric": False, "thickness": 1, "width": 3, "color": QUIET,
                    "array": [None if c["high"] is None else c["high"] - c["mean"] for c in cells],
                    "arrayminus": [None if c["low"] is None else c["mean"] - c["low"] for c in cells],
                },
                "hovertemplate": "%{y:.2f} bps, effective n %{customdata:,}",
            }
        )  # fmt: skip
    spec = layout(
        340,
        barmode="group",
        xaxis=axis("time from arrival to fill", type="category", showgrid=False),
        yaxis=axis("5 s markout of fills, bps"),
        margin={"l": 84, "r": 20, "t": 36, "b": 46},
    )
    return {"data": data, "layout": spec}
