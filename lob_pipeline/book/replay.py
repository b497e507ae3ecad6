"""Drive the book over a stream: chunks of ``l2_events`` in, rows out; and the live form, one message at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.advance import MARK_WIDTH, Events, advance
from lob_pipeline.book.grid import GRID_META, GridState, new_grid
from lob_pipeline.book.kernel import book_levels, replace_book
from lob_pipeline.book.pool import reserve
from lob_pipeline.book.state import BookState, Int64Array, book_to_bytes, copy_book, levels_from_bytes, new_book
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_AUDIT, ROW_WIDTH

COLUMNS = ("ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id", "kind", "side", "price_ticks", "size_lots")
"""The columns of ``l2_events`` that a replay reads, beside ``first_in_message``."""
WATCHED = ("seq",)
"""Columns that the book does not need but a watcher wants; a chunk may lack them."""

RowMap = Callable[[Int64Array], Int64Array]
_HEAD = struct.Struct("<4sqq")
_MAGIC = b"LBE1"


class Watcher(Protocol):
    """What listens to a replay, as the certificate does."""

    def chunk(self, events: Events, starts: Int64Array, marks: Int64Array, seq: Int64Array) -> None:
        """See what happened at each message of a chunk, after it was replayed; ``seq`` int64 a message, -1 unknown."""

    def audit(self, book: BookState, grid: GridState, events: Events, lo: int, hi: int) -> None:
        """See an audit message (level rows [lo, hi)) beside the state at its place in the stream."""

    def rows(self, rows: Int64Array, ids: Int64Array) -> None:
        """See emitted rows and the update id that each of them shows (-1 where the book is not whole)."""

    def end(self, book: BookState, grid: GridState) -> None:
        """See the state after the last message."""


class Chunk(NamedTuple):
    """Whole messages: their columns, where each begins (with the end appended), and the venue's ``seq`` of each."""

    events: Events
    starts: Int64Array
    seq: Int64Array


def whole_messages(chunks: Iterable[Columns]) -> Iterator[Chunk]:
    """Cut chunks of ``l2_events`` at message borders: a message that straddles two chunks comes with the second.

    The columns may hold more than ``COLUMNS`` and ``first_in_message``. Raises ``BadInputError`` when the very first
    row is not the first of a message.
    """
    held: Columns = {}
    for chunk in chunks:
        names = [name for name in (*COLUMNS, *WATCHED) if name in chunk]
        n = len(chunk["kind"])
        starts = np.flatnonzero(chunk["first_in_message"])
        if n and not held and (not len(starts) or starts[0] != 0):
            raise BadInputError("the first level row is not the first of its message: ingest the recording again")
        if held:
            ends = int(starts[0]) if len(starts) else n
            held = {name: np.concatenate([held[name], chunk[name][:ends]]) for name in names}
            if not len(starts):
                continue
            yield _chunk(held, 0, len(held["kind"]), np.zeros(1, np.int64))
        if len(starts) > 1:
            yield _chunk(chunk, int(starts[0]), int(starts[-1]), starts[:-1])
        held = {name: chunk[name][starts[-1] :].copy() for name in names} if len(starts) else {}
    if held:
        yield _chunk(held, 0, len(held["kind"]), np.zeros(1, np.int64))


def _chunk(columns: Columns, lo: int, hi: int, starts: npt.NDArray[np.intp]) -> Chunk:
    """Return the level rows [lo, hi) as a chunk; ``starts`` are row numbers of ``columns``."""
    cut = {name: columns[name][lo:hi] for name in COLUMNS}
    seq = columns["seq"][starts] if "seq" in columns else np.full(len(starts), -1, np.int64)
    return Chunk(_events(cut, hi - lo), np.append(starts, hi).astype(np.int64) - lo, seq.astype(np.int64))


def _events(columns: Columns, n: int) -> Events:
    return Events(*(np.ascontiguousarray(columns[name][:n]) for name in COLUMNS))  # type: ignore[arg-type]


