"""One decoded message to the rows and features it closes, in one compiled call that is given two addresses.

Handing thirty arrays to compiled code costs more than what it then does with one message. So their addresses lie in a
card, written once; the arrays are rebuilt from them inside. The kernels that run are those of the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from lob_pipeline.book.advance import MARK_WIDTH, Events, advance
from lob_pipeline.book.bits import Int
from lob_pipeline.book.grid import DAY_END, NEXT, STEP, GridState
from lob_pipeline.book.pool import pages_for, survey
from lob_pipeline.book.state import FLIP, FREE, TOP, BookState
from lob_pipeline.core.jit import njit
from lob_pipeline.features.batch import live
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import FeatureState
from lob_pipeline.features.tape_rows import TapeState
from lob_pipeline.venues import job as card

Int64s = npt.NDArray[np.int64]

NOT_HERE = -1
"""The message needs a larger book, or closes more rows than there is room for: take the long way."""

RECORDED, CAPACITY, START, END = range(4)
FIRST_ARRAY = 4
"""Then three entries an array: its address and its first two dimensions."""


def _pointer(_typing: Any, _address: Any) -> Any:
    """Return an address as a pointer."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


pointer: Any = intrinsic(_pointer)


def write_card(recorded: bool, capacity: int, arrays: list[npt.NDArray[Any]]) -> Int64s:
    """Return the card of a list of C-contiguous arrays, which the caller keeps alive and in place."""
    entries = [int(recorded), capacity, 0, 0]
    for array in arrays:
        if not array.flags.c_contiguous:
            raise ValueError("the engine's arrays are contiguous")
        shape = (*array.shape, 1)[:2]
        entries += [array.ctypes.data, *shape]
    return np.array(entries, np.int64)


# places of the arrays of ``LiveEngine.arrays``
PAGES, SLOTS, BOOK_TOP, BOOK_META = range(4)
GRID_META, FLOW, ROW, BEFORE, REACH = range(4, 9)
ROWS, IDS = 9, 10
RING, LONG, MARK, PARAMS, EXTREMES, BARS, MICROPRICE, SEASON = range(11, 19)
WAITING, WAITING_MARK, TAPE, OUT, VALID = range(19, 24)
N_ARRAYS = 24


@njit(cache=True)
def _at(c: Int64s, i: int) -> tuple[int, int, int]:  # pragma: no cover - compiled
    first = FIRST_ARRAY + 3 * i
    return c[first], c[first + 1], c[first + 2]


@njit(cache=True)
def _ints(c: Int64s, i: int) -> Int64s:  # pragma: no cover - compiled
    address, n, _ = _at(c, i)
    return carray(pointer(address), (n,), np.int64)


@njit(cache=True)
def _table(c: Int64s, i: int) -> Int64s:  # pragma: no cover - compiled
    address, n, m = _at(c, i)
    return carray(pointer(address), (n, m), np.int64)


@njit(cache=True)
def _floats(c: Int64s, i: int) -> npt.NDArray[np.float64]:  # pragma: no cover - compiled
    address, n, m = _at(c, i)
    return carray(pointer(address), (n, m), np.float64)


@njit(cache=True)
def _tops(c: Int64s, i: int) -> Int64s:  # pragma: no cover - compiled
    return carray(pointer(_at(c, i)[0]), (2, 2, TOP), np.int64)


@njit(cache=True, error_model="numpy")
def push_decoded(at: int, job: int) -> Int:  # pragma: no cover - compiled
    """Apply the one book message of ``job`` (address of its card) to the engine whose card lies at ``at``.

    Returns how many rows it closed: they, their features and flags stand in the engine's output arrays. Returns
    ``NOT_HERE``, having changed nothing, where the long way must be taken.
    """
    c = carray(pointer(at), (FIRST_ARRAY + 3 * N_ARRAYS,), np.int64)
    j = carray(pointer(job), (card.CARD_SIZE,), np.int64)
    levels, message, room = j[card.N_LEVELS], j[card.MESSAGES_AT], c[CAPACITY]
    book = BookState(_table(c, PAGES), _table(c, SLOTS), _tops(c, BOOK_TOP), _ints(c, BOOK_META))
    grid = GridState(_ints(c, GRID_META), _ints(c, FLOW), _ints(c, ROW), _tops(c, BEFORE), _ints(c, REACH))
    side = carray(pointer(j[card.SIDES_AT]), (levels,), np.int8)
    price = carray(pointer(j[card.PRICES_AT]), (levels,), np.int64)
    size = carray(pointer(j[card.SIZES_AT]), (levels,), np.int64)
    ts_ns = carray(pointer(message + 8 * card.EVENT_NS), (1,), np.int64)
    fits, lowest, highest = survey(side, price, size, 0, levels)
    if not fits or highest > book.meta[FLIP]:
        return NOT_HERE
    if pages_for(book, side, price, size, 0, levels, lowest, highest) > book.meta[FREE]:
        return NOT_HERE
    opening = grid.meta[NEXT]
    if opening >= 0 and (min(ts_ns[0], grid.meta[DAY_END] + 1) - opening) // grid.meta[STEP] + 1 > room:
        return NOT_HERE
    events = Events(
        ts_ns,
        carray(pointer(message + 8 * card.RECV_NS), (1,), np.int64),
        carray(pointer(message + 8 * card.UPDATE_ID), (1,), np.int64),
        carray(pointer(message + 8 * card.PREV_ID), (1,), np.int64),
        carray(pointer(message + 8 * card.KIND), (1,), np.int8),  # its lowest byte: kinds are small
        side,
        price,
        size,
    )
    c[START], c[END] = 0, levels
    starts = carray(pointer(at + 8 * START), (2,), np.int64)
    rows = _table(c, ROWS)
    _, n = advance(book, grid, events, starts, 0, rows, _ints(c, IDS), carray(pointer(at), (0, MARK_WIDTH), np.int64))
    if n == 0:
        return 0
    bars, n_bars, _ = _at(c, BARS)
    state = FeatureState(
        _table(c, RING),
        _table(c, LONG),
        _ints(c, MARK),
        _ints(c, PARAMS),
        _table(c, EXTREMES),
        carray(pointer(bars), (n_bars,), np.float64),
        _floats(c, MICROPRICE),
        _floats(c, SEASON),
    )
    waiting = TapeState(_table(c, WAITING), _ints(c, WAITING_MARK))
    out = carray(pointer(_at(c, OUT)[0]), (room, N_BUILT), np.float32)
    valid = carray(pointer(_at(c, VALID)[0]), (room,), np.bool_)
    live(state, waiting, c[RECORDED] != 0, rows[:n], _table(c, TAPE), out, valid)
    return n


def compile_push() -> None:
    """Compile the kernel, or read it from the disk cache, now instead of at the first message."""
    push_decoded.compile((types.int64, types.int64))
