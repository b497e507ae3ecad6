"""One day's ``l2_events``, ``trades`` and ``quotes``, written from items in arrival order and published together.

``order`` counts the day's items from 1 in arrival order; a carried book is item 0. So a day's rows do not depend on
what was read before it, and every partition stands alone.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from lob_pipeline.book.state import new_book
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.core.tables import KIND_AUDIT, KIND_CARRIED, KIND_DELTA, L2_EVENTS, QUOTES, TRADES, Table
from lob_pipeline.core.units import BID, NS_PER_DAY, day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.schemas import SchemaGate
from lob_pipeline.stages.ingest_blocks import Arrivals, Int64s
from lob_pipeline.stages.ingest_bridge import Batch, Sequencer, new_batch
from lob_pipeline.stages.ingest_carry import Closing, Crossing, apply_batch, book_of_levels, closing, opening_chain
from lob_pipeline.stages.ingest_gates import EventGates, TradeGates, checksum_gate
from lob_pipeline.stages.result import StageResult, stage_result
from lob_pipeline.venues.block import BookMessages

TABLES: tuple[Table, ...] = (L2_EVENTS, TRADES, QUOTES)


def level_rows(batch: Batch) -> Columns:
    """Return the ``l2_events`` rows of a batch: one a level, the message's values repeated."""
    counts = np.diff(batch.book.level_start)
    message = np.repeat(np.arange(len(batch)), counts)
    first = np.zeros(message.shape[0], dtype=np.bool_)
    first[batch.book.level_start[:-1][counts > 0]] = True
    return {
        "order": batch.order[message],
        "ts_event_ns": batch.ts_ns[message],
        "ts_recv_ns": batch.book.ts_recv_ns[message],
        "update_id": batch.book.update_id[message],
        "prev_update_id": batch.prev_id[message],
        "seq": batch.book.seq[message],
        "conn": np.zeros(message.shape[0], dtype=np.int32),
        "kind": batch.kind[message],
        "side": batch.book.side,
        "price_ticks": batch.book.price_ticks,
        "size_lots": batch.book.size_lots,
        "first_in_message": first,
    }


