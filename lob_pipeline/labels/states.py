"""What is held for a whole day: the trades, and of every book message its time, best prices and the price of q lots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.bits import Int
from lob_pipeline.core.jit import njit

Bool = bool | np.bool_
Float = float | np.float64
Int64s = npt.NDArray[np.int64]


class Tape(NamedTuple):
    """The day's trades that count (no RPI, block or non-market flag), stably sorted by time. All (t,)."""

    time_ns: Int64s
    seq: Int64s
    side: npt.NDArray[np.int8]
    price: Int64s
    lots: Int64s


class States(NamedTuple):
    """Book states in stream order, all int64 (S,): the book after the last message with time <= u holds at u.

    ``time_ns`` running maximum of the messages' times; ``bid``, ``ask`` best prices in ticks, -1 where the side is
    empty; ``sell_sum``, ``buy_sum`` Σ price·lots of selling q into the bids and buying q from the asks, -1 where too
    thin (for q of one lot these are the best prices themselves).
    """

    time_ns: Int64s
    bid: Int64s
    ask: Int64s
    sell_sum: Int64s
    buy_sum: Int64s


def new_states(room: int, one_lot: bool) -> States:
    """Return room for states; with one lot the walked prices share the memory of the best ones."""
    time_ns, bid, ask = (np.empty(room, np.int64) for _ in range(3))
    if one_lot:
        return States(time_ns, bid, ask, bid, ask)
    return States(time_ns, bid, ask, np.empty(room, np.int64), np.empty(room, np.int64))


def grow_states(old: States, used: int, room: int, one_lot: bool) -> States:
    """Return the states with room for at least ``room``, themselves where it is enough."""
    if room <= len(old.time_ns):
        return old
    new = new_states(max(room, 2 * len(old.time_ns)), one_lot)
    for target, source in zip(new, old, strict=True):
        target[:used] = source[:used]
    return new


@njit(cache=True)
def state_at(time_ns: Int64s, used: Int, u_ns: Int) -> Int:
    """Return the state that holds at ``u_ns``, walking back from the last of ``used``; -1 before the first."""
    i = used - 1
    while i >= 0 and time_ns[i] > u_ns:
        i -= 1
    return i


@njit(cache=True)
def advance_to(time_ns: Int64s, used: Int, start: Int, u_ns: Int) -> Int:
    """Return the state that holds at ``u_ns`` (-1 before the first), searched from ``start`` in either direction."""
    i = start
    while i + 1 < used and time_ns[i + 1] <= u_ns:
        i += 1
    while i >= 0 and time_ns[i] > u_ns:
        i -= 1
    return i
