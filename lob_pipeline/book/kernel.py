"""The only code that changes a book: one whole message at a time.

A message is a range [lo, hi) of level rows (``side`` ±1, ``price`` ticks, ``size`` lots, absolute; 0 deletes). The
caller has called ``pool.reserve`` on the rows, so prices, sizes and pages are known to fit. Deleting a level that the
book does not hold is no error (venues delete levels that lay outside their snapshot). The ten best levels of a side are
read again after a message only when it touched them.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int, bit, lowest_bit
from lob_pipeline.book.ladder import best_levels, best_price, book_levels, lots_at, next_page
from lob_pipeline.book.pool import close_page, open_page
from lob_pipeline.book.state import (
    DIRTY,
    FIRST_PAGE,
    FLIP,
    LEVELS,
    N_PAGES,
    NO_KEY,
    PAGE_BITS,
    PAGE_TICKS,
    PAGE_WIDTH,
    REACH,
    SUMMARY,
    TOP,
    WORDS,
    BookState,
    Int8Array,
    Int64Array,
)
from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import get, put

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
def set_levels(book: BookState, side: Int8Array, price: Int64Array, size: Int64Array, lo: Int, hi: Int) -> None:
    """Set the level rows [lo, hi). Leaves the top to ``refresh``.

    Whether a row adds, changes or deletes is as good as random, so the bitmaps are written without a branch on it; the
    old size is not read, its bit tells whether there was one. Marks of words and pages that become empty stay until
    somebody comes by (``_collect_top``, ``pool.sweep``): keeping them exact would cost a quarter of the time here.
    Walked by address, since numba tests every index for its sign.
    """
    meta = book.meta
    flip, bid_reach, ask_reach = meta[FLIP], meta[REACH], meta[REACH + 1]
    pool, index, stride = book.pages.ctypes.data, book.slots.ctypes.data, book.slots.shape[1]
    bids = np.int64(0)
    asks = np.int64(0)
    bid_dirty = np.int64(0)
    ask_dirty = np.int64(0)
    for i in range(lo, hi):
        n = size[i]
        is_bid = side[i] > 0
        key = price[i] ^ (flip if is_bid else np.int64(0))
        page = key >> PAGE_BITS
        slot: Int = get(index, page + (np.int64(0) if is_bid else stride))
        if slot < 0:
            if n == 0:
                continue
            slot = open_page(book, np.int64(not is_bid), page)
        tick = key & (PAGE_TICKS - 1)
        at = pool + slot * (8 * PAGE_WIDTH)
        put(at, tick, n)
        w = tick >> 6
        b = tick & 63
        old = get(at, WORDS + w)
        now = np.int64(n != 0)
        word = (old & ~bit(b)) | (now << b)
        put(at, WORDS + w, word)
        more = now - ((old >> b) & 1)
        if is_bid:
            bid_dirty |= np.int64(key <= bid_reach) << (more & 1)
            bids += more
        else:
            ask_dirty |= np.int64(key <= ask_reach) << (more & 1)
            asks += more
        filled = get(at, SUMMARY)
        if (filled >> w) & 1 == 0:
            put(at, SUMMARY, filled | (now << w))
    meta[LEVELS] += bids
    meta[LEVELS + 1] += asks
    meta[DIRTY] |= bid_dirty
    meta[DIRTY + 1] |= ask_dirty


@njit(cache=True)
def _collect_top(book: BookState, s: Int) -> Int:
    """Read the ten best levels of a side into the top; return how many there are.

    On its way it drops what ``set_levels`` left behind: marks of words that are empty, and pages without a mark.
    """
    meta, keys = book.meta, book.top.ctypes.data + s * (16 * TOP)
    pool, slots = book.pages.ctypes.data, book.slots.ctypes.data + s * (8 * book.slots.shape[1])
    found = 0
    page = meta[FIRST_PAGE + s]
    while page < meta[N_PAGES]:
        at = pool + get(slots, page) * (8 * PAGE_WIDTH)
        filled: Int = get(at, SUMMARY)
        left = filled
        while left != 0:
            w = lowest_bit(left)
            left &= left - 1
            word = get(at, WORDS + w)
            if word == 0:
                filled ^= np.int64(1) << w
            while word != 0:
                tick = (w << 6) + lowest_bit(word)
                word &= word - 1
                put(keys, found, (page << PAGE_BITS) + tick)
                put(keys, TOP + found, get(at, tick))
                found += 1
                if found == TOP:
                    put(at, SUMMARY, filled)
                    return found
        put(at, SUMMARY, filled)
        if filled == 0:
            close_page(book, s, page)
        page = next_page(book, s, page + 1)
    return found


@njit(cache=True)
def refresh(book: BookState) -> None:
    """Read the ten best levels again on the sides whose top a message touched.

    Where it only changed sizes there (nine times in ten), the keys stand and their sizes are read again.
    """
    top, meta = book.top, book.meta
    pool, index, best = book.pages.ctypes.data, book.slots.ctypes.data, top.ctypes.data
    for s in range(2):
        dirty = meta[DIRTY + s]
        if dirty == 0:
            continue
        keys = best + s * (16 * TOP)
        slots = index + s * (8 * book.slots.shape[1])
        if dirty == 1:
            first, last = get(keys, 0), get(keys, TOP - 1)
            if last < NO_KEY and first >> PAGE_BITS == last >> PAGE_BITS:
                at = pool + get(slots, first >> PAGE_BITS) * (8 * PAGE_WIDTH)
                for k in range(TOP):
                    put(keys, TOP + k, get(at, get(keys, k) & (PAGE_TICKS - 1)))
                meta[DIRTY + s] = 0
                continue
            for k in range(TOP):
                key = get(keys, k)
                if key == NO_KEY:
                    break
                slot = get(slots, key >> PAGE_BITS)
                put(keys, TOP + k, get(pool + slot * (8 * PAGE_WIDTH), key & (PAGE_TICKS - 1)))
        else:
            n = _collect_top(book, s)
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
            close_page(book, s, page)
            page = meta[FIRST_PAGE + s]
        meta[LEVELS + s] = 0
        meta[DIRTY + s] = 2
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
