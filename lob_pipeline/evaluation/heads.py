"""How good each head of a forecast is on a fold's test rows: proper scores, ranks and calibration.

Nothing here decides the verdict; it says where a verdict comes from. Row counts are large and rows overlap, so the
number of distinct fills (t_fill, side, price) behind them stands beside every count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.datasets.instants import Instants
from lob_pipeline.evaluation.ic import average_ranks
from lob_pipeline.models.outputs import COLUMN

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BINS = 10
_SIDES = ("buy", "sell")
_ENTRY, _DIRECTION, _EDGE = COLUMN["entry_buy"], COLUMN["down"], COLUMN["edge_buy"]
_ADVERSE, _FILL = COLUMN["adverse_buy"], COLUMN["fill_buy"]
_TINY = 1e-7


def binary_scores(p: Float, y: Mask) -> dict[str, Any]:
    """Return log loss (nats), Brier score and skill against the constant base rate, AUC; None where undefined.

    ``p`` (n,) probabilities, ``y`` (n,) outcomes. Brier skill is 1 − Brier / (base rate · (1 − base rate)), the base
    rate being that of these very rows, so a constant forecast can reach 0 and no more. AUC is the Mann–Whitney
    statistic with average ranks for ties.
    """
    n, positives = y.size, int(y.sum())
    if n == 0:
        return {"rows": 0, "positives": 0, "log_loss": None, "brier": None, "brier_skill": None, "auc": None}
    q = np.clip(p, _TINY, 1.0 - _TINY)
    base = positives / n
    brier = float(np.mean((p - y) ** 2))
    auc = None
    if 0 < positives < n:
        codes = np.unique(p, return_inverse=True)[1]
        ranks = average_ranks(codes, np.ones(n))
        auc = float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * (n - positives)))
    return {
        "rows": n,
        "positives": positives,
        "log_loss": float(-np.mean(np.where(y, np.log(q), np.log1p(-q)))),
        "brier": brier,
        "brier_skill": 1.0 - brier / (base * (1.0 - base)) if 0 < positives < n else None,
        "auc": auc,
    }


def calibration(p: Float, y: Mask) -> list[dict[str, Any]]:
    """Return up to ``BINS`` bins of equal count by forecast: forecast, observed share, rows. Ties stay together."""
    if p.size == 0:
        return []
    edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, p, side="left")
    count = np.bincount(bins, minlength=edges.size + 1)
    mean = np.bincount(bins, weights=p, minlength=edges.size + 1)
    hits = np.bincount(bins, weights=y.astype(np.float64), minlength=edges.size + 1)
    return [
        {"forecast": float(mean[k] / count[k]), "observed": float(hits[k] / count[k]), "rows": int(count[k])}
        for k in np.flatnonzero(count)
    ]


def _fill_ids(instants: Instants, rows: Int, side: int) -> Int:
    """Return a number for each row (m,): equal where (t_fill, price) of the side's order are, -1 where not filled."""
    orders = instants.orders
    ids = np.full(rows.size, -1, np.int64)
    at = np.flatnonzero(orders.filled[""][rows, side])
    fill = instants.t_arrive_ns[rows[at]] + orders.fill_delay_ns[""][rows[at], side]
    price = orders.price_ticks[rows[at], side]
    order = np.lexsort((price, fill))
    differs = (np.diff(fill[order]) != 0) | (np.diff(price[order]) != 0)
    ids[at[order]] = np.concatenate(([0], np.cumsum(differs)))[: at.size]
    return ids


def _distinct(ids: Int, among: Mask) -> int:
    found = ids[among]
    return int(np.count_nonzero(np.bincount(found[found >= 0])))


def _binary_head(
    instants: Instants, rows: Int, p: Float, truth: Float, side: int, ids: Int
) -> dict[str, Any]:
    known = instants.orders.valid[rows, side] & ~np.isnan(truth[rows, side]) & ~np.isnan(p)
    found = binary_scores(p[known], truth[rows, side][known] > 0.5)
    return {**found, "effective_n": _distinct(ids, known)}


