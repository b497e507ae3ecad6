"""``lob live``: bytes of a websocket or of a recording to published predictions. It never sends an order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.features.profile import Profile
from lob_pipeline.features.registry import warm_row
from lob_pipeline.lake.home import Home
from lob_pipeline.live.opened import OpenBundle
from lob_pipeline.live.publish import Published
from lob_pipeline.live.session import Counts, LiveSession
from lob_pipeline.live.socket import Listener, ResyncError, public_url, talk_of
from lob_pipeline.sim.recorded import frames, recorded_files
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decode import LiveDecoder
from lob_pipeline.venues.detect import FileInfo
from lob_pipeline.venues.forms import websocket_form
from lob_pipeline.venues.job import Job

Say = Callable[[str], None]


class Feed(Protocol):
    """What puts decoded messages in order (``stages.live_feed.LiveFeed``)."""

    def take(self, job: Job) -> None:
        """Take the rows of one decoded frame."""

    def lost(self) -> None:
        """The connection broke."""

    def end(self) -> None:
        """The stream is over."""

    @property
    def broken(self) -> bool:
        """Whether messages are missing and the book waits for a snapshot."""


@dataclass(frozen=True)
class LiveOptions:
    """What a run listens to: ``url``, else ``paths``, else the venue's public address; and how it goes on."""

    url: str | None = None
    paths: tuple[Path, ...] = ()
    until_end: bool = False
    max_retries: int = 10
    status_s: float = 5.0


@dataclass
class _Run:
    """The moving parts of one run."""

    session: LiveSession
    feed: Feed
    decoder: LiveDecoder
    say: Say
    status_s: float
    resync_by_connecting: bool = False
    stopped: bool = False
    told_s: float = 0.0
    frames: int = 0

    def handle(self, line: bytes, recv_ns: int) -> bool:
        """Take one frame; return whether it held a row of the market."""
        self.session.received_ns = time.perf_counter_ns()
        self.frames += 1
        job = self.decoder.decode(line, recv_ns)
        self.feed.take(job)
        return bool(job.card[card.N_MESSAGES] or job.card[card.N_TRADES] or job.card[card.N_QUOTES])

    def handle_live(self, frame: bytes, recv_ns: int) -> bool:
        """Take one frame of a connection; raise ``ResyncError`` when only a new connection helps."""
        try:
            held_rows = self.handle(frame, recv_ns)
        except BadInputError as error:
            raise ResyncError(f"a message cannot be read ({error})") from error
        if self.resync_by_connecting and self.feed.broken:
            raise ResyncError("messages are missing")
        return held_rows

    def tick(self) -> None:
        """Print the status now and then."""
        now = time.monotonic()
        if now - self.told_s >= self.status_s:
            self.told_s = now
            self.say(status_line(self.session.counts))


def run_live(
    home: Home,
    opened: OpenBundle,
    options: LiveOptions,
    make_feed: Callable[[Instrument, LiveSession], Feed],
    say: Say,
    profile_of: Callable[[str], Profile] | None = None,
) -> dict[str, Any]:
    """Listen, forecast, spool; publish each day at its end and the last one at the stop.

    ``make_feed``: the ingest's ordering of messages (it lives above this room). ``profile_of``: a day's profile, by
    default the bundle's own. SIGTERM and SIGINT stop the run cleanly: everything that was spooled is published.
    Raises ``BadInputError`` for a bad address or recording, ``LobError`` when the address cannot be reached.
    """
    instrument = opened.instrument_in(home)
    infos = recorded_files(list(options.paths)) if options.paths else []
    for info in infos:
        info.require(instrument.market)
    url = options.url or (None if infos else public_url(instrument))
    own_profile, _ = opened.profile
    recorded = bool(url) or any("trades" in info.streams for info in infos)
    session = LiveSession(
        home, opened, instrument, recorded=recorded, profile_of=profile_of or (lambda _date: own_profile)
    )
    format = infos[0].format if infos else websocket_form(instrument.market.venue)
    feed = make_feed(instrument, session)
    run = _Run(session, feed, LiveDecoder(instrument, format), say, options.status_s)
    run.resync_by_connecting = bool(url) and instrument.sequence == "plus_one"
    try:
        with _signals(run):
            if url:
                listener = Listener(
                    url, talk_of(instrument), run.handle_live, feed.lost, run.tick, say,
                    lambda: run.stopped, options.until_end, options.max_retries,
                )  # fmt: skip
                asyncio.run(listener.run())
            else:
                _replay(run, infos)
    finally:
        feed.end()
        published = session.close()
    say(status_line(session.counts))
    return _report(run, opened, published)


def _replay(run: _Run, infos: list[FileInfo]) -> None:
    """Take recorded files: each day of an exchange's archive is a stream of its own, as it is in the ingest."""
    archive = [info for info in infos if info.declared_day]
    streams = [[info] for info in archive] or [infos]
    for stream in streams:
        for frame in frames(stream):
            if run.stopped:
                return
            run.handle(frame.line, frame.recv_ns)
            if run.frames % 64 == 0:
                run.tick()
        run.feed.end()


@contextmanager
def _signals(run: _Run) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the run instead of the process while the context lasts (main thread only)."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        run.stopped = True

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: whoever runs it stops it otherwise
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status_line(counts: Counts) -> str:
    """Return one line: what was seen, whether it is warm, how far behind, how fast."""
    lag = "" if not counts.last_event_ns else f"  lag {_duration((time.time_ns() - counts.last_event_ns) / 1e9)}"
    warm = "warm" if counts.valid_now else "not warm"
    speed = (
        f"  latency p50 {counts.latency(50):,.0f} µs  p99 {counts.latency(99):,.0f} µs" if counts.latencies_us else ""
    )
    return (
        f"messages {counts.messages:,}  rows {counts.rows:,}  valid predictions {counts.valid:,}  {warm}{lag}{speed}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:,.1f} s" if abs(seconds) < 3600 else f"{seconds / 86400:,.1f} days"


def _report(run: _Run, opened: OpenBundle, published: list[Published]) -> dict[str, Any]:
    counts, identity = run.session.counts, opened.identity
    if run.frames == 0 and not run.stopped:
        raise LobError("the stream ended without a single message: nothing was predicted")
    told: dict[str, Any] = {
        "market": str(identity.market),
        "clock": identity.clock_id,
        "bundle": identity.bundle,
        "alias": identity.alias,
        "messages": counts.messages,
        "rows": counts.rows,
        "valid_predictions": counts.valid,
        "times_track_was_lost": counts.resets,
        "latency_p50_us": counts.latency(50) if counts.latencies_us else None,
        "latency_p99_us": counts.latency(99) if counts.latencies_us else None,
        "partitions": [
            {
                "partition": str(p.key),
                "rows": p.manifest.rows,
                "path": p.path,
                "refused": not p.manifest.usable,
                "reason": p.manifest.refusal,
                "not_judged": [o.name for o in p.manifest.gates if o.status == "not_judged"],
            }
            for p in published
        ],
    }
    if counts.valid == 0:
        told["warning"] = (
            f"nothing became warm: {counts.rows:,} rows were seen, and a forecast needs {warm_rows(opened):,} unbroken "
            "valid ones"
        )
    return told


def warm_rows(opened: OpenBundle) -> int:
    """Return how many unbroken valid rows come before the first forecast: the features' memory and the window."""
    from lob_pipeline.core.clock import parse_clock

    return warm_row(parse_clock(opened.identity.clock_id)) + opened.identity.window
