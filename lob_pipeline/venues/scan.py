"""Byte scanner: the tokens of JSON and CSV lines, straight from the buffer to integers. No floats, no allocation.

Every function takes the address ``p`` of a byte and returns the address after its token. A negative return is ``~p`` of
the first byte it did not understand: the caller hands that line to the slow, complete reader of its venue, which
decodes it or names the error. So nothing here guesses, and nothing is skipped.

Every line ends in a newline, no token contains one and no function steps over one: that is what bounds every loop.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, trailing_zeros, word_at

MAX_DIGITS = 18
"""Digits of a number that an int64 surely holds."""

POW10 = np.array([10**k for k in range(MAX_DIGITS + 1)], dtype=np.int64)

_QUOTE = 34
_COMMA = 44

# Eight bytes at once: '0' in each; the carry that marks one above 9; the marks; the factors that join digits by pairs.
ZEROS = np.uint64(0x3030303030303030)
ABOVE_9 = np.uint64(0x7676767676767676)
MARKS = np.uint64(0x8080808080808080)
_PAIRS = np.uint64(0x000000FF000000FF)
_JOIN_HIGH = np.uint64(0x000F424000000064)
_JOIN_LOW = np.uint64(0x0000271000000001)
ONES = np.uint64(0x0101010101010101)
QUOTES = np.uint64(0x2222222222222222)
_BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_BLANKS = np.uint64(0x2020202020202020)


@njit(cache=True)
def join_digits(word: np.uint64) -> int:
    """Return the number of eight digit values, the first one in the lowest byte."""
    pairs = word * np.uint64(10) + (word >> np.uint64(8))
    high = (pairs & _PAIRS) * _JOIN_HIGH
    low = ((pairs >> np.uint64(16)) & _PAIRS) * _JOIN_LOW
    return np.int64((high + low) >> np.uint64(32))  # type: ignore[return-value]


@njit(cache=True)
def skip_space(p: int) -> int:
    """Return the address of the first byte at or after ``p`` that is no blank, tab or carriage return."""
    while byte_at(p) == 32 or byte_at(p) == 9 or byte_at(p) == 13:
        p += 1
    return p


@njit(cache=True)
def scan_mark(p: int, mark: int) -> int:
    """Return the address after the byte ``mark``, blanks before it allowed."""
    if byte_at(p) != mark:
        p = skip_space(p)
        if byte_at(p) != mark:
            return ~p
    return p + 1


@njit(cache=True)
def scan_string(p: int) -> int:
    """Return the address after the string that opens at ``p``; escapes and non-ASCII are not understood here."""
    if byte_at(p) != _QUOTE:
        return ~p
    p += 1
    while True:
        word = word_at(p)
        quote = word ^ QUOTES
        escape = word ^ _BACKSLASHES
        # A byte is zero where (x - 1) & ~x has its top bit; the lowest such mark is exact.
        marks = ((quote - ONES) & ~quote) | ((escape - ONES) & ~escape) | ((word - _BLANKS) & ~word) | word
        marks &= MARKS
        if marks != 0:
            p += trailing_zeros(marks) >> 3
            return p + 1 if byte_at(p) == _QUOTE else ~p
        p += 8


@njit(cache=True)
def scan_digits(p: int, most: int) -> tuple[int, int]:
    """Return (address after, value) of the digits at ``p``: 1 to ``most`` (at most 19) of them, else not understood.

    A value of 19 digits may exceed an int64 and wrap: the caller looks at the first digit.
    """
    start = p
    value = 0
    while p - start <= most:
        word = word_at(p) ^ ZEROS
        count = trailing_zeros(((word + ABOVE_9) | word) & MARKS) >> 3
        if count < 8:
            if count > 0:
                value = value * POW10[count] + join_digits(word << np.uint64(64 - 8 * count))
            p += count
            break
        value = value * 100_000_000 + join_digits(word)
        p += 8
    if p == start or p - start > most:
        return ~start, 0
    return p, value


@njit(cache=True)
def scan_int(p: int) -> tuple[int, int]:
    """Return (address after, value) of the non-negative JSON integer at ``p``: no sign, no leading zero."""
    end, value = scan_digits(p, MAX_DIGITS)
    if byte_at(p) == 48 and end > p + 1:
        return ~p, 0
    return end, value


@njit(cache=True)
def same(p: int, end: int, name: int, length: int) -> bool:
    """Whether the bytes from ``p`` to ``end`` equal the ``length`` bytes at ``name``."""
    if end - p != length:
        return False
    for k in range(length):  # noqa: SIM110  numba has no generators
        if byte_at(p + k) != byte_at(name + k):
            return False
    return True
