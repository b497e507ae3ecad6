"""Counter-based random numbers inside numba: Philox 4x64-10, the stream ``numpy.random.Philox`` produces.

The state is one ``uint64[10]`` array (key, counter, four buffered words, position), so it copies and serialises.
A stream is named by its 128-bit key; the simulator uses (seed, day), so a day's stream needs no other day's.
Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit

_M0 = np.uint64(0xD2E7470EE14C6C93)
_M1 = np.uint64(0xCA5A826395121157)
_W0 = np.uint64(0x9E3779B97F4A7C15)
_W1 = np.uint64(0xBB67AE8584CAA73B)
_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_S11 = np.uint64(11)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_TWO_PI = 2.0 * math.pi
# layout of the state: key[0:2], counter[2:5] (the fourth counter word stays 0), words[5:9], position[9]
_COUNTER = 2
_WORDS = 5
_POSITION = 9


def new_stream(key_high: int, key_low: int) -> npt.NDArray[np.uint64]:
    """Return the state (``uint64[10]``) of the stream of that 128-bit key, at its beginning."""
    state = np.zeros(10, np.uint64)
    state[0] = np.uint64(key_high % 2**64)
    state[1] = np.uint64(key_low % 2**64)
    state[_POSITION] = 4
    return state


@njit(cache=True, inline="always")
def _high_product(a: np.uint64, b: np.uint64) -> np.uint64:
    a_low, a_high = a & _LOW, a >> _S32
    b_low, b_high = b & _LOW, b >> _S32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _S32)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _S32) + (other >> _S32)


@njit(cache=True)
def _refill(state: npt.NDArray[np.uint64]) -> None:
    for i in range(_COUNTER, _COUNTER + 3):
        state[i] += _ONE
        if state[i] != _ZERO:
            break
    k0, k1 = state[0], state[1]
    c0, c1, c2, c3 = state[_COUNTER], state[_COUNTER + 1], state[_COUNTER + 2], _ZERO
    for _ in range(10):
        high0, low0 = _high_product(_M0, c0), _M0 * c0
        high1, low1 = _high_product(_M1, c2), _M1 * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 += _W0
        k1 += _W1
    state[_WORDS], state[_WORDS + 1], state[_WORDS + 2], state[_WORDS + 3] = c0, c1, c2, c3
    state[_POSITION] = _ZERO


@njit(cache=True)
def next_word(state: npt.NDArray[np.uint64]) -> np.uint64:
    """Return the next 64 random bits and advance the stream."""
    if state[_POSITION] >= np.uint64(4):
        _refill(state)
    word = state[_WORDS + np.int64(state[_POSITION])]
    state[_POSITION] += _ONE
    return word


@njit(cache=True)
def uniform(state: npt.NDArray[np.uint64]) -> float:
    """Return a float64 in [0, 1), uniform on multiples of 2^-53."""
    return np.float64(next_word(state) >> _S11) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def below(state: npt.NDArray[np.uint64], n: int) -> int:
    """Return an integer in [0, n), n below 2^31 (bias below 2^-32)."""
    return int(np.int64(((next_word(state) >> _S32) * np.uint64(n)) >> _S32))


@njit(cache=True)
def exponential(state: npt.NDArray[np.uint64]) -> float:
    """Return an exponential float64 of mean 1."""
    return -math.log(1.0 - uniform(state))


@njit(cache=True)
def normal(state: npt.NDArray[np.uint64]) -> float:
    """Return a standard normal float64 (Box–Muller, cosine branch only: no hidden second value)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(state)))
    return radius * math.cos(_TWO_PI * uniform(state))


@njit(cache=True)
def lognormal_lots(state: npt.NDArray[np.uint64], median_lots: float, sigma: float, cap_lots: float) -> int:
    """Return a whole number of lots in [1, cap]: lognormal with that median and log standard deviation."""
    return int(max(1.0, min(cap_lots, math.floor(median_lots * math.exp(sigma * normal(state)) + 0.5))))
