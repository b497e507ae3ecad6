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
from lob_pipeline.features.batch import Bools, Float32s
from lob_pipeline.features.kernel import step
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import FeatureState, Int64s, copy_state, from_bytes, new_state, to_bytes

_HEAD = struct.Struct("<8sq")
_MAGIC = b"LOBLIVE1"


class LiveEngine:
    """Book and features of one market on one clock.

    Its whole state is the book engine's and the feature state: it copies and serialises between any two messages, and
    goes on bit for bit. ``date`` ends the rows with a UTC day (None: never); ``features`` is a warmed state, if any.
    """

    def __init__(
        self, instrument: Instrument, clock: Clock, date: str | None = None, features: FeatureState | None = None
    ) -> None:
        self.instrument, self.clock, self.date = instrument, clock, date
        self.book = BookEngine(instrument, clock, date)
        self.features = new_state(clock, instrument) if features is None else features
        self._out = np.empty((64, N_BUILT), dtype=np.float32)
        self._valid = np.empty(64, dtype=np.bool_)

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
            self._out = np.empty((2 * n, N_BUILT), dtype=np.float32)
            self._valid = np.empty(2 * n, dtype=np.bool_)
        for i in range(n):
            self._valid[i] = step(self.features, rows[i], self._out[i])
        return rows, self._out[:n], self._valid[:n]

    def copy(self) -> LiveEngine:
        """Return an independent engine in the same state."""
        twin = LiveEngine(self.instrument, self.clock, self.date, copy_state(self.features))
        twin.book = self.book.copy()
        return twin

    def to_bytes(self) -> bytes:
        """Serialise the state (not the market's settings): the book engine's bytes, then the feature state's."""
        book = self.book.to_bytes()
        return _HEAD.pack(_MAGIC, len(book)) + book + to_bytes(self.features)

    @classmethod
    def from_bytes(cls, data: bytes, instrument: Instrument, clock: Clock, date: str | None = None) -> LiveEngine:
        """Return the engine that ``to_bytes`` saved. Raises ``BadInputError`` for other bytes."""
        if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
            raise BadInputError(f"these {len(data)} bytes are no saved live engine of this version: start a new one")
        _, size = _HEAD.unpack_from(data)
        end = _HEAD.size + size
        engine = cls(instrument, clock, date, from_bytes(data[end:]))
        engine.book = BookEngine.from_bytes(data[_HEAD.size : end], instrument, clock, date)
        return engine
