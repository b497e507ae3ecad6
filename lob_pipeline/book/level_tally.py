"""A second, plain book that only counts: what each message did to the levels, for the laws of ``level_laws``.

It knows nothing of the ladder of ``kernel.py``: sizes lie in pages of 1024 prices a side, absent levels are 0, and one
loop notes for each message how many levels it left, which deletes met nothing and which updates changed nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.advance import Events
from lob_pipeline.book.row_levels import PAGE, PAGE_BITS, SHOWN_WIDTH, check_shown
from lob_pipeline.book.sequence import FOLLOWS, REPLACES
from lob_pipeline.book.state import Int8Array, Int64Array
from lob_pipeline.core.jit import njit

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

    def show(self, ids: Int64Array, levels: Int64Array) -> None:
        """Remember rows (levels int64 (n, SHOWN_WIDTH - 1)) and the update id each shows, for the coming chunk.

        Rows that repeat the one before them (silence) are left out: memory follows the changes.
        """
        table = np.column_stack([ids, levels])
        self._shown.append(table[np.append(True, (table[1:] != table[:-1]).any(axis=1))])

    def _reserve(self, events: Events) -> None:
        """Give a page to every stretch of prices in which the chunk sets a size."""
        page = events.price_ticks >> PAGE_BITS
        top = int(page.max(initial=0)) + 1
        if top > self._slots.shape[1]:
            grown = np.full((2, max(top, 2 * self._slots.shape[1])), -1, np.int64)
            grown[:, : self._slots.shape[1]] = self._slots
            self._slots = grown
        wanted: npt.NDArray[np.bool_] = np.zeros((2, top), np.bool_)
        for s, side in ((0, 1), (1, -1)):
            wanted[s, page[(events.side == side) & (events.size_lots > 0)]] = True
        sides, new = np.nonzero(wanted & (self._slots[:, :top] < 0))
        end = self._used + len(new)
        if end > len(self._pages):
            pool = np.zeros((max(end, 2 * len(self._pages)), PAGE), np.int64)
            pool[: self._used] = self._pages[: self._used]
            self._pages = pool
        self._slots[sides, new] = np.arange(self._used, end)
        self._used = end
