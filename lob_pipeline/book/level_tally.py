"""A second, plain book that only counts: what each message did to the levels, for the laws of ``level_laws``.

It knows nothing of the ladder of ``kernel.py``: sizes lie in pages of 1024 prices a side, absent levels are 0, and one
loop notes for each message how many levels it left, which deletes met nothing and which updates changed nothing.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.advance import Events
from lob_pipeline.book.row_levels import PAGE, PAGE_BITS, SHOWN_WIDTH, check_shown
from lob_pipeline.book.sequence import FOLLOWS, REPLACES
from lob_pipeline.book.state import Int8Array, Int64Array
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import ROW

# columns of a tally, one row a message; where two follow, the bids' then the asks'
LEVELS = 0  # levels held after the message
ROWS = 2  # level rows of the message
UNKNOWN = 4  # deletes of a level that was not held
REPEATS = 5  # rows with the size that was held
HELD = 6  # levels held before, both sides (snapshots only)
SHARED = 7  # levels that a snapshot has in common with the book it replaces
WIDTH = 8


@njit(cache=True)
def tally_messages(
    pages: Int64Array,
    slots: Int64Array,
    held: Int64Array,
    side: Int8Array,
    price: Int64Array,
    size: Int64Array,
    starts: Int64Array,
    verdict: Int64Array,
    update_id: Int64Array,
    shown: Int64Array,
    limit: int,
    state: Int64Array,
    out: Int64Array,
) -> None:
    """Apply the messages of a chunk and fill ``out`` int64 (messages, WIDTH); compare ``shown`` rows on the way.

    ``pages`` int64 (pool, 1024) sizes; ``slots`` int64 (2, price pages): row of ``pages``, -1 where none is needed;
    ``held`` int64 (2,): levels a side. ``shown`` int64 (n, SHOWN_WIDTH): rows that a book of these messages, or of the
    last before them, is said to show, in order; ``state`` int64 (5,): the last id, ``check_shown``'s counts,
    whether two books have that id.
    Messages that are not applied keep the counts and have no rows.
    """
    row = check_shown(pages, slots, held, shown, 0, state[0], limit, state[4] == 0, state[1:])
    for j in range(len(starts) - 1):
        lo, hi = starts[j], starts[j + 1]
        replaces = verdict[j] == REPLACES
        if replaces:
            out[j, HELD] = held[0] + held[1]
            shared = 0
            for i in range(lo, hi):
                s = (1 - np.int64(side[i])) >> 1
                slot = slots[s, price[i] >> PAGE_BITS]
                if slot >= 0 and size[i] > 0 and pages[slot, price[i] & (PAGE - 1)] == size[i]:
                    shared += 1
            out[j, SHARED] = shared
            pages[:] = 0
            held[:] = 0
        if replaces or verdict[j] == FOLLOWS:
            for i in range(lo, hi):
                s = (1 - np.int64(side[i])) >> 1
                n = size[i]
                slot = slots[s, price[i] >> PAGE_BITS]
                out[j, ROWS + s] += 1
                if slot < 0:
                    out[j, UNKNOWN] += n == 0
                    continue
                tick = price[i] & (PAGE - 1)
                before = pages[slot, tick]
                out[j, UNKNOWN] += before == 0 and n == 0
                out[j, REPEATS] += before == n and n != 0
                held[s] += np.int64(n != 0) - np.int64(before != 0)
                pages[slot, tick] = n
        if replaces or verdict[j] == FOLLOWS:
            again = j + 1 < len(verdict) and verdict[j + 1] == REPLACES and update_id[hi] == update_id[lo]
            state[4] = again or (replaces and state[0] == update_id[lo])
            state[0] = update_id[lo]
            row = check_shown(pages, slots, held, shown, row, state[0], limit, state[4] == 0, state[1:])
        out[j, LEVELS] = held[0]
        out[j, LEVELS + 1] = held[1]


@njit(cache=True)
def wanted_pages(side: Int8Array, price: Int64Array, size: Int64Array, slots: Int64Array) -> Int64Array:
    """Return int64 (2, price pages): 1 where a level is set on a page that has no slot yet."""
    wanted = np.zeros(slots.shape, np.int64)
    for i in range(len(price)):
        s = (1 - np.int64(side[i])) >> 1
        page = price[i] >> PAGE_BITS
        wanted[s, page] |= np.int64(size[i] > 0) & np.int64(slots[s, page] < 0)
    return wanted


@njit(cache=True)
def collect_shown(rows: Int64Array, ids: Int64Array, column: int, out: Int64Array) -> int:
    """Copy id and levels of rows of a whole book that do not repeat the one before; return how many.

    ``rows`` int64 (n, ROW_WIDTH), the levels from ``column`` on; ``out`` int64 (n, SHOWN_WIDTH).
    """
    n = 0
    for i in range(len(rows)):
        if ids[i] < 0:
            continue
        repeats = n > 0 and out[n - 1, 0] == ids[i]
        if repeats:
            for k in range(SHOWN_WIDTH - 1):
                if out[n - 1, k + 1] != rows[i, column + k]:
                    repeats = False
                    break
        if not repeats:
            out[n, 0] = ids[i]
            for k in range(SHOWN_WIDTH - 1):
                out[n, k + 1] = rows[i, column + k]
            n += 1
    return n


class LevelTally:
    """Carries the counting book from chunk to chunk. Memory follows the price pages that ever held a level."""

    def __init__(self, depth_limit: int) -> None:
        self._limit = depth_limit
        self.state: Int64Array = np.array([-1, 0, 0, 0, 0], np.int64)
        self._shown: list[Int64Array] = []
        self._pages: Int64Array = np.zeros((64, PAGE), np.int64)
        self._slots: Int64Array = np.full((2, 64), -1, np.int64)
        self._used = 0
        self._held: Int64Array = np.zeros(2, np.int64)

    def chunk(self, events: Events, starts: Int64Array, verdict: Int64Array) -> Int64Array:
        """Return the tally of a chunk's messages, int64 (messages, WIDTH)."""
        self._reserve(events)
        out = np.zeros((len(starts) - 1, WIDTH), np.int64)
        rows = (events.side, events.price_ticks, events.size_lots)
        verdict = np.ascontiguousarray(verdict)
        shown = np.concatenate([np.empty((0, SHOWN_WIDTH), np.int64), *self._shown])
        self._shown = []
        book = (self._pages[: max(1, self._used)], self._slots, self._held)
        tally_messages(*book, *rows, starts, verdict, events.update_id, shown, self._limit, self.state, out)
        return out

    def show(self, rows: Int64Array, ids: Int64Array) -> None:
        """Remember rows of a whole book (ids >= 0) and the update id each shows, for the coming chunk.

        Rows that repeat the one before them (silence) are left out: memory follows the changes.
        """
        out = np.empty((len(rows), SHOWN_WIDTH), np.int64)
        n = collect_shown(rows, ids, ROW["bid_ticks_1"], out)
        self._shown.append(out if n == len(out) else out[:n].copy())

    def _reserve(self, events: Events) -> None:
        """Give a page to every stretch of prices in which the chunk sets a size."""
        top = (int(events.price_ticks.max(initial=0)) >> PAGE_BITS) + 1
        if top > self._slots.shape[1]:
            grown = np.full((2, max(top, 2 * self._slots.shape[1])), -1, np.int64)
            grown[:, : self._slots.shape[1]] = self._slots
            self._slots = grown
        sides, new = np.nonzero(wanted_pages(events.side, events.price_ticks, events.size_lots, self._slots))
        end = self._used + len(new)
        if end > len(self._pages):
            pool = np.zeros((max(end, 2 * len(self._pages)), PAGE), np.int64)
            pool[: self._used] = self._pages[: self._used]
            self._pages = pool
        self._slots[sides, new] = np.arange(self._used, end)
        self._used = end
