"""The only code that changes a book: one whole message at a time.

A message is a range [lo, hi) of level rows (``side`` ±1, ``price`` ticks, ``size`` lots, absolute; 0 deletes). The
caller has called ``state.reserve`` on the rows, so prices, sizes and pages are known to fit. Deleting a level that the
book does not hold is no error (venues delete levels that lay outside their snapshot). The ten best levels of a side are
read again after a message only when it touched them.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int, bit
from lob_pipeline.book.ladder import best_levels, best_price, book_levels, collect, lots_at, next_page
from lob_pipeline.book.state import (
    DIRTY,
    FIRST_PAGE,
    FLIP,
    FREE,
    LEVELS,
    N_PAGES,
    NO_KEY,
    PAGE_BITS,
    PAGE_TICKS,
    REACH,
    STACK,
    SUMMARY,
    TOP,
    WORDS,
    BookState,
    Int8Array,
    Int64Array,
)
from lob_pipeline.core.jit import njit

__all__ = [
    "apply_delta",
    "best_levels",
    "best_price",
    "book_levels",
    "clear",
    "lots_at",
    "refresh",
    "replace_book",
    "set_levels",
]


@njit(cache=True)
def _open_page(book: BookState, s: Int, page: Int) -> Int:
    meta = book.meta
    meta[FREE] -= 1
    slot = book.pages[meta[FREE], STACK]
    book.slots[s, page] = slot
    book.slots[s, meta[N_PAGES] + (page >> 6)] |= bit(page & 63)
    meta[FIRST_PAGE + s] = min(meta[FIRST_PAGE + s], page)
    return slot


@njit(cache=True)
def _close_page(book: BookState, s: Int, page: Int) -> None:
    meta = book.meta
    book.pages[meta[FREE], STACK] = book.slots[s, page]
    meta[FREE] += 1
    book.slots[s, page] = -1
    book.slots[s, meta[N_PAGES] + (page >> 6)] &= ~bit(page & 63)
    if page == meta[FIRST_PAGE + s]:
        meta[FIRST_PAGE + s] = next_page(book, s, page)


@njit(cache=True)
def set_levels(book: BookState, side: Int8Array, price: Int64Array, size: Int64Array, lo: Int, hi: Int) -> None:
    """Set the level rows [lo, hi). Leaves the top to ``refresh``.

    Whether a row adds, changes or deletes is as good as random, so the bitmaps are written without a branch on it.
    """
    pages, slots, meta = book.pages, book.slots, book.meta
    flip, bid_reach, ask_reach = meta[FLIP], meta[REACH], meta[REACH + 1]
    bids = np.int64(0)
    asks = np.int64(0)
    bid_dirty = False
    ask_dirty = False
    for i in range(lo, hi):
        n = size[i]
        is_bid = side[i] > 0
        key = price[i] ^ (flip if is_bid else np.int64(0))
        s = np.int64(not is_bid)
        page = key >> PAGE_BITS
        slot = slots[s, page]
        if slot < 0:
            if n == 0:
                continue
            slot = _open_page(book, s, page)
        tick = key & (PAGE_TICKS - 1)
        more = np.int64(n != 0) - np.int64(pages[slot, tick] != 0)
        pages[slot, tick] = n
        if is_bid:
            bid_dirty |= key <= bid_reach
            bids += more
        else:
            ask_dirty |= key <= ask_reach
            asks += more
        w = tick >> 6
        word = (pages[slot, WORDS + w] & ~bit(tick & 63)) | (np.int64(n != 0) << (tick & 63))
        pages[slot, WORDS + w] = word
        filled = (pages[slot, SUMMARY] & ~(1 << w)) | (np.int64(word != 0) << w)
        pages[slot, SUMMARY] = filled
        if filled == 0:
            _close_page(book, s, page)
    meta[LEVELS] += bids
    meta[LEVELS + 1] += asks
    meta[DIRTY] |= bid_dirty
    meta[DIRTY + 1] |= ask_dirty


@njit(cache=True)
def refresh(book: BookState) -> None:
    """Read the ten best levels again on the sides whose top a message touched."""
    top, meta = book.top, book.meta
    for s in range(2):
        if meta[DIRTY + s] != 0:
            n = collect(book, s, TOP, top[s, 0], top[s, 1])
            for k in range(n, TOP):
                top[s, 0, k] = NO_KEY
                top[s, 1, k] = 0
            meta[REACH + s] = top[s, 0, TOP - 1]
            meta[DIRTY + s] = 0


@njit(cache=True)
def apply_delta(book: BookState, side: Int8Array, price: Int64Array, size: Int64Array, lo: Int, hi: Int) -> None:
    """Apply the rows [lo, hi) of one delta message."""
    set_levels(book, side, price, size, lo, hi)
    refresh(book)


@njit(cache=True)
def clear(book: BookState) -> None:
    """Remove every level."""
    meta = book.meta
    for s in range(2):
        page = meta[FIRST_PAGE + s]
        while page < meta[N_PAGES]:
            book.pages[book.slots[s, page], : SUMMARY + 1] = 0
            _close_page(book, s, page)
            page = meta[FIRST_PAGE + s]
        meta[LEVELS + s] = 0
        meta[DIRTY + s] = 1
    refresh(book)


@njit(cache=True)
def replace_book(book: BookState, side: Int8Array, price: Int64Array, size: Int64Array, lo: Int, hi: Int) -> bool:
    """Replace the whole book by the rows [lo, hi) of one snapshot; return whether the two books differ."""
    old_side, old_price, old_size = book_levels(book)
    clear(book)
    set_levels(book, side, price, size, lo, hi)
    refresh(book)
    if book.meta[LEVELS] + book.meta[LEVELS + 1] != len(old_price):
        return True
    same = 0
    for i in range(len(old_price)):
        same += lots_at(book, 0 if old_side[i] > 0 else 1, old_price[i]) == old_size[i]
    return same != len(old_price)
