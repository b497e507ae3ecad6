"""The verdict: gates written before, evaluated by code, with the reason in plain words and its number.

TRADE needs every gate in every queue model. Where trades, folds or intervals are too few the answer is
NOT_ENOUGH_DATA; everything else is DO_NOT_TRADE. All three are results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lob_pipeline.evaluation.gates import Gates
from lob_pipeline.evaluation.series import PnlSeries
from lob_pipeline.evaluation.sharpe import deflated_sharpe
from lob_pipeline.evaluation.significance import Estimate
from lob_pipeline.evaluation.walk import FoldScore

TRADE, DO_NOT_TRADE, NOT_ENOUGH_DATA = "TRADE", "DO_NOT_TRADE", "NOT_ENOUGH_DATA"


@dataclass(frozen=True)
class Trials:
    """How many recipes were scored on this market, and the variance of their Sharpe ratios (``count_trials``)."""

    count: int = 1
    sharpe_variance: float = 0.0


@dataclass(frozen=True)
class _Gate:
    """One gate: ``kind`` is ``count`` (too few: not enough data) or ``edge``; ``reason`` is said where it is not ok."""

    name: str
    value: float | None
    bound: float
    ok: bool
    kind: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "bound": self.bound, "ok": self.ok}


def judge_verdict(
    model_name: str,
    fold_scores: list[FoldScore],
    series: dict[str, PnlSeries],
    gates: Gates,
    *,
    maker_fee_bps: float,
    trials: Trials | None = None,
) -> dict[str, Any]:
    """Return the verdict on a model as plain JSON types (CONTRACT.md, ``lob verdict``).

    ``series``: by queue model over all folds (``joined_series``). ``maker_fee_bps``: the fee that the edges already
    paid. Beside CONTRACT's keys: ``model``, ``intervals``, ``folds``, ``power_bps`` (the smallest mean edge this run
    would have told from zero: half the width of the widest interval), ``trials``, ``deflated_sharpe`` (of the worst
    queue model), ``gates_sha256``.
    """
    trials = trials or Trials()
    estimates = {queue: one.estimate() for queue, one in series.items()}
    judged = _count_gates(fold_scores, series, estimates, gates) + _edge_gates(fold_scores, estimates, gates)
    verdict = _decide(judged)
    worst = min(series.values(), key=lambda s: float(np.nanmean(s.pnl_bps)) if s.filled else math.inf)
    return {
        "verdict": verdict,
        "reasons": _reasons(verdict, judged, estimates),
        "gates": [gate.to_json() for gate in judged],
        "break_even_maker_fee_bps": break_even_maker_fee(series, maker_fee_bps),
        "days_needed": days_needed(series, estimates, gates, len(fold_scores)) if verdict == NOT_ENOUGH_DATA else None,
        "model": model_name,
        "intervals": {queue: _interval_json(series[queue], estimates[queue]) for queue in series},
        "folds": [_fold_json(score) for score in fold_scores],
        "power_bps": power_bps(estimates),
        "trials": trials.count,
        "deflated_sharpe": deflated_sharpe(
            worst.pnl_bps[~np.isnan(worst.pnl_bps)], trials.count, trials.sharpe_variance
        ).to_json(),
        "gates_sha256": gates.sha256,
    }


def _interval_json(series: PnlSeries, estimate: Estimate) -> dict[str, Any]:
    total = float(np.nansum(series.pnl_bps))
    return {
        **estimate.to_json(),
        "orders": series.orders,
        "filled": series.filled,
        "effective_n": series.effective_n,
        "total_bps": total,
        "per_day_bps": total / series.days if series.days else None,
        "days": series.days,
        "maker_legs": float(np.nanmean(series.maker_legs)) if series.filled else None,
    }


def _fold_json(score: FoldScore) -> dict[str, Any]:
    return {
        "fold": score.fold,
        "test_start_ns": score.test_start_ns,
        "theta_bps": score.threshold.theta_bps,
        "mean_bps": {queue: found["mean_bps"] for queue, found in score.queues.items()},
        "filled": {queue: found["filled"] for queue, found in score.queues.items()},
        "masked_heads": list(score.masked_heads),
    }


def _count_gates(
    scores: list[FoldScore], series: dict[str, PnlSeries], estimates: dict[str, Estimate], gates: Gates
) -> list[_Gate]:
    total = min(s.filled for s in series.values())
    distinct = min(s.effective_n for s in series.values())
    per_fold = min((found["filled"] for score in scores for found in score.queues.values()), default=0)
    masked = [s.fold for s in scores if any(head.startswith("entry") for head in s.masked_heads)]
    known = sum(e.low is not None for e in estimates.values())
    blocks, values = (min(getattr(e, what) for e in estimates.values()) for what in ("blocks", "n"))
    few = "in the queue model that fills least"
    return [
        _Gate("folds", len(scores), gates.minimum_folds, len(scores) >= gates.minimum_folds, "count",
              f"{len(scores)} test blocks were scored, {gates.minimum_folds} are needed."),
        _Gate("filled_trades", total, gates.minimum_trades_total, total >= gates.minimum_trades_total, "count",
              f"{total} trades were filled {few}, {gates.minimum_trades_total} are needed."),
        _Gate("distinct_fills", distinct, gates.minimum_trades_total, distinct >= gates.minimum_trades_total, "count",
              f"{distinct} of the fills are distinct {few}, {gates.minimum_trades_total} are needed."),
        _Gate("filled_trades_per_fold", per_fold, gates.minimum_trades_per_fold,
              per_fold >= gates.minimum_trades_per_fold, "count",
              f"A test block saw {per_fold} filled trades {few}, {gates.minimum_trades_per_fold} are needed in each."),
        _Gate("folds_with_entry_masked", len(masked), 0, not masked, "count",
              f"The entry head had too few examples to learn from in {len(masked)} of {len(scores)} folds."),
        _Gate("intervals", known, len(estimates), known == len(estimates), "count",
              f"{values} trades in {blocks:.1f} blocks of the bootstrap are too few for an interval."),
    ]  # fmt: skip


def _edge_gates(scores: list[FoldScore], estimates: dict[str, Estimate], gates: Gates) -> list[_Gate]:
    low_queue, low = min(
        ((queue, -math.inf if e.low is None else e.low) for queue, e in estimates.items()), key=lambda item: item[1]
    )
    estimate = estimates[low_queue]
    medians = {q: _median(_fold_means(scores, q)) for q in estimates}
    median_queue, median = min(medians.items(), key=lambda item: item[1])
    negatives = {q: sum(m < 0.0 for m in _fold_means(scores, q)) for q in estimates}
    most_queue, negative = max(negatives.items(), key=lambda item: item[1])
    allowed = gates.negative_folds_allowed(len(scores))
    mean = "unknown" if estimate.mean is None else f"{estimate.mean:+.2f} bps"
    return [
        _Gate("lower_bound_bps", _finite(low), gates.lower_bound_above_bps, low > gates.lower_bound_above_bps, "edge",
              f"A filled trade earned {mean} on average in the {low_queue} queue model, and its lower 95 % bound is "
              f"{low:+.2f} bps: not above {gates.lower_bound_above_bps:g}."),
        _Gate("median_fold_bps", _finite(median), gates.median_fold_above_bps, median > gates.median_fold_above_bps,
              "edge", f"The median test block earned {median:+.2f} bps a trade in the {median_queue} queue model: not "
              f"above {gates.median_fold_above_bps:g}."),
        _Gate("negative_folds", negative, allowed, negative <= allowed, "edge",
              f"{negative} of {len(scores)} test blocks lost money in the {most_queue} queue model, at most {allowed} "
              "may."),
    ]  # fmt: skip


def _fold_means(scores: list[FoldScore], queue: str) -> list[float]:
    return [m for s in scores if (m := s.queues[queue]["mean_bps"]) is not None]


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else -math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _decide(gates: list[_Gate]) -> str:
    if any(not gate.ok for gate in gates if gate.kind == "count"):
        return NOT_ENOUGH_DATA
    return TRADE if all(gate.ok for gate in gates) else DO_NOT_TRADE


def _reasons(verdict: str, gates: list[_Gate], estimates: dict[str, Estimate]) -> list[str]:
    """Return the reasons, the deciding one first."""
    if verdict == TRADE:
        worst = min((e for e in estimates.values()), key=lambda e: -math.inf if e.low is None else e.low)
        return [
            f"Every gate holds in all three queue models; in the worst of them a filled trade earned {worst.mean:+.2f} "
            f"bps after fees, with a lower 95 % bound of {worst.low:+.2f} bps."
        ]
    deciding = "count" if verdict == NOT_ENOUGH_DATA else "edge"
    return [gate.reason for gate in gates if not gate.ok and gate.kind == deciding]


def break_even_maker_fee(series: dict[str, PnlSeries], maker_fee_bps: float) -> float | None:
    """Return the maker fee in bps at which the worst queue model's mean P&L per filled trade is 0; None untraded.

    A trade pays the maker fee once for its entry and once for the share of its exit that was passive: with ``legs`` =
    1 + that share, P&L(f) = P&L + legs · (fee − f), so a model breaks even at f = fee + ΣP&L / Σlegs. The worst model
    is the one that does so at the lowest fee: at that fee every other mean is 0 or more. Negative: a rebate is needed.
    The orders sent are held fixed.
    """
    traded = [s for s in series.values() if s.filled]
    if not traded or len(traded) < len(series):
        return None
    return maker_fee_bps + min(float(np.nansum(s.pnl_bps) / np.nansum(s.maker_legs)) for s in traded)


def power_bps(estimates: dict[str, Estimate]) -> float | None:
    """Return 1.96 standard errors of the widest interval: the smallest mean edge this run would have detected."""
    widths = [(e.high - e.low) / 2.0 for e in estimates.values() if e.low is not None and e.high is not None]
    return max(widths) if len(widths) == len(estimates) else None


def days_needed(
    series: dict[str, PnlSeries], estimates: dict[str, Estimate], gates: Gates, folds: int
) -> float | None:
    """Return how many more days (of 24 recorded hours, at the present rate) would give an answer; None if unknown.

    With D the days scored so far, n the filled trades in the queue model that fills least, k those of the thinnest test
    block, h the half width of the widest interval (1.96 · sd / √n of the trades where there is no interval yet) and y
    the edge to resolve::

        counts:  D_c = D · max(minimum_total / n, minimum_per_fold / k)   (the second: blocks that much longer)
        folds:   D_f = D · minimum_folds / folds
        edge:    D_y = D · (h / y)²            (an interval shrinks with the square root of time)
        needed:  max(D_c, D_f, D_y) − D

    None where a block filled nothing (no rate), or where more of the same would not help (a masked head alone).
    """
    slow = min(series.values(), key=lambda s: s.filled)
    days = slow.days
    thinnest = min(
        (np.count_nonzero(s.fill_ids[s.fold == k] >= 0) for s in series.values() for k in np.unique(s.fold)), default=0
    )
    if not thinnest or not days or not folds:
        return None
    counts = days * max(gates.minimum_trades_total / slow.filled, gates.minimum_trades_per_fold / thinnest)
    half = power_bps(estimates)
    if half is None:
        known = slow.pnl_bps[~np.isnan(slow.pnl_bps)]
        half = 1.96 * float(known.std(ddof=1)) / math.sqrt(known.size) if known.size > 1 else 0.0
    more = max(counts, days * gates.minimum_folds / folds, days * (half / gates.resolve_bps) ** 2) - days
    return more if more > 0.0 else None
