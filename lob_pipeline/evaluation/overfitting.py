"""What choosing the best of several models costs: probability of backtest overfitting, and White's reality check."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.evaluation.series import PnlSeries
from lob_pipeline.evaluation.significance import MINIMUM_BLOCKS

Float = npt.NDArray[np.float64]

SPLITS = 10
"""S of CSCV: 252 ways to choose half of ten stretches of time."""


def _matrix(variants: dict[str, PnlSeries]) -> Float:
    """Return the P&L of each row and variant (n, k), 0 where nothing was filled. The variants share their rows."""
    first = next(iter(variants.values()))
    for name, series in variants.items():
        if not np.array_equal(series.ts_ns, first.ts_ns):
            raise ValueError(f"variant {name} stands on other rows: only variants on identical rows can be compared")
    return np.stack([np.nan_to_num(s.pnl_bps) for s in variants.values()], axis=1)


def pbo(variants: dict[str, PnlSeries], splits: int = SPLITS) -> dict[str, Any]:
    """Return the probability of backtest overfitting by combinatorially symmetric cross-validation.

    Time is cut into ``splits`` stretches; for every half of them the variant with the largest P&L there is looked up
    in the other half. With ω its relative rank among the N variants there (1 / (N + 1) worst), PBO is the share of
    halves with ln(ω / (1 − ω)) <= 0: the best in sample does no better than the median out of sample (Bailey, Borwein,
    López de Prado, Zhu 2017). None for fewer than two variants or ``splits`` rows, or where none ever traded.
    """
    names = list(variants)
    if len(names) < 2:
        return {"pbo": None, "variants": names, "halves": 0}
    pnl = _matrix(variants)
    if len(pnl) < splits or not pnl.any():
        return {"pbo": None, "variants": names, "halves": 0}
    parts = np.stack([part.sum(axis=0) for part in np.array_split(pnl, splits)])
    halves = list(combinations(range(splits), splits // 2))
    logits = []
    for half in halves:
        inside = parts[list(half)].sum(axis=0)
        outside = parts.sum(axis=0) - inside
        best = int(inside.argmax())
        # ties share their rank, so that variants that do the same are neither above nor below each other
        rank = np.sum(outside < outside[best]) + 0.5 * (np.sum(outside == outside[best]) + 1)
        share = rank / (len(names) + 1)
        logits.append(np.log(share / (1.0 - share)))
    return {"pbo": float(np.mean(np.asarray(logits) <= 1e-12)), "variants": names, "halves": len(halves)}


@njit(cache=True)
def _largest_excess(sums: Float, mean_block: float, replicates: int, seed: int, out: Float) -> None:
    """Write the largest resampled mean of each replicate: ``sums`` prefix sums (n + 1, k) of centred rows."""
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator, deterministic by seed
    n, k = sums.shape[0] - 1, sums.shape[1]
    total = np.empty(k)
    for r in range(replicates):
        total[:] = 0.0
        drawn = 0
        while drawn < n:
            start = np.random.randint(0, n)  # noqa: NPY002
            length = min(np.random.geometric(1.0 / mean_block), n - drawn)  # noqa: NPY002
            drawn += length
            end = start + length
            for j in range(k):
                if end <= n:
                    total[j] += sums[end, j] - sums[start, j]
                else:
                    total[j] += sums[n, j] - sums[start, j] + sums[end - n, j]
        out[r] = total.max() / n


def reality_check(
    variants: dict[str, PnlSeries], *, replicates: int = 1000, seed: int = 20_250_101
) -> dict[str, Any]:
    """Return White's reality check: is the best variant's mean P&L a row above 0, given how many were tried?

    V = max_k mean_k; V* = max_k (mean*_k − mean_k) over stationary-bootstrap resamples that are shared by all variants;
    ``p_value`` = share of V* >= V (White 2000, with not trading as the benchmark). None below ``MINIMUM_BLOCKS`` mean
    blocks, without variants, or where none ever traded.
    """
    result: dict[str, Any] = {"best": None, "p_value": None, "variants": list(variants)}
    if not variants:
        return result
    first = next(iter(variants.values()))
    pnl = _matrix(variants)
    block = max(1.0, first.block_rows())
    means = pnl.mean(axis=0) if len(pnl) else np.zeros(len(variants))
    result["best"] = list(variants)[int(means.argmax())]
    if len(pnl) / block < MINIMUM_BLOCKS or not pnl.any():
        return result
    sums = np.concatenate((np.zeros((1, len(variants))), np.cumsum(pnl - means, axis=0)))
    out = np.empty(replicates)
    _largest_excess(sums, block, replicates, seed, out)
    return {**result, "p_value": float(np.mean(out >= means.max()))}
