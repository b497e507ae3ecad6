"""The tables of the walk-forward report, as escaped HTML; a sentence where there is nothing to show."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

from lob_pipeline.evaluation.figures import MODEL_COLOURS
from lob_pipeline.evaluation.legs import pooled_legs
from lob_pipeline.evaluation.policy import ALWAYS_BPS
from lob_pipeline.evaluation.tables import instant_words, interval, number, share, table

VERDICT_WORDS = {"TRADE": "Trade", "DO_NOT_TRADE": "Do not trade", "NOT_ENOUGH_DATA": "Not enough data"}
QUEUES = tuple(MODEL_COLOURS)  # the order of every figure: optimistic, proportional, pessimistic
_GATE_WORDS = {
    "folds": "test blocks scored",
    "filled_trades": "filled trades in all, queue model that fills least",
    "distinct_fills": "distinct fills (effective n), queue model that fills least",
    "filled_trades_per_fold": "filled trades in the thinnest test block",
    "folds_with_entry_masked": "test blocks whose entry head had too few examples",
    "intervals": "queue models with an interval",
    "lower_bound_bps": "lower 95 % bound of a filled trade, worst queue model, bps",
    "median_fold_bps": "median test block, worst queue model, bps a trade",
    "negative_folds": "test blocks that lost money, worst queue model",
}
_STRICT = ("lower_bound_bps", "median_fold_bps")
_AT_MOST = ("negative_folds", "folds_with_entry_masked")


def nothing(words: str) -> str:
    """Return a sentence that stands where a figure or table would be empty."""
    return f'<p class="nothing">{escape(words)}</p>'


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else number(value, 2)


def gate_table(verdict: dict[str, Any]) -> str:
    """Return every gate with what was found, what is asked and whether it holds."""
    rows = []
    for gate in verdict["gates"]:
        name = gate["name"]
        asked = "above " if name in _STRICT else "at most " if name in _AT_MOST else "at least "
        mark = '<span class="pos">✓</span>' if gate["ok"] else '<span class="neg">✕</span>'
        words = escape(_GATE_WORDS.get(name, name))
        rows.append([f"{words}", _plain(gate["value"]), asked + f"{gate['bound']:g}", mark])
    return table(["gate", "found", "asked", "holds"], rows)


def _estimate(cell: dict[str, Any]) -> str:
    return interval(cell, coloured=True).replace(" <small>", "<br><small>")


def model_table(models: dict[str, Any], chosen: str) -> str:
    """Return every model in all three queue models: mean P&L per filled trade with its interval, and its verdict."""
    head = ["model", "verdict", *(f"{q}, bps a trade" for q in QUEUES), "filled trades (effective n)"]
    head += ["bps a day, worst", "break-even fee, bps", "deflated Sharpe", "parameters"]
    rows, marked = [], []
    for name in [chosen, *(n for n in models if n != chosen)]:
        model, verdict = models[name], models[name]["verdict"]
        cells = verdict["intervals"]
        days = [c["per_day_bps"] for c in cells.values() if c["per_day_bps"] is not None]
        rows.append(
            [
                escape(name),
                escape(VERDICT_WORDS.get(verdict["verdict"], verdict["verdict"])),
                *(_estimate(cells[q]) for q in QUEUES),
                f"{min(c['filled'] for c in cells.values()):,} "
                f"<small>({min(c['effective_n'] for c in cells.values()):,})</small>",
                number(min(days) if days else None, 0, signed=True, coloured=True),
                number(verdict["break_even_maker_fee_bps"]),
                share(verdict["deflated_sharpe"]["dsr"]),
                "–" if not model.get("parameters") else f"{model['parameters']:,}",
            ]
        )
        marked.append(name == chosen)
    made = table(head, rows)
    for is_chosen in marked[:1]:
        made = made.replace("<tbody><tr>", '<tbody><tr class="chosen">', 1) if is_chosen else made
    return made


def fold_table(model: dict[str, Any], facts: Iterable[dict[str, Any]]) -> str:
    """Return the chosen model fold by fold: rows, threshold, trades and means in the three queue models."""
    known = {fact["fold"]: fact for fact in facts}
    rows = []
    for fold in model["folds"]:
        fact = known.get(fold["fold"], {})
        queues = fold["queues"]
        rows.append(
            [
                f"{fold['fold']}",
                f"{instant_words(fold['test_start_ns'])[:16]} – {instant_words(fold['test_end_ns'])[11:16]}",
                "–" if "train_rows" not in fact else f"{fact['train_rows']:,}",
                f"{fold['test_rows']:,}",
                "always" if fold["theta_bps"] <= ALWAYS_BPS else number(fold["theta_bps"], 3, signed=True),
                *(f"{number(queues[q]['mean_bps'], signed=True, coloured=True)} <small>({queues[q]['filled']})</small>"
                  for q in QUEUES),
                f"{min(queues[q]['effective_n'] for q in QUEUES)}",
                escape(", ".join(fold["masked_heads"]) or "none"),
            ]
        )  # fmt: skip
    head = ["fold", "test block, UTC", "training rows", "test rows", "θ, bps"]
    head += [*(f"{q}, bps (trades)" for q in QUEUES), "effective n", "masked heads"]
    return table(head, rows)


def fold_summary(model: dict[str, Any]) -> str:
    """Return median, quartiles, worst and number of losing folds in each queue model."""
    rows = []
    for queue in QUEUES:
        means = [f["queues"][queue]["mean_bps"] for f in model["folds"]]
        known = np.array([m for m in means if m is not None])
        if known.size:
            low, mid, high = np.quantile(known, (0.25, 0.5, 0.75))
            cells = [number(float(v), signed=True, coloured=True) for v in (mid, low, high, known.min(), known.max())]
            rows.append([escape(queue), *cells, f"{int((known < 0).sum())} of {len(means)}"])
        else:
            rows.append([escape(queue), *["–"] * 5, f"0 of {len(means)}"])
    head = ["queue model", "median fold, bps", "lower quartile", "upper quartile", "worst", "best", "folds that lost"]
    return table(head, rows)


_HEAD_ROWS = (
    ("entry", "auc", "AUC"), ("entry", "brier_skill", "Brier skill"), ("entry", "log_loss", "log loss"),
    ("fill", "auc", "AUC"), ("fill", "brier_skill", "Brier skill"), ("fill", "log_loss", "log loss"),
    ("adverse", "auc", "AUC"), ("adverse", "brier_skill", "Brier skill"), ("adverse", "log_loss", "log loss"),
    ("edge", "spearman", "Spearman, filled rows"), ("edge", "pearson", "Pearson, filled rows"),
)  # fmt: skip


def head_table(folds: list[dict[str, Any]]) -> str:
    """Return each head's scores on test rows: median over folds and their range, rows beside effective n."""
    rows = []
    for head, key, words in _HEAD_ROWS:
        sides = [[f["heads"][head][side] for f in folds] for side in ("buy", "sell")]
        cells = [_spread([v[key] for v in found if v[key] is not None]) for found in sides]
        size, distinct = (f"{sum(v[k] for found in sides for v in found):,}" for k in ("rows", "effective_n"))
        rows.append([head, words, *cells, size, distinct])
    direction = [f["heads"]["direction"] for f in folds]
    size = f"{sum(d['rows'] for d in direction):,}"
    for key, words in (("accuracy", "accuracy"), ("majority", "accuracy of naming the commonest class")):
        both = _spread([d[key] for d in direction if d[key] is not None])
        rows.append(["direction", words, both, "", size, "–"])
    return table(["head", "score", "buy: median fold [range]", "sell", "rows", "effective n"], rows)


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    low, high = number(min(values), 3), number(max(values), 3)
    return f"{number(float(np.median(values)), 3)} <small>[{low} … {high}]</small>"


