"""The figures of the walk-forward report as plain plotly specifications; None where there is nothing to draw."""

from __future__ import annotations

from typing import Any

from lob_pipeline.evaluation.figures import BID, INK, MODEL_COLOURS, QUIET, Figure, axis, layout, line

_FOLD_COLOURS = ("#1f6fb2", "#1a7f5a", "#9a6700", "#c2571a", "#b42318", "#5b6875")


def fold_strip(models: dict[str, Any], chosen: str) -> Figure | None:
    """Each fold's mean P&L per filled trade, a row a model, one colour a queue model; the chosen model on top."""
    names = [chosen, *(name for name in models if name != chosen)]
    data: list[dict[str, Any]] = []
    for k, (queue, colour) in enumerate(MODEL_COLOURS.items()):
        x: list[float] = []
        y: list[float] = []
        words: list[str] = []
        for i, name in enumerate(names):
            for fold in models[name]["verdict"]["folds"]:
                mean = fold["mean_bps"].get(queue)
                if mean is not None:
                    x.append(mean)
                    y.append(len(names) - 1 - i + 0.22 * (1 - k))
                    words.append(f"{name}, fold {fold['fold']}: {fold['filled'][queue]} trades")
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": queue, "x": x, "y": y, "text": words,
                "marker": {"color": colour, "size": 9, "opacity": 0.8, "line": {"color": "#ffffff", "width": 1}},
                "hovertemplate": "%{text}, %{x:+.2f} bps",
            }
        )  # fmt: skip
    if not any(trace["x"] for trace in data):
        return None
    zero = {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": line(QUIET, 1.4)}
    spec = layout(
        110 + 44 * len(names),
        hovermode="closest",
        xaxis=axis("mean P&L of a test block, bps a filled trade"),
        yaxis=axis(
            "", tickmode="array", tickvals=list(range(len(names))), ticktext=names[::-1], zeroline=False,
            range=[-0.6, len(names) - 0.4], showgrid=False,
        ),
        shapes=[zero],
        margin={"l": 150, "r": 20, "t": 36, "b": 46},
    )  # fmt: skip
    return {"data": data, "layout": spec}


def fee_curve(verdict: dict[str, Any], maker_fee_bps: float) -> Figure | None:
    """Mean P&L per filled trade against the maker fee, one line a queue model; break-even and today's fee marked.

    The orders are held fixed, so each line falls by the mean number of maker legs per bps of fee.
    """
    even = verdict["break_even_maker_fee_bps"]
    cells = {q: i for q, i in verdict["intervals"].items() if i["mean"] is not None and i.get("maker_legs")}
    if even is None or not cells:
        return None
    low, high = min(even, maker_fee_bps, 0.0) - 1.0, max(even, maker_fee_bps) + 1.0
    fees = [low + (high - low) * k / 40 for k in range(41)]
    data: list[dict[str, Any]] = []
    for queue, colour in MODEL_COLOURS.items():
        if queue in cells:
            mean, legs = cells[queue]["mean"], cells[queue]["maker_legs"]
            y = [mean + legs * (maker_fee_bps - fee) for fee in fees]
            data.append(
                {
                    "type": "scatter", "mode": "lines", "name": queue, "x": fees, "y": y, "line": line(colour, 2),
                    "hovertemplate": "%{y:+.2f} bps",
                }
            )  # fmt: skip
    shapes: list[dict[str, Any]] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": line(QUIET, 1)}
    ]
    notes: list[dict[str, Any]] = []
    # the lines fall from left to right: the left note stands at the bottom, the right one on top, each looking outwards
    for fee, words, colour, other in (
        (maker_fee_bps, f"today's fee {maker_fee_bps:g}", INK, even),
        (even, f"break-even {even:.2f}", BID, maker_fee_bps),
    ):
        right = fee > other or (fee == other and colour == INK)
        side, height = ("left", 1.0) if right else ("right", 0.0)
        shapes.append({"type": "line", "yref": "paper", "x0": fee, "x1": fee, "y0": 0, "y1": 1})
        shapes[-1]["line"] = line(colour, 1.4, "dash")
        notes.append(
            {
                "x": fee, "y": height, "yref": "paper", "text": words, "showarrow": False, "xanchor": side,
                "xshift": 6 if right else -6, "yanchor": "top" if right else "bottom",
                "font": {"size": 12, "color": colour},
            }
        )  # fmt: skip
    spec = layout(
        340,
        xaxis=axis("maker fee, bps a leg", showgrid=False, zeroline=False),
        yaxis=axis("mean P&L, bps a filled trade", zeroline=False),
        shapes=shapes,
        annotations=notes,
        margin={"l": 84, "r": 20, "t": 36, "b": 46},
    )
    return {"data": data, "layout": spec}


