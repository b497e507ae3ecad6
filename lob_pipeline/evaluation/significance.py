"""Intervals from blocks, never from rows: the stationary bootstrap of a mean over a series with holes.

Neighbouring rows of a book are nearly the same observation. Politis and Romano (1994) draw blocks of geometric length
from the circular series; a mean over such a resample varies as the real mean would. Rows without a value (not filled,
not valid) stay in the series as holes, so that a block is a span of time and the number of values in it varies too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.core.units import NS_PER_S

Float = npt.NDArray[np.float64]

MINIMUM_BLOCKS = 10
"""With fewer mean blocks in the series an interval is not given: it would only look like one."""
MINIMUM_VALUES = 10
"""Nor with fewer values: a single one would be its own interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % block-bootstrap interval; ``low``/``high`` are None below ``MINIMUM_BLOCKS`` blocks
    or ``MINIMUM_VALUES`` values.

    ``n`` counts values, ``blocks`` how many mean blocks the series holds.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    blocks: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def mean_block_ns(horizon_ns: int) -> int:
    """Return the mean block of METHODS.md: max(30 s, 10 × horizon)."""
    return max(30 * NS_PER_S, 10 * horizon_ns)


@njit(cache=True)
def _resample(sums: Float, counts: Float, mean_block: float, replicates: int, seed: int, out: Float) -> None:
    """Write ``replicates`` resampled means into ``out``; NaN where a resample holds no value.

    ``sums``, ``counts``: prefix sums (n + 1,), so that a block costs two look-ups whatever its length.
    """
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator, deterministic by seed
    n = sums.shape[0] - 1
    for r in range(replicates):
        drawn, total, count = 0, 0.0, 0.0
        while drawn < n:
            start = np.random.randint(0, n)  # noqa: NPY002
            length = min(np.random.geometric(1.0 / mean_block), n - drawn)  # noqa: NPY002
            drawn += length
            end = start + length
            if end <= n:
                total += sums[end] - sums[start]
                count += counts[end] - counts[start]
            else:
                total += sums[n] - sums[start] + sums[end - n]
                count += counts[n] - counts[start] + counts[end - n]
        out[r] = total / count if count > 0 else np.nan


def block_mean(values: Float, mean_block_rows: float, *, replicates: int = 1000, seed: int = 20_250_101) -> Estimate:
    """Return the mean of ``values`` (n,), NaN where a row has none, with its 95 % stationary-bootstrap interval.

    ``mean_block_rows``: mean block length in rows (at least 1), holes counted. Deterministic by ``seed``.
    """
    known = ~np.isnan(values)
    n = int(known.sum())
    block = max(1.0, float(mean_block_rows))
    blocks = values.size / block
    if n == 0:
        return Estimate(None, None, None, 0, blocks)
    filled = np.where(known, values, 0.0)
    mean = float(filled.sum() / n)
    if blocks < MINIMUM_BLOCKS or n < MINIMUM_VALUES:
        return Estimate(mean, None, None, n, blocks)
    # the mean is taken out first: prefix sums of large equal numbers would lose the digits that vary
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, filled - mean, 0.0))))
    counts = np.concatenate(([0.0], np.cumsum(known.astype(np.float64))))
    out = np.empty(replicates)
    _resample(sums, counts, block, replicates, seed, out)
    out = out[~np.isnan(out)]
    if out.size == 0:
        return Estimate(mean, None, None, n, blocks)
    low, high = np.quantile(out, (0.025, 0.975))
    return Estimate(mean, mean + float(low), mean + float(high), n, blocks)
