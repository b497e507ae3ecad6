"""The market view: what any market, recorded or simulated, looks like every 100 ms, in plain arrays.

One code path: a market comes as columns of ``l2_events`` and ``trades``, is replayed through the book, and is looked at
on every 100 ms instant as a venue that publishes its 200 best levels a side on that clock would show it. What happened
between two instants is seen on neither side, however often the recorded venue spoke.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.advance import Events
from lob_pipeline.book.kernel import refresh, replace_book, set_levels
from lob_pipeline.book.ladder import best_levels
from lob_pipeline.book.pool import reserve
from lob_pipeline.book.replay import whole_messages
from lob_pipeline.book.sequence import FOLLOWS, GAP, MODES, REPLACES, UNBRIDGED, judge_message
from lob_pipeline.book.state import BookState, Int64Array, new_book
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET, KIND_DELTA
from lob_pipeline.core.units import NS_PER_MS

STEP_MS = 100
SHOWN_LEVELS = 200
REACH_TICKS = np.array([0, 1, 2, 5, 10, 20, 50, 100])
"""How far behind the best price of a side the depth profile looks, in ticks."""

BID, BID_LOTS, ASK, ASK_LOTS, CHANGES, VALID, DEPTH = 0, 1, 2, 3, 4, 5, 6  # columns of MarketView.rows
WIDTH = DEPTH + len(REACH_TICKS)
_WHOLE, _UNBRIDGED, _LAST_ID, _LAST_NS, _NEXT_NS, _MODE = 0, 1, 2, 3, 4, 5
_STEP_NS = STEP_MS * NS_PER_MS
_ROWS = 1 << 14


class MarketView(NamedTuple):
    """A stretch of market: ``time_ms`` int64 (n,), successive multiples of 100; ``rows`` int64 (n, WIDTH).

    Columns of ``rows`` (named above): best prices in ticks and their lots; ``CHANGES``: levels, of the 200 best a side,
    that differ from the row before; ``VALID`` 0 or 1; from ``DEPTH`` on the lots within ``REACH_TICKS`` of the best,
    both sides together. ``trades`` int64 (m, 3): time in ms, side (+1 the taker bought), lots, in the span of the rows.
    """

    time_ms: Int64Array
    rows: Int64Array
    trades: Int64Array

    @property
    def seconds(self) -> float:
        """Return the time covered."""
        return len(self.time_ms) * STEP_MS / 1000.0

    def cut(self, first: int, last: int) -> MarketView:
        """Return the rows ``first`` up to ``last`` and the trades since the row before them."""
        time_ms = self.time_ms[first:last]
        at = np.searchsorted(self.trades[:, 0], [time_ms[0] - STEP_MS, time_ms[-1]], side="right")
        return MarketView(time_ms, self.rows[first:last], self.trades[at[0] : at[1]])


class _Shown(NamedTuple):
    """The levels shown last and now: ``price``, ``lots`` int64 (2, side, SHOWN_LEVELS); ``n`` int64 (2, side)."""

    price: npt.NDArray[np.int64]
    lots: npt.NDArray[np.int64]
    n: npt.NDArray[np.int64]


@njit(cache=True)
def _differences(shown: _Shown, s: int) -> int:
    """Return how many level rows turn the levels shown last into those shown now; best first on both."""
    price, lots, n = shown.price, shown.lots, shown.n
    step = 1 if s == 1 else -1
    i = j = same = 0
    while i < n[0, s] and j < n[1, s]:
        gap = (price[0, s, i] - price[1, s, j]) * step
        if gap == 0:
            same += lots[0, s, i] == lots[1, s, j]
            # a changed level is one row, counted with those of the new book
        i += gap <= 0
        j += gap >= 0
    gone = 0
    i = j = 0
    while i < n[0, s]:
        while j < n[1, s] and (price[1, s, j] - price[0, s, i]) * step < 0:
            j += 1
        gone += not (j < n[1, s] and price[1, s, j] == price[0, s, i])
        i += 1
    return int(gone + n[1, s] - same)


@njit(cache=True)
def _look(book: BookState, shown: _Shown, row: Int64Array, whole: bool) -> None:
    """Write one row of the view and remember what it showed."""
    row[:] = 0
    for s in range(2):
        shown.n[1, s] = best_levels(book, s, SHOWN_LEVELS, shown.price[1, s], shown.lots[1, s])
        row[CHANGES] += _differences(shown, s)
        first = shown.price[1, s, 0]
        row[BID + 2 * s], row[BID_LOTS + 2 * s] = first, shown.lots[1, s, 0]
        for k in range(shown.n[1, s]):
            away = abs(shown.price[1, s, k] - first)
            for d in range(len(REACH_TICKS)):
                if away <= REACH_TICKS[d]:
                    row[DEPTH + d] += shown.lots[1, s, k]
        m = shown.n[1, s]
        shown.price[0, s, :m] = shown.price[1, s, :m]
        shown.lots[0, s, :m] = shown.lots[1, s, :m]
        shown.n[0, s] = m
    row[VALID] = whole and shown.n[1, 0] > 0 and shown.n[1, 1] > 0 and row[BID] < row[ASK]


@njit(cache=True)
def _advance(
    book: BookState,
    shown: _Shown,
    chain: Int64Array,
    events: Events,
    starts: Int64Array,
    first: int,
    time_ns: Int64Array,
    rows: Int64Array,
) -> tuple[int, int]:
    """Take the messages from ``first`` on; return (next message, rows written): early when ``rows`` is full.

    A row shows the book after every message of its instant or before. It is written when a later one comes.
    """
    written = 0
    for j in range(first, len(starts) - 1):
        lo, hi = starts[j], starts[j + 1]
        ts_ns = events.ts_event_ns[lo]
        while 0 <= chain[_NEXT_NS] < ts_ns:
            if written == len(time_ns):
                return j, written
            _look(book, shown, rows[written], chain[_WHOLE] != 0)
            time_ns[written] = chain[_NEXT_NS]
            chain[_NEXT_NS] += _STEP_NS
            written += 1
        kind, update_id = events.kind[lo], events.update_id[lo]
        verdict = judge_message(
            chain[_MODE], chain[_WHOLE], chain[_UNBRIDGED], chain[_LAST_ID], chain[_LAST_NS],
            kind, update_id, events.prev_update_id[lo], ts_ns,
        )  # fmt: skip
        if verdict in (GAP, UNBRIDGED):
            chain[_WHOLE] = 0
        if verdict not in (FOLLOWS, REPLACES):
            continue
        if verdict == REPLACES:
            replace_book(book, events.side, events.price_ticks, events.size_lots, lo, hi)
        else:
            set_levels(book, events.side, events.price_ticks, events.size_lots, lo, hi)
            refresh(book)
        chain[_WHOLE], chain[_UNBRIDGED] = 1, kind != KIND_DELTA
        chain[_LAST_ID], chain[_LAST_NS] = update_id, max(chain[_LAST_NS], ts_ns)
        if chain[_NEXT_NS] < 0:
            chain[_NEXT_NS] = (ts_ns // _STEP_NS + 1) * _STEP_NS
    return len(starts) - 1, written


def market_view(events: Iterable[Columns], trades: Iterable[Columns], sequence: str) -> MarketView:
    """Return the longest unbroken stretch of a market as it looked every 100 ms.

    ``events``: chunks of ``l2_events``; ``trades``: chunks of ``trades``, both in stream order; ``sequence``: the rule
    of the venue's ids. Trades that are no market trades (flagged) are left out. Empty where no row is valid.
    """
    book, chain = new_book(), np.array([0, 0, 0, 0, -1, MODES[sequence]], np.int64)
    shape = (2, 2, SHOWN_LEVELS)
    shown = _Shown(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros((2, 2), np.int64))
    times, found = [np.empty(0, np.int64)], [np.empty((0, WIDTH), np.int64)]
    time_ns, rows = np.empty(_ROWS, np.int64), np.empty((_ROWS, WIDTH), np.int64)
    for chunk, starts, _ in whole_messages(events):
        book = reserve(book, chunk.side, chunk.price_ticks, chunk.size_lots)
        at = 0
        while at < len(starts) - 1:
            at, n = _advance(book, shown, chain, chunk, starts, at, time_ns, rows)
            times.append(time_ns[:n] // NS_PER_MS)
            found.append(rows[:n].copy())
    time_ms, table = np.concatenate(times), np.concatenate(found)
    first, last = _longest_run(table[:, VALID] != 0)
    whole = MarketView(time_ms, table, _market_trades(trades))
    if first == last:
        return MarketView(time_ms[:0], table[:0], whole.trades[:0])
    return whole.cut(first, last)


def _market_trades(trades: Iterable[Columns]) -> Int64Array:
    parts = [np.empty((0, 3), np.int64)]
    for chunk in trades:
        taken = (chunk["flags"].astype(np.int64) & (FLAG_BLOCK | FLAG_NOT_MARKET)) == 0
        columns = [chunk["ts_event_ns"] // NS_PER_MS, chunk["side"], chunk["size_lots"]]
        parts.append(np.column_stack([c.astype(np.int64)[taken] for c in columns]))
    joined = np.concatenate(parts)
    joined[:, 0] = np.maximum.accumulate(joined[:, 0]) if len(joined) else joined[:, 0]
    return joined


def _longest_run(valid: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return the longest stretch [first, last) of true values, the first of equally long ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]]).astype(np.int8)))
    if not len(edges):
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    k = int(np.argmax(ends - starts))
    return int(starts[k]), int(ends[k])
