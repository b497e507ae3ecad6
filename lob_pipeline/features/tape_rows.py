"""Which row a trade counts in: trades wait until the row that closes next is not before them.

A trade counts in the first row with t >= its event time that is still open when it arrives; one that comes late goes
to the open row. So what a closing row takes is every waiting trade of a time up to its own.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET

Int64s = npt.NDArray[np.int64]

# a row's tape: signed lots, lots, trades, Σ price·lots, the largest trade, the latest trade's time (-1 none)
T_SIGNED, T_VOLUME, T_COUNT, T_NOTIONAL, T_LARGEST, T_LAST_NS = range(6)
TAPE_WIDTH = 6
TRADE_COLUMNS = ("order", "ts_event_ns", "side", "price_ticks", "size_lots", "flags")
"""The columns of ``trades`` that the tape reads."""

_TS, _SIGNED, _PRICE = range(3)
_HEAD, _TAIL = range(2)
_MAGIC = b"LOBTAPE1"


class TapeState(NamedTuple):
    """Trades that wait for their row: ``waiting`` int64 (room, 3) time, signed lots, price from ``mark[0]`` up to
    ``mark[1]``, by time."""

    waiting: Int64s
    mark: Int64s


def new_tape(room: int = 64) -> TapeState:
    """Return the state in which no trade waits, with space for ``room`` trades."""
    return TapeState(np.zeros((max(1, room), 3), np.int64), np.zeros(2, np.int64))


def unknown_tape(rows: int) -> Int64s:
    """Return the tape of ``rows`` rows of a market whose trades were not recorded, int64 (rows, TAPE_WIDTH)."""
    tape = np.zeros((rows, TAPE_WIDTH), np.int64)
    tape[:, T_COUNT] = tape[:, T_LAST_NS] = -1
    return tape


def market_trades(trades: Columns) -> tuple[Int64s, Int64s]:
    """Return (time, signed lots with + where the taker bought, price), int64 (n, 3), of the trades that count.

    And their places in the stream, int64 (n,). Block trades and those that are no market's are left out; trades
    against retail price improvement count.
    """
    kept = np.bitwise_and(trades["flags"].astype(np.int64), FLAG_BLOCK | FLAG_NOT_MARKET) == 0
    signed = trades["size_lots"][kept] * trades["side"][kept].astype(np.int64)
    found = np.column_stack([trades["ts_event_ns"][kept], signed, trades["price_ticks"][kept]])
    return found, trades["order"][kept]


def with_room(state: TapeState, trades: int) -> TapeState:
    """Return a state with the same waiting trades and space for ``trades`` more: the state to use from now on."""
    held = state.waiting[state.mark[_HEAD] : state.mark[_TAIL]]
    if state.mark[_TAIL] + trades <= len(state.waiting):
        return state
    grown = new_tape(max(len(state.waiting), 2 * (len(held) + trades)))
    grown.waiting[: len(held)] = held
    grown.mark[_TAIL] = len(held)
    return grown


def copy_tape(state: TapeState) -> TapeState:
    """Return an independent copy."""
    return TapeState(state.waiting.copy(), state.mark.copy())


def tape_to_bytes(state: TapeState) -> bytes:
    """Serialise the waiting trades: magic, their number, then the numbers, little endian."""
    held = state.waiting[state.mark[_HEAD] : state.mark[_TAIL]]
    return _MAGIC + struct.pack("<q", len(held)) + held.astype("<i8").tobytes()


def tape_from_bytes(data: bytes) -> TapeState:
    """Rebuild a state from ``tape_to_bytes``. Raises ``BadInputError`` when the bytes are no such state."""
    start = len(_MAGIC) + 8
    count = struct.unpack_from("<q", data, len(_MAGIC))[0] if len(data) >= start else -1
    if data[: len(_MAGIC)] != _MAGIC or len(data) != start + 24 * count:
        raise BadInputError(f"these {len(data)} bytes are no saved tape of this version: start a new one")
    state = new_tape(max(64, count))
    state.waiting[:count] = np.frombuffer(data, "<i8", offset=start).reshape(count, 3)
    state.mark[_TAIL] = count
    return state


@njit(cache=True)
def add_trade(state: TapeState, ts_ns: int, signed_lots: int, price_ticks: int) -> None:
    """Let a trade wait, in its place by time. ``with_room`` must have made space for it."""
    waiting, mark = state.waiting, state.mark
    i = mark[_TAIL]
    while i > mark[_HEAD] and waiting[i - 1, _TS] > ts_ns:
        waiting[i, :] = waiting[i - 1, :]
        i -= 1
    waiting[i, _TS] = ts_ns
    waiting[i, _SIGNED] = signed_lots
    waiting[i, _PRICE] = price_ticks
    mark[_TAIL] += 1


@njit(cache=True)
def add_trades(state: TapeState, trades: Int64s) -> None:
    """Let trades wait, int64 (n, 3) as of ``market_trades``."""
    for k in range(len(trades)):
        add_trade(state, trades[k, _TS], trades[k, _SIGNED], trades[k, _PRICE])


@njit(cache=True)
def take_row(state: TapeState, ts_ns: int, tape: Int64s) -> None:
    """Close the row of ``ts_ns``: sum the waiting trades up to it into ``tape``, int64 (TAPE_WIDTH,)."""
    waiting, mark = state.waiting, state.mark
    tape[:] = 0
    tape[T_LAST_NS] = -1
    i = mark[_HEAD]
    while i < mark[_TAIL] and waiting[i, _TS] <= ts_ns:
        lots = abs(waiting[i, _SIGNED])
        tape[T_SIGNED] += waiting[i, _SIGNED]
        tape[T_VOLUME] += lots
        tape[T_COUNT] += 1
        tape[T_NOTIONAL] += waiting[i, _PRICE] * lots
        tape[T_LARGEST] = max(tape[T_LARGEST], lots)
        tape[T_LAST_NS] = waiting[i, _TS]
        i += 1
    mark[_HEAD] = i
    if i == mark[_TAIL]:
        mark[:] = 0


@njit(cache=True)
def take_rows(state: TapeState, ts_ns: Int64s, closed_at: Int64s, trades: Int64s, order: Int64s, tape: Int64s) -> int:
    """Assign trades to rows in the order of arrival; return how many trades arrived before the last row closed.

    ts_ns, closed_at  int64 (rows,)             a row's instant, and the place in the stream where it closes
    trades, order     int64 (n, 3), (n,)        ``market_trades`` and their places in the stream, ascending
    tape              int64 (rows, TAPE_WIDTH)  is written
    ``state`` must have room for them.
    """
    k = 0
    for i in range(len(ts_ns)):
        while k < len(order) and order[k] < closed_at[i]:
            add_trade(state, trades[k, _TS], trades[k, _SIGNED], trades[k, _PRICE])
            k += 1
        take_row(state, ts_ns[i], tape[i])
    return k
