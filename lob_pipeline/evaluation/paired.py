"""The paired difference of two models: the same rows, the same blocks resampled, one interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.evaluation.series import PnlSeries
from lob_pipeline.evaluation.significance import block_mean


def paired_difference(first: PnlSeries, second: PnlSeries) -> dict[str, Any]:
    """Return the difference of two policies' P&L (first − second) in bps a day of 24 hours, with its 95 % interval.

    Both must stand on the same rows. Every row counts: one where neither has a fill is a difference of 0, so that
    trading more often and trading better are measured on one scale. Blocks as everywhere. Raises ``ValueError`` when
    the rows differ: a difference of other rows is no paired difference.
    """
    if not np.array_equal(first.ts_ns, second.ts_ns):
        raise ValueError("two models can be compared on identical rows only")
    difference = np.nan_to_num(first.pnl_bps) - np.nan_to_num(second.pnl_bps)
    found = block_mean(difference, first.block_rows())
    scale = first.ts_ns.size / first.days if first.days else 0.0
    return {
        "mean_bps_a_day": None if found.mean is None else found.mean * scale,
        "low_bps_a_day": None if found.low is None else found.low * scale,
        "high_bps_a_day": None if found.high is None else found.high * scale,
        "rows": int(difference.size),
        "filled_first": first.filled,
        "filled_second": second.filled,
        "blocks": found.blocks,
    }
