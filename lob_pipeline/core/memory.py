"""Memory by address, for the scanners and the book.

Array arguments cost numba seven words a call, a sign check an access, and reference counts; a scanner that walks
addresses is more than twice as fast.

What makes it safe is a property of the buffers, not of their readers. Scanners: every input ends in ``PADDING``
newlines and no scanner steps over a newline (``venues.scan``); every output is allocated for the most rows its input
can hold (``venues.job``). The book: ``book.pool.reserve`` has looked at every price before ``book.kernel`` walks its
pages. Nothing else works by address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

PADDING = 48
"""Newlines behind every buffer: a whole price level may be looked at from any byte of its last line."""

_Int = int | np.int64
_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)


def _byte_at(_typing: Any, _address: Any) -> Any:
    """Return the byte at an address, 0 to 255."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.zext(builder.load(builder.inttoptr(args[0], _BYTE.as_pointer())), _WORD)

    return types.int64(types.int64), codegen


def _word_at(_typing: Any, _address: Any) -> Any:
    """Return the eight bytes at an address, aligned or not, the first one lowest (little endian)."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], _WORD.as_pointer()), align=1)

    return types.uint64(types.int64), codegen


def _get(_typing: Any, _address: Any, _index: Any) -> Any:
    """Return element ``index`` of the int64 array at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(builder.inttoptr(args[0], _WORD.as_pointer()), [args[1]]))

    return types.int64(types.int64, types.int64), codegen


def _put(_typing: Any, _address: Any, _index: Any, _value: Any) -> Any:
    """Set element ``index`` of the int64 array at an address."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(builder.inttoptr(args[0], _WORD.as_pointer()), [args[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


def _put_byte(_typing: Any, _address: Any, _index: Any, _value: Any) -> Any:
    """Set element ``index`` of the int8 array at an address."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        at = builder.gep(builder.inttoptr(args[0], _BYTE.as_pointer()), [args[1]])
        builder.store(builder.trunc(args[2], _BYTE), at)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


def _trailing_zeros(_typing: Any, _word: Any) -> Any:
    """Return the number of zero bits below the lowest set bit, 64 for zero."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


byte_at = cast("Callable[[int], int]", intrinsic(_byte_at))
word_at = cast("Callable[[int], np.uint64]", intrinsic(_word_at))
get = cast("Callable[[_Int, _Int], int]", intrinsic(_get))
put = cast("Callable[[_Int, _Int, _Int], None]", intrinsic(_put))
put_byte = cast("Callable[[int, int, int], None]", intrinsic(_put_byte))
trailing_zeros = cast("Callable[[np.uint64], int]", intrinsic(_trailing_zeros))
