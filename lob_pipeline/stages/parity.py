"""``lob parity``: a day's features as batch computes them, as the live process does, and across stops, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lob_pipeline.book.advance import Events
from lob_pipeline.book.replay import COLUMNS, Chunk, whole_messages
from lob_pipeline.core.clock import Clock, parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, ROW
from lob_pipeline.core.units import format_ns
from lob_pipeline.features.batch import Bools, Float32s, rows_of_columns, run_batch
from lob_pipeline.features.registry import BUILT, N_BUILT
from lob_pipeline.features.state import FeatureState, Int64s, copy_state
from lob_pipeline.features.tape_rows import TapeState, copy_tape
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, open_partition
from lob_pipeline.live.engine import LiveEngine
from lob_pipeline.stages.build_features import warmth_of
from lob_pipeline.stages.build_features_tape import DayTape, TradeStream, has_tape

CHUNK_ROWS = 1 << 16
EVENT_ROWS = 1 << 18
COMPARED_ROWS = 1 << 12
STOPS = 10
"""Stops of the third way, spread evenly over the day's level rows, besides one after each of the first messages."""
_EARLY_STOPS = 3

Computed = tuple[Int64s, Float32s, Bools]


def parity(home: Home, market: Market, date: str, clock_id: str | None = None) -> dict[str, Any]:
    """Compute a day's features three ways and compare every value of every row, warm or not.

    *Batch*: the stored ``book_snapshots`` and ``trades`` through the batch kernels. *Live*: ``l2_events`` and
    ``trades`` in their order of arrival through the live engine, one message at a time. *Resume*: the same, with the
    engine saved, thrown away and restored at several messages. All three start warmed on the day before, where it is
    usable. Needs no published features.

    Returns market, date, clock, ``rows``, ``warm_rows``, ``values`` (feature values compared each way), ``messages``,
    ``stops``. Raises ``RefusedError`` on the first difference, naming row and column, when no row was compared, and
    when events or books are absent or refused.
    """
    instrument = partition_instrument(home, market, date)
    clock = parse_clock(clock_id or instrument.clock)
    events_key = PartitionKey("l2_events", market, date)
    book_key = PartitionKey("book_snapshots", market, date, clock.id)
    with (
        open_partition(home, events_key, L2_EVENTS) as events,
        open_partition(home, book_key, BOOK_SNAPSHOTS) as book,
    ):
        warmth = warmth_of(home, market, date, clock, instrument)
        start = _Start(home, instrument, clock, date, warmth.state(clock, instrument), warmth.waiting)
        live = _EngineRun(events, start, stops=0)
        compared = _compare("live", _batch(book, start), _gathered(iter(live)))
        resume = _EngineRun(events, start, stops=STOPS)
        _compare("resume", _batch(book, start), _gathered(iter(resume)))
    rows, warm = compared
    if rows == 0:
        raise RefusedError(f"parity of {market} on {date}: no row was compared, the day's book has none")
    return {
        "market": str(market),
        "date": date,
        "clock": clock.id,
        "rows": rows,
        "warm_rows": warm,
        "values": rows * N_BUILT,
        "messages": live.messages,
        "stops": resume.stopped,
    }


class _Start(NamedTuple):
    """What every way of a day's computation begins with. Each takes copies of the two states."""

    home: Home
    instrument: Instrument
    clock: Clock
    date: str
    features: FeatureState
    waiting: TapeState


def _batch(book: Partition, start: _Start) -> Iterator[Computed]:
    state = copy_state(start.features)
    tape = DayTape(start.home, start.instrument.market, start.date, start.instrument, book, copy_tape(start.waiting))
    for columns in book.chunks(CHUNK_ROWS):
        rows = rows_of_columns(columns)
        yield rows, *run_batch(state, rows, tape.of(rows))


