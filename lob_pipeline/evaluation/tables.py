"""The tables of the first page, as escaped HTML."""

from __future__ import annotations

from html import escape
from typing import Any

from lob_pipeline.core.units import format_ns
from lob_pipeline.evaluation.costs import STYLES
from lob_pipeline.evaluation.feasibility import spaced
from lob_pipeline.evaluation.figures import style_words

_LONGEST = 12


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table; ``rows`` hold HTML that their makers escaped."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def instant_words(t_ns: int) -> str:
    """Return ``2024-08-08 23:54:16.5`` for an instant: to the millisecond, without needless zeros."""
    day, time = format_ns(t_ns)[:23].split("T")
    return f"{day} {time.rstrip('0').rstrip('.') if '.' in time else time}"


def number(value: float | None, digits: int = 2, *, signed: bool = False, coloured: bool = False) -> str:
    """Return a number for a cell, an en dash where it is not known."""
    if value is None:
        return "–"
    value = round(value, digits) + 0.0  # no negative zero
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    text = text.replace("-", "−")
    if coloured and value != 0:
        return f'<span class="{"pos" if value > 0 else "neg"}">{text}</span>'
    return text


def share(value: float | None, digits: int = 1) -> str:
    """Return a share as per cent for a cell."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def interval(estimate: dict[str, Any], digits: int = 2, *, coloured: bool = False) -> str:
    """Return ``mean [low, high]`` for a cell; the mean alone where no interval can be given."""
    text = number(estimate["mean"], digits, signed=coloured, coloured=coloured)
    if estimate["low"] is None:
        return text
    bounds = f"{number(estimate['low'], digits)} … {number(estimate['high'], digits)}"
    return f"{text} <small>[{bounds}]</small>"


def cost_table(costs: dict[str, Any]) -> str:
    """Return median one-way slippage and round-trip costs by size, with the share beyond the stored book."""
    rows = []
    for size in sorted({e["size_quote"] for e in costs["slippage"]}):
        sides = {e["side"]: e for e in costs["slippage"] if e["size_quote"] == size}
        trips = {(e["style"], e["side"]): e for e in costs["surface"] if e["size_quote"] == size}
        crossing = trips["taker_taker", "long"]
        rows.append(
            [
                f"{size:,}",
                number(sides["buy"]["quantiles_bps"]["p50"], 3),
                number(sides["sell"]["quantiles_bps"]["p50"], 3),
                number(sides["buy"]["quantiles_bps"]["p95"], 3),
                number(sides["sell"]["quantiles_bps"]["p95"], 3),
                share(max(s["truncated_share"] or 0.0 for s in sides.values())),
                *(number(trips[style, "long"]["quantiles_bps"]["p50"]) for style in STYLES),
                number(crossing["median_quote"]),
            ]
        )
    head = ["size, quote", "buy p50, bps", "sell p50", "buy p95", "sell p95", "beyond the book"]
    head += [f"{style_words(s)}, bps" for s in STYLES] + ["taker–taker, quote"]
    return table(head, rows)


def feasibility_table(found: dict[str, Any]) -> str:
    """Return the oracle's move, its effective n and what each style would leave, by horizon."""
    rows = [
        [
            spaced(e["horizon"]),
            interval(e["mean_abs_move_bps"], 3),
            f"{e['effective_n']:,}",
            share(e["share_above_fees"]["maker_maker"]),
            number(e["adverse_selection_bps"], signed=True),
            *(number(e["net_bps"][s]["mean"], signed=True, coloured=e["enough"]) for s in STYLES),
        ]
        for e in found["horizons"]
    ]
    head = ["horizon", "average move, bps", "effective n", "moves above maker–maker fees", "adverse selection, bps"]
    return table(head + [f"{style_words(s)} net, bps" for s in STYLES], rows)


def label_table(labels: dict[str, Any]) -> str:
    """Return fill rate, markout, edge and counts of each queue model."""
    rows = []
    for name, model in labels["models"].items():
        rows.append(
            [
                escape(name),
                interval({k: None if v is None else 100 * v for k, v in _bounds(model["fill_rate"]).items()}, 1) + " %",
                f"{model['filled']:,}",
                f"{model['effective_n']:,}",
                number(model["median_fill_delay_s"], 1),
                interval(model["markouts_bps"]["5s"], coloured=True),
                interval(model["edge_bps"], coloured=True),
                share(model["positive_share"]),
                number(model["perfect_selection_bps"], 3),
            ]
        )
    head = ["queue model", "fill rate", "filled rows", "effective n", "median wait, s", "5 s markout, bps"]
    head += ["edge after fees, bps", "edge > 0", "perfect selection, bps an order"]
    return table(head, rows)


def _bounds(estimate: dict[str, Any]) -> dict[str, Any]:
    return {k: estimate[k] for k in ("mean", "low", "high")}


_COUNTS = (
    ("messages", "messages"),
    ("level_rows", "level changes"),
    ("snapshots", "snapshots"),
    ("rows", "rows"),
    ("warm_rows", "warm rows"),
    ("resets", "resets"),
    ("crossed", "crossed"),
    ("locked", "locked"),
    ("late_messages", "late messages"),
    ("trade_id_gaps", "trade id gaps"),
    ("truncated_rows", "rows with a clipped 4 bps window"),
)


def certificate_table(certificates: list[dict[str, Any]]) -> str:
    """Return every count of the certificates, a column a day."""
    rows = []
    for key, words in _COUNTS:
        values = [c["certificate"].get(key) for c in certificates]
        rows.append([words, *("–" if v is None else f"{v:,}" for v in values)])
    rows.append(["gaps", *(f"{len(c['certificate']['gaps']):,}" for c in certificates)])
    rows.append(["coverage", *(share(c["certificate"]["coverage"], 2) for c in certificates)])
    return table(["", *(c["date"] for c in certificates)], rows)


def gap_table(certificates: list[dict[str, Any]], spans: list[dict[str, int]]) -> str:
    """Return the gaps in the chains and the longest stretches without a valid row; a sentence where there are none."""
    gaps = [gap for c in certificates for gap in c["certificate"]["gaps"]]
    if not gaps and not spans:
        return '<p class="under">No gap in the chain of updates and no stretch without a valid row.</p>'
    rows = [
        [instant_words(g["at_ns"]), "gap in the chain", escape(f"expected {g['expected']}, got {g['got']}")]
        for g in gaps[:_LONGEST]
    ]
    longest = sorted(sorted(spans, key=lambda s: s["from_ns"] - s["to_ns"])[:_LONGEST], key=lambda s: s["from_ns"])
    rows += [
        [
            instant_words(s["from_ns"]),
            "no valid row" if s["rows"] else "not recorded",
            f"{(s['to_ns'] - s['from_ns']) / 1e9:,.1f} s",
        ]
        for s in longest
    ]
    left = max(0, len(gaps) - _LONGEST) + max(0, len(spans) - _LONGEST)
    more = f'<p class="under">{left:,} more are not listed.</p>' if left else ""
    return table(["UTC", "what", ""], rows) + more
