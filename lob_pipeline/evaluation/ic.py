"""Information coefficient: rank correlation of a feature with the mid return that follows it (METHODS.md, Evaluation).

Rows are those whose book is valid at t and at t + horizon, whether or not the feature's window is warm elsewhere; ties
get average ranks. The interval comes from the stationary bootstrap over time (Politis, Romano 1994): a resample gives
every row a weight, ranks are taken among the weighted rows, so nothing is sorted twice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.evaluation.significance import MINIMUM_BLOCKS, mean_block_ns

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class InformationCoefficient:
    """Spearman with its 95 % interval (None below ``MINIMUM_BLOCKS`` blocks), Pearson beside it, both None if constant.

    ``n`` counts row pairs, ``blocks`` the mean blocks that the series holds: the number of observations to believe in.
    """

    spearman: float | None
    low: float | None
    high: float | None
    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    n: int
    blocks: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def forward_log_return(ts_ns: Int, m2_half_ticks: Int, book_valid: npt.NDArray[np.bool_], horizon_ns: int) -> Float:
    """Return ln(mid(t + horizon)/mid(t)) of each row (n,), NaN where a row is absent or not valid at either end.

    ``ts_ns`` ascends; the row of t + horizon is the one of exactly that instant.
    """
    out = np.full(len(ts_ns), np.nan)
    later = np.searchsorted(ts_ns, ts_ns + horizon_ns)
    there = later < len(ts_ns)
    later = np.minimum(later, max(0, len(ts_ns) - 1))
    there &= (ts_ns[later] == ts_ns + horizon_ns) & book_valid & book_valid[later]
    out[there] = np.log(m2_half_ticks[later[there]] / m2_half_ticks[there])
    return out


def information_coefficient(
    feature: Float,
    forward_return: Float,
    step_ns: int,
    horizon_ns: int,
    *,
    replicates: int = 200,
    seed: int = 20_250_101,
) -> InformationCoefficient:
    """Correlate ``feature`` (n,) with ``forward_return`` (n,), rows in time order, NaN where a row has none.

    Rows without a value stay in the series as holes, so that a block is a span of time. Deterministic by ``seed``.
    """
    known = ~(np.isnan(feature) | np.isnan(forward_return))
    n = int(known.sum())
    block = max(1.0, mean_block_ns(horizon_ns) / step_ns)
    blocks = len(feature) / block
    if n < 2:
        return InformationCoefficient(None, None, None, None, None, None, n, blocks)
    x, y = feature[known].astype(np.float64), forward_return[known]
    codes = (_codes(x), _codes(y))
    ones = np.ones(n)
    spearman, pearson = _weighted_spearman(*codes, ones), _correlation(x, y, ones)
    if blocks < MINIMUM_BLOCKS or spearman is None or pearson is None:
        return InformationCoefficient(spearman, None, None, pearson, None, None, n, blocks)
    rng = np.random.default_rng(seed)
    ranks, plain = [], []
    for _ in range(replicates):
        weights = _stationary_weights(len(feature), block, rng)[known]
        rank, value = _weighted_spearman(*codes, weights), _correlation(x, y, weights)
        if rank is not None and value is not None:
            ranks.append(rank)
            plain.append(value)
    low, high = np.quantile(ranks, (0.025, 0.975))
    plain_low, plain_high = np.quantile(plain, (0.025, 0.975))
    return InformationCoefficient(
        spearman, float(low), float(high), pearson, float(plain_low), float(plain_high), n, blocks
    )


def _codes(values: Float) -> Int:
    """Return each value's position among the distinct values."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _stationary_weights(n: int, mean_block: float, rng: np.random.Generator) -> Float:
    """Return how often each of ``n`` circular positions is drawn: blocks of geometric length, n draws in all."""
    lengths: list[int] = []
    drawn = 0
    while drawn < n:
        more = rng.geometric(1.0 / mean_block, size=int((n - drawn) / mean_block) + 8)
        lengths.extend(more.tolist())
        drawn += int(more.sum())
    ends = np.cumsum(lengths)
    last = int(np.searchsorted(ends, n))
    length = np.asarray(lengths[: last + 1])
    length[last] -= ends[last] - n
    start = rng.integers(0, n, size=last + 1)
    edge = np.zeros(2 * n + 1)
    np.add.at(edge, start, 1.0)
    np.add.at(edge, start + length, -1.0)
    drawn_times = np.cumsum(edge)
    return drawn_times[:n] + drawn_times[n : 2 * n]


def average_ranks(codes: Int, weights: Float) -> Float:
    """Return each row's average rank in a sample that holds row i ``weights[i]`` times."""
    counts = np.bincount(codes, weights=weights)
    return (np.cumsum(counts) - (counts - 1.0) / 2.0)[codes]


def _weighted_spearman(x_codes: Int, y_codes: Int, weights: Float) -> float | None:
    return _correlation(average_ranks(x_codes, weights), average_ranks(y_codes, weights), weights)


def _correlation(x: Float, y: Float, weights: Float) -> float | None:
    """Return the weighted Pearson correlation, None where a side does not vary."""
    total = weights.sum()
    dx, dy = x - (weights @ x) / total, y - (weights @ y) / total
    sxx, syy = weights @ (dx * dx), weights @ (dy * dy)
    if sxx <= 0.0 or syy <= 0.0:
        return None
    return float((weights @ (dx * dy)) / np.sqrt(sxx * syy))
