"""The venue's bytes: book messages as JSON lines, trades as CSV lines, written digit by digit from integers.

The form is that of Bybit's archive: book lines end in CR LF, prices are padded to one decimal more than the tick has,
sizes to the lot's decimals, a deleted level has size "0"; trades have ten columns, oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.jit import njit
from lob_pipeline.sim.digits import Bytes, put, put_decimal, put_exponent, put_id, put_int, text
from lob_pipeline.sim.publish import Messages
from lob_pipeline.sim.state import Tape

TRADES_HEADER = b"timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
STAMP_US = 100  # trades are stamped to 100 µs, rounded up: never before the book message that precedes them
_MESSAGE_ROOM = 256  # bytes that a message without its levels, a level, a trade need at most, symbol apart
_ROW_ROOM = 64
_TRADE_ROOM = 320
_LF, _COMMA = 10, 44
_ASKS, _OPEN, _BETWEEN, _SHUT = text('],"a":['), text('["'), text('","'), text('"]')
_UPDATE, _SEQ, _CTS, _END = text('],"u":'), text(',"seq":'), text('},"cts":'), text("}\r\n")
_BUY, _SELL = text("Buy"), text("Sell")
_PLUS, _ZERO_PLUS, _MINUS, _ZERO_MINUS = (
    text("PlusTick"),
    text("ZeroPlusTick"),
    text("MinusTick"),
    text("ZeroMinusTick"),
)


class Decimals(NamedTuple):
    """Decimal places of a tick, of a lot, and of prices as the book shows them (padded with zeros)."""

    tick: int
    lot: int
    shown: int


class TradeState(NamedTuple):
    """Ids and tick directions between chunks: ``key`` (uint64[2]) of the day, ``last`` (trades so far, price, up)."""

    key: npt.NDArray[np.uint64]
    last: npt.NDArray[np.int64]


def new_trade_state(seed: int, day: int) -> TradeState:
    """Return the state before the first trade of a day; ids are unique within all days of a seed."""
    return TradeState(np.array([seed, day], np.uint64), np.array([0, 0, 1], np.int64))


def _places(step: Decimal, what: str) -> int:
    """Return n where ``step`` is 10^-n. Raises ``BadInputError`` for other steps."""
    sign, digits, exponent = step.normalize().as_tuple()
    if sign or digits != (1,) or not isinstance(exponent, int) or exponent > 0:
        raise BadInputError(
            f"{what} {step}: the simulator writes steps of 1, 0.1, 0.01 and so on; choose another market"
        )
    return -exponent


@dataclass(frozen=True)
class Wire:
    """How one market is written."""

    symbol: str
    depth: int
    decimals: Decimals

    @classmethod
    def of(cls, instrument: Instrument, depth: int) -> Wire:
        """Return the writer of an instrument; ``depth`` is the topic's."""
        tick, lot = _places(instrument.tick, "tick"), _places(instrument.lot, "lot")
        return cls(instrument.market.symbol, depth, Decimals(tick, lot, tick + 1))

    def book_bytes(self, messages: Messages) -> memoryview:
        """Return the JSON lines of a chunk's book messages."""
        topic = f'{{"topic":"orderbook.{self.depth}.{self.symbol}","type":"'
        delta, snapshot = text(topic + 'delta","ts":'), text(topic + 'snapshot","ts":')
        data = text(f',"data":{{"s":"{self.symbol}","b":[')
        room = int(messages.n[0]) * (_MESSAGE_ROOM + snapshot.size + data.size) + int(messages.n[1]) * _ROW_ROOM
        out = np.empty(room, np.uint8)
        return out.data[: _book_lines(messages, delta, snapshot, data, self.decimals, out)]

    def trade_bytes(self, trades: Tape, state: TradeState) -> memoryview:
        """Return the CSV lines of a chunk's trades; ``state`` goes from chunk to chunk."""
        symbol = text(f",{self.symbol},")
        out = np.empty(int(trades.n[0]) * (_TRADE_ROOM + symbol.size), np.uint8)
        return out.data[: _trade_lines(trades, symbol, state, self.decimals, out)]


@njit(cache=True)
def _level(out: Bytes, n: int, ticks: int, lots: int, decimals: Decimals) -> int:
    n = put(out, n, _OPEN)
    n = put_decimal(out, n, ticks, decimals.tick, decimals.shown)
    n = put(out, n, _BETWEEN)
    n = put_decimal(out, n, lots, decimals.lot, decimals.lot if lots else 0)
    return put(out, n, _SHUT)


@njit(cache=True)
def _book_lines(messages: Messages, delta: Bytes, snapshot: Bytes, data: Bytes, decimals: Decimals, out: Bytes) -> int:
    n = 0
    for i in range(messages.n[0]):
        n = put(out, n, snapshot if messages.snapshot[i] else delta)
        n = put_int(out, n, messages.ts_ms[i])
        n = put(out, n, data)
        row, end = messages.first_row[i], messages.first_row[i + 1]
        for side in (1, -1):
            first = True
            while row < end and messages.row_side[row] == side:
                if not first:
                    out[n] = _COMMA
                    n += 1
                n = _level(out, n, messages.row_price[row], messages.row_lots[row], decimals)
                first = False
                row += 1
            if side == 1:
                n = put(out, n, _ASKS)
        n = put(out, n, _UPDATE)
        n = put_int(out, n, messages.update_id[i])
        n = put(out, n, _SEQ)
        n = put_int(out, n, messages.seq[i])
        n = put(out, n, _CTS)
        n = put_int(out, n, messages.cts_ms[i])
        n = put(out, n, _END)
    return n


@njit(cache=True)
def _direction(out: Bytes, n: int, price: int, last: npt.NDArray[np.int64]) -> int:
    """Write the tick direction and remember the price: ``last`` is (trades, price, whether the last move was up)."""
    if last[0] == 0 or price > last[1]:
        n, last[2] = put(out, n, _PLUS), 1
    elif price < last[1]:
        n, last[2] = put(out, n, _MINUS), 0
    else:
        n = put(out, n, _ZERO_PLUS if last[2] else _ZERO_MINUS)
    last[0] += 1
    last[1] = price
    return n


@njit(cache=True)
def _trade_lines(trades: Tape, symbol: Bytes, state: TradeState, decimals: Decimals, out: Bytes) -> int:
    n = 0
    for i in range(trades.n[0]):
        price, lots = trades.price[i], trades.lots[i]
        n = put_decimal(out, n, (trades.t_us[i] + STAMP_US - 1) // STAMP_US, 4, 4)
        n = put(out, n, symbol)
        n = put(out, n, _BUY if trades.side[i] > 0 else _SELL)
        out[n] = _COMMA
        n = put_decimal(out, n + 1, lots, decimals.lot, 0)
        out[n] = _COMMA
        n = put_decimal(out, n + 1, price, decimals.tick, 0)
        out[n] = _COMMA
        n = _direction(out, n + 1, price, state.last)
        out[n] = _COMMA
        n = put_id(out, n + 1, state.key, state.last[0])
        out[n] = _COMMA
        n = put_exponent(out, n + 1, price * lots, 8 - decimals.tick - decimals.lot)
        out[n] = _COMMA
        n = put_decimal(out, n + 1, lots, decimals.lot, 0)
        out[n] = _COMMA
        n = put_decimal(out, n + 1, price * lots, decimals.tick + decimals.lot, 0)
        out[n] = _LF
        n += 1
    return n
