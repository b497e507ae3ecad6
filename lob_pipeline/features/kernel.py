"""The one feature kernel: ``step`` takes a book row and writes the row's features. Batch and live both call it."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import ROW
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline.features import state as at
from lob_pipeline.features.depth_kernel import depth_step
from lob_pipeline.features.queue_kernel import queue_step
from lob_pipeline.features.seasonality_kernel import seasonality_step
from lob_pipeline.features.state import FeatureState, Int64s
from lob_pipeline.features.tape_kernel import add_tape, tape_step
from lob_pipeline.features.temporal_kernel import add_temporal, start_extremes, temporal_step

_TS, _VALID, _RUN_START = ROW["ts_ns"], ROW["valid"], ROW["run_start"]
_BID_TICKS, _BID_LOTS = ROW["bid_ticks_1"], ROW["bid_lots_1"]
_ASK_TICKS, _ASK_LOTS = ROW["ask_ticks_1"], ROW["ask_lots_1"]
_OFI = ROW["ofi_l1_lots"]
_BID_ADD, _BID_REMOVE = ROW["bid_add_lots"], ROW["bid_remove_lots"]
_ASK_ADD, _ASK_REMOVE = ROW["ask_add_lots"], ROW["ask_remove_lots"]
_BID_WORSE, _ASK_WORSE = ROW["bid_worse_ns"], ROW["ask_worse_ns"]
_BID_DEPTH_2BPS, _ASK_DEPTH_2BPS = ROW["bid_depth_2bps_lots"], ROW["ask_depth_2bps_lots"]
# The nine flow columns stand in the row in the order of the ring's first nine series.
_FLOWS = tuple(
    ROW[name]
    for name in (
        "ofi_l1_lots",
        "ofi_l5_lots",
        "ofi_l10_lots",
        "bid_add_lots",
        "bid_remove_lots",
        "ask_add_lots",
        "ask_remove_lots",
        "mid_up_moves",
        "mid_down_moves",
    )
)
assert tuple(range(_OFI, _OFI + 9)) == _FLOWS


@njit(cache=True, error_model="numpy")
def _accumulate(ring: Int64s, r: int, row: Int64s) -> None:
    """Extend the running totals by row ``r`` of a run (r > 0)."""
    last = ring.shape[0] - 1
    now, before = r & last, (r - 1) & last
    for i in range(9):
        ring[now, i] = ring[before, i] + row[_OFI + i]
    ring[now, at.BID_LOTS] = ring[before, at.BID_LOTS] + row[_BID_LOTS]
    ring[now, at.ASK_LOTS] = ring[before, at.ASK_LOTS] + row[_ASK_LOTS]
    ring[now, at.BID_DEPTH_2BPS] = ring[before, at.BID_DEPTH_2BPS] + row[_BID_DEPTH_2BPS]
    ring[now, at.ASK_DEPTH_2BPS] = ring[before, at.ASK_DEPTH_2BPS] + row[_ASK_DEPTH_2BPS]
    bid = row[_BID_ADD] - row[_BID_REMOVE] if row[_BID_TICKS] == ring[before, at.BEST_BID] else 0
    ask = row[_ASK_ADD] - row[_ASK_REMOVE] if row[_ASK_TICKS] == ring[before, at.BEST_ASK] else 0
    ring[now, at.BID_REFILLED] = ring[before, at.BID_REFILLED] + max(0, bid)
    ring[now, at.BID_DRAINED] = ring[before, at.BID_DRAINED] + max(0, -bid)
    ring[now, at.ASK_REFILLED] = ring[before, at.ASK_REFILLED] + max(0, ask)
    ring[now, at.ASK_DRAINED] = ring[before, at.ASK_DRAINED] + max(0, -ask)


@njit(cache=True, error_model="numpy")
def _follow_worse(mark: Int64s, own: int, column: int, value: int) -> None:
    """Take a row's worse time where its column moved, but not the midnight that a carried opening book writes there.

    A partition stands alone, so its first rows say midnight where the last worsening lies on the day before; the time
    this state carries over is the true one.
    """
    if value != mark[column]:
        mark[column] = value
        if not (value == mark[at.LAST_TS] and value % NS_PER_DAY == 0):
            mark[own] = value


@njit(cache=True, error_model="numpy")
def step(state: FeatureState, row: Int64s, tape: Int64s, out: np.ndarray) -> bool:  # type: ignore[type-arg]
    """Advance ``state`` by one book row and write its features.

    row   int64 (ROW_WIDTH,)   a BOOK_SNAPSHOTS row
    tape  int64 (TAPE_WIDTH,)  what the trades of the row sum to (tape_rows)
    out   float32 (N_BUILT,)   registry order; every position is written, NaN where the row cannot have the feature
    Returns whether no book feature is NaN. An invalid row is all NaN and ends the run. A row that has no predecessor
    (state empty, row before invalid or not one step earlier) or carries ``run_start`` is row 0: levels and phases only,
    in no window.
    """
    mark, ring = state.mark, state.ring
    out[:] = np.nan
    if row[_VALID] == 0:
        mark[at.AT] = -1
        mark[at.LAST_TS] = row[_TS]
        return False
    if mark[at.AT] < 0 or row[_RUN_START] != 0 or row[_TS] != mark[at.LAST_TS] + state.params[at.STEP_NS]:
        mark[at.AT] = 0
        ring[0, :] = 0
        state.long[0, :] = 0
        mark[at.BID_WORSE] = mark[at.BID_WORSE_COLUMN] = row[_BID_WORSE]
        mark[at.ASK_WORSE] = mark[at.ASK_WORSE_COLUMN] = row[_ASK_WORSE]
        start_extremes(mark)
    else:
        mark[at.AT] += 1
        _accumulate(ring, mark[at.AT], row)
        add_temporal(ring, state.long, state.extremes, mark, state.params, row)
        _follow_worse(mark, at.BID_WORSE, at.BID_WORSE_COLUMN, row[_BID_WORSE])
        _follow_worse(mark, at.ASK_WORSE, at.ASK_WORSE_COLUMN, row[_ASK_WORSE])
    now = mark[at.AT] & (ring.shape[0] - 1)
    ring[now, at.BEST_BID] = row[_BID_TICKS]
    ring[now, at.BEST_ASK] = row[_ASK_TICKS]
    ring[now, at.BEST_BID_LOTS] = row[_BID_LOTS]
    ring[now, at.BEST_ASK_LOTS] = row[_ASK_LOTS]
    mark[at.LAST_TS] = row[_TS]
    add_tape(ring, state.long, mark, tape)
    depth_step(row, state.params, state.microprice, out)
    queue_step(ring, mark, state.params, row, out)
    temporal_step(ring, state.long, state.extremes, mark, state.params, state.microprice, out)
    seasonality_step(ring, mark, state.params, state.season, row[_TS], out)
    tape_step(ring, state.long, mark, state.params, state.bars, row[_TS], out)
    return bool(mark[at.AT] >= state.params[at.N_WARM])
