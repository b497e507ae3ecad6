"""LOBSTER's two files, scanned: messages and book rows, comma-separated whole numbers and one time a line."""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, put
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.venues.scan import POW10, scan_digits

TIME_NS, TYPE, ORDER_ID, SIZE, PRICE, DIRECTION, AT, MESSAGE_COLUMNS = range(8)
"""Columns of a scanned message: time since midnight in ns, the file's own numbers, the line's byte in the piece."""

_COMMA, _POINT, _MINUS, _LF, _CR = 44, 46, 45, 10, 13
_SECONDS_DIGITS = 5
_NS_DIGITS = 9


@njit(cache=True)
def _line_end(p: int) -> int:
    """Return the address after the line end at ``p``."""
    if byte_at(p) == _CR:
        p += 1
    return p + 1 if byte_at(p) == _LF else ~p


@njit(cache=True)
def _time(p: int) -> tuple[int, int]:
    """Return (address after, nanoseconds) of decimal seconds since midnight, at most nine decimals."""
    p, value = scan_digits(p, _SECONDS_DIGITS)
    if p < 0 or value >= 86_400:
        return (p if p < 0 else ~p), 0
    value *= NS_PER_S
    if byte_at(p) == _POINT:
        start = p + 1
        p, fraction = scan_digits(start, 18)
        if p < 0:
            return p, 0
        places = p - start
        if places <= _NS_DIGITS:
            value += fraction * POW10[_NS_DIGITS - places]
        elif fraction % POW10[places - _NS_DIGITS] == 0:
            value += fraction // POW10[places - _NS_DIGITS]
        else:
            return ~start, 0
    return p, value


@njit(cache=True)
def _whole(p: int) -> tuple[int, int]:
    """Return (address after, value) of an integer with an optional minus."""
    negative = byte_at(p) == _MINUS
    p, value = scan_digits(p + 1 if negative else p, 18)
    return p, -value if negative else value


@njit(cache=True)
def scan_messages(base: int, start: int, end: int, out: int) -> tuple[int, int, int]:
    """Read message lines from ``base + start`` to ``base + end`` into rows of ``MESSAGE_COLUMNS`` int64 at ``out``.

    Returns (position of the first line not read, rows, position of the byte not understood, -1 when all were read).
    """
    p, n = base + start, 0
    while p < base + end:
        line = p
        row = out + 8 * MESSAGE_COLUMNS * n
        p, value = _time(p)
        put(row, TIME_NS, value)
        column = TYPE
        while p >= 0 and column <= DIRECTION:
            if byte_at(p) != _COMMA:
                p = ~p
                break
            p, value = _whole(p + 1)
            put(row, column, value)
            column += 1
        if p >= 0:
            p = _line_end(p)
        if p < 0:
            return line - base, n, ~p - base
        put(row, AT, line - base)
        n += 1
    return p - base, n, -1


@njit(cache=True)
def scan_book_rows(base: int, start: int, end: int, columns: int, most: int, out: int) -> tuple[int, int, int]:
    """Read at most ``most`` book lines of ``columns`` integers each into int64 rows at ``out``; returns as above."""
    p, n = base + start, 0
    while p < base + end and n < most:
        line = p
        for column in range(columns):
            if column > 0:
                if byte_at(p) != _COMMA:
                    p = ~p
                    break
                p += 1
            p, value = _whole(p)
            if p < 0:
                break
            put(out, n * columns + column, value)
        if p >= 0:
            p = _line_end(p)
        if p < 0:
            return line - base, n, ~p - base
        n += 1
    return p - base, n, -1
