"""Do emitted rows show the book? Their levels against the plain counting book of ``level_tally``, level by level.

The rows come from the paged ladder; the counting book knows no order of levels. A row is right when each level that it
shows has that size there, no level lies between those shown or before the first, and as many are shown as there are.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import LEVELS

PAGE_BITS = 10
PAGE = 1 << PAGE_BITS
MAX_SCAN = 4096  # ticks: on sparser books only the sizes and the number of levels are compared
ID, SIDES = 0, 1  # columns of a shown row: update id, then ticks and lots of the bids, ticks and lots of the asks
SHOWN_WIDTH = 1 + 4 * LEVELS


@njit(cache=True)
def slot_of(slots: Int64Array, s: int, page: Int) -> Int:
    """Return the row of ``pages`` that holds a page of side ``s`` (0 bids, 1 asks), -1 where there is none."""
    return slots[s, page] if 0 <= page < slots.shape[1] else -1


@njit(cache=True)
def levels_between(pages: Int64Array, slots: Int64Array, s: int, lo: int, hi: int) -> int:
    """Return how many levels side ``s`` of the counting book holds at the prices lo … hi."""
    found = 0
    for page in range(lo >> PAGE_BITS, (hi >> PAGE_BITS) + 1):
        slot = slot_of(slots, s, page)
        if slot >= 0:
            first = max(lo - (page << PAGE_BITS), 0)
            last = min(hi - (page << PAGE_BITS), PAGE - 1)
            for tick in range(first, last + 1):
                found += pages[slot, tick] != 0
    return found


@njit(cache=True)
def shows_book(pages: Int64Array, slots: Int64Array, held: Int64Array, shown: Int64Array, limit: int) -> bool:
    """Return whether ``shown`` int64 (SHOWN_WIDTH,) is what the book holds; ``limit``: levels a row may show."""
    best_bid, best_ask = shown[SIDES], shown[SIDES + 2 * LEVELS]
    for s in range(2):
        ticks = SIDES + 2 * LEVELS * s
        n = 0
        page: Int = np.int64(-1)
        slot: Int = np.int64(-1)
        for k in range(LEVELS):
            price = shown[ticks + k]
            if price < 0:
                break
            if price >> PAGE_BITS != page:
                page = price >> PAGE_BITS
                slot = slot_of(slots, s, page)
            lots = shown[ticks + LEVELS + k]
            if slot < 0 or lots == 0 or lots != pages[slot, price & (PAGE - 1)]:
                return False
            n += 1
        if n != min(held[s], min(limit, LEVELS)):
            return False
        if n == 0:
            continue
        last = shown[ticks + n - 1]
        lo, hi = min(last, shown[ticks]), max(last, shown[ticks])
        if hi - lo < MAX_SCAN and levels_between(pages, slots, s, lo, hi) != n:
            return False
        if best_bid >= 0 and 1 < best_ask - best_bid < MAX_SCAN:
            if levels_between(pages, slots, s, best_bid + 1, best_ask - 1) > 0:
                return False
    return True


@njit(cache=True)
def check_shown(
    pages: Int64Array,
    slots: Int64Array,
    held: Int64Array,
    shown: Int64Array,
    at: int,
    update_id: int,
    limit: int,
    compare: bool,
    counts: Int64Array,
) -> int:
    """Check the rows from ``shown[at]`` on that show ``update_id``; return the next one.

    ``compare`` False passes over them: two books had that id, and a row does not say which it shows. ``counts`` int64
    (3,): rows checked, rows that differ, index of the first that does (kept once set).
    """
    while at < len(shown) and shown[at, ID] == update_id:
        counts[0] += compare
        if compare and not shows_book(pages, slots, held, shown[at], limit):
            if counts[1] == 0:
                counts[2] = at
            counts[1] += 1
        at += 1
    return at