class _EngineRun:
    """One pass of a day's events through the live engine; iterating yields what it emitted, message by message."""

    def __init__(self, events: Partition, start: _Start, stops: int) -> None:
        self._events, self._start = events, start
        market, date = start.instrument.market, start.date
        recorded = has_tape(start.home, market, date)
        waiting = copy_tape(start.waiting) if recorded else None
        self._engine = LiveEngine(start.instrument, start.clock, date, copy_state(start.features), waiting)
        self._trades = TradeStream(start.home, market, date) if recorded else None
        self._every = max(1, events.rows // (stops + 1)) if stops else 0
        self.messages = self.stopped = 0

    def __iter__(self) -> Iterator[Computed]:
        seen = 0
        for chunk, places in self._chunks():
            events, starts = chunk.events, chunk.starts
            for first, end, place in zip(starts[:-1].tolist(), starts[1:].tolist(), places.tolist(), strict=True):
                self._arrive(place)
                closed = self._engine.push_events(_message(events, first, end))
                self.messages += 1
                if len(closed[0]):
                    yield closed
                passed = seen // self._every != (seen + end - first) // self._every if self._every else False
                seen += end - first
                if passed or (self._every and self.messages <= _EARLY_STOPS):
                    self._stop_and_resume()

    def _chunks(self) -> Iterator[tuple[Chunk, Int64s]]:
        """Yield whole messages, and the place of each in the stream that they share with the trades."""
        chunks = self._events.chunks(EVENT_ROWS, [*COLUMNS, "first_in_message"])
        orders = self._events.chunks(EVENT_ROWS, ["order", "first_in_message"])
        held = np.zeros(0, np.int64)
        for chunk in whole_messages(chunks):
            while len(held) < len(chunk.starts) - 1:
                more = next(orders)
                held = np.concatenate([held, more["order"][more["first_in_message"]]])
            yield chunk, held[: len(chunk.starts) - 1]
            held = held[len(chunk.starts) - 1 :]

    def _arrive(self, place: int) -> None:
        """Hand over the trades that arrived before ``place`` in the stream."""
        if self._trades is not None:
            trades, _ = self._trades.until(place)
            if len(trades):
                self._engine.push_trades(trades)

    def _stop_and_resume(self) -> None:
        saved = self._engine.to_bytes()
        self._engine = LiveEngine.from_bytes(saved, self._start.instrument, self._start.clock, self._start.date)
        self.stopped += 1


def _gathered(closed: Iterator[Computed]) -> Iterator[Computed]:
    """Yield what the engine emitted in larger pieces: its own are views that the next call overwrites."""
    parts: list[Computed] = []
    held = 0
    for rows, features, valid in closed:
        parts.append((rows.copy(), features.copy(), valid.copy()))
        held += len(rows)
        if held >= COMPARED_ROWS:
            yield _joined(parts)
            parts, held = [], 0
    if parts:
        yield _joined(parts)


def _joined(parts: list[Computed]) -> Computed:
    rows, features, valid = zip(*parts, strict=True)
    return np.concatenate(rows), np.concatenate(features), np.concatenate(valid)


def _message(events: Events, first: int, end: int) -> Events:
    return Events._make(column[first:end] for column in events)


def _compare(way: str, batch: Iterator[Computed], other: Iterator[Computed]) -> tuple[int, int]:
    """Walk two computations of one day side by side; return rows compared and warm rows among them."""
    done = warm = 0
    left: Computed | None = None
    for rows, features, valid in batch:
        at = 0
        while at < len(rows):
            if left is None:
                left = next(other, None)
                if left is None:
                    raise RefusedError(f"{way} has {done + at} rows, batch goes on at {_instant(rows[at])}")
            n = min(len(rows) - at, len(left[0]))
            ours = (rows[at : at + n], features[at : at + n], valid[at : at + n])
            _refuse_difference(way, done + at, ours, left)
            left = (left[0][n:], left[1][n:], left[2][n:]) if n < len(left[0]) else None
            at += n
        done += len(rows)
        warm += int(valid.sum())
    left = left or next(other, None)
    if left is not None:
        raise RefusedError(f"{way} goes on at {_instant(left[0][0])}, batch has {done} rows")
    return done, warm


def _refuse_difference(way: str, first_row: int, batch: Computed, other: Computed) -> None:
    """Raise for the first row and column that are not the same bits; ``other`` may be longer than ``batch``."""
    n = len(batch[0])
    names = (BOOK_SNAPSHOTS.names, tuple(feature.name for feature in BUILT), ("valid",))
    for part in range(3):
        a, b = batch[part].reshape(n, -1), other[part][:n].reshape(n, -1)
        differs = a.view(np.uint32) != b.view(np.uint32) if part == 1 else a != b
        if differs.any():
            i, j = (int(x) for x in np.argwhere(differs)[0])
            raise RefusedError(
                f"batch and {way} differ at row {first_row + i} ({_instant(batch[0][i])}), column {names[part][j]}: "
                f"batch {a[i, j]!r}, {way} {b[i, j]!r}"
            )


def _instant(row: Int64s) -> str:
    return format_ns(int(row[ROW["ts_ns"]]))
