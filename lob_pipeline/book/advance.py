"""The one loop over book messages: judge, close rows, apply, count.

Batch hands it chunks, live one message at a time: there is no second implementation. It can stop between any two rows
and go on later. What it decides where the specification is silent: docs/adr/0004, 0005, 0020.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lob_pipeline.book.bits import Int
from lob_pipeline.book.flow import ASK_WORSE, BID_WORSE, LEVEL_CHANGES, MESSAGES, add_message, copy_top, note_worse
from lob_pipeline.book.grid import (
    BAD_ROWS,
    DAY_END,
    GOOD_NS,
    HOLD,
    LAST_ID,
    MODE,
    NEXT,
    ON_TRIAL,
    PHASE,
    ROWS,
    RUN_PENDING,
    SEEN_NS,
    STALE_ROW,
    UNBRIDGED_YET,
    USELESS,
    VERDICT,
    WHOLE,
    GridState,
    break_chain,
    close_rows,
    end_hold,
    open_rows,
)
from lob_pipeline.book.kernel import best_price, refresh, replace_book, set_levels
from lob_pipeline.book.sequence import (
    BRIDGE,
    DUPLICATE,
    FOLLOWS,
    GAP,
    PLUS_ONE,
    REPLACES,
    STALE,
    UNBRIDGED,
    judge_message,
)
from lob_pipeline.book.state import DIRTY, BookState, Int8Array, Int64Array
from lob_pipeline.core.borrow import borrowed
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import KIND_AUDIT, KIND_DELTA, KIND_SNAPSHOT

# columns of ``marks``: what happened at each message, for the certificate
M_VERDICT, M_EXPECTED, M_LATE, M_BID, M_BID_LOTS, M_ASK, M_ASK_LOTS, M_GAP = range(8)
MARK_WIDTH = 8


class Events(NamedTuple):
    """Columns of ``l2_events`` that a book needs, one level row each; int64, ``kind`` and ``side`` int8."""

    ts_event_ns: Int64Array
    ts_recv_ns: Int64Array
    update_id: Int64Array
    prev_update_id: Int64Array
    kind: Int8Array
    side: Int8Array
    price_ticks: Int64Array
    size_lots: Int64Array


@njit(cache=True)
def _judge(grid: GridState, kind: Int, ts_ns: Int, recv_ns: Int, update_id: Int, prev_id: Int) -> bool:
    """Set VERDICT and PHASE of a new message, and what its verdict means for the rows that it closes.

    Returns whether messages are missing before it. A snapshot over a whole book says so too: on a bridged venue always,
    since inside an unbroken chain it would have been stored as an audit; elsewhere where its id neither repeats the
    last one nor is the next (docs/adr/0150).
    """
    meta = grid.meta
    buffered = meta[HOLD] > 0 and kind == KIND_DELTA and 0 < recv_ns <= meta[HOLD]
    closes = kind != KIND_AUDIT or ts_ns > meta[DAY_END]
    if meta[HOLD] > 0 and closes and not buffered:
        end_hold(grid)
    verdict = judge_message(
        meta[MODE], meta[WHOLE], meta[UNBRIDGED_YET], meta[LAST_ID], meta[GOOD_NS], kind, update_id, prev_id, ts_ns
    )
    over_whole = verdict == REPLACES and meta[WHOLE] != 0
    missing = verdict == GAP
    if over_whole and kind == KIND_SNAPSHOT:
        if meta[MODE] == BRIDGE:
            missing = meta[UNBRIDGED_YET] == 0
        elif meta[MODE] == PLUS_ONE:
            missing = update_id != meta[LAST_ID] and update_id != meta[LAST_ID] + 1
    if missing:
        break_chain(grid, -1 if buffered else meta[GOOD_NS])
    elif verdict == UNBRIDGED or (over_whole and meta[UNBRIDGED_YET] != 0):
        break_chain(grid, -1)
        meta[USELESS] += 1
    meta[VERDICT] = verdict
    meta[PHASE] = 1 if closes and not buffered else 2
    return missing


@njit(cache=True)
def _apply_snapshot(book: BookState, grid: GridState, events: Events, lo: Int, hi: Int) -> None:
    """Replace the book; a run starts where the new one differs, or where rows before it were not valid."""
    meta, ts_ns, kind = grid.meta, events.ts_event_ns[lo], events.kind[lo]
    differs = replace_book(book, events.side, events.price_ticks, events.size_lots, lo, hi)
    if differs or meta[NEXT] < 0 or meta[BAD_ROWS] != 0:
        grid.flow[BID_WORSE] = ts_ns
        grid.flow[ASK_WORSE] = ts_ns
    if differs and meta[ROWS] > 0:
        meta[RUN_PENDING] = 1
    meta[WHOLE] = 1
    meta[STALE_ROW] = 1
    meta[LAST_ID] = events.update_id[lo]
    bridging = meta[MODE] == BRIDGE and kind == KIND_SNAPSHOT
    meta[UNBRIDGED_YET] = bridging
    if bridging and events.ts_recv_ns[lo] > 0:
        meta[HOLD] = events.ts_recv_ns[lo]
        meta[GOOD_NS] = ts_ns
    else:
        meta[GOOD_NS] = max(meta[GOOD_NS], ts_ns)
        if meta[NEXT] < 0:
            meta[ON_TRIAL] = bridging
            open_rows(grid, ts_ns)


@njit(cache=True)
def _apply_delta(book: BookState, grid: GridState, events: Events, lo: Int, hi: Int) -> None:
    """Apply a delta; buffered ones (a hold is on) belong to the snapshot and add no flow."""
    meta, ts_ns = grid.meta, events.ts_event_ns[lo]
    set_levels(book, events.side, events.price_ticks, events.size_lots, lo, hi)
    touched = book.meta[DIRTY] != 0 or book.meta[DIRTY + 1] != 0
    if touched:
        copy_top(book.top, grid.before)
        refresh(book)
    if meta[HOLD] > 0:
        if touched:
            note_worse(grid.flow, grid.before, book.top, ts_ns)
    elif touched:
        add_message(grid.flow, grid.before, book.top, ts_ns, hi - lo)
    else:
        grid.flow[MESSAGES] += 1
        grid.flow[LEVEL_CHANGES] += hi - lo
    meta[STALE_ROW] = 1
    meta[UNBRIDGED_YET] = 0
    meta[ON_TRIAL] = 0
    meta[LAST_ID] = events.update_id[lo]
    meta[GOOD_NS] = max(meta[GOOD_NS], ts_ns)


@njit(cache=True)
def advance(
    book: BookState,
    grid: GridState,
    events: Events,
    starts: Int64Array,
    first: Int,
    rows: Int64Array,
    ids: Int64Array,
    marks: Int64Array,
) -> tuple[Int, Int]:
    """Take the messages ``first`` … of a chunk; return (next message, rows written).

    ``starts`` int64 (messages + 1,): the first level row of each message, then the end of the last. ``rows`` int64
    (n, ROW_WIDTH) and ``ids`` int64 (n,) receive rows and the update id each shows (-1: not whole). ``marks`` int64
    (messages or 0, MARK_WIDTH) receives what happened. Returns early when ``rows`` is full (call again with the same
    message) and after every audit message, so that the caller can compare it with the book.
    """
    book, grid, events = borrowed(book), borrowed(grid), borrowed(events)
    meta = grid.meta
    r: Int = np.int64(0)
    for j in range(first, len(starts) - 1):
        lo, hi = starts[j], starts[j + 1]
        ts_ns = events.ts_event_ns[lo]
        kind = events.kind[lo]
        if meta[PHASE] == 0:
            expected = meta[LAST_ID]
            missing = _judge(grid, kind, ts_ns, events.ts_recv_ns[lo], events.update_id[lo], events.prev_update_id[lo])
            if len(marks) > 0:
                marks[j, M_GAP] = missing
                marks[j, M_VERDICT] = meta[VERDICT]
                marks[j, M_EXPECTED] = expected
                dropped = meta[VERDICT] == STALE or meta[VERDICT] == DUPLICATE or kind == KIND_AUDIT
                marks[j, M_LATE] = not dropped and meta[PHASE] == 1 and ts_ns < meta[SEEN_NS]
            if kind != KIND_AUDIT:
                meta[SEEN_NS] = max(meta[SEEN_NS], ts_ns)
        if meta[PHASE] == 1:
            if 0 <= meta[NEXT] < min(ts_ns, meta[DAY_END] + 1):
                r = close_rows(book, grid, ts_ns, rows, ids, r)
                if meta[NEXT] < min(ts_ns, meta[DAY_END] + 1):
                    return j, r
        if meta[VERDICT] == REPLACES:
            _apply_snapshot(book, grid, events, lo, hi)
        elif meta[VERDICT] == FOLLOWS:
            _apply_delta(book, grid, events, lo, hi)
        meta[PHASE] = 0
        if len(marks) > 0:
            for s in range(2):
                marks[j, M_BID + 2 * s] = best_price(book, s) if meta[WHOLE] != 0 else -1
                marks[j, M_BID_LOTS + 2 * s] = book.top[s, 1, 0]
        if kind == KIND_AUDIT:
            return j + 1, r
    return len(starts) - 1, r