def paired_table(paired: list[dict[str, Any]]) -> str:
    """Return the paired differences: bps a day on identical rows."""
    rows = [
        [
            f"{escape(p['model'])} − {escape(p['against'])}",
            escape(p.get("queue", "–")),
            interval(
                {"mean": p["mean_bps_a_day"], "low": p["low_bps_a_day"], "high": p["high_bps_a_day"]}, 1, coloured=True
            ),
            f"{p['filled_first']:,}",
            f"{p['filled_second']:,}",
            f"{p['blocks']:.0f}",
        ]
        for p in paired
    ]
    head = ["difference", "queue model", "bps a day", "trades of the first", "of the second", "blocks"]
    return table(head, rows)


def leg_table(leg: list[Any]) -> str:
    """Return leg A; ``leg`` is one table of ``oracle_direction`` or a list of them, one a fold (then pooled)."""
    entries = pooled_legs(leg) if leg and isinstance(leg[0], list) else leg
    rows = []
    for entry in entries:
        cells = [entry["queues"][q] for q in QUEUES]
        rows.append(
            [
                f"{entry['percentile']:g}",
                number(entry["p_entry"], 3),
                *(
                    interval({"mean": c["mean_bps"], "low": c["low_bps"], "high": c["high_bps"]}, coloured=True)
                    + f" <small>({c['filled']})</small>"
                    for c in cells
                ),
                number(min((c["trades_a_day"] or 0.0) for c in cells), 0),
            ]
        )
    head = ["percentile of p_entry", "p_entry from", *(f"{q}, bps (trades)" for q in QUEUES), "trades a day, least"]
    return table(head, rows) if rows else ""


def day_table(data: dict[str, Any]) -> str:
    """Return the days that were used and, in ranges of one reason, those that were not."""
    used = [
        [escape(d["date"]), "used" + ("" if d.get("profiled", True) else ", without a profile of earlier days")]
        for d in data["days"]
    ]
    left: list[list[Any]] = []
    for day in data["left_out"]:
        if left and left[-1][2] == day["reason"]:
            left[-1][1] = day["date"]
            left[-1][3] += 1
        else:
            left.append([day["date"], day["date"], day["reason"], 1])
    rows = used + [
        [escape(a if a == b else f"{a} to {b} ({count} days)"), f"left out: {escape(reason)}"]
        for a, b, reason, count in left
    ]
    made = table(["day", "training set"], rows)
    return made.replace("<td>", '<td class="text">').replace("<th>", '<th class="text">')
