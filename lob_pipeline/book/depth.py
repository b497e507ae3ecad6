"""The levels and basis-point depths of one row: what a book shows at an instant.

``D_n`` of a side is the sum of the lots whose price lies within ``max(n, floor(n · M2 / 20000))`` ticks of that side's
best (FEATURES.md, depth_imbalance_1bps_ratio), over at most ``depth_limit`` levels; a row is ``truncated`` when the
last known level, at most ``depth_limit``, of a side lies inside its 4 bps window. Where a side is empty there is no M2:
depths are 0 and nothing is truncated.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int, count_bits, from_bit, lowest_bit, up_to_bit
from lob_pipeline.book.ladder import collect, next_page
from lob_pipeline.book.state import (
    FIRST_PAGE,
    FLIP,
    LEVELS,
    N_PAGES,
    PAGE_BITS,
    PAGE_TICKS,
    SUMMARY,
    WORDS,
    BookState,
    Int64Array,
)
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import BPS_DEPTHS, ROW
from lob_pipeline.core.tables import LEVELS as STORED

BID_TICKS = ROW["bid_ticks_1"]
BID_LOTS = ROW["bid_lots_1"]
ASK_TICKS = ROW["ask_ticks_1"]
ASK_LOTS = ROW["ask_lots_1"]
_BID_DEPTH = ROW["bid_depth_1bps_lots"]
_ASK_DEPTH = ROW["ask_depth_1bps_lots"]
_TRUNCATED = ROW["truncated"]
_DENSE = 6  # from so many levels a word on, adding up all its 64 sizes is quicker than finding them


@njit(cache=True)
def levels_up_to(book: BookState, s: Int, last_key: Int, limit: Int) -> tuple[Int, Int]:
    """Return (number of levels at keys <= ``last_key``, at most ``limit``; the key of the last of them)."""
    pages, n_pages = book.pages, book.meta[N_PAGES]
    count: Int = np.int64(0)
    end: Int = np.int64(-1)
    page = book.meta[FIRST_PAGE + s]
    while page < n_pages and page << PAGE_BITS <= last_key:
        slot = book.slots[s, page]
        filled = pages[slot, SUMMARY]
        while filled != 0:
            w = lowest_bit(filled)
            filled &= filled - 1
            base = (page << PAGE_BITS) + (w << 6)
            if base > last_key:
                return count, end
            word = pages[slot, WORDS + w]
            if base + 63 > last_key:
                word &= up_to_bit(last_key - base)
            here = count_bits(word)
            if here == 0:
                return count, end
            for _ in range(count + here - limit):  # more than asked for: drop the farthest
                word &= ~(np.int64(1) << (63 - _leading(word)))
            count = min(count + here, limit)
            end = base + 63 - _leading(word)
            if count == limit:
                return count, end
        page = next_page(book, s, page + 1)
    return count, end


@njit(cache=True)
def _leading(word: Int) -> Int:
    """Return the number of zero bits above the highest set bit of a nonzero word."""
    below = np.uint64(word)
    for shift in (1, 2, 4, 8, 16, 32):
        below |= below >> np.uint64(shift)
    return 64 - count_bits(np.int64(below))


@njit(cache=True)
def lots_between(book: BookState, s: Int, first_key: Int, last_key: Int) -> Int:
    """Return the sum of the lots at keys ``first_key`` … ``last_key``."""
    pages = book.pages
    total = np.int64(0)
    page = next_page(book, s, first_key >> PAGE_BITS)
    while page <= last_key >> PAGE_BITS:
        slot = book.slots[s, page]
        base = page << PAGE_BITS
        lo = max(first_key - base, 0)
        hi = min(last_key - base, PAGE_TICKS - 1)
        for w in range(lo >> 6, (hi >> 6) + 1):
            word = pages[slot, WORDS + w]
            a = max(lo, w << 6)
            b = min(hi, (w << 6) + 63)
            word &= from_bit(a & 63) & up_to_bit(b & 63)
            if count_bits(word) >= _DENSE:
                for tick in range(a, b + 1):
                    total += pages[slot, tick]
            else:
                while word != 0:
                    total += pages[slot, (w << 6) + lowest_bit(word)]
                    word &= word - 1
        page = next_page(book, s, page + 1)
    return total


@njit(cache=True)
def _side_depths(book: BookState, s: Int, best: Int, m2: Int, limit: Int, out: Int64Array) -> bool:
    """Write the three depths of a side; return whether they are truncated."""
    reach = max(4, 4 * m2 // 20_000)
    count, end = levels_up_to(book, s, best + reach, limit)
    first = best
    total = np.int64(0)
    for i in range(3):
        n = BPS_DEPTHS[i]
        last = min(end, best + max(n, n * m2 // 20_000))
        if last >= first:
            total += lots_between(book, s, first, last)
            first = last + 1
        out[i] = total
    return count == min(limit, book.meta[LEVELS + s])


@njit(cache=True)
def fill_levels(book: BookState, depth_limit: Int, row: Int64Array) -> None:
    """Write the level, depth and ``truncated`` columns of ``row`` from the book."""
    n_bid = collect(book, 0, min(STORED, depth_limit), row[BID_TICKS:BID_LOTS], row[BID_LOTS:ASK_TICKS])
    n_ask = collect(book, 1, min(STORED, depth_limit), row[ASK_TICKS:ASK_LOTS], row[ASK_LOTS : ASK_LOTS + STORED])
    bid_key, ask_key = row[BID_TICKS], row[ASK_TICKS]
    flip = book.meta[FLIP]
    for k in range(n_bid):
        row[BID_TICKS + k] ^= flip
    for k in range(n_bid, STORED):
        row[BID_TICKS + k] = -1
        row[BID_LOTS + k] = 0
    for k in range(n_ask, STORED):
        row[ASK_TICKS + k] = -1
        row[ASK_LOTS + k] = 0
    row[_BID_DEPTH : _BID_DEPTH + 3] = 0
    row[_ASK_DEPTH : _ASK_DEPTH + 3] = 0
    row[_TRUNCATED] = 0
    if n_bid > 0 and n_ask > 0:
        m2 = row[BID_TICKS] + row[ASK_TICKS]
        short_bid = _side_depths(book, 0, bid_key, m2, depth_limit, row[_BID_DEPTH : _BID_DEPTH + 3])
        short_ask = _side_depths(book, 1, ask_key, m2, depth_limit, row[_ASK_DEPTH : _ASK_DEPTH + 3])
        row[_TRUNCATED] = short_bid or short_ask
