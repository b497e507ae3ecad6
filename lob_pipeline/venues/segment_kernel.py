"""A recorder's lines, unwrapped where they stand: the prefix becomes spaces, so offsets stay those of the file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit

_NEWLINE, _SPACE, _HASH, _BANG, _EQUALS = 10, 32, 35, 33, 61
_ZERO, _NINE = 48, 57
_STAMP_DIGITS = 19  # nanoseconds UTC, 2001 to 2255


@njit(cache=True)
def _six_bits(byte: int) -> int:  # pragma: no cover - compiled
    """Return the value of a base64 digit, -1 where it is none."""
    if 65 <= byte <= 90:
        return byte - 65
    if 97 <= byte <= 122:
        return byte - 71
    if 48 <= byte <= 57:
        return byte + 4
    if byte == 43:
        return 62
    return 63 if byte == 47 else -1


@njit(cache=True)
def _decode_base64(data: npt.NDArray[np.uint8], start: int, end: int) -> int:  # pragma: no cover - compiled
    """Decode ``data[start:end]`` in place, newlines as spaces, the rest spaces. Returns -1, or the byte it fails at."""
    bits, held, out = 0, 0, start
    for i in range(start, end):
        value = _six_bits(data[i])
        if value < 0:
            if data[i] == _EQUALS and i >= end - 2:
                break
            return i
        bits = (bits << 6) | value
        held += 6
        if held >= 8:
            held -= 8
            byte = (bits >> held) & 255
            data[out] = _SPACE if byte == _NEWLINE or byte == 13 else byte
            out += 1
            bits &= (1 << held) - 1
    data[out:end] = _SPACE
    return -1


@njit(cache=True)
def unwrap(
    data: npt.NDArray[np.uint8], size: int, recv_ns: npt.NDArray[np.int64], unread: npt.NDArray[np.int64]
) -> tuple[int, int]:  # pragma: no cover - compiled
    """Blank the prefixes of the whole lines in ``data[:size]``; fill ``recv_ns`` (one a line, 0 for notes).

    Lines that hold no readable message (notes, ``!``) become blank; ``unread[0]`` counts the latter.
    Returns (lines, -1), or (lines before, position) of the byte that is not as the recorder writes it.
    """
    p, lines = 0, 0
    while p < size:
        end = p
        while data[end] != _NEWLINE:
            end += 1
        if data[p] == _HASH:
            data[p:end] = _SPACE
            recv_ns[lines] = 0
            lines += 1
            p = end + 1
            continue
        q, stamp = p, 0
        while q < end and 48 <= data[q] <= 57 and q - p < _STAMP_DIGITS:
            stamp = stamp * 10 + (data[q] - 48)
            q += 1
        if q - p != _STAMP_DIGITS or data[q] != _SPACE:
            return lines, q
        if data[p] == _ZERO or data[p] == _NINE:  # an int64 ends at 9.22e18: 2262
            return lines, p
        q += 1
        start = q
        while q < end and 48 <= data[q] <= 57:
            q += 1
        if q == start or data[q] != _SPACE:
            return lines, q
        q += 1
        recv_ns[lines] = stamp
        data[p:q] = _SPACE
        if data[q] == _BANG:
            data[q:end] = _SPACE
            unread[0] += 1
        elif data[q] == _EQUALS:
            data[q] = _SPACE
            wrong = _decode_base64(data, q + 1, end)
            if wrong >= 0:
                return lines, wrong
        lines += 1
        p = end + 1
    return lines, -1