class DayBuild:
    """A day being written: context manager around its three partition writers.

    Give it the day's items with ``add``, the first book messages after ``open_book``; ``end_book`` when the book stream
    has left the day; then ``seal`` and ``publish``. Leaving without ``publish`` leaves the lake as it was.
    """

    def __init__(self, home: Home, instrument: Instrument, date: str, *, archive: bool = False) -> None:
        self.date, self.archive = date, archive
        self._instrument = instrument
        keys = [PartitionKey(table.name, instrument.market, date) for table in TABLES]
        self._gates, self._trade_gates, self._quote_gate = EventGates(), TradeGates(), SchemaGate(QUOTES)
        looks = (self._gates.add, self._trade_gates.add, lambda rows, _: self._quote_gate.add(rows))
        self._writers = [PartitionWriter(home, *what) for what in zip(keys, TABLES, looks, strict=True)]
        self._stack = ExitStack()
        self._next = 1
        self._mark_order: int | None = None
        self._crossing: Crossing | None = None
        self._before: Closing | None = None
        self._sequencer: Sequencer | None = None
        self._book = new_book()
        self._waiting: list[tuple[BookMessages, Int64s, Int64s]] = []
        self._end_ns = day_start_ns(date) + NS_PER_DAY
        self._latest_ns = 0
        self._closing: Closing | None = None
        self._results: list[StageResult] = []
        self.arrived_id: int | None = None
        self.checksums: tuple[int, int] | None = None
        """The venue's checksums of the day's book, compared and equal; set before the day is sealed."""
        self.recorded: list[CheckOutcome] = []
        """What the recorder's ledger says of the day's segments (``stages.segment_ledger``); set before sealing."""
        self.carried = self.marked = False

    def __enter__(self) -> DayBuild:
        with self._stack as stack:
            for writer in self._writers:
                stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    @property
    def has_book(self) -> bool:
        """Return whether the book stream had a message on this day."""
        return self._crossing is not None or self._sequencer is not None

    def open_book(self, crossing: Crossing, before: Closing | None) -> None:
        """Say how the day before ended, before the day's first book message is added."""
        self._crossing, self._before = crossing, before

    def add(self, part: Arrivals, mark_at: int | None = None) -> None:
        """Take the next items of this day. ``mark_at``: place among them at which the book stream left the day."""
        after_mark = 0 if mark_at is None else 1
        orders = [
            self._next + at + (after_mark and at >= (mark_at or 0))
            for at in (part.book_at, part.trades_at, part.quotes_at)
        ]
        if mark_at is not None:
            self._mark_order = self._next + mark_at
        self._next += part.items + after_mark
        shifts = self._add_book(part.book, part.book_when, orders[0]) if len(part.book) else []
        for place, count in shifts:
            for order in orders[1:]:
                order[order > place] += count
            if self._mark_order is not None and self._mark_order > place:
                self._mark_order += count
            self._next += count
        self._add_trades(part, orders[1])
        self._add_quotes(part, orders[2])

    def _add_trades(self, part: Arrivals, order: Int64s) -> None:
        if len(part.trades):
            names = [c.name for c in TRADES.columns if c.name not in ("order", "trade_id")]
            rows: Columns = {"order": order, **{n: getattr(part.trades, n) for n in names}}
            self._writers[1].write(rows, {"trade_id": part.trades.trade_id})

    def _add_quotes(self, part: Arrivals, order: Int64s) -> None:
        if len(part.quotes):
            rows: Columns = {"order": order, **{n: getattr(part.quotes, n) for n in QUOTES.names[1:]}}
            self._writers[2].write(rows)

    def _add_book(self, book: BookMessages, when: Int64s, order: Int64s) -> list[tuple[int, int]]:
        bridged = self._instrument.sequence == "bridge"
        chain = np.flatnonzero(book.kind == KIND_DELTA) if bridged else np.arange(len(book))
        if chain.shape[0]:
            self.arrived_id = int(book.update_id[chain[-1]])
        if self.archive:
            return self._add_archived(book, when, order)
        if self._crossing is None:
            raise ValueError(f"{self.date}: book messages before open_book")
        self._waiting.append((book, when, order))
        if not self._crossing.decided:
            return []
        return self._go_on()

    def _go_on(self) -> list[tuple[int, int]]:
        """Pass on what waited for the decision whether the day opens with a carried book."""
        sequencer = self._sequencer or self._open_sequencer()
        shifts = []
        for book, when, order in self._waiting:
            for batch in sequencer.push(book, when, order):
                self._write(batch)
            shifts += sequencer.shifts
        self._waiting = []
        return shifts

    def _open_sequencer(self) -> Sequencer:
        chain = None
        if self._crossing and self._crossing.carries and self._before and self._before.levels:
            chain = opening_chain(self._before.end_id, self.date, unbridged=self._before.unbridged)
            self._book = book_of_levels(self._before.levels)
            self._write_carried(self._before)
        self._sequencer = Sequencer(self._instrument.sequence, chain)
        return self._sequencer

    def _add_archived(self, book: BookMessages, when: Int64s, order: Int64s) -> list[tuple[int, int]]:
        """Archive files hold what came just after their day too: it is kept as audits, never applied."""
        latest = np.maximum.accumulate(np.maximum(when, self._latest_ns))
        self._latest_ns = int(latest[-1])
        sequencer = self._sequencer or self._open_sequencer()
        batch = new_batch(book, when, order)
        late = int(np.searchsorted(latest, self._end_ns, side="right"))
        if late:
            head = batch.cut(0, late)
            for settled in sequencer.push(head.book, head.when, head.order):
                self._write(settled)
        if late < len(batch):
            tail = batch.cut(late, len(batch))
            tail.kind[:] = KIND_AUDIT
            self._write(tail)
        return []

    def _write(self, batch: Batch) -> None:
        if not self.archive:  # an archive file opens with its own book: nobody asks for this one's end
            self._book = apply_batch(self._book, batch)
        self._write_rows(level_rows(batch))

    def _write_rows(self, rows: Columns) -> None:
        self._writers[0].write(rows)

    def _write_carried(self, before: Closing) -> None:
        if before.levels is None:
            return
        side, price, size = before.levels
        message = {"order": 0, "ts_event_ns": day_start_ns(self.date), "update_id": before.end_id, "kind": KIND_CARRIED}
        self._write_rows(_one_message(side.shape[0], message) | {"side": side, "price_ticks": price, "size_lots": size})
        self.carried = True

    def mark(self, first: tuple[int, int, int, int]) -> None:
        """Close the day with the mark of the message that crossed midnight: (time, receive time, id, claimed id).

        The mark is one row without size: never applied, nothing to audit; it closes the rows up to 24:00.
        """
        self.end_book()
        order = self._next if self._mark_order is None else self._mark_order
        message = dict(zip(("ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id"), first, strict=True))
        self._write_rows(_one_message(1, message | {"order": order, "kind": KIND_AUDIT, "side": BID}))
        self.marked = True

    def end_book(self) -> Closing:
        """Settle what is still held and return where the book stands. Trades may still be added afterwards."""
        if self._closing is None:
            self._go_on()
            sequencer = self._sequencer or self._open_sequencer()
            for batch in sequencer.flush():
                self._write(batch)
            self._closing = closing(sequencer, self._book, self.arrived_id)
            self.flush()
            if any(o.refuses for o in self._gates.outcomes()):
                self._closing = Closing(self._closing.end_id, False, self.arrived_id, None)
            self._book = new_book()
        return self._closing

    def flush(self) -> None:
        """Give the writers' buffers back; more may still be added."""
        for writer in self._writers:
            writer.flush()

    @property
    def content(self) -> str | None:
        """Return the content hash of ``l2_events``, None when its gates refuse it. Ends the day's book."""
        self.end_book()
        self.flush()
        refused = any(o.refuses for o in self._event_outcomes())
        return None if refused else self._writers[0].content_sha256

    def _event_outcomes(self) -> list[CheckOutcome]:
        return [*self._gates.outcomes(), *checksum_gate(self.checksums), *self.recorded]

    def seal(self, code_fingerprint: str, inputs: dict[str, str], extra: dict[str, Any]) -> list[Manifest]:
        """Finish the three staged files with their gates; the lake is not touched."""
        end = self.end_book()
        self.flush()
        facts = {
            "messages": self._gates.messages,
            "snapshots": self._gates.snapshots,
            "messages_without_levels": self._sequencer.without_levels if self._sequencer else 0,
            "arrived_id": self.arrived_id,
            "end_id": end.end_id,
            "carried": self.carried,
            "closing_mark": self.marked,
            "checksums": dict(zip(("compared", "equal"), self.checksums, strict=True)) if self.checksums else None,
        }
        outcomes = [self._event_outcomes(), self._trade_gates.outcomes(), [self._quote_gate.outcome()]]
        return [
            writer.seal(
                code_fingerprint=code_fingerprint,
                inputs=inputs,
                outcomes=found,
                extra=extra | (facts if writer.table is L2_EVENTS else {}),
            )
            for writer, found in zip(self._writers, outcomes, strict=True)
        ]

    def publish(self, manifests: list[Manifest]) -> list[StageResult]:
        """Move the three sealed files to where they belong: trades and quotes first, so that events never lack them."""
        results = [
            stage_result(writer.key, manifest, writer.publish())
            for writer, manifest in reversed(list(zip(self._writers, manifests, strict=True)))
        ]
        return results[::-1]


def _one_message(rows: int, values: dict[str, int]) -> Columns:
    """Return ``rows`` rows of one message with the given values; ids that are not given are -1, all else is 0."""
    columns: Columns = {}
    for column in L2_EVENTS.columns:
        default = -1 if column.name in ("update_id", "prev_update_id", "seq") else 0
        columns[column.name] = np.full(rows, values.get(column.name, default), dtype=column.dtype)
    columns["first_in_message"] = np.arange(rows) == 0
    return columns
