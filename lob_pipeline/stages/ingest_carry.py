"""The book at the end of a day, and how the next day's stream takes it over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lob_pipeline.book import kernel
from lob_pipeline.book.pool import reserve
from lob_pipeline.book.sequence import BRIDGE, MODES
from lob_pipeline.book.state import BookState, new_book
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_AUDIT, KIND_CARRIED, KIND_DELTA, L2_EVENTS
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, open_partition
from lob_pipeline.stages.ingest_blocks import Int64s, concat_books, slice_book, take_book
from lob_pipeline.stages.ingest_bridge import CARRIED_UNBRIDGED, UNBRIDGED, WHOLE, Batch, Sequencer
from lob_pipeline.venues.block import BookMessages

_CHUNK_ROWS = 1 << 20
_OVERLAP_DELTAS = 1000
"""A file that goes on may repeat the end of the one before; one that repeats more than this does not go on."""


@dataclass(frozen=True)
class Closing:
    """Where a day's book stream ended. ``end_id``: id the book's chain ends in; ``arrived_id``: that its last
    message left the stream at.

    ``levels``: side, price_ticks, size_lots of the whole book, bids best first, then asks; None when it was not whole.
    """

    end_id: int
    unbridged: bool
    arrived_id: int | None
    levels: tuple[npt.NDArray[np.int8], Int64s, Int64s] | None


def closing(sequencer: Sequencer, book: BookState, arrived_id: int | None) -> Closing:
    """Return the state of a day whose messages have all been passed on and applied."""
    whole = bool(sequencer.chain[WHOLE])
    unbridged = bool(sequencer.chain[UNBRIDGED])
    return Closing(sequencer.end_id, unbridged, arrived_id, kernel.book_levels(book) if whole else None)


def opening_chain(end_id: int, date: str, *, unbridged: bool = False) -> npt.NDArray[np.int64]:
    """Return the ``Sequencer`` chain that stands on a carried book; ``unbridged``: that waits for its first event."""
    return np.array([1, CARRIED_UNBRIDGED if unbridged else 0, end_id, day_start_ns(date)], dtype=np.int64)


def apply_batch(book: BookState, batch: Batch) -> BookState:
    """Apply the messages of ``batch`` that are part of the book; return the book to go on with."""
    levels, start = batch.book, batch.book.level_start
    book = reserve(book, levels.side, levels.price_ticks, levels.size_lots)
    rows = (levels.side, levels.price_ticks, levels.size_lots)
    index = np.flatnonzero(batch.applied)
    snapshot = batch.kind[index] != KIND_DELTA
    # Deltas are absolute, so a run of them is applied in one call; a snapshot stands alone.
    breaks = np.flatnonzero((np.diff(index) != 1) | snapshot[1:] | snapshot[:-1]) + 1
    for run in np.split(index, breaks) if index.shape[0] else []:
        lo, hi = int(start[run[0]]), int(start[run[-1] + 1])
        if batch.kind[run[0]] == KIND_DELTA:
            kernel.apply_delta(book, *rows, lo, hi)
        else:
            kernel.replace_book(book, *rows, lo, hi)
    return book


def book_of_levels(levels: tuple[npt.NDArray[np.int8], Int64s, Int64s]) -> BookState:
    """Return a book that holds ``levels``."""
    book = reserve(new_book(), *levels)
    kernel.replace_book(book, *levels, 0, len(levels[0]))
    return book


class Crossing:
    """The first messages of a day, looked at until it is clear whether they go on from the day before.

    ``before``: where that day ended, None where it is not in the lake. ``decided`` once a delta said so; then
    ``continues`` (its stream goes on: the day before gets its closing mark) and ``carries`` (its book goes on too).
    """

    def __init__(self, before: Closing | None, sequence: str) -> None:
        self._before, self._bridge = before, MODES[sequence] == BRIDGE
        self._old = 0
        self.decided = before is None
        self.continues = self.carries = False
        self.first: tuple[int, int, int, int] | None = None  # time, receive time, id, claimed previous id

    def offer(self, book: BookMessages, when: Int64s) -> None:
        """Look at the next messages of the day."""
        if len(book) == 0 or (self.decided and self.first):
            return
        if self.first is None:
            self.first = (int(when[0]), int(book.ts_recv_ns[0]), int(book.update_id[0]), int(book.prev_update_id[0]))
        if self.decided or self._before is None:
            return
        before = self._before
        if not self._bridge and book.kind[0] != KIND_DELTA:
            self.decided = True  # the day opens with a snapshot of its own, which replaces whatever stood
            return
        deltas = np.flatnonzero(book.kind == KIND_DELTA)
        known = max(before.end_id, before.arrived_id or 0)
        newer = deltas[book.update_id[deltas] > known]
        if newer.shape[0]:
            claimed = int(book.prev_update_id[newer[0]])
            self.continues = claimed == before.arrived_id
            follows = claimed == before.end_id or (before.unbridged and claimed <= before.end_id)
            self.carries = before.levels is not None and follows
            self.decided = True
            return
        self._old += deltas.shape[0]
        self.decided = self._old > _OVERLAP_DELTAS


def messages_of_rows(chunks: Iterator[Columns]) -> Iterator[BookMessages]:
    """Yield whole messages from chunks of ``l2_events`` rows; a message cut by a chunk's end waits for the next."""
    waiting: BookMessages | None = None
    for rows in chunks:
        first = rows["first_in_message"]
        starts = np.flatnonzero(first)
        if waiting is not None and (starts.shape[0] == 0 or starts[0] > 0):
            starts = np.concatenate([[0], starts])
        part = _messages(rows, starts)
        if waiting is not None:
            if rows["order"].shape[0] and not first[0]:
                part = _mend(waiting, part)
            else:
                part = concat_books(waiting, part)
        last = len(part) - 1
        if last > 0:
            yield slice_book(part, 0, last)
        waiting = slice_book(part, last, last + 1) if last >= 0 else None
    if waiting is not None:
        yield waiting


