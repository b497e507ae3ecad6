"""The live engine: a book message in, the features of the rows it closes out. Same kernels as the batch stages."""

from __future__ import annotations

import struct

import numpy as np

from lob_pipeline.book.advance import Events
from lob_pipeline.book.replay import BookEngine
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.features.batch import Bools, Float32s, live
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import FeatureState, Int64s, copy_state, from_bytes, new_state, to_bytes
from lob_pipeline.features.tape_rows import (
    TAPE_WIDTH,
    TapeState,
    add_trades,
    copy_tape,
    new_tape,
    tape_from_bytes,
    tape_to_bytes,
    with_room,
)

_HEAD = struct.Struct("<8sqq?")
_MAGIC = b"LOBLIVE2"


class LiveEngine:
    """Book, waiting trades and features of one market on one clock.

    Its whole state is the book engine's, the trades that wait for their row, and the feature state: it copies and
    serialises between any two messages, and goes on bit for bit. ``date`` ends the rows with a UTC day (None: never);
    ``features`` is a warmed state, if any. ``waiting``: trades that already wait; None where the market's trades are
    not recorded, so that the tape features are NaN.
    """

    def __init__(
        self,
        instrument: Instrument,
        clock: Clock,
        date: str | None = None,
        features: FeatureState | None = None,
        waiting: TapeState | None = None,
    ) -> None:
        self.instrument, self.clock, self.date = instrument, clock, date
        self.book = BookEngine(instrument, clock, date)
        self.features = new_state(clock, instrument) if features is None else features
        self.recorded = waiting is not None
        self.waiting = new_tape() if waiting is None else waiting
        self._room(64)

    def _room(self, rows: int) -> None:
        self._out = np.empty((rows, N_BUILT), dtype=np.float32)
        self._valid = np.empty(rows, dtype=np.bool_)
        self._tape = np.empty((rows, TAPE_WIDTH), dtype=np.int64)

    def push_trades(self, trades: Int64s) -> None:
        """Take trades as they arrive, int64 (n, 3) as of ``tape_rows.market_trades``: they count when a row closes."""
        if not self.recorded:
            raise BadInputError(f"this engine of {self.instrument.market} was made without a tape: pass waiting trades")
        self.waiting = with_room(self.waiting, len(trades))
        add_trades(self.waiting, trades)

    def push(self, message: Columns) -> tuple[Int64s, Float32s, Bools]:
        """Take one message (level rows with the columns ``replay.COLUMNS``).

        Returns the rows it closed, int64 (n, ROW_WIDTH), their features, float32 (n, N_BUILT), and whether each is
        valid, bool (n,). All three are views that the next call overwrites.
        """
        return self._features_of(self.book.push(message))

    def push_events(self, events: Events) -> tuple[Int64s, Float32s, Bools]:
        """Take one message as ``Events``; see ``push``."""
        return self._features_of(self.book.push_events(events))

    def _features_of(self, rows: Int64s) -> tuple[Int64s, Float32s, Bools]:
        n = len(rows)
        if n > len(self._out):
            self._room(2 * n)
        if n:
            live(self.features, self.waiting, self.recorded, rows, self._tape, self._out, self._valid)
        return rows, self._out[:n], self._valid[:n]

    def copy(self) -> LiveEngine:
        """Return an independent engine in the same state."""
        waiting = copy_tape(self.waiting) if self.recorded else None
        twin = LiveEngine(self.instrument, self.clock, self.date, copy_state(self.features), waiting)
        twin.book = self.book.copy()
        return twin

    def to_bytes(self) -> bytes:
        """Serialise the state (not the market's settings): the book's bytes, the waiting trades', the features'."""
        book, waiting = self.book.to_bytes(), tape_to_bytes(self.waiting)
        head = _HEAD.pack(_MAGIC, len(book), len(waiting), self.recorded)
        return head + book + waiting + to_bytes(self.features)

    @classmethod
    def from_bytes(cls, data: bytes, instrument: Instrument, clock: Clock, date: str | None = None) -> LiveEngine:
        """Return the engine that ``to_bytes`` saved. Raises ``BadInputError`` for other bytes."""
        if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
            raise BadInputError(f"these {len(data)} bytes are no saved live engine of this version: start a new one")
        _, book_size, tape_size, recorded = _HEAD.unpack_from(data)
        middle, end = _HEAD.size + book_size, _HEAD.size + book_size + tape_size
        waiting = tape_from_bytes(data[middle:end]) if recorded else None
        engine = cls(instrument, clock, date, from_bytes(data[end:]), waiting)
        engine.book = BookEngine.from_bytes(data[_HEAD.size : middle], instrument, clock, date)
        return engine
