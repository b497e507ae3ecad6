"""Decimal strings, scanned: from digits to whole ticks and lots, exactly, or not at all."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, trailing_zeros, word_at
from lob_pipeline.venues.scan import ABOVE_9, MARKS, MAX_DIGITS, ONES, POW10, ZEROS, join_digits, skip_space

_QUOTE = 34
_DOT = 46
_DOTS = np.uint64(0x1E1E1E1E1E1E1E1E)  # '.' with the bits of '0' taken out


@njit(cache=True, error_model="numpy")
def _scan_units_bytewise(p: int, scale: int, step: int) -> tuple[int, int, bool]:
    """``scan_units`` for numbers of any length that fits an int64, a byte at a time."""
    start = p
    value = 0
    while 48 <= byte_at(p) <= 57:
        value = value * 10 + (byte_at(p) - 48)
        p += 1
    if p == start or p - start + scale > MAX_DIGITS:
        return ~start, 0, False
    exact = True
    missing = scale
    if byte_at(p) == _DOT:
        p += 1
        point = p
        while missing > 0 and 48 <= byte_at(p) <= 57:
            value = value * 10 + (byte_at(p) - 48)
            missing -= 1
            p += 1
        while 48 <= byte_at(p) <= 57:
            exact &= byte_at(p) == 48
            p += 1
        if p == point:
            return ~p, 0, False
    value *= POW10[missing]
    units = value // step
    return p, units, exact and units * step == value


@njit(cache=True, error_model="numpy", inline="always")
def scan_units(p: int, scale: int, step: int) -> tuple[int, int, bool]:
    """Read ``digits[.digits]`` at ``p`` as whole units of ``step * 10**-scale``.

    Returns (address after, units rounded down, exact). Digits are scaled, never divided as floats. Numbers of up to
    eight characters are read as one word, without a branch on their form: the point is taken out, the digits joined.
    """
    word = word_at(p) ^ ZEROS
    marks = ((word + ABOVE_9) | word) & MARKS
    whole = trailing_zeros(marks) >> 3
    dots = word ^ _DOTS
    dots = (dots - ONES) & ~dots & marks & (~marks + np.uint64(1))  # the lowest mark, where it is a point
    point = 1 if dots != 0 else 0
    length = trailing_zeros(marks & ~dots) >> 3
    digits = length - point
    places = digits - whole
    if whole == 0 or scale > 8 or places < point or (length == 8 and byte_at(p + 8) != _QUOTE):
        return _scan_units_bytewise(p, scale, step)
    low = np.uint64(64 - 8 * whole)
    high = np.uint64(8 * whole * point)
    joined = (word << low) >> low
    joined |= (((word >> high) >> np.uint64(8)) << high) * np.uint64(point)
    joined <<= np.uint64(64 - 8 * digits)
    drop = max(0, places - scale)
    exact = (joined >> np.uint64(8)) >> np.uint64(56 - 8 * drop) == np.uint64(0)
    value = join_digits(joined << np.uint64(8 * drop)) * POW10[max(0, scale - places)]
    if step != 1:
        units = value // step
        exact &= units * step == value
        value = units
    return p + length, value, exact


@njit(cache=True, inline="always")
def scan_quoted_units(p: int, scale: int, step: int) -> tuple[int, int, bool]:
    """Read a quoted decimal at ``p`` (``"65114.20"``) as whole units; see ``scan_units``."""
    if byte_at(p) != _QUOTE:
        p = skip_space(p)
        if byte_at(p) != _QUOTE:
            return ~p, 0, False
    end, value, exact = scan_units(p + 1, scale, step)
    if end >= 0:
        if byte_at(end) != _QUOTE:
            return ~end, 0, False
        end += 1
    return end, value, exact
