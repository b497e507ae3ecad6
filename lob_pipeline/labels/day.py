"""A day of labels: the truth clock over the day's events, then the columns, chunk by chunk.

Held for the whole day are the trades, four numbers a book message and the fates of the orders; level rows flow through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.pool import reserve
from lob_pipeline.book.state import BookState, new_book
from lob_pipeline.core.columns import Columns
from lob_pipeline.labels.columns import LabelColumns
from lob_pipeline.labels.fates import LATENCY_NS, N_EVENTS, N_STATES, Fates, new_clock, new_fates
from lob_pipeline.labels.messages import Messages
from lob_pipeline.labels.overlap import broken_spans, draw_latency, span_end_ns, valid_rows
from lob_pipeline.labels.resting import grow_resting, new_resting
from lob_pipeline.labels.spec import Fees, LabelConfig
from lob_pipeline.labels.states import Bool, Int, Int64s, States, Tape, grow_states, new_states
from lob_pipeline.labels.stream import MessageStream
from lob_pipeline.labels.truth import advance

_CHUNK_ROWS = 1 << 16


@dataclass(frozen=True)
class DecisionRows:
    """The rows that decide: valid and decidable, ascending in ``ts_ns``. All int64 (n,)."""

    ts_ns: Int64s
    close_ns: Int64s
    bid_ticks: Int64s
    ask_ticks: Int64s


def decision_rows(chunks: Iterable[Columns]) -> DecisionRows:
    """Return the decision rows of ``book_snapshots`` chunks (ts_ns, close_ns, valid, decidable, the best ticks)."""
    parts: list[list[npt.NDArray[Any]]] = [[], [], [], []]
    for chunk in chunks:
        decides = np.asarray(chunk["valid"], np.bool_) & np.asarray(chunk["decidable"], np.bool_)
        for part, name in zip(parts, ("ts_ns", "close_ns", "bid_ticks_1", "ask_ticks_1"), strict=True):
            part.append(np.asarray(chunk[name], np.int64)[decides])
    return DecisionRows(*(np.concatenate(p) if p else np.empty(0, np.int64) for p in parts))


def make_tape(trades: Columns) -> Tape:
    """Return the trades that count, from columns of ``trades``: no RPI, block or non-market flag, by time, stably."""
    counts = np.flatnonzero(np.asarray(trades["flags"]) == 0)
    order = counts[np.argsort(np.asarray(trades["ts_event_ns"], np.int64)[counts], kind="stable")]
    return Tape(
        time_ns=np.asarray(trades["ts_event_ns"], np.int64)[order],
        seq=np.asarray(trades["seq"], np.int64)[order],
        side=np.asarray(trades["side"], np.int8)[order],
        price=np.asarray(trades["price_ticks"], np.int64)[order],
        lots=np.asarray(trades["size_lots"], np.int64)[order],
    )


@dataclass
class Day:
    """What the pass over a day found: fates and states, and from them the validity of every row."""

    rows: DecisionRows
    config: LabelConfig
    fates: Fates
    states: States
    used_states: int
    events: int
    t_end_ns: Int64s
    valid: npt.NDArray[np.bool_]
    clock: Int64s
    gaps: Int64s = field(repr=False)


class _Clock:
    """The truth clock over one day: owns the book and everything that grows."""

    def __init__(self, rows: DecisionRows, tape: Tape, config: LabelConfig) -> None:
        self.rows, self.tape, self.config = rows, tape, config
        latency_ns = draw_latency(rows.ts_ns, config)
        arrive_ns = rows.close_ns + latency_ns
        self.fates = new_fates(
            len(config.models), arrive_ns, latency_ns, rows.bid_ticks, rows.ask_ticks, config.outcomes
        )
        self.one_lot = config.q_lots == 1
        self.book: BookState = new_book()
        self.resting = new_resting(len(config.models))
        self.states = new_states(1 << 12, self.one_lot)
        self.clock = new_clock(config, len(rows.ts_ns))

    def run(self, messages: Messages) -> None:
        """Advance over the messages of one chunk."""
        n = len(messages.time_ns)
        used = int(self.clock[N_STATES])
        self.states = grow_states(self.states, used, used + n, self.one_lot)
        self.book = reserve(self.book, messages.side, messages.price, messages.size)
        at: Int = 0
        fits: Bool = True
        while at < n:
            at, fits = advance(self.book, self.resting, self.fates, self.states, self.clock, self.tape, messages, at)
            if not fits:
                self.resting = grow_resting(self.resting)


def run_day(
    rows: DecisionRows,
    book_chunks: Iterable[Columns],
    tape: Tape,
    config: LabelConfig,
    sequence: str,
    step_ns: int,
    trade_gaps_ns: Int64s | None = None,
) -> Day:
    """Run the truth clock over one partition and return the fate of every order.

    ``book_chunks``: ``l2_events`` columns in stream order (``stream.NEEDED``), chunks of any size. ``sequence``: how
    the venue's updates chain (``Instrument.sequence``). ``step_ns``: the grid step of the rows. ``trade_gaps_ns`` int64
    (k, 2): closed intervals in which a trade id is missing.
    """
    clock = _Clock(rows, tape, config)
    stream = MessageStream(sequence)
    for messages in stream.split(book_chunks):
        clock.run(messages)
    used = int(clock.clock[N_STATES])
    gaps = stream.broken_spans()
    t_end_ns = span_end_ns(clock.fates.arrive_ns, clock.fates.rows[:, LATENCY_NS], config)
    broken = broken_spans(clock.states.time_ns[:used], clock.states.bid[:used], clock.states.ask[:used], gaps)
    missing = np.empty((0, 2), np.int64) if trade_gaps_ns is None else np.asarray(trade_gaps_ns, np.int64)
    valid = valid_rows(rows.ts_ns, clock.fates.arrive_ns, t_end_ns, step_ns, stream.last_ns, broken, missing)
    events = int(clock.clock[N_EVENTS])
    return Day(rows, config, clock.fates, clock.states, used, events, t_end_ns, valid, clock.clock, gaps)


def label_day(
    rows: DecisionRows,
    book_chunks: Iterable[Columns],
    tape: Tape,
    config: LabelConfig,
    fees: Fees,
    sequence: str,
    step_ns: int,
    trade_gaps_ns: Int64s | None = None,
    chunk_rows: int = _CHUNK_ROWS,
) -> Iterator[Columns]:
    """Yield the labels of one partition in (ts_ns, side) order, ``chunk_rows`` decision rows at a time.

    Columns of ``spec.LABELS_TABLE``; nulls are NaN in float columns and masked in the others. Arguments as ``run_day``;
    ``config`` must run all three queue models with outcomes, as the table holds them.
    """
    day = run_day(rows, book_chunks, tape, config, sequence, step_ns, trade_gaps_ns)
    yield from label_columns(day, fees, chunk_rows)


def label_columns(day: Day, fees: Fees, chunk_rows: int = _CHUNK_ROWS) -> Iterator[Columns]:
    """Yield the columns of ``LABELS_TABLE`` of a day that was run with all three models and outcomes."""
    writer = LabelColumns(day.fates, day.states, day.clock, day.config, fees)
    for first in range(0, len(day.rows.ts_ns), chunk_rows):
        part = slice(first, min(first + chunk_rows, len(day.rows.ts_ns)))
        yield writer.chunk(part, day.rows.ts_ns, day.rows.close_ns, day.t_end_ns, day.valid)
