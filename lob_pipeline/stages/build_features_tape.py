"""The tape of a day's rows: which trades each row counts, from the order in which trades and book messages arrived."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.tables import L2_EVENTS, ROW, TRADES
from lob_pipeline.core.units import NS_PER_DAY, day_start_ns
from lob_pipeline.features import closers
from lob_pipeline.features.tape_rows import (
    TAPE_WIDTH,
    TRADE_COLUMNS,
    TapeState,
    add_trades,
    market_trades,
    new_tape,
    take_rows,
    unknown_tape,
    with_room,
)
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, content_or_absent, must_follow, open_partition, open_standing

Int64s = npt.NDArray[np.int64]

EVENT_ROWS = 1 << 20
TRADE_ROWS = 1 << 18
_TAIL_ROWS = 1 << 19
_MESSAGE = ["order", "ts_event_ns", "ts_recv_ns", "kind", "first_in_message"]
_TS, _CLOSE = ROW["ts_ns"], ROW["close_ns"]


def has_tape(home: Home, market: Market, date: str) -> bool:
    """Return whether trades of this day were recorded: a usable partition with at least one trade in it."""
    key = PartitionKey("trades", market, date, None)
    if content_or_absent(home, key) == ABSENT:
        return False
    with open_partition(home, key, TRADES) as trades:
        return trades.rows > 0


class DayTape:
    """What the trades of each row of a day sum to, asked for in ascending order of the rows.

    Raises ``RefusedError`` when the day's trades were refused, or the rows were made from other events than stand.

    >>> tape = DayTape(home, market, date, instrument, book, waiting)
    >>> for rows in chunks: tape.of(rows)            # int64 (n, TAPE_WIDTH)
    """

    def __init__(
        self, home: Home, market: Market, date: str, instrument: Instrument, book: Partition, waiting: TapeState
    ) -> None:
        trades = open_standing(home, PartitionKey("trades", market, date, None), TRADES)
        self.recorded = False
        if trades is not None:
            with trades:
                self.recorded = trades.rows > 0
        self._state = waiting
        self._done = 0
        if not self.recorded:
            return
        close_ns = book.read(["close_ns"])["close_ns"].astype(np.int64)
        with open_partition(home, PartitionKey("l2_events", market, date, None), L2_EVENTS) as events:
            must_follow(book, events)
            self._closed_at = _closing_places(close_ns, events.chunks(EVENT_ROWS, _MESSAGE), instrument, date)
        self._trades = TradeStream(home, market, date)

    def of(self, rows: Int64s) -> Int64s:
        """Return the tape of the next rows, int64 (n, ROW_WIDTH); unknown where the day's trades were not recorded."""
        if not self.recorded or len(rows) == 0:
            return unknown_tape(len(rows))
        closed_at = self._closed_at[self._done : self._done + len(rows)]
        self._done += len(rows)
        trades, order = self._trades.until(int(closed_at[-1]))
        self._state = with_room(self._state, len(trades))
        tape = np.empty((len(rows), TAPE_WIDTH), np.int64)
        take_rows(self._state, np.ascontiguousarray(rows[:, _TS]), closed_at, trades, order, tape)
        return tape


class TradeStream:
    """A day's trades that count, read as the rows ask for them."""

    def __init__(self, home: Home, market: Market, date: str) -> None:
        self._chunks = _read_trades(home, market, date)
        self._held, self._order = np.zeros((0, 3), np.int64), np.zeros(0, np.int64)

    def until(self, place: int) -> tuple[Int64s, Int64s]:
        """Return the next trades that arrived before ``place`` in the stream, (n, 3), and their places (n,)."""
        while len(self._order) == 0 or self._order[-1] < place:
            more = next(self._chunks, None)
            if more is None:
                break
            self._held, self._order = np.concatenate([self._held, more[0]]), np.concatenate([self._order, more[1]])
        n = int(np.searchsorted(self._order, place))
        found = self._held[:n], self._order[:n]
        self._held, self._order = self._held[n:], self._order[n:]
        return found


def _read_trades(home: Home, market: Market, date: str) -> Iterator[tuple[Int64s, Int64s]]:
    with open_partition(home, PartitionKey("trades", market, date, None), TRADES) as partition:
        for chunk in partition.chunks(TRADE_ROWS, list(TRADE_COLUMNS)):
            trades, order = market_trades(chunk)
            if len(trades):
                yield trades, order


def tail_tape(home: Home, market: Market, date: str, instrument: Instrument, rows: Int64s) -> tuple[Int64s, TapeState]:
    """Return the tape of the last rows of a day, int64 (n, TAPE_WIDTH), and the trades that still wait after them.

    Row 0 of these counts whatever came before it too: as row 0 of a run it is in no window.
    """
    if len(rows) == 0 or not has_tape(home, market, date):
        return unknown_tape(len(rows)), new_tape()
    with open_partition(home, PartitionKey("l2_events", market, date, None), L2_EVENTS) as events:
        closed_at = _closing_places_of_tail(rows[:, _CLOSE].copy(), events, instrument, date)
    kept = []
    for trades, order in _read_trades(home, market, date):
        # An older trade that arrived in time lies in an older row.
        keep = (trades[:, 0] > rows[0, _TS]) | (order > closed_at[0])
        kept.append((trades[keep], order[keep]))
    trades = np.concatenate([t for t, _ in kept]) if kept else np.zeros((0, 3), np.int64)
    order = np.concatenate([o for _, o in kept]) if kept else np.zeros(0, np.int64)
    state = with_room(new_tape(), len(trades))
    tape = np.empty((len(rows), TAPE_WIDTH), np.int64)
    taken = take_rows(state, rows[:, _TS].copy(), closed_at, trades, order, tape)
    add_trades(state, trades[taken:])
    return tape, state


def _closing_places_of_tail(close_ns: Int64s, events: Partition, instrument: Instrument, date: str) -> Int64s:
    """Return where the last rows of a day closed, reading no more of its events than it takes."""
    rows = _TAIL_ROWS
    while rows < events.rows:
        columns = events.tail(rows, _MESSAGE)
        first = np.flatnonzero(columns["first_in_message"])
        if len(first) and columns["ts_event_ns"][first[0]] < close_ns[0]:
            found = _find(close_ns, iter([columns]), instrument, date)
            if (found >= 0).all():
                return found
        rows *= 4
    return _closing_places(close_ns, events.chunks(EVENT_ROWS, _MESSAGE), instrument, date)


def _closing_places(close_ns: Int64s, chunks: Iterator[Columns], instrument: Instrument, date: str) -> Int64s:
    """Return the place in the stream of the message that closed each row, int64 (rows,)."""
    found = _find(close_ns, chunks, instrument, date)
    if (found < 0).any():
        i = int(np.argmax(found < 0))
        raise RefusedError(
            f"no book message of {instrument.market} on {date} has the time {close_ns[i]} ns that closed row {i}: "
            f"books and events do not belong together; run `lob books {instrument.market} {date}`"
        )
    return found


def _find(close_ns: Int64s, chunks: Iterator[Columns], instrument: Instrument, date: str) -> Int64s:
    found, mark = np.full(len(close_ns), -1, np.int64), np.zeros(2, np.int64)
    bridge, day_end_ns = instrument.sequence == "bridge", day_start_ns(date) + NS_PER_DAY
    for chunk in chunks:
        first = chunk["first_in_message"]
        message = [np.ascontiguousarray(chunk[name][first]) for name in _MESSAGE[:-1]]
        order, ts_ns, recv_ns, kind = message
        closers.find_closers(close_ns, found, mark, order, ts_ns, recv_ns, kind, bridge, day_end_ns)
    return found
