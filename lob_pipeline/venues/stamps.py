"""Times as venues and recorders write them, from digits to nanoseconds UTC, exactly.

Each form has its own number of digits, and any other number is not understood: that is what keeps seconds,
milliseconds and microseconds apart. The forms reach from 2001 to 2255, where an int64 of nanoseconds nearly ends.
"""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, put
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from lob_pipeline.venues.scan import POW10, scan_digits

_NS_DIGITS = 9


@njit(cache=True)
def _whole(p: int) -> tuple[int, int, int]:
    """Return (address after, value, digits) of at most 19 digits that start with 1 to 8: none of them overflows."""
    end, value = scan_digits(p, 19)
    if end < 0 or byte_at(p) == 48 or byte_at(p) == 57:
        return ~p, 0, 0
    return end, value, end - p


@njit(cache=True)
def _fraction(p: int, places: int) -> tuple[int, int]:
    """Return (address after, value scaled to ``places``) of an optional ``.digits``; further digits must be 0."""
    if byte_at(p) != 46:
        return p, 0
    p += 1
    start = p
    value = 0
    while 48 <= byte_at(p) <= 57:
        if p - start < places:
            value = value * 10 + (byte_at(p) - 48)
        elif byte_at(p) != 48:
            return ~p, 0
        p += 1
    if p == start:
        return ~p, 0
    return p, value * POW10[max(0, places - (p - start))]


@njit(cache=True)
def scan_ms(p: int) -> tuple[int, int]:
    """Return (address after, nanoseconds) of 13 digits of milliseconds: exchange times."""
    end, value, digits = _whole(p)
    if end < 0 or digits != 13:
        return ~p, 0
    return end, value * NS_PER_MS


@njit(cache=True)
def scan_ms_or_us(p: int) -> tuple[int, int]:
    """Return (address after, nanoseconds) of 13 digits of milliseconds or 16 of microseconds (Binance, on request)."""
    end, value, digits = _whole(p)
    if end >= 0 and digits == 13:
        return end, value * NS_PER_MS
    if end >= 0 and digits == 16:
        return end, value * NS_PER_US
    return ~p, 0


@njit(cache=True)
def scan_recv_stamp(p: int) -> tuple[int, int]:
    """Return (address after, nanoseconds) of a recorder's stamp: 16 digits of microseconds or 19 of nanoseconds."""
    end, value, digits = _whole(p)
    if end >= 0 and digits == 19:
        return end, value
    if end >= 0 and digits == 16:
        return end, value * NS_PER_US
    return ~p, 0


@njit(cache=True)
def scan_seconds(p: int) -> tuple[int, int]:
    """Return (address after, nanoseconds) of decimal seconds: 10 digits and an optional fraction."""
    end, value, digits = _whole(p)
    if end < 0 or digits != 10:
        return ~p, 0
    end, rest = _fraction(end, _NS_DIGITS)
    return end, value * NS_PER_S + rest


@njit(cache=True)
def scan_seconds_or_ms(p: int) -> tuple[int, int]:
    """Return (address after, nanoseconds) of decimal seconds (10 digits) or milliseconds (13): ``ts_local``."""
    end, value, digits = _whole(p)
    if end >= 0 and digits == 13:
        end, rest = _fraction(end, 6)
        return end, value * NS_PER_MS + rest
    return scan_seconds(p)


@njit(cache=True)
def scan_seconds_lines(p: int, end: int, out: int) -> tuple[int, int]:
    """Read one stamp a line from the bytes ``p`` to ``end`` into the int64 array at ``out``.

    Returns (address, lines); the address is ``end`` when every line was read, else that of the unreadable byte.
    """
    n = 0
    while p < end:
        p, stamp_ns = scan_seconds(p)
        if p < 0:
            return ~p, n
        if byte_at(p) == 13:
            p += 1
        if byte_at(p) != 10:
            return p, n
        put(out, n, stamp_ns)
        p += 1
        n += 1
    return p, n
