"""One live session: messages in, books and features by the batch's kernels, forecasts spooled, days published."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from lob_pipeline.book.advance import Events
from lob_pipeline.book.grid import GOOD_NS, break_chain
from lob_pipeline.book.state import BookState
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import ROW
from lob_pipeline.features.batch import Bools, Float32s
from lob_pipeline.features.profile import Profile
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import Int64s, new_state
from lob_pipeline.features.tape_rows import new_tape
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.live.engine import LiveEngine
from lob_pipeline.live.opened import OpenBundle
from lob_pipeline.live.publish import Published, publish_all, publish_day
from lob_pipeline.live.push_kernel import compile_push
from lob_pipeline.live.spool import Spool, records_of
from lob_pipeline.venues import job as card
from lob_pipeline.venues.job import Job

_TS = ROW["ts_ns"]
LATENCIES = 1 << 14
"""Of how many of the last forecasts the latency's percentiles speak."""


@dataclass
class Counts:
    """What a session has seen. ``last_event_ns``: time of the last book message; ``valid_now``: of the last row."""

    messages: int = 0
    rows: int = 0
    valid: int = 0
    resets: int = 0
    last_event_ns: int = 0
    valid_now: bool = False
    latencies_us: list[float] = field(default_factory=list)

    def latency(self, share: float) -> float:
        """Return a percentile of the last forecasts' latency in microseconds, NaN before the first."""
        return float(np.percentile(self.latencies_us, share)) if self.latencies_us else float("nan")

    def note(self, latency_us: float) -> None:
        """Remember a latency."""
        self.latencies_us.append(latency_us)
        if len(self.latencies_us) > 2 * LATENCIES:
            del self.latencies_us[:LATENCIES]


class LiveSession:
    """The sink of a feed (``stages.live_feed``): every day is opened, filled with messages and closed.

    A day's engine starts on the book that the day takes over and on the features of the day before, as in batch; the
    model's memory goes on over midnight. ``recorded``: whether the market's trades arrive. ``profile_of`` returns a
    day's profile. Closed days are published beside the stream, in a thread; ``close`` waits for them. One session a
    market, clock and bundle: a second one gets ``BadInputError``, for it would publish the first one's spool away.
    """

    def __init__(
        self, home: Home, opened: OpenBundle, instrument: Instrument, *, recorded: bool,
        profile_of: Callable[[str], Profile],
    ) -> None:  # fmt: skip
        self._home, self._opened, self._instrument = home, opened, instrument
        self._clock = parse_clock(opened.identity.clock_id)
        self._recorded, self._profile_of = recorded, profile_of
        self._forecaster = opened.forecaster()
        self._engine: LiveEngine | None = None
        self._spool: Spool | None = None
        self._date = ""
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._publishing: list[Future[Published]] = []
        self.counts = Counts()
        self.received_ns = time.perf_counter_ns()
        self._alone = ExitStack()
        market, clock, bundle = opened.identity.market, opened.identity.clock_id, opened.identity.bundle
        what = f"live predictions of {market} by bundle {bundle}"
        self._alone.enter_context(WriterLock(home, f"live__{market}__{clock}__{bundle}", what))
        try:
            publish_all(home, opened.identity)
        except BaseException:
            self._alone.close()
            raise
        compile_push()  # before the first message, which would wait for it
        opened.forecaster().run(np.zeros(1, np.int64), np.zeros((1, N_BUILT), np.float32), np.ones(1, np.bool_))

    @property
    def book(self) -> BookState:
        """The open day's book."""
        return self._open().book.book

    def _open(self) -> LiveEngine:
        if self._engine is None:
            raise ValueError("no day is open")
        return self._engine

    def open_day(self, date: str) -> None:
        """Begin a UTC day on the features and the waiting trades of the day before."""
        profile = self._profile_of(date)
        old = self._engine
        if old is None:
            features, waiting = new_state(self._clock, self._instrument, profile), new_tape()
        else:
            fresh = new_state(self._clock, self._instrument, profile)
            features = old.features._replace(microprice=fresh.microprice, season=fresh.season)
            waiting = old.waiting
        tape = waiting if self._recorded else None
        self._engine = LiveEngine(self._instrument, self._clock, date, features, tape)
        self._date = date

    def close_day(self) -> None:
        """Publish the open day's rows, if it had any, while the stream goes on."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None
            task = self._publisher.submit(publish_day, self._home, self._opened.identity, self._date)
            self._publishing.append(task)

    def lose_track(self) -> None:
        """No row is valid until the next snapshot: messages may be missing."""
        if self._engine is not None:
            grid = self._engine.book.grid
            break_chain(grid, int(grid.meta[GOOD_NS]))
        self.counts.resets += 1
        self.counts.valid_now = False

    def trades(self, trades: Int64s) -> None:
        """Take trades: they count when a row closes."""
        if self._recorded:
            self._open().push_trades(trades)

    def message(self, events: Events) -> None:
        """Take one book message; forecast and spool the rows that it closes."""
        closed = self._open().push_events(events)
        self._note(closed, int(events.ts_event_ns[0]), int(events.ts_recv_ns[0]))

    def decoded(self, job: Job) -> None:
        """Take the one book message that a decoder left in ``job``: the quick way of ``message``."""
        closed = self._open().push_job(job)
        head = job.messages[0]
        self._note(closed, int(head[card.EVENT_NS]), int(head[card.RECV_NS]))

    def _note(self, closed: tuple[Int64s, Float32s, Bools], ts_event_ns: int, ts_recv_ns: int) -> None:
        rows, features, valid = closed
        self.counts.messages += 1
        self.counts.last_event_ns = ts_event_ns
        if len(rows) == 0:
            return
        forecasts = self._forecaster.run(rows[:, _TS], features, valid)
        latency_us = (time.perf_counter_ns() - self.received_ns) / 1e3
        if self._spool is None:
            self._spool = Spool(self._home, self._opened.identity, self._date)
        self._spool.append(records_of(forecasts, ts_recv_ns, latency_us))
        ready = int(np.count_nonzero(forecasts.valid))
        self.counts.rows += len(rows)
        self.counts.valid += ready
        self.counts.valid_now = bool(forecasts.valid[-1])
        if ready:
            self.counts.note(latency_us)

    def close(self) -> list[Published]:
        """Wait until every closed day is published. Raises ``LobError`` naming what could not be."""
        found, failed = [], []
        with self._alone, self._publisher:
            self.close_day()
            for task in self._publishing:
                try:
                    found.append(task.result())
                except LobError as error:
                    failed.append(str(error))
        if failed:
            raise LobError("; ".join(failed))
        return found