def _correlation(x: Float, y: Float) -> float | None:
    """Return Pearson's correlation of x (n,) and y (n,), None where one does not vary."""
    dx, dy = x - x.mean(), y - y.mean()
    scale = float(np.sqrt(np.sum(dx * dx) * np.sum(dy * dy)))
    return float(np.sum(dx * dy)) / scale if scale > 0.0 else None


def _edge_head(instants: Instants, rows: Int, forecast: Float, side: int, ids: Int) -> dict[str, Any]:
    orders = instants.orders
    truth = orders.edge_bps[""][rows, side]
    known = orders.valid[rows, side] & orders.filled[""][rows, side] & ~np.isnan(truth) & ~np.isnan(forecast)
    x, y = forecast[known], truth[known]
    result: dict[str, Any] = {"rows": int(x.size), "effective_n": _distinct(ids, known)}
    if x.size < 2:
        return {**result, "spearman": None, "pearson": None, "mean_forecast_bps": None, "mean_edge_bps": None}
    ones = np.ones(x.size)
    ranks = [average_ranks(np.unique(v, return_inverse=True)[1], ones) for v in (x, y)]
    return {
        **result,
        "spearman": _correlation(ranks[0], ranks[1]),
        "pearson": _correlation(x, y),
        "mean_forecast_bps": float(x.mean()),
        "mean_edge_bps": float(y.mean()),
    }


def _direction_head(instants: Instants, rows: Int, forecast: Float, dead_zone_bps: float) -> dict[str, Any]:
    move = instants.mid_return_bps[rows]
    known = instants.orders.valid[rows].any(axis=1) & ~np.isnan(move) & ~np.isnan(forecast).any(axis=1)
    truth = np.where(np.abs(move[known]) <= dead_zone_bps, 1, np.where(move[known] > 0, 2, 0))
    if truth.size == 0:
        return {"rows": 0, "accuracy": None, "majority": None, "log_loss": None}
    p = forecast[known]
    return {
        "rows": int(truth.size),
        "accuracy": float(np.mean(p.argmax(axis=1) == truth)),
        "majority": float(np.bincount(truth, minlength=3).max() / truth.size),
        "log_loss": float(-np.mean(np.log(np.clip(p[np.arange(truth.size), truth], _TINY, 1.0)))),
    }


def head_metrics(instants: Instants, rows: Int, forecast: Float32, dead_zone_bps: float = 0.0) -> dict[str, Any]:
    """Return the scores of every head on ``rows`` (m,), forecast float32 (m, 15): plain JSON types.

    Keys: ``entry``, ``adverse``, ``fill`` (each with ``buy`` and ``sell``: ``binary_scores`` and ``effective_n``),
    ``edge`` (Spearman, Pearson on filled rows), ``direction`` (accuracy beside the share of the commonest class),
    ``calibration`` of ``fill`` and ``entry`` (both sides pooled). Adverse and edge look at filled rows only.
    """
    orders = instants.orders
    wide = forecast.astype(np.float64)
    filled = orders.filled[""].astype(np.float64)
    ids = [_fill_ids(instants, rows, s) for s in (0, 1)]
    found: dict[str, Any] = {}
    for name, first, truth in (
        ("entry", _ENTRY, orders.entry[""]),
        ("adverse", _ADVERSE, orders.adverse[""]),
        ("fill", _FILL, filled),
    ):
        found[name] = {
            side: _binary_head(instants, rows, wide[:, first + s], truth, s, ids[s]) for s, side in enumerate(_SIDES)
        }
    found["edge"] = {side: _edge_head(instants, rows, wide[:, _EDGE + s], s, ids[s]) for s, side in enumerate(_SIDES)}
    found["direction"] = _direction_head(instants, rows, wide[:, _DIRECTION : _DIRECTION + 3], dead_zone_bps)
    found["calibration"] = {
        name: _pooled_calibration(instants, rows, wide[:, first : first + 2], truth)
        for name, first, truth in (("fill", _FILL, filled), ("entry", _ENTRY, orders.entry[""]))
    }
    return found


def _pooled_calibration(instants: Instants, rows: Int, p: Float, truth: Float) -> list[dict[str, Any]]:
    y = truth[rows]
    known = instants.orders.valid[rows] & ~np.isnan(y) & ~np.isnan(p)
    return calibration(p[known], y[known] > 0.5)
