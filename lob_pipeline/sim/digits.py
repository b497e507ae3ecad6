"""Text into a byte buffer inside numba: every function writes at ``n`` and returns the place behind what it wrote."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit

Bytes = npt.NDArray[np.uint8]
_ZERO, _DOT, _E, _PLUS, _DASH = 48, 46, 101, 43, 45
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_NIBBLE = np.uint64(15)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def text(value: str) -> Bytes:
    """Return the bytes of an ASCII string."""
    return np.frombuffer(value.encode("ascii"), np.uint8)


@njit(cache=True)
def put(out: Bytes, n: int, text: Bytes) -> int:
    """Write ``text``."""
    for i in range(text.size):
        out[n + i] = text[i]
    return n + text.size


@njit(cache=True)
def put_int(out: Bytes, n: int, value: int) -> int:
    """Write a whole number of at least 0."""
    end, rest = n + 1, value
    while rest >= 10:
        rest //= 10
        end += 1
    at = end
    while at > n:
        at -= 1
        out[at] = _ZERO + value % 10
        value //= 10
    return end


@njit(cache=True)
def put_decimal(out: Bytes, n: int, value: int, places: int, shown: int) -> int:
    """Write ``value`` / 10^``places`` with at least ``shown`` decimals and no further trailing zeros."""
    scale = 1
    for _ in range(places):
        scale *= 10
    n = put_int(out, n, value // scale)
    rest = value % scale
    if rest == 0 and shown == 0:
        return n
    out[n] = _DOT
    n += 1
    written = 0
    while rest > 0 or written < shown:
        rest *= 10
        out[n] = _ZERO + rest // scale
        rest %= scale
        n += 1
        written += 1
    return n


@njit(cache=True)
def put_exponent(out: Bytes, n: int, value: int, power: int) -> int:
    """Write ``value`` · 10^``power`` (value above 0) in scientific form: 5.205681e+11."""
    end = put_int(out, n + 1, value)  # one place to the right: the point goes behind the first digit
    exponent = power + end - n - 2
    out[n] = out[n + 1]
    out[n + 1] = _DOT
    while out[end - 1] == _ZERO:
        end -= 1
    if end == n + 2:
        end = n + 1
    out[end], out[end + 1] = _E, _PLUS
    end += 2
    if exponent < 10:
        out[end] = _ZERO
        end += 1
    return put_int(out, end, exponent)


@njit(cache=True)
def _mix(value: np.uint64) -> np.uint64:
    """Scramble 64 bits, one to one (SplitMix64's finaliser): different numbers stay different."""
    value = (value ^ (value >> _S30)) * _MIX_1
    value = (value ^ (value >> _S27)) * _MIX_2
    return value ^ (value >> _S31)


@njit(cache=True)
def put_id(out: Bytes, n: int, key: npt.NDArray[np.uint64], count: int) -> int:
    """Write an identifier of 32 hex digits in UUID form, unique for every (key, count)."""
    for half in range(2):
        word = _mix(key[half] + np.uint64(count) * _STEP)
        for digit in range(16):
            place = 16 * half + digit
            if place in (8, 12, 16, 20):
                out[n] = _DASH
                n += 1
            out[n] = _HEX[np.int64((word >> np.uint64(60 - 4 * digit)) & _NIBBLE)]
            n += 1
    return n
