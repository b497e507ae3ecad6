"""The pool of pages of a book: taken, given back, swept, and grown before a chunk of rows is applied.

Nothing here changes which levels a book holds.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int, bit
from lob_pipeline.book.ladder import next_page
from lob_pipeline.book.state import (
    FIRST_PAGE,
    FLIP,
    FREE,
    MAX_PRICE_TICKS,
    N_PAGES,
    NO_KEY,
    PAGE_BITS,
    PAGE_TICKS,
    PAGE_WIDTH,
    REACH,
    STACK,
    SUMMARY,
    WORDS,
    BookState,
    Int8Array,
    Int64Array,
)
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.jit import njit

AMPLE_PAGES = 2048
"""16 MiB of addresses: a pool grows by up to so many pages without counting which of them are needed.

To count costs a fifth of applying the rows, each chunk; a page that is never used costs 4 KiB, once.
"""


@njit(cache=True)
def open_page(book: BookState, s: Int, page: Int) -> Int:
    """Take a page from the pool for ``page`` of side ``s``; return its row."""
    meta = book.meta
    meta[FREE] -= 1
    slot = book.pages[meta[FREE], STACK]
    book.slots[s, page] = slot
    book.slots[s, meta[N_PAGES] + (page >> 6)] |= bit(page & 63)
    meta[FIRST_PAGE + s] = min(meta[FIRST_PAGE + s], page)
    return slot


@njit(cache=True)
def close_page(book: BookState, s: Int, page: Int) -> None:
    """Give the page, which holds no level, back to the pool."""
    meta = book.meta
    book.pages[meta[FREE], STACK] = book.slots[s, page]
    meta[FREE] += 1
    book.slots[s, page] = -1
    book.slots[s, meta[N_PAGES] + (page >> 6)] &= ~bit(page & 63)
    if page == meta[FIRST_PAGE + s]:
        meta[FIRST_PAGE + s] = next_page(book, s, page)


@njit(cache=True)
def sweep(book: BookState) -> None:
    """Drop the marks of empty words, and close the pages on which no level is left.

    ``kernel.set_levels`` leaves both behind: a deletion is common, and the last level of a page is rarely deleted for
    good.
    """
    pages, meta = book.pages, book.meta
    for s in range(2):
        page = meta[FIRST_PAGE + s]
        while page < meta[N_PAGES]:
            slot = book.slots[s, page]
            filled = np.int64(0)
            for w in range(PAGE_TICKS // 64):
                filled |= np.int64(pages[slot, WORDS + w] != 0) << w
            pages[slot, SUMMARY] = filled
            if filled == 0:
                close_page(book, s, page)
            page = next_page(book, s, page + 1)


@njit(cache=True)
def survey(
    side: Int8Array, price: Int64Array, size: Int64Array, lo: Int, hi: Int
) -> tuple[bool | np.bool_, Int, Int]:
    """Return (whether a book can hold every level row of [lo, hi), the lowest and the highest price among them).

    It can when prices lie in 0 … MAX_PRICE_TICKS - 1, sizes are not negative and sides are ±1. Loops without exits over
    one type each, so that the compiler uses vector instructions. An empty range is (True, 0, 0).
    """
    sides, prices, sizes = side[lo:hi], price[lo:hi], size[lo:hi]
    odd_sides = np.int8(0)
    for i in range(sides.shape[0]):
        odd_sides |= (sides[i] + np.int8(1)) & np.int8(-3)  # 0 for +1 (2) and -1 (0) alone
    highest = np.int64(0)
    lowest = np.int64(MAX_PRICE_TICKS)
    signs = np.int64(0)
    for i in range(prices.shape[0]):
        highest = max(highest, prices[i])
        lowest = min(lowest, prices[i])
        signs |= prices[i] | sizes[i]
    fits = signs >= 0 and odd_sides == 0 and highest < MAX_PRICE_TICKS
    return fits, min(lowest, highest), highest


@njit(cache=True)
def new_pages(book: BookState, side: Int8Array, price: Int64Array, size: Int64Array, lo: Int, hi: Int) -> Int:
    """Return how many pages that are not in use the rows [lo, hi), all inside the price range, touch with a size.

    Every row writes a mark, deletions on one that nobody reads: a branch on them would cost more than the write.
    """
    n_pages, flip = book.meta[N_PAGES], book.meta[FLIP]
    marked = np.zeros(2 * n_pages + 1, np.bool_)
    sides, prices, sizes = side[lo:hi], price[lo:hi], size[lo:hi]
    for i in range(prices.shape[0]):
        is_bid = sides[i] > 0
        page = (prices[i] ^ (flip if is_bid else np.int64(0))) >> PAGE_BITS
        place = page + (np.int64(0) if is_bid else n_pages)
        marked[np.uint64(place if sizes[i] > 0 else 2 * n_pages)] = True
    pages = 0
    for s in range(2):
        for page in range(n_pages):
            pages += marked[s * n_pages + page] and book.slots[s, page] < 0
    return pages


@njit(cache=True)
def absent_pages(book: BookState, lowest: Int, highest: Int) -> Int:
    """Return how many pages of prices lowest … highest are not in use, both sides together."""
    flip = book.meta[FLIP]
    absent = 0
    for s in range(2):
        first, last = (highest ^ flip, lowest ^ flip) if s == 0 else (lowest, highest)
        for page in range(first >> PAGE_BITS, (last >> PAGE_BITS) + 1):
            absent += book.slots[s, page] < 0
    return absent


@njit(cache=True)
def pages_for(
    book: BookState, side: Int8Array, price: Int64Array, size: Int64Array, lo: Int, hi: Int, lowest: Int, highest: Int
) -> Int:
    """Return a number of free pages that is enough for the rows [lo, hi), whose prices lie in lowest … highest.

    Both sides could open every page between the two; which they do is counted only where those are very many.
    """
    most = 2 * ((highest >> PAGE_BITS) - (lowest >> PAGE_BITS) + 1)
    if most <= book.meta[FREE]:
        return most
    most = absent_pages(book, lowest, highest)
    if most <= max(book.meta[FREE], AMPLE_PAGES):
        return most
    return new_pages(book, side, price, size, lo, hi)


def reserve(
    book: BookState, side: Int8Array, price_ticks: Int64Array, size_lots: Int64Array, lo: int = 0, hi: int = -1
) -> BookState:
    """Return a book that can take the level rows [lo, hi) (to the end when ``hi`` is -1): itself, or a grown one.

    Call it once a chunk before the kernel. Where it grows, the returned book takes the arrays over: forget the old one.
    Raises ``BadInputError`` naming the row for a price, size or side that no book can hold.
    """
    hi = len(price_ticks) if hi < 0 else hi
    fits, lowest, highest = survey(side, price_ticks, size_lots, lo, hi)
    if not fits:
        bad = next(i for i in range(lo, hi) if not survey(side, price_ticks, size_lots, i, i + 1)[0])
        raise BadInputError(
            f"level row {bad} (side {side[bad]}, price {price_ticks[bad]} ticks, size {size_lots[bad]} lots) cannot be "
            f"in a book: expected side +1 or -1, 0 <= price < {MAX_PRICE_TICKS} ticks, size >= 0; "
            "check the recording and the market's tick and lot"
        )
    if highest > book.meta[FLIP]:
        book = _widen(book, int(highest))
    needed = int(pages_for(book, side, price_ticks, size_lots, lo, hi, lowest, highest))
    free = int(book.meta[FREE])
    if needed > free:
        sweep(book)
    if int(book.meta[FREE]) > free:
        needed = int(pages_for(book, side, price_ticks, size_lots, lo, hi, lowest, highest))
    missing = needed - int(book.meta[FREE])
    return book if missing <= 0 else _add_pages(book, max(missing, len(book.pages)))


def _widen(book: BookState, highest_price: int) -> BookState:
    """Grow the price range. A wider flip moves the bid pages by whole pages and leaves the order inside them."""
    price_range = 1 << highest_price.bit_length()
    n_old, n_pages = int(book.meta[N_PAGES]), price_range >> PAGE_BITS
    index = np.full((2, n_pages + (n_pages >> 6)), -1, np.int64)
    index[:, n_pages:] = 0
    meta, top = book.meta.copy(), book.top.copy()
    meta[N_PAGES], meta[FLIP] = n_pages, price_range - 1
    for s, moved in ((0, n_pages - n_old), (1, 0)):
        index[s, moved : moved + n_old] = book.slots[s, :n_old]
        words = index[s, n_pages:].view(np.uint64)
        for page in np.flatnonzero(index[s, :n_pages] >= 0).tolist():
            words[page >> 6] |= np.uint64(1 << (page & 63))
        meta[FIRST_PAGE + s] = meta[FIRST_PAGE + s] + moved if meta[FIRST_PAGE + s] < n_old else n_pages
        if meta[REACH + s] < NO_KEY:
            meta[REACH + s] += moved << PAGE_BITS
        top[s, 0][top[s, 0] < NO_KEY] += moved << PAGE_BITS
    return book._replace(slots=index, top=top, meta=meta)


def _add_pages(book: BookState, more: int) -> BookState:
    """Grow the pool by ``more`` empty pages."""
    old, n_free = len(book.pages), int(book.meta[FREE])
    pages = np.zeros((old + more, PAGE_WIDTH), np.int64)  # memory that is touched when a page is
    pages[:old] = book.pages
    pages[:more, STACK] = np.arange(old + more - 1, old - 1, -1)
    pages[more : more + n_free, STACK] = book.pages[:n_free, STACK]
    meta = book.meta.copy()
    meta[FREE] = n_free + more
    return book._replace(pages=pages, meta=meta)
