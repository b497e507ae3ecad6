"""Reading a book: levels in order of price, sizes at a price. Changes nothing; side index 0 is the bid, 1 the ask."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int, from_bit, lowest_bit
from lob_pipeline.book.state import (
    FIRST_PAGE,
    FLIP,
    LEVELS,
    N_PAGES,
    NO_KEY,
    PAGE_BITS,
    PAGE_TICKS,
    SUMMARY,
    WORDS,
    BookState,
    Int8Array,
    Int64Array,
)
from lob_pipeline.core.jit import njit


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
