"""Bit operations for compiled code on 64-bit words that are kept in int64 arrays (bit 63 is the sign)."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.cpython.unsafe.numbers import leading_zeros, trailing_zeros
from numba.extending import intrinsic

from lob_pipeline.core.jit import njit

Int = int | np.int64
"""A whole number as Python or compiled code passes it."""

_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@intrinsic
def _ctpop(typing_context: Any, word: Any) -> Any:
    """Emit LLVM's population count of a uint64: one instruction where the processor has it."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@njit(cache=True)
def count_bits(word: Int) -> Int:
    """Return how many bits of an int64 word are set."""
    return _ctpop(np.uint64(word))  # type: ignore[call-arg]


@njit(cache=True)
def lowest_bit(word: Int) -> Int:
    """Return the index (0 … 63) of the lowest set bit of a nonzero int64 word."""
    return np.int64(trailing_zeros(np.uint64(word)))  # type: ignore[call-arg]


@njit(cache=True)
def highest_bit(word: Int) -> Int:
    """Return the index (0 … 63) of the highest set bit of a nonzero int64 word."""
    return 63 - np.int64(leading_zeros(np.uint64(word)))  # type: ignore[call-arg]


@njit(cache=True)
def bit(index: Int) -> Int:
    """Return the word with only bit ``index`` (0 … 63) set."""
    return np.int64(_ONE << np.uint64(index))


@njit(cache=True)
def from_bit(index: Int) -> Int:
    """Return the word with bits ``index`` … 63 set (``index`` 0 … 63)."""
    return np.int64(_ALL << np.uint64(index))


@njit(cache=True)
def up_to_bit(index: Int) -> Int:
    """Return the word with bits 0 … ``index`` set (``index`` 0 … 63)."""
    return np.int64(_ALL >> np.uint64(63 - index))


@njit(cache=True)
def nth_bit(word: Int, n: Int) -> Int:
    """Return the index of the ``n``-th set bit of a word, from 1 on, that has at least ``n``: a search by halves."""
    lo: Int = np.int64(0)
    hi: Int = np.int64(63)
    while lo < hi:
        middle = (lo + hi) >> 1
        if count_bits(word & up_to_bit(middle)) < n:
            lo = middle + 1
        else:
            hi = middle
    return lo
