"""The live engine: a book message in, the features of the rows it closes out. Same kernels as the batch stages."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.advance import Events
from lob_pipeline.book.replay import BookEngine
from lob_pipeline.book.state import BookState
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import ROW_WIDTH
from lob_pipeline.features.batch import Bools, Float32s, live
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import FeatureState, Int64s, copy_state, from_bytes, new_state, to_bytes
from lob_pipeline.features.tape_rows import (
    TAPE_WIDTH,
    TapeState,
    add_trades,
    copy_tape,
    market_trades,
    new_tape,
    tape_from_bytes,
    tape_to_bytes,
    with_room,
)
from lob_pipeline.live.push_kernel import NOT_HERE, push_decoded, write_card
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decode import LiveDecoder
from lob_pipeline.venues.job import Job, address

_HEAD = struct.Struct("<8sqq?")
_MAGIC = b"LOBLIVE2"


def trades_of(job: Job) -> Int64s:
    """Return the trades of a decoded message that count, int64 (n, 3) as of ``tape_rows.market_trades``."""
    rows = job.trades[: job.card[card.N_TRADES]]
    trades, _ = market_trades(
        {
            "order": rows[:, card.EVENT_NS],
            "ts_event_ns": rows[:, card.EVENT_NS],
            "side": rows[:, card.SIDE],
            "price_ticks": rows[:, card.PRICE],
            "size_lots": rows[:, card.SIZE],
            "flags": rows[:, card.FLAGS],
        }
    )
    return trades


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
        self._carded: tuple[BookState | None, FeatureState | None, TapeState | None, Float32s | None] = (None,) * 4
        self._room(64)

    def _room(self, rows: int) -> None:
        self._rows, self._ids = np.empty((rows, ROW_WIDTH), np.int64), np.empty(rows, np.int64)
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

    def push_job(self, job: Job) -> tuple[Int64s, Float32s, Bools]:
        """Take the one book message that a ``LiveDecoder`` left in ``job``; see ``push``. The quickest way in."""
        book, features, waiting, out = self._carded
        if (
            book is not self.book.book
            or features is not self.features
            or waiting is not self.waiting
            or out is not self._out
        ):
            self._write_card()
        n = int(push_decoded(self._card_at, job.address))
        if n == NOT_HERE:
            return self._push_long(job)
        return self._rows[:n], self._out[:n], self._valid[:n]

    def push_bytes(self, decoder: LiveDecoder, frame: bytes, recv_ns: int = 0) -> tuple[Int64s, Float32s, Bools]:
        """Take one message as the venue sent it: books, trades (they wait for their row), or neither; see ``push``.

        Raises ``BadInputError`` when it cannot be read.
        """
        job = decoder.decode(frame, recv_ns)
        if job.card[card.N_TRADES] and self.recorded:
            self.push_trades(trades_of(job))
        if job.card[card.N_MESSAGES] and job.card[card.N_LEVELS]:
            return self.push_job(job)
        return self._rows[:0], self._out[:0], self._valid[:0]

    def _push_long(self, job: Job) -> tuple[Int64s, Float32s, Bools]:
        n, head = int(job.card[card.N_LEVELS]), job.messages[0]
        values = (head[k : k + 1].copy() for k in (card.EVENT_NS, card.RECV_NS, card.UPDATE_ID, card.PREV_ID))
        ts_ns, recv_ns, update_id, prev_id = values
        kind = np.full(n, head[card.KIND], np.int8)
        rows = (job.sides[:n], job.prices[:n], job.sizes[:n])
        return self.push_events(Events(ts_ns, recv_ns, update_id, prev_id, kind, *rows))

    def _write_card(self) -> None:
        """Write down where the arrays lie; what the card speaks of is kept alive beside it."""
        book, grid = self.book.book, self.book.grid
        outputs: list[npt.NDArray[Any]] = [self._tape, self._out, self._valid]
        arrays: list[npt.NDArray[Any]] = [*book, *grid, self._rows, self._ids, *self.features, *self.waiting, *outputs]
        self._card = write_card(self.recorded, len(self._out), arrays)
        self._card_at = address(self._card)
        self._carded = (book, self.features, self.waiting, self._out)

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
