"""The levels and basis-point depths of one row: what a book shows at an instant.

``D_n`` of a side is the sum of the lots whose price lies within ``max(n, floor(n · M2 / 20000))`` ticks of that side's
best (FEATURES.md, depth_imbalance_1bps_ratio), over at most ``depth_limit`` levels; a row is ``truncated`` when the
last known level, at most ``depth_limit``, of a side lies inside its 4 bps window. Where a side is empty there is no M2:
depths are 0 and nothing is truncated.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int, count_bits, highest_bit, lowest_bit, nth_bit, up_to_bit
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
_DENSE = 12  # ticks a level: on a denser ladder adding up every tick is quicker than finding the levels


@njit(cache=True)
def levels_up_to(book: BookState, s: Int, last_key: Int, limit: Int) -> tuple[Int, Int]:
    """Return (number of levels at keys <= ``last_key``, at most ``limit``; the key of the last of them or -1)."""
    pages, n_pages = book.pages, book.meta[N_PAGES]
    count: Int = np.int64(0)
    far_word: Int = np.int64(0)
    far_base: Int = np.int64(0)
    page = book.meta[FIRST_PAGE + s]
    while page < n_pages and page << PAGE_BITS <= last_key and count < limit:
        slot = book.slots[s, page]
        filled = pages[slot, SUMMARY]
        while filled != 0 and count < limit:
            w = lowest_bit(filled)
            filled &= filled - 1
            base = (page << PAGE_BITS) + (w << 6)
            if base > last_key:
                break
            word = pages[slot, WORDS + w]
            if base + 63 > last_key:
                word &= up_to_bit(last_key - base)
            if word != 0:
                count += count_bits(word)
                far_word, far_base = word, base
        page = next_page(book, s, page + 1)
    if count == 0:
        return count, np.int64(-1)
    if count > limit:  # the last word holds more than asked for
        return limit, far_base + nth_bit(far_word, count_bits(far_word) - (count - limit))
    return count, far_base + highest_bit(far_word)


@njit(cache=True)
def _add_ticks(book: BookState, s: Int, best: Int, reach: Int64Array, end: Int, out: Int64Array) -> None:
    """Write the lots at keys ``best`` … min(``end``, reach) of each window: every tick, in vector code."""
    for page in range(best >> PAGE_BITS, (end >> PAGE_BITS) + 1):
        slot = book.slots[s, page]
        if slot >= 0:
            base = page << PAGE_BITS
            lo = max(best - base, 0)
            for i in range(3):
                stop = min(min(reach[i], end) - base, PAGE_TICKS - 1) + 1
                total = np.int64(0)
                for tick in range(np.uint64(lo), np.uint64(max(lo, stop))):  # unsigned: no test for a negative index
                    total += book.pages[slot, tick]
                out[i] += total
                lo = max(lo, stop)
    out[1] += out[0]
    out[2] += out[1]


@njit(cache=True)
def _add_levels(book: BookState, s: Int, reach: Int64Array, end: Int, out: Int64Array) -> None:
    """Add the lots of every level up to key ``end`` to each window of ``out`` whose ``reach`` it lies within."""
    pages = book.pages
    page = book.meta[FIRST_PAGE + s]
    while page <= end >> PAGE_BITS:
        slot = book.slots[s, page]
        filled = pages[slot, SUMMARY]
        while filled != 0:
            w = lowest_bit(filled)
            filled &= filled - 1
            word = pages[slot, WORDS + w]
            while word != 0:
                tick = (w << 6) + lowest_bit(word)
                word &= word - 1
                key = (page << PAGE_BITS) + tick
                if key > end:
                    return
                for i in range(3):
                    if key <= reach[i]:
                        out[i] += pages[slot, tick]
        page = next_page(book, s, page + 1)


@njit(cache=True)
def _side_depths(book: BookState, s: Int, best: Int, m2: Int, limit: Int, reach: Int64Array, out: Int64Array) -> bool:
    """Write the three depths of a side into ``out`` (zeroed); return whether they are truncated."""
    for i in range(3):
        reach[i] = best + max(BPS_DEPTHS[i], BPS_DEPTHS[i] * m2 // 20_000)
    count, end = levels_up_to(book, s, reach[2], limit)
    if count * _DENSE < end - best:
        _add_levels(book, s, reach, end, out)
    else:
        _add_ticks(book, s, best, reach, end, out)
    return count == min(limit, book.meta[LEVELS + s])


@njit(cache=True)
def fill_levels(book: BookState, depth_limit: Int, row: Int64Array, reach: Int64Array) -> None:
    """Write the level, depth and ``truncated`` columns of ``row`` from the book; ``reach`` int64 (3,) is scratch."""
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
    for i in range(3):
        row[_BID_DEPTH + i] = 0
        row[_ASK_DEPTH + i] = 0
    row[_TRUNCATED] = 0
    if n_bid > 0 and n_ask > 0:
        m2 = row[BID_TICKS] + row[ASK_TICKS]
        short_bid = _side_depths(book, 0, bid_key, m2, depth_limit, reach, row[_BID_DEPTH : _BID_DEPTH + 3])
        short_ask = _side_depths(book, 1, ask_key, m2, depth_limit, reach, row[_ASK_DEPTH : _ASK_DEPTH + 3])
        row[_TRUNCATED] = short_bid or short_ask
