"""The book's memory: a paged ladder of prices with bitmaps, one for each side.

A price becomes a *key* that grows away from the touch: ``key = price`` for asks, ``key = price ^ flip`` for bids,
where ``flip = range - 1`` and the range is a power of two. So both sides run on one code path: the best level has the
smallest key. Keys are split into pages of 1024 ticks; a page is taken from the pool when its first level appears and
given back some time after its last one went (``pool``), so a book whose levels reach from 1,000.00 to 100,000.00
costs 8 KiB a populated page and not 80 MB a side. Three bitmaps find the next level without looking at empty ticks:
pages of a side, words of a page, ticks of a word.

This module allocates, copies and serialises; ``pool.py`` grows. Only ``kernel.py`` changes which levels a book holds.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError

Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

PAGE_BITS = 10
PAGE_TICKS = 1 << PAGE_BITS
MAX_PRICE_TICKS = 1 << 31
MIN_RANGE = 1 << 16
TOP = 10  # levels a side that are kept ready after every message: the flow columns need ten
NO_KEY = np.int64(1 << 62)  # the key of an absent level: worse than any price

# columns of a page after its 1024 sizes
WORDS = PAGE_TICKS  # 16 words: which ticks hold a level
SUMMARY = WORDS + PAGE_TICKS // 64  # marks every word that is not empty, and some that are
STACK = SUMMARY + 1  # row i holds entry i of the stack of free pages (nothing of page i itself)
PAGE_WIDTH = STACK + 7  # whole cache lines

# meta: the scalars of a book; where two follow, the bid's then the ask's
FREE = 0  # entries on the stack of free pages
N_PAGES = 1  # pages of the price range of a side
LEVELS = 2  # number of levels
FIRST_PAGE = 4  # first page in use (N_PAGES where there is none)
REACH = 6  # a change at a key up to this one can change the top
DIRTY = 8  # 1 when a size in the top may have changed, more when a level came or went there
FLIP = 10  # price ^ flip = key
META = 12

_HEADER = struct.Struct("<4sqq")
_MAGIC = b"LBK1"


class BookState(NamedTuple):
    """A book. Few arrays, because every call into compiled code passes them all; side index 0 is the bid, 1 the ask.

    ``pages`` int64 (pool, PAGE_WIDTH): sizes in lots, bitmaps. ``slots`` int64 (2, N_PAGES + N_PAGES / 64): the pool
    row of each page of the range, -1 not in use, then the bitmap of pages in use. ``top`` int64 (2, 2, TOP): keys and
    lots of the ten best levels (NO_KEY and 0 where thinner). ``meta`` int64 (META,).
    """

    pages: Int64Array
    slots: Int64Array
    top: Int64Array
    meta: Int64Array


def new_book(pages: int = 16, price_range: int = MIN_RANGE) -> BookState:
    """Return an empty book with ``pages`` pages for prices below ``price_range`` ticks (a power of two >= 65,536)."""
    n_pages = price_range >> PAGE_BITS
    meta = np.zeros(META, np.int64)
    meta[FREE] = pages
    meta[N_PAGES] = n_pages
    meta[FIRST_PAGE : FIRST_PAGE + 2] = n_pages
    meta[REACH : REACH + 2] = NO_KEY
    meta[FLIP] = price_range - 1
    pool = np.zeros((pages, PAGE_WIDTH), np.int64)
    pool[:, STACK] = np.arange(pages - 1, -1, -1)
    index = np.full((2, n_pages + (n_pages >> 6)), -1, np.int64)
    index[:, n_pages:] = 0
    top = np.zeros((2, 2, TOP), np.int64)
    top[:, 0] = NO_KEY
    return BookState(pool, index, top, meta)


def copy_book(book: BookState) -> BookState:
    """Return an independent copy."""
    return BookState(*(a.copy() for a in book))


def book_to_bytes(side: Int8Array, price_ticks: Int64Array, size_lots: Int64Array) -> bytes:
    """Serialise the level rows of ``kernel.book_levels``: count, then sides, prices and sizes, little endian."""
    n = len(price_ticks)
    body = side.astype("<i1").tobytes() + price_ticks.astype("<i8").tobytes() + size_lots.astype("<i8").tobytes()
    return _HEADER.pack(_MAGIC, n, len(body)) + body


def levels_from_bytes(data: bytes) -> tuple[Int8Array, Int64Array, Int64Array]:
    """Return the (side, price_ticks, size_lots) that ``book_to_bytes`` wrote. Raises ``BadInputError`` otherwise."""
    if len(data) >= _HEADER.size:
        magic, n, size = _HEADER.unpack_from(data)
        if magic == _MAGIC and n >= 0 and size == 17 * n and len(data) == _HEADER.size + size:
            at = _HEADER.size
            side = np.frombuffer(data, "<i1", n, at).astype(np.int8)
            price = np.frombuffer(data, "<i8", n, at + n).astype(np.int64)
            return side, price, np.frombuffer(data, "<i8", n, at + 9 * n).astype(np.int64)
    raise BadInputError(f"these {len(data)} bytes are no saved book: save it again with book_to_bytes")