def calibration_plot(folds: list[dict[str, Any]], head: str, words: str) -> Figure | None:
    """Observed share against forecast, one line a fold, ten bins of equal count each, and the diagonal."""
    data: list[dict[str, Any]] = []
    top = 0.0
    for i, fold in enumerate(folds):
        bins = fold["heads"]["calibration"].get(head) or []
        if bins:
            top = max(top, *(b["forecast"] for b in bins), *(b["observed"] for b in bins))
            data.append(
                {
                    "type": "scatter", "mode": "lines+markers", "name": f"fold {fold['fold']}",
                    "x": [b["forecast"] for b in bins], "y": [b["observed"] for b in bins],
                    "line": line(_FOLD_COLOURS[i % len(_FOLD_COLOURS)], 1.2), "marker": {"size": 5},
                    "customdata": [b["rows"] for b in bins],
                    "hovertemplate": "said %{x:.3f}, was %{y:.3f}, %{customdata:,} rows",
                }
            )  # fmt: skip
    if not data:
        return None
    top = min(1.0, 1.08 * top) or 1.0
    diagonal = {
        "type": "scatter", "mode": "lines", "x": [0, top], "y": [0, top], "line": line(QUIET, 1, "dot"),
        "showlegend": False, "hoverinfo": "skip",
    }  # fmt: skip
    spec = layout(
        380,
        hovermode="closest",
        xaxis=axis(f"forecast {words}", range=[0, top]),
        yaxis=axis("observed share", range=[0, top]),
        margin={"l": 70, "r": 20, "t": 64, "b": 46},
    )
    return {"data": [diagonal, *data], "layout": spec}


def training_curves(curves: list[list[dict[str, Any]]]) -> Figure | None:
    """Total loss by epoch: held rows solid, training rows dotted, one colour a fold."""
    data: list[dict[str, Any]] = []
    for i, epochs in enumerate(curves):
        colour = _FOLD_COLOURS[i % len(_FOLD_COLOURS)]
        for part, dash, words in (("held", "solid", "held"), ("train", "dot", "training")):
            y = [e[part].get("total") for e in epochs if isinstance(e.get(part), dict)]
            if y:
                data.append(
                    {
                        "type": "scatter", "mode": "lines+markers", "name": f"fold {i + 1}, {words}",
                        "x": [e["epoch"] + 1 for e in epochs if isinstance(e.get(part), dict)], "y": y,
                        "line": line(colour, 1.6, dash), "marker": {"size": 5}, "legendgroup": f"fold {i + 1}",
                        "showlegend": part == "held", "hovertemplate": "%{y:.4f}",
                    }
                )  # fmt: skip
    if not data:
        return None
    spec = layout(
        340,
        xaxis=axis("epoch", dtick=max(1, max(len(c) for c in curves) // 10), showgrid=False),
        yaxis=axis("sum of the heads' losses"),
        margin={"l": 84, "r": 20, "t": 36, "b": 46},
    )
    return {"data": data, "layout": spec}


def routing_map(routing: dict[str, Any]) -> Figure | None:
    """Mean share of each expert by regime."""
    kept = [(name, row) for name, row in zip(routing["regimes"], routing["experts"], strict=True) if row]
    if not kept:
        return None
    heat = {
        "type": "heatmap", "x": [f"expert {e + 1}" for e in range(len(kept[0][1]))], "y": [name for name, _ in kept],
        "z": [row for _, row in kept], "zmin": 0, "colorscale": [[0, "#eaf2f9"], [1, "#15507f"]], "xgap": 2, "ygap": 2,
        "texttemplate": "%{z:.0%}", "hovertemplate": "%{y}, %{x}: %{z:.1%}<extra></extra>",
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickformat": ".0%"},
    }  # fmt: skip
    spec = layout(
        120 + 44 * len(kept),
        hovermode="closest",
        xaxis=axis("", type="category", showgrid=False),
        yaxis=axis("", type="category", showgrid=False),
        margin={"l": 84, "r": 20, "t": 12, "b": 46},
    )
    return {"data": [heat], "layout": spec}