def replay(
    chunks: Iterable[Columns],
    instrument: Instrument,
    clock: Clock,
    date: str | None,
    *,
    watcher: Watcher | None = None,
    row_map: RowMap | None = None,
    batch_rows: int = 1 << 14,
) -> Iterator[Int64Array]:
    """Replay a market's book events and yield its rows in batches, int64 (n, ROW_WIDTH), each an array of its own.

    ``date``: the UTC day whose rows are wanted (None: all). ``watcher`` sees messages, audits and the rows as emitted.
    ``row_map`` replaces each batch before anyone sees it: with it a test can inject a defect behind the kernel.
    """
    book, grid = new_book(), new_grid(instrument, clock, date)
    ids = np.empty(batch_rows, np.int64)
    for events, starts, seq in whole_messages(chunks):
        book = reserve(book, events.side, events.price_ticks, events.size_lots)
        marks = np.zeros((len(starts) - 1 if watcher else 0, MARK_WIDTH), np.int64)
        at, last = 0, len(starts) - 1
        while at < last:
            before, rows = at, np.empty((batch_rows, ROW_WIDTH), np.int64)
            reached, n = advance(book, grid, events, starts, at, rows, ids, marks)
            at = int(reached)
            if n:
                batch = rows[:n] if row_map is None else row_map(rows[:n])
                if watcher:
                    watcher.rows(batch, ids[:n].copy())
                yield batch
            if watcher and at > before and events.kind[starts[at - 1]] == KIND_AUDIT:
                watcher.audit(book, grid, events, int(starts[at - 1]), int(starts[at]))
        if watcher:
            watcher.chunk(events, starts, marks, seq)
    if watcher:
        watcher.end(book, grid)


class BookEngine:
    """The live form: one message in, the rows that it closes out. Same kernels, no second implementation.

    ``book`` and ``grid`` are its whole state; it copies and serialises between any two messages.
    """

    def __init__(self, instrument: Instrument, clock: Clock, date: str | None = None) -> None:
        self.instrument, self.clock, self.date = instrument, clock, date
        self.book, self.grid = new_book(), new_grid(instrument, clock, date)
        self._rows, self._ids = np.empty((64, ROW_WIDTH), np.int64), np.empty(64, np.int64)
        self._no_marks = np.zeros((0, MARK_WIDTH), np.int64)

    def push(self, message: Columns) -> Int64Array:
        """Take the level rows of one message (columns ``COLUMNS``); return the rows it closed, int64 (n, ROW_WIDTH).

        The result is a view that the next call may overwrite, except after a long silence.
        """
        return self.push_events(_events(message, len(message["kind"])))

    def push_events(self, events: Events) -> Int64Array:
        """Take one message as ``Events``; see ``push``."""
        end = len(events.kind)
        if end == 0:
            return self._rows[:0]
        starts = np.array([0, end], np.int64)
        self.book = reserve(self.book, events.side, events.price_ticks, events.size_lots, 0, end)
        at, n = advance(self.book, self.grid, events, starts, 0, self._rows, self._ids, self._no_marks)
        if at == 1:
            return self._rows[:n]
        parts = [self._rows[:n].copy()]
        while at < 1:
            at, n = advance(self.book, self.grid, events, starts, at, self._rows, self._ids, self._no_marks)
            parts.append(self._rows[:n].copy())
        return np.concatenate(parts)

    def copy(self) -> BookEngine:
        """Return an independent engine in the same state."""
        twin = BookEngine(self.instrument, self.clock, self.date)
        twin.book = copy_book(self.book)
        twin.grid = GridState(*(a.copy() for a in self.grid))
        return twin

    def to_bytes(self) -> bytes:
        """Serialise the state (not the market's settings): grid arrays, then every level of the book."""
        grid = b"".join(a.astype("<i8").tobytes() for a in self.grid)
        levels = book_to_bytes(*book_levels(self.book))
        return _HEAD.pack(_MAGIC, len(grid), GRID_META) + grid + levels

    @classmethod
    def from_bytes(cls, data: bytes, instrument: Instrument, clock: Clock, date: str | None = None) -> BookEngine:
        """Return the engine that ``to_bytes`` saved. Raises ``BadInputError`` for other bytes."""
        engine = cls(instrument, clock, date)
        size = sum(a.size for a in engine.grid) * 8
        if len(data) < _HEAD.size + size or _HEAD.unpack_from(data) != (_MAGIC, size, GRID_META):
            raise BadInputError(f"these {len(data)} bytes are no saved book engine of this version: start a new one")
        flat: npt.NDArray[np.int64] = np.frombuffer(data, "<i8", size // 8, _HEAD.size).astype(np.int64)
        parts, at = [], 0
        for array in engine.grid:
            parts.append(flat[at : at + array.size].reshape(array.shape).copy())
            at += array.size
        engine.grid = GridState(*parts)
        side, price, lots = levels_from_bytes(data[_HEAD.size + size :])
        engine.book = reserve(engine.book, side, price, lots)
        replace_book(engine.book, side, price, lots, 0, len(price))
        return engine
