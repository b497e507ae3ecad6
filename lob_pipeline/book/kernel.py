"""The only code that changes a book: one whole message at a time.

A message is a range [lo, hi) of level rows (``side`` ±1, ``price`` ticks, ``size`` lots, absolute; 0 deletes). The
caller has called ``state.reserve`` on the rows, so prices, sizes and pages are known to fit. Deleting a level that the
book does not hold is no error (venues delete levels that lay outside their snapshot). The ten best levels of a side are
read again after a message only when it touched them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lob_pipeline.book.bits import bit, from_bit, lowest_bit
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
    Int,
    Int8Array,
    Int64Array,
)


@njit(cache=True)
def next_page(book: BookState, s: Int, page: Int) -> Int:
    """Return the first page >= ``page`` of side ``s`` that holds a level, or the number of pages of the range."""
    n_pages = book.meta[N_PAGES]
    if page >= n_pages:
        return n_pages
    w = n_pages + (page >> 6)
    word = book.slots[s, w] & from_bit(page & 63)
    while word == 0:
        w += 1
        if w == book.slots.shape[1]:
            return n_pages
        word = book.slots[s, w]
    return ((w - n_pages) << 6) + lowest_bit(word)


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
def collect(book: BookState, s: Int, n: Int, keys: Int64Array, lots: Int64Array) -> Int:
    """Write the ``n`` best levels of side ``s`` into ``keys`` and ``lots``, best first; return how many there are."""
    pages, slots, last = book.pages, book.slots, book.meta[N_PAGES]
    found = 0
    page = book.meta[FIRST_PAGE + s]
    while page < last and found < n:
        slot = slots[s, page]
        filled = pages[slot, SUMMARY]
        while filled != 0:
            w = lowest_bit(filled)
            filled &= filled - 1
            word = pages[slot, WORDS + w]
            while word != 0:
                tick = (w << 6) + lowest_bit(word)
                word &= word - 1
                keys[found] = (page << PAGE_BITS) + tick
                lots[found] = pages[slot, tick]
                found += 1
                if found == n:
                    return found
        page = next_page(book, s, page + 1)
    return found


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


@njit(cache=True)
def book_levels(book: BookState) -> tuple[Int8Array, Int64Array, Int64Array]:
    """Return every level as (side ±1, price_ticks, size_lots): bids best first, then asks best first."""
    n_bid, n_ask = book.meta[LEVELS], book.meta[LEVELS + 1]
    side = np.ones(n_bid + n_ask, np.int8)
    side[n_bid:] = -1
    price = np.empty(n_bid + n_ask, np.int64)
    size = np.empty(n_bid + n_ask, np.int64)
    collect(book, 0, n_bid, price[:n_bid], size[:n_bid])
    collect(book, 1, n_ask, price[n_bid:], size[n_bid:])
    price[:n_bid] ^= book.meta[FLIP]
    return side, price, size


@njit(cache=True)
def lots_at(book: BookState, s: Int, price: Int) -> Int:
    """Return the lots at ``price`` on side ``s`` (0 bid, 1 ask), 0 where there is no level or no such price."""
    if price < 0 or price > book.meta[FLIP]:
        return np.int64(0)
    key = price ^ book.meta[FLIP + s]
    slot = book.slots[s, key >> PAGE_BITS]
    return np.int64(0) if slot < 0 else book.pages[slot, key & (PAGE_TICKS - 1)]


@njit(cache=True)
def best_price(book: BookState, s: Int) -> Int:
    """Return the best price of side ``s`` (0 bid, 1 ask) in ticks, -1 where the side is empty."""
    key = book.top[s, 0, 0]
    return np.int64(-1) if key == NO_KEY else key ^ book.meta[FLIP + s]


@njit(cache=True)
def best_levels(book: BookState, s: Int, n: Int, prices: Int64Array, lots: Int64Array) -> Int:
    """Write prices (ticks) and sizes (lots) of the ``n`` best levels of side ``s``, best first; return their number."""
    found = collect(book, s, n, prices, lots)
    for k in range(found):
        prices[k] ^= book.meta[FLIP + s]
    return found
