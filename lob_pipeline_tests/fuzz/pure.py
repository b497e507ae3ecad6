"""The scanners as plain Python, their memory checked: run ``install`` before anything of ``venues`` is imported.

Needs ``NUMBA_DISABLE_JIT=1``. Every read and write must lie in a buffer whose address was asked for, and every stored
number must fit its column: what would be a crash or a silently wrong row in compiled code is an exception here.
"""

from __future__ import annotations

import ctypes
import warnings
from typing import Any

import numpy as np


class MemoryFaultError(Exception):
    """A scanner left its buffers, or stored a number that does not fit."""


class _Buffers:
    """The buffers in use, newest first: they are few, and the newest is the likeliest."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int, Any]] = []

    def add(self, array: Any) -> int:
        start = int(array.ctypes.data)
        self.ranges.insert(0, (start, start + int(array.nbytes), array))
        del self.ranges[64:]
        return start

    def require(self, address: int, size: int) -> None:
        for k, (start, end, _) in enumerate(self.ranges):
            if start <= address and address + size <= end:
                if k > 8:
                    self.ranges.insert(0, self.ranges.pop(k))
                return
        raise MemoryFaultError(f"{size} bytes at an address that belongs to no buffer")


BUFFERS = _Buffers()


def _byte_at(address: int) -> int:
    BUFFERS.require(address, 1)
    return ctypes.c_uint8.from_address(address).value


def _word_at(address: int) -> np.uint64:
    BUFFERS.require(address, 8)
    return np.uint64(ctypes.c_uint64.from_address(address).value)


def _get(address: int, index: int) -> int:
    BUFFERS.require(address + 8 * index, 8)
    return ctypes.c_int64.from_address(address + 8 * index).value


def _put(address: int, index: int, value: int) -> None:
    BUFFERS.require(address + 8 * index, 8)
    if not -(2**63) <= int(value) < 2**63:
        raise MemoryFaultError(f"{value} does not fit a column")
    ctypes.c_int64.from_address(address + 8 * index).value = int(value)


def _put_byte(address: int, index: int, value: int) -> None:
    BUFFERS.require(address + index, 1)
    ctypes.c_int8.from_address(address + index).value = int(value)


def _trailing_zeros(word: np.uint64) -> int:
    value = int(word)
    return (value & -value).bit_length() - 1 if value else 64


class _WholeNumbers(np.ndarray):
    """An array whose elements are Python's integers: compiled code widens a byte before it counts with it."""

    def __getitem__(self, key: Any) -> Any:
        value = super().__getitem__(key)
        return int(value) if np.ndim(value) == 0 else value


def install() -> None:
    """Put the checked memory in the place of the compiled one."""
    from numba import config

    if not config.DISABLE_JIT:
        raise RuntimeError("set NUMBA_DISABLE_JIT=1 before numba is imported")
    warnings.simplefilter("ignore", RuntimeWarning)  # the scanners' words wrap on purpose
    from lob_pipeline.core import memory

    for name, function in {
        "byte_at": _byte_at,
        "word_at": _word_at,
        "get": _get,
        "put": _put,
        "put_byte": _put_byte,
        "trailing_zeros": _trailing_zeros,
    }.items():
        setattr(memory, name, function)
    from lob_pipeline.venues import job

    job.address = BUFFERS.add  # type: ignore[assignment]
    from lob_pipeline.venues import segment

    unwrap = segment.unwrap
    segment.unwrap = lambda data, *rest: unwrap(data.view(_WholeNumbers), *rest)