def _messages(rows: Columns, starts: Int64s) -> BookMessages:
    def of(name: str) -> Int64s:
        return rows[name][starts]  # type: ignore[return-value]

    nowhere = np.full(starts.shape[0], -1, dtype=np.int64)
    return BookMessages(
        line=of("order"),
        offset=nowhere,
        ts_event_ns=of("ts_event_ns"),
        ts_recv_ns=of("ts_recv_ns"),
        update_id=of("update_id"),
        first_update_id=nowhere,
        prev_update_id=of("prev_update_id"),
        seq=of("seq"),
        kind=rows["kind"][starts],  # type: ignore[arg-type]
        level_start=np.append(starts, rows["order"].shape[0]).astype(np.int64),
        side=rows["side"],  # type: ignore[arg-type]
        price_ticks=rows["price_ticks"],  # type: ignore[arg-type]
        size_lots=rows["size_lots"],  # type: ignore[arg-type]
    )


def _mend(waiting: BookMessages, part: BookMessages) -> BookMessages:
    """Join ``waiting`` (one message) with ``part``, whose first message is the rest of it."""
    both = concat_books(waiting, part)
    start = np.delete(both.level_start, 1)
    kept = np.delete(np.arange(len(both)), 1)
    fields = {n: getattr(both, n)[kept] for n in both.__dataclass_fields__ if n not in _ROWS}
    return BookMessages(
        **fields, level_start=start, side=both.side, price_ticks=both.price_ticks, size_lots=both.size_lots
    )


_ROWS = ("level_start", "side", "price_ticks", "size_lots")


def closing_of_partition(home: Home, instrument: Instrument, date: str) -> Closing | None:
    """Return where the lake's ``l2_events`` of ``date`` end, None where they are absent or not usable."""
    try:
        partition = open_partition(home, PartitionKey("l2_events", instrument.market, date), L2_EVENTS)
    except RefusedError:
        return None  # nothing to carry: the next day stands on its own snapshot or is refused
    with partition:
        return _closing_of_rows(partition, instrument, date)


def _closing_of_rows(partition: Partition, instrument: Instrument, date: str) -> Closing:
    book = new_book()
    sequencer = Sequencer(instrument.sequence)
    for messages in messages_of_rows(partition.chunks(_CHUNK_ROWS)):
        stored = messages
        carried = np.flatnonzero(stored.kind == KIND_CARRIED)
        if carried.shape[0]:
            levels = slice_book(stored, int(carried[0]), int(carried[0]) + 1)
            book = book_of_levels((levels.side, levels.price_ticks, levels.size_lots))
            sequencer.chain[:] = opening_chain(int(levels.update_id[0]), date)
        stored = take_book(stored, np.flatnonzero((stored.kind != KIND_AUDIT) & (stored.kind != KIND_CARRIED)))
        for batch in sequencer.push(stored, stored.ts_event_ns, stored.line):
            book = apply_batch(book, batch)
    for batch in sequencer.flush():
        book = apply_batch(book, batch)
    arrived = partition.manifest.extra.get("arrived_id")
    found = closing(sequencer, book, arrived)
    end_id = partition.manifest.extra.get("end_id", found.end_id)
    return Closing(int(end_id), found.unbridged, arrived, found.levels)
