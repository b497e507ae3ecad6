"""Decoded live messages in the order and the days in which an ingest would have stored them, handed on as they settle.

The rules are the ingest's own: ``Sequencer`` (which message follows the book, which snapshot bridges), ``Crossing``
and ``Closing`` (what a day takes over from the day before). What settles at once, as nearly every message does, goes
straight on; what an ingest would hold back is held back here, trades with it, so that every row counts the same ones.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from lob_pipeline.book import kernel
from lob_pipeline.book.advance import Events
from lob_pipeline.book.state import BookState
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_AUDIT, KIND_CARRIED, KIND_DELTA
from lob_pipeline.core.units import BID, NS_PER_DAY, day_of_ns, day_start_ns
from lob_pipeline.live.engine import trades_of
from lob_pipeline.stages.ingest_blocks import Int64s
from lob_pipeline.stages.ingest_bridge import UNBRIDGED, WHOLE, Batch
from lob_pipeline.stages.ingest_carry import Closing, Crossing, opening_chain
from lob_pipeline.stages.live_order import LiveSequencer, one_message
from lob_pipeline.venues import job as card
from lob_pipeline.venues.block import BookMessages
from lob_pipeline.venues.job import Job


class Sink(Protocol):
    """What a feed hands messages to (``live.session.LiveSession``)."""

    def open_day(self, date: str) -> None:
        """Begin a UTC day; the messages that follow are its."""

    def close_day(self) -> None:
        """End the open day: no message of it follows."""

    def message(self, events: Events) -> None:
        """Take one book message."""

    def decoded(self, job: Job) -> None:
        """Take the one book message that a decoder left in ``job``, as it is."""

    def trades(self, trades: Int64s) -> None:
        """Take trades, int64 (n, 3) as of ``tape_rows.market_trades``."""

    def lose_track(self) -> None:
        """Messages may be missing from here on: no row is valid until a snapshot comes."""

    @property
    def book(self) -> BookState:
        """The book of the open day."""


class LiveFeed:
    """Takes what a ``LiveDecoder`` decoded, message by message, and drives a sink.

    A snapshot without a time of its own waits for the next message that has one. A day that the stream leaves is closed
    with the ingest's mark when the stream goes on; so it is when the first message of the new day is a snapshot over a
    connection that was never interrupted (an archive's closing snapshot): nothing was missed until then.
    """

    def __init__(self, instrument: Instrument, sink: Sink) -> None:
        self._instrument, self._sink = instrument, sink
        self._bridged = instrument.sequence == "bridge"
        self._sequencer: LiveSequencer | None = None
        self._crossing: Crossing | None = None
        self._ended: Closing | None = None
        self._previous_open = self._interrupted = self._was_whole = False
        self._day = -1
        self._latest_ns = self._place = 0
        self._arrived_id: int | None = None
        self._timeless: list[tuple[BookMessages, int]] = []
        self._waiting: list[tuple[BookMessages, int, int]] = []
        self._held_trades: list[tuple[int, Int64s]] = []
        self._one = [np.zeros(1, np.int64) for _ in range(4)]
        self._kinds = np.zeros(4096, np.int8)

    def take(self, job: Job) -> None:
        """Take the rows of one decoded frame."""
        counters = job.card
        if counters[card.N_MESSAGES]:
            self._place += 1
            self._take_book(job)
        elif counters[card.N_TRADES]:
            self._place += 1
            self._take_trades(trades_of(job))

    @property
    def broken(self) -> bool:
        """Whether messages are missing and the book waits for a snapshot."""
        return self._sequencer is not None and self._was_whole and not self._sequencer.chain[WHOLE]

    def lost(self) -> None:
        """The connection broke: messages may be missing until the next snapshot."""
        self._interrupted, self._was_whole = True, False
        if self._sequencer is not None and self._crossing is None:
            self._flush()
            self._sequencer.lose_track()
            self._sink.lose_track()

    def end(self) -> None:
        """The stream is over: let go of what is held and close the day. Another stream may follow."""
        for book, place in self._timeless:
            self._enter(book, max(self._latest_ns, int(book.ts_recv_ns[0])), place)
        self._timeless = []
        if self._crossing is not None:
            self._open_day()
        if self._sequencer is not None:
            self._flush()
            self._sink.close_day()
            self._sequencer = None
        self._day, self._latest_ns, self._arrived_id = -1, 0, None
        self._held_trades = []

    def _take_trades(self, trades: Int64s) -> None:
        if not len(trades):
            return
        if self._sequencer is None or self._sequencer.holds or self._crossing is not None or self._timeless:
            self._held_trades.append((self._place, trades))
        else:
            self._sink.trades(trades)

    def _take_book(self, job: Job) -> None:
        head = job.messages[0].tolist()
        ts_ns, levels = head[card.EVENT_NS], int(job.card[card.N_LEVELS])
        day = (max(self._latest_ns, ts_ns) - 1) // NS_PER_DAY
        if day == self._day and ts_ns and levels and self._sequencer is not None:
            if self._crossing is None and not self._timeless:
                prev_id = self._sequencer.settles(head[card.KIND], head[card.UPDATE_ID], head[card.PREV_ID], ts_ns)
                if prev_id is not None:
                    self._note_arrival(head[card.KIND], head[card.UPDATE_ID], ts_ns)
                    job.messages[0, card.PREV_ID] = prev_id
                    self._sink.decoded(job)
                    return
        book = one_message(head, job, levels)
        if ts_ns == 0:
            self._timeless.append((book, self._place))
            return
        for earlier, place in self._timeless:
            self._enter(earlier, ts_ns, place)
        self._timeless = []
        self._enter(book, ts_ns, self._place)

    def _note_arrival(self, kind: int, update_id: int, when: int) -> None:
        self._interrupted = False
        self._was_whole = self._was_whole or kind != KIND_DELTA
        self._latest_ns = max(self._latest_ns, when)
        if not self._bridged or kind == KIND_DELTA:
            self._arrived_id = update_id

    def _enter(self, book: BookMessages, when: int, place: int) -> None:
        """Take a message by the long way: its day, whether that day's opening is decided, its place."""
        day = (max(self._latest_ns, when) - 1) // NS_PER_DAY
        if day != self._day:
            self._enter_day(day)
        if self._crossing is None:
            self._note_arrival(int(book.kind[0]), int(book.update_id[0]), when)
            self._sequence(book, when, place)
            return
        self._crossing.offer(book, np.array([when]))
        self._waiting.append((book, when, place))
        if self._crossing.decided:
            self._open_day()

    def _enter_day(self, day: int) -> None:
        """The book stream has come to another day: settle the one it leaves, and see how that ended."""
        if self._crossing is not None:
            self._open_day()
        ended: Closing | None = None
        if self._sequencer is not None:
            self._flush()
            if day == self._day + 1:
                chain = self._sequencer.chain
                levels = kernel.book_levels(self._sink.book) if chain[WHOLE] else None
                ended = Closing(self._sequencer.end_id, bool(chain[UNBRIDGED]), self._arrived_id, levels)
            else:
                self._sink.close_day()
        self._previous_open, self._ended = ended is not None, ended
        self._crossing, self._day = Crossing(ended, self._instrument.sequence), day

    def _open_day(self) -> None:
        """Close the day before, take its book over if it goes on, pass on what waited for that to be clear."""
        crossing, ended, waiting = self._crossing, self._ended, self._waiting
        if crossing is None:
            return
        self._crossing, self._ended, self._waiting = None, None, []
        date = day_of_ns(self._day * NS_PER_DAY)
        if self._previous_open:
            replaced = not self._bridged and bool(waiting) and waiting[0][0].kind[0] != KIND_DELTA
            if crossing.first is not None and (crossing.continues or (replaced and not self._interrupted)):
                rows = (np.full(1, BID, np.int8), np.zeros(1, np.int64), np.zeros(1, np.int64))
                self._sink.message(self._events(crossing.first, KIND_AUDIT, *rows))
            self._sink.close_day()
        self._previous_open = False
        self._sink.open_day(date)
        chain = None
        if crossing.carries and ended is not None and ended.levels is not None:
            chain = opening_chain(ended.end_id, date, unbridged=ended.unbridged)
            values = (day_start_ns(date), 0, ended.end_id, -1)
            self._sink.message(self._events(values, KIND_CARRIED, *ended.levels))
        self._sequencer = LiveSequencer(self._instrument.sequence, chain)
        self._held_trades = [(at, t[(t[:, 0] - 1) // NS_PER_DAY >= self._day]) for at, t in self._held_trades]
        for book, when, place in waiting:
            self._note_arrival(int(book.kind[0]), int(book.update_id[0]), when)
            self._sequence(book, when, place)

    def _sequence(self, book: BookMessages, when: int, place: int) -> None:
        sequencer = self._sequencer
        if sequencer is None:
            raise ValueError("a book message before its day was opened")
        for batch in sequencer.push(book, np.array([when]), np.array([place])):
            self._release(batch)
        for at, count in sequencer.shifts:
            self._held_trades = [(p + count if p > at else p, t) for p, t in self._held_trades]
            self._place += count
        if not sequencer.holds:
            self._release_trades(self._place + 1)

    def _flush(self) -> None:
        if self._sequencer is not None:
            for batch in self._sequencer.flush():
                self._release(batch)
            self._release_trades(self._place + 1)

    def _release(self, batch: Batch) -> None:
        start = batch.book.level_start
        for i in range(len(batch)):
            lo, hi = int(start[i]), int(start[i + 1])
            self._release_trades(int(batch.order[i]))
            values = (
                int(batch.ts_ns[i]),
                int(batch.book.ts_recv_ns[i]),
                int(batch.book.update_id[i]),
                int(batch.prev_id[i]),
            )
            rows = (batch.book.side[lo:hi], batch.book.price_ticks[lo:hi], batch.book.size_lots[lo:hi])
            self._sink.message(self._events(values, int(batch.kind[i]), *rows))

    def _release_trades(self, before: int) -> None:
        while self._held_trades and self._held_trades[0][0] < before:
            _, trades = self._held_trades.pop(0)
            if len(trades):
                self._sink.trades(trades)

    def _events(self, values: tuple[int, int, int, int], kind: int, side: Any, price: Any, size: Any) -> Events:
        """Return one message. Kernels read its own values at its first row only, so those arrays have one entry."""
        n = len(side)
        if n > len(self._kinds):
            self._kinds = np.zeros(2 * n, np.int8)
        for array, value in zip(self._one, values, strict=True):
            array[0] = value
        self._kinds[:n] = kind
        ts_ns, recv_ns, update_id, prev_id = self._one
        return Events(ts_ns, recv_ns, update_id, prev_id, self._kinds[:n], side, price, size)
