"""The walk-forward report: one HTML file that opens without a network, the verdict and its reason in words on top.

What the document does not hold is said in words where it would have been shown; no figure is drawn empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from lob_pipeline.evaluation import walk_figures as drawings
from lob_pipeline.evaluation.figures import Figure, fill_age_bars
from lob_pipeline.evaluation.sheet import Sheet, bullet_list, fact
from lob_pipeline.evaluation.tables import label_table, number, share
from lob_pipeline.evaluation.walk_tables import (
    VERDICT_WORDS,
    day_table,
    fold_summary,
    fold_table,
    gate_table,
    head_table,
    leg_table,
    model_table,
    nothing,
    paired_table,
)

_CARD = {"TRADE": "good", "DO_NOT_TRADE": "bad", "NOT_ENOUGH_DATA": "open"}
_COUNTED = (("rows", "rows"), ("scored_rows", "rows that can be scored"), ("segments", "unbroken stretches"))
Parts = list[str]


def render(walk: dict[str, Any]) -> str:
    """Return the page of a walk-forward (shape: ``evaluation.walk``) as HTML text. Every string in it is escaped."""
    sheet = Sheet(walk.get("commands", {}))
    body = "\n".join(part for section in _sections(walk, sheet) for part in section)
    return sheet.document(f"{walk['market']}, walk-forward {walk['as_of']}", body)


def _sections(walk: dict[str, Any], sheet: Sheet) -> Iterator[Parts]:
    yield _head(walk)
    yield _verdict(walk, sheet)
    yield _facts(walk)
    yield _gates(walk, sheet)
    yield _models(walk, sheet)
    yield _folds(walk, sheet)
    yield _fees(walk, sheet)
    yield _heads(walk, sheet)
    yield _legs(walk, sheet)
    yield _fill_age(walk, sheet)
    yield _training(walk, sheet)
    yield _data(walk, sheet)
    yield _foot(walk)


def _chosen(walk: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = walk["models"][walk["chosen"]]
    return found


def _or_words(sheet: Sheet, key: str, spec: Figure | None, caption: str, words: str) -> str:
    return nothing(words) if spec is None else sheet.element(key, spec, caption)


def _under(sheet: Sheet, key: str, words: str = "") -> str:
    text = escape(words) + sheet.made_by(key)
    return f'<p class="under made">{text}</p>' if text else ""


def _head(walk: dict[str, Any]) -> Parts:
    folds = len(_chosen(walk)["folds"])
    line = (
        f"Walk-forward over {folds} test blocks, data up to {walk['as_of']}, clock {walk['clock']}, "
        f"{len(walk['models'])} models."
    )
    return [
        f"<header><h1>{escape(walk['market'])}</h1>",
        f'<p class="under">{escape(line)}</p></header>',
        *(f'<p class="under">{escape(note)}</p>' for note in walk.get("notes", [])),
    ]


def _verdict(walk: dict[str, Any], sheet: Sheet) -> Parts:
    verdict = walk["verdict"]
    name = verdict["verdict"]
    first, *rest = verdict["reasons"] or ["No reason was recorded."]
    more = f"<ul>{bullet_list(rest, 'no')}</ul>" if rest else ""
    days = verdict.get("days_needed")
    wait = ""
    if days is not None:
        y = walk["gates"]["resolve_bps"]
        wait = (
            f"<p>About {number(days, 1)} more recorded days at the present rate would meet the counts and tell an edge "
            f"of {y:g} bps from none.</p>"
        )
    return [
        f'<section class="cards"><div class="card {_CARD.get(name, "open")}">'
        f'<div class="what">verdict on {escape(walk["chosen"])}</div>'
        f'<div class="headline big">{escape(VERDICT_WORDS.get(name, name))}</div>'
        f"<p>{escape(first)}</p>{more}{wait}</div></section>",
        _under(sheet, "verdict"),
    ]


def _facts(walk: dict[str, Any]) -> Parts:
    verdict = walk["verdict"]
    cells = verdict["intervals"].values()
    sharpe = verdict["deflated_sharpe"]
    return [
        '<dl class="facts">',
        fact("filled trades, fewest of three queue models", f"{min(c['filled'] for c in cells):,}"),
        fact("distinct fills among them", f"{min(c['effective_n'] for c in cells):,}"),
        fact("maker fee today", f"{walk['maker_fee_bps']:g}", "bps"),
        fact("break-even maker fee", number(verdict["break_even_maker_fee_bps"]), "bps"),
        fact("smallest mean edge this run would have seen", number(verdict.get("power_bps")), "bps"),
        fact(f"deflated Sharpe, {sharpe['trials']:,} trials", share(sharpe["dsr"])),
        "</dl>",
        '<p class="under">A trade is a filled order. The smallest edge is 1.96 standard errors of the widest interval; '
        "the deflated Sharpe ratio is the probability that the true one exceeds what the best of that many worthless "
        "recipes would show.</p>",
    ]


def _gates(walk: dict[str, Any], sheet: Sheet) -> Parts:
    return [
        "<h2>The gates</h2>",
        gate_table(walk["verdict"]),
        _under(sheet, "verdict", f"Written before the run: SHA-256 {walk['gates_sha256'][:16]}… of gates.toml."),
    ]


def _models(walk: dict[str, Any], sheet: Sheet) -> Parts:
    over = walk.get("overfitting") or {}
    parts = [
        "<h2>Every model, every queue model</h2>",
        "<p>Mean P&amp;L per filled trade after fees, with its 95 % interval from blocks of time. One threshold a "
        "fold, chosen before the test block; one order or position at a time.</p>",
        model_table(walk["models"], walk["chosen"]),
        _under(sheet, "models"),
    ]
    lines = []
    pbo, check = over.get("pbo") or {}, over.get("reality_check") or {}
    if pbo.get("pbo") is not None:
        lines.append(
            f"Picking the best of these {len(pbo['variants'])} models by its past: in {pbo['pbo']:.0%} of "
            f"{pbo['halves']} splits of time the pick did no better than the median model in the other half "
            "(probability of backtest overfitting)."
        )
    if check.get("p_value") is not None:
        lines.append(
            f"Reality check: if none of them beat not trading, a best one as good as {check['best']} would be seen "
            f"with probability {max(check['p_value'], 0.01):.2f}{' or less' if check['p_value'] < 0.01 else ''}."
        )
    parts += [f"<p>{escape(text)}</p>" for text in lines]
    if walk.get("paired"):
        parts += [
            "<h2>Is the difference real?</h2>",
            "<p>Differences of two models on identical rows, in bps a day, with 95 % intervals.</p>",
            paired_table(walk["paired"]),
            _under(sheet, "paired"),
        ]
    return parts


def _folds(walk: dict[str, Any], sheet: Sheet) -> Parts:
    model = _chosen(walk)
    return [
        "<h2>Fold by fold</h2>",
        _or_words(
            sheet, "folds", drawings.fold_strip(walk["models"], walk["chosen"]),
            "One dot a test block: mean P&L per filled trade after fees.",
            "No model filled a single order in any test block.",
        ),
        fold_summary(model),
        fold_table(model, walk.get("folds", [])),
        _under(sheet, "folds", f"Both tables: {walk['chosen']}."),
    ]  # fmt: skip


def _fees(walk: dict[str, Any], sheet: Sheet) -> Parts:
    return [
        "<h2>What fee would it bear?</h2>",
        _or_words(
            sheet, "costs", drawings.fee_curve(walk["verdict"], walk["maker_fee_bps"]),
            f"{walk['chosen']}, orders held fixed. Break-even: the fee at which the worst queue model earns nothing.",
            "Not every queue model filled an order, so there is no break-even fee.",
        ),
    ]  # fmt: skip


def _heads(walk: dict[str, Any], sheet: Sheet) -> Parts:
    folds = _chosen(walk)["folds"]
    parts = [
        "<h2>What the forecasts are worth</h2>",
        "<p>Brier skill is against always saying the test block's own rate. Rows overlap: effective n counts distinct "
        "fills.</p>",
        head_table(folds) if folds else nothing("No fold was scored."),
        _under(sheet, "calibration"),
        '<div class="pair">',
    ]
    for head, words in (("fill", "p_fill"), ("entry", "p_entry")):
        parts.append(
            _or_words(
                sheet, "calibration", drawings.calibration_plot(folds, head, words),
                f"Calibration of {words} on test rows, both sides, ten bins of equal count.",
                f"No fold has a forecast of {words}: its head was masked or there are no rows.",
            )
        )  # fmt: skip
    return [*parts, "</div>"]


def _legs(walk: dict[str, Any], sheet: Sheet) -> Parts:
    made = leg_table(_chosen(walk).get("leg_a") or [])
    return [
        "<h2>Were direction known</h2>",
        "<p>At the rows with the highest p_entry an oracle picks the side; fills and exits stay simulated. Where even "
        "this loses, no better sense of direction helps.</p>",
        made or nothing("The oracle of direction was not computed in this run."),
        _under(sheet, "models") if made else "",
    ]


def _fill_age(walk: dict[str, Any], sheet: Sheet) -> Parts:
    labels = walk.get("labels")
    title = "<h2>Every order, without a model</h2>"
    if not labels or not labels["valid_orders"]:
        return [title, nothing("The orders of all rows were not summarised in this run.")]
    return [
        title,
        f"<p>{escape(labels['bracket']['sentence'])}</p>",
        label_table(labels),
        sheet.element("labels", fill_age_bars(labels), "Mean markout five seconds after the fill, by time waited."),
    ]


def _training(walk: dict[str, Any], sheet: Sheet) -> Parts:
    model = _chosen(walk)
    routing = model.get("routing")
    return [
        "<h2>Training</h2>",
        _or_words(
            sheet, "curves", drawings.training_curves(model.get("curves") or []),
            "Held rows solid, training rows dotted.", f"{walk['chosen']} has no training curve.",
        ),
        _or_words(
            sheet, "routing", drawings.routing_map(routing) if routing else None,
            "Mean share of each expert on test rows, by volatility of the last 300 s (terciles of the training rows).",
            f"{walk['chosen']} has no experts to route to.",
        ),
    ]  # fmt: skip


def _data(walk: dict[str, Any], sheet: Sheet) -> Parts:
    data, inputs = walk["data"], walk["inputs"]
    summary = data.get("summary") or {}
    fills = (summary.get("models") or {}).get("proportional") or {}
    left = "; ".join(f"{name} (same window as {twin})" for name, twin in inputs["left_out"])
    return [
        "<h2>The data</h2>",
        '<dl class="facts">',
        fact("days used", f"{len(data['days'])}"),
        *(fact(words, f"{summary[key]:,}") for key, words in _COUNTED if key in summary),
        *([fact("distinct fills in all rows", f"{fills['effective_n']:,}")] if fills else []),
        fact("inputs", f"{len(inputs['kept'])}", inputs["feature_set"]),
        "</dl>",
        day_table(data),
        f"<p>{escape(f'Inputs left out because a twin holds the same rows on this clock: {left}.')}</p>"
        if left
        else "<p>No input was left out.</p>",
        _under(sheet, "data", f"Data SHA-256 {data['data_sha256'][:16]}…"),
    ]


def _foot(walk: dict[str, Any]) -> Parts:
    trials = walk.get("trials") or {}
    ledger = f" Trial ledger: {trials['count']:,} lines, head {trials['head'][:16]}…" if trials else ""
    return [
        "<footer>This page needs no network and sends nothing. It describes the past of one market under simulated "
        f"orders and is no advice.{escape(ledger)}</footer>"
    ]
