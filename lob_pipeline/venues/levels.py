"""Price levels, scanned: nearly all bytes of a recorded book are these, so this loop is what decoding costs.

Prices of one message nearly always look alike: as many characters, the point in the same place. So a level is read in
the look of the one before it, ``["65114.20","0.517"],``: where its size begins is known before its price is understood,
and both are worked out side by side. A level that looks otherwise is read token by token, with the same rows.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put, put_byte, trailing_zeros, word_at
from lob_pipeline.venues.decimals import scan_quoted_units
from lob_pipeline.venues.job import (
    LOT_SCALE,
    LOT_STEP,
    PRICE_SCALE,
    PRICE_STEP,
    PRICES_AT,
    ROUND_OFF,
    SIDES_AT,
    SIZES_AT,
)
from lob_pipeline.venues.scan import ABOVE_9, MARKS, ONES, POW10, QUOTES, ZEROS, join_digits, scan_mark, skip_space

_COMMA = 44
_OPEN = 91
_CLOSE = 93
_TWO, _THREE = np.uint64(0xFFFF), np.uint64(0xFFFFFF)
_BEFORE_PRICE = np.uint64(int.from_bytes(b'["', "little"))
_BETWEEN = np.uint64(int.from_bytes(b'","', "little"))
_AFTER_SIZE = np.uint64(int.from_bytes(b'"],', "little"))
_AFTER_LAST = np.uint64(int.from_bytes(b'"]]', "little"))
_ALL, _BYTE, _POINT, _ONE = np.uint64(2**64 - 1), np.uint64(255), np.uint64(0x1E), np.uint64(1)  # '.' ^ '0' is 0x1E
_MOST_PLACES = 6
_WIDEST = 9  # characters of a price: a word and one digit before it


@njit(cache=True, inline="always")
def _quote_at(word: np.uint64) -> int:
    """Return the place of the first quote in a word, 8 without one."""
    quotes = word ^ QUOTES
    return trailing_zeros((quotes - ONES) & ~quotes & MARKS) >> 3


@njit(cache=True)
def _scan_level(
    p: int, price_scale: int, price_step: int, lot_scale: int, lot_step: int, round_off: int
) -> tuple[int, int, int, int]:
    """Read one level of any form at ``p``. Returns (address after, ticks, lots, sizes rounded down)."""
    p = scan_mark(p, _OPEN)
    if p < 0:
        return p, 0, 0, 0
    at = p
    p, price, exact = scan_quoted_units(p, price_scale, price_step)
    if p < 0:
        return p, 0, 0, 0
    if not exact or price == 0:
        return ~at, 0, 0, 0
    p = scan_mark(p, _COMMA)
    if p < 0:
        return p, 0, 0, 0
    at = p
    p, size, exact = scan_quoted_units(p, lot_scale, lot_step)
    if p < 0:
        return p, 0, 0, 0
    if not exact and round_off == 0:
        return ~at, 0, 0, 0
    return scan_mark(p, _CLOSE), price, size, 0 if exact else 1


@njit(cache=True, inline="always")
def _point_mask(places: int) -> np.uint64:
    """Return the byte that holds the point of a number whose last character is the highest byte of a word."""
    return _BYTE << np.uint64(56 - 8 * places)


@njit(cache=True, inline="always")
def _without_point(word: np.uint64, point: np.uint64) -> np.uint64:
    """Close the gap that the point leaves."""
    below = (point & (~point + _ONE)) - _ONE
    return (word & ~(point | below)) | ((word & below) << np.uint64(8))


@njit(cache=True)
def _look(p: int) -> tuple[int, int]:
    """Return (characters, places behind the point) of the quoted price that begins at ``p``; (0, 0) of other looks."""
    width = 0
    whole = 0
    while width <= _WIDEST and byte_at(p + width) != 34 and byte_at(p + width) != 10:
        if byte_at(p + width) == 46:
            whole = width
        width += 1
    places = width - 1 - whole
    return (width, places) if whole > 0 and width <= _WIDEST and 0 < places <= _MOST_PLACES else (0, 0)


@njit(cache=True)
def scan_levels(p: int, side: int, job: int, n: int) -> tuple[int, int, int]:
    """Read ``[["price","size"],…]`` at ``p`` into the level rows of ``job`` from row ``n``.

    Returns (address after, rows after, sizes rounded down). A price that is zero or off the grid is not understood,
    nor is a size off the grid where the job does not round.
    """
    price_scale, price_step, lot_scale, lot_step = (
        get(job, PRICE_SCALE),
        get(job, PRICE_STEP),
        get(job, LOT_SCALE),
        get(job, LOT_STEP),
    )
    sides, prices, sizes, round_off = get(job, SIDES_AT), get(job, PRICES_AT), get(job, SIZES_AT), get(job, ROUND_OFF)
    rounded = 0
    p = scan_mark(p, _OPEN)
    if p < 0:
        return p, n, 0
    p = skip_space(p)
    if byte_at(p) == _CLOSE:
        return p + 1, n, 0
    plain = price_step == 1 and lot_step == 1 and price_scale <= _MOST_PLACES and lot_scale <= _MOST_PLACES
    size_point = _point_mask(lot_scale)
    size_is_point = (_POINT * ONES) & size_point if lot_scale > 0 else _ALL  # no size of whole coins has a point
    whole_lots = POW10[lot_scale] if plain else 1
    while True:
        width, places = _look(p + 2) if plain else (0, 0)
        if width > 0:
            price_point = _point_mask(places)
            price_is_point = (_POINT * ONES) & price_point
            more = width - 8
            to_end = np.uint64(max(0, -8 * more))
            surplus = max(0, places - price_scale)
            drop = np.uint64(8 * surplus)
            dropped = ~(_ALL >> drop)
            factor = POW10[max(0, price_scale - places)]
            first_unit = POW10[7 - surplus] if more > 0 else 0
            at_word = 2 + max(0, more)
            while True:
                at = p + 5 + width
                first = np.uint64(byte_at(p + 2)) - np.uint64(48) if more > 0 else np.uint64(0)
                word = (word_at(p + at_word) ^ ZEROS) << to_end
                digits = _without_point(word, price_point)
                lots = word_at(at)
                length = _quote_at(lots)
                end = at + length
                lots = (lots ^ ZEROS) << np.uint64((64 - 8 * length) & 63)
                has_point = lots & size_point == size_is_point
                lot_digits = _without_point(lots, size_point) if has_point else lots
                wrong = ((digits + ABOVE_9) | digits | (lot_digits + ABOVE_9) | lot_digits) & MARKS
                wrong |= (word & price_point) ^ price_is_point
                wrong |= digits & dropped
                wrong |= (word_at(p) & _TWO) ^ _BEFORE_PRICE
                wrong |= (word_at(p + 2 + width) & _THREE) ^ _BETWEEN
                price = (join_digits(digits << drop) + np.int64(first) * first_unit) * factor
                size = join_digits(lot_digits) * (1 if has_point else whole_lots)
                after = word_at(end) & _THREE
                shape = (length > (lot_scale + 1 if has_point else 0)) & (length < 8)
                shape &= (price != 0) & (first < np.uint64(10))
                if wrong != 0 or not shape:
                    break
                if after != _AFTER_SIZE and after != _AFTER_LAST:
                    break
                put_byte(sides, n, side)
                put(prices, n, price)
                put(sizes, n, size)
                n += 1
                p = end + 3
                if after == _AFTER_LAST:
                    return p, n, rounded
        p, price, size, off = _scan_level(p, price_scale, price_step, lot_scale, lot_step, round_off)
        if p < 0:
            return p, n, rounded
        rounded += off
        put_byte(sides, n, side)
        put(prices, n, price)
        put(sizes, n, size)
        n += 1
        if byte_at(p) != _COMMA:
            p = skip_space(p)
            if byte_at(p) == _CLOSE:
                return p + 1, n, rounded
            if byte_at(p) != _COMMA:
                return ~p, n, rounded
        p += 1
