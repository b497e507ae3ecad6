"""Rows on a clock: which instants a message closes, and what their rows hold.

The grid rule (CONTRACT.md): row ``t`` holds the state before it and is emitted when a message of the book stream with
``ts_event_ns > t`` arrives. This module holds the clock's state and writes rows; ``advance.py`` says when.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lob_pipeline.book.bits import Int
from lob_pipeline.book.depth import ASK_TICKS, BID_TICKS, fill_levels
from lob_pipeline.book.flow import ASK_WORSE, BID_WORSE, FIRST, FLOW_WIDTH, N_FLOW
from lob_pipeline.book.sequence import MODES
from lob_pipeline.book.state import TOP, BookState, Int64Array
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import ROW, ROW_WIDTH
from lob_pipeline.core.units import NS_PER_DAY, day_start_ns

FOREVER = (1 << 63) - 1

# grid.meta, set once
STEP = 0
DAY_END = 1  # no row after this instant
DEPTH_LIMIT = 2
MODE = 3
# grid.meta, the chain
WHOLE = 4
UNBRIDGED_YET = 5  # the last snapshot waits for the event that bridges it
LAST_ID = 6
GOOD_NS = 7  # running maximum of the times of what was applied
SEEN_NS = 8  # running maximum of the times of every message
HOLD = 9  # receive time of a bridging snapshot while its buffered deltas follow, else 0
# grid.meta, the rows
NEXT = 10  # instant of the open row, -1 before the book was ever whole
VALID_TO = 11  # after a gap: rows up to this instant are still good
VALID_FROM = 12  # after a snapshot: rows before this instant are not
RUN_PENDING = 13  # the book was replaced by another: the next good row starts a run
ROWS = 14
STALE_ROW = 15  # the book changed since the levels of ``row`` were written
PHASE = 16  # 0: the message is new; 1: judged, closing its rows; 2: judged, closes none
VERDICT = 17
DAY_START = 18  # no row at or before this instant
BAD_ROWS = 19  # rows were emitted while the book was not whole: the next good row starts a run
ON_TRIAL = 20  # rows opened on a snapshot that is not bridged yet
USELESS = 21  # snapshots that no event ever bridged
GRID_META = 22

_TS, _CLOSE, _VALID, _DECIDABLE = ROW["ts_ns"], ROW["close_ns"], ROW["valid"], ROW["decidable"]
_BID_WORSE, _ASK_WORSE, _RUN_START = ROW["bid_worse_ns"], ROW["ask_worse_ns"], ROW["run_start"]


class GridState(NamedTuple):
    """The clock's state: ``meta`` int64 (GRID_META,), ``flow`` int64 (FLOW_WIDTH,) of the open row, ``row`` int64
    (ROW_WIDTH,) with the levels as last written, ``before`` int64 (2, 2, TOP) and ``reach`` int64 (3,) scratch."""

    meta: Int64Array
    flow: Int64Array
    row: Int64Array
    before: Int64Array
    reach: Int64Array


def new_grid(instrument: Instrument, clock: Clock, date: str | None) -> GridState:
    """Return the state before the first message of ``date`` (None: rows never end, as in a live process)."""
    meta = np.zeros(GRID_META, np.int64)
    meta[STEP] = clock.step_ns
    meta[DAY_END] = FOREVER - clock.step_ns if date is None else day_start_ns(date) + NS_PER_DAY
    meta[DAY_START] = 0 if date is None else day_start_ns(date)
    meta[DEPTH_LIMIT] = instrument.depth_limit
    meta[MODE] = MODES[instrument.sequence]
    meta[[LAST_ID, NEXT, VALID_TO]] = -1
    meta[STALE_ROW] = 1
    return GridState(
        meta,
        np.zeros(FLOW_WIDTH, np.int64),
        np.zeros(ROW_WIDTH, np.int64),
        np.zeros((2, 2, TOP), np.int64),
        np.zeros(3, np.int64),
    )


@njit(cache=True)
def open_rows(grid: GridState, whole_ns: Int) -> None:
    """Let rows begin: the first is the first instant of the day strictly after ``whole_ns``."""
    meta = grid.meta
    meta[NEXT] = (max(whole_ns, meta[DAY_START]) // meta[STEP] + 1) * meta[STEP]
    grid.flow[:N_FLOW] = 0


@njit(cache=True)
def end_hold(grid: GridState) -> None:
    """The buffered deltas of a bridging snapshot are over: the book is whole from the latest of their times on."""
    meta = grid.meta
    meta[HOLD] = 0
    meta[VALID_FROM] = meta[GOOD_NS]
    if meta[NEXT] < 0:
        meta[ON_TRIAL] = meta[UNBRIDGED_YET]
        open_rows(grid, meta[GOOD_NS])


@njit(cache=True)
def break_chain(grid: GridState, valid_to: Int) -> None:
    """The book is not whole any more; rows after ``valid_to`` are not valid."""
    meta = grid.meta
    meta[WHOLE] = 0
    meta[HOLD] = 0
    meta[VALID_TO] = valid_to
    if valid_to < 0 and meta[ROWS] == 0 and meta[ON_TRIAL] != 0:
        meta[NEXT] = -1


@njit(cache=True)
def close_rows(book: BookState, grid: GridState, ts_ns: Int, rows: Int64Array, ids: Int64Array, r: Int) -> Int:
    """Write the open rows before ``ts_ns`` from ``rows[r]`` on, as far as there is room; return the next free index."""
    meta, flow = grid.meta, grid.flow
    limit = min(ts_ns, meta[DAY_END] + 1)
    while 0 <= meta[NEXT] < limit and r < len(rows):
        if meta[STALE_ROW] != 0:
            fill_levels(book, meta[DEPTH_LIMIT], grid.row, grid.reach)
            meta[STALE_ROW] = 0
        t = meta[NEXT]
        row = rows[r]
        for c in range(ROW_WIDTH):
            row[c] = grid.row[c]
        whole = (meta[WHOLE] != 0 or t <= meta[VALID_TO]) and t >= meta[VALID_FROM]
        row[_TS] = t
        row[_CLOSE] = ts_ns
        row[_VALID] = whole and row[BID_TICKS] >= 0 and row[BID_TICKS] < row[ASK_TICKS]
        row[_DECIDABLE] = t + meta[STEP] >= limit
        for c in range(N_FLOW):
            row[FIRST + c] = flow[c] if whole else 0
            flow[c] = 0
        row[_BID_WORSE] = flow[BID_WORSE]
        row[_ASK_WORSE] = flow[ASK_WORSE]
        row[_RUN_START] = whole and meta[ROWS] > 0 and (meta[RUN_PENDING] != 0 or meta[BAD_ROWS] != 0)
        meta[BAD_ROWS] = not whole
        if whole:
            meta[RUN_PENDING] = 0
        ids[r] = meta[LAST_ID] if whole else -1
        meta[NEXT] = t + meta[STEP]
        meta[ROWS] += 1
        r += 1
    return r
