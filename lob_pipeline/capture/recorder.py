"""``lob record``: one process that writes down every frame of several markets until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lob_pipeline.capture.budget import remove_old
from lob_pipeline.capture.config import RecordConfig
from lob_pipeline.capture.connection import Line
from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.heartbeat import Heartbeat
from lob_pipeline.capture.ledger import SegmentLedger
from lob_pipeline.capture.link import Link
from lob_pipeline.capture.recover import recover, where_topics_stand
from lob_pipeline.capture.rest import in_thread, require_http, rest_base
from lob_pipeline.capture.segments import segments_root
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.lake.storage import storing
from lob_pipeline.venues.protocols import protocol_of

Say = Callable[[str], None]
_BEAT_S = 1.0
_BUDGET_S = 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class RecordOptions:
    """Where to listen: ``url`` and ``rest_url`` in place of the venues' own addresses."""

    url: str | None = None
    rest_url: str | None = None


def record(
    home: Home,
    markets: list[Market],
    options: RecordOptions,
    config: RecordConfig,
    say: Say,
    stopped: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Record until SIGTERM, SIGINT, the end of ``config.duration_s`` or ``stopped`` says so; return what was done.

    Raises ``BadInputError`` for unknown markets, a bad address or a home that is recorded into already, ``LobError``
    when the disk is full: what was written before stays and the ledger says so.
    """
    lines = lines_of(markets, options, config.connections, home.markets)
    root = segments_root(home)
    with ExitStack() as stack:
        stack.enter_context(WriterLock(home, "recorder", f"segments into {root}"))
        with storing(root):
            root.mkdir(parents=True, exist_ok=True)
        ledger = SegmentLedger(home)
        stack.callback(ledger.close)
        recovered = recover(root, ledger)
        if recovered:
            say(f"{recovered} segments that an earlier recorder left were recovered")
        session = f"{time.time_ns():x}-{os.getpid():x}"
        desk = Desk(home, config, ledger, session, where_topics_stand(ledger), say=say)
        remove_old(desk, (*ledger.records, *ledger.entered.values()))  # what was recovered waits to be ingested
        ledger.forget_records()
        recorder = Recorder(desk, lines, say, stopped)
        return recorder.run()


def lines_of(markets: list[Market], options: RecordOptions, connections: int, user: Path | None = None) -> list[Line]:
    """Return which connection records which markets: those of one address are dealt out evenly.

    ``user``: a home's own markets file.
    """
    if not markets:
        raise BadInputError("no market was given: name at least one, for example bybit-linear.BTCUSDT")
    by_address: dict[tuple[str, str, str], list[Instrument]] = {}
    for market in dict.fromkeys(markets):
        protocol = protocol_of(market)
        url = options.url or protocol.url
        if not url:
            raise BadInputError(f"{market} has no public address: give the websocket to listen to with --url")
        rest_url = options.rest_url or (rest_base(url) if options.url else protocol.rest_url)
        if options.rest_url:
            require_http(rest_url)
        by_address.setdefault((market.venue, url, rest_url), []).append(_instrument(market, user))
    lines = []
    for (venue, url, rest_url), instruments in by_address.items():
        protocol = protocol_of(Market(venue, instruments[0].market.symbol))
        for i in range(min(connections, len(instruments))):
            lines.append(Line(url, rest_url.rstrip("/"), protocol, tuple(instruments[i::connections])))
    return lines


def _instrument(market: Market, user: Path | None) -> Instrument:
    try:
        return instrument(market, user=user)
    except BadInputError:
        return instrument(market, "1", "1", user=user)  # a market without a known grid is recorded all the same


class Recorder:
    """One session of recording."""

    def __init__(self, desk: Desk, lines: list[Line], say: Say, stopped: Callable[[], bool] | None = None) -> None:
        self._desk, self._say, self._stopped = desk, say, stopped
        self._stop = asyncio.Event()
        self._links = [Link(desk, line, self._stop) for line in lines]
        self._heartbeat = Heartbeat(desk, self._links)
        self._why = "stop"

    def run(self) -> dict[str, Any]:
        """Record to the end and return the report."""
        desk = self._desk
        desk.take_reserve()
        names = sorted({m for link in self._links for m in link.line.markets})
        self._say(f"recording {', '.join(names)} into {desk.root}; SIGTERM or Ctrl-C ends it in good order")
        desk.note(
            "started",
            session=desk.session,
            pid=os.getpid(),
            markets=names,
            urls=sorted({link.line.url for link in self._links}),
        )
        try:
            asyncio.run(self._run())
        except (OSError, LobError) as error:
            full = _want_of_room(error)
            if full is None:
                raise
            self._stop_for_want_of_room(full)
        finally:
            desk.release_reserve()
        desk.say_rest()
        stats = desk.stats
        desk.note("stopped", session=desk.session, reason=self._why, frames=stats.frames, segments=stats.segments)
        self._heartbeat.beat("stopped")
        return self._report()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(ValueError, RuntimeError):  # not the main thread: whoever runs it stops it otherwise
                loop.add_signal_handler(number, self._stop.set)
        links = [asyncio.create_task(link.run()) for link in self._links]
        chores = [asyncio.create_task(work) for work in (self._flush(), self._beat(), self._sync(), self._budget())]
        if self._desk.config.duration_s is not None:
            loop.call_later(self._desk.config.duration_s, self._stop.set)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([*links, *chores, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()
            for chore in chores:
                chore.cancel()
            outcomes = await asyncio.gather(*links, *chores, stopping, return_exceptions=True)
        failures = [o for o in outcomes if isinstance(o, Exception)]
        full = [f for f in failures if _want_of_room(f)]
        if failures:
            raise (full or failures)[0]

    async def _flush(self) -> None:
        """Write what came, and turn segments over: nothing stays in memory for longer than ``flush_ms``."""
        while True:
            await asyncio.sleep(self._desk.config.flush_ms / 1000)
            if self._stopped is not None and self._stopped():
                self._stop.set()
            wall_ns = time.time_ns()
            for link in self._links:
                for held in list(link.held):
                    held.connection.flush(wall_ns)

    async def _beat(self) -> None:
        while True:
            self._heartbeat.beat()
            await asyncio.sleep(_BEAT_S)

    async def _sync(self) -> None:
        """Once a second make everything survive a power cut too, in a thread: a slow disk does not hold frames up."""
        while True:
            await asyncio.sleep(_BEAT_S)
            handles = [h for link in self._links for held in link.held for h in held.connection.handles_to_sync()]
            try:
                await in_thread(lambda handles=handles: _sync_all(handles))  # type: ignore[misc]
            except OSError as error:
                self._say(f"the disk does not confirm what was written: {error}")
                raise
            self._desk.ledger.sync()

    async def _budget(self) -> None:
        while True:
            await asyncio.sleep(_BUDGET_S)
            remove_old(self._desk, None)

    def _stop_for_want_of_room(self, error: OSError) -> None:
        """Give the reserve back, so that the ledger can say what happened, and fail loudly."""
        self._desk.release_reserve()
        path = str(error.filename or self._desk.root)
        self._desk.note("full", path=path, error=os.strerror(error.errno or 0), frames=self._desk.stats.frames)
        self._desk.note(
            "stopped",
            session=self._desk.session,
            reason="full",
            frames=self._desk.stats.frames,
            segments=self._desk.stats.segments,
        )
        with suppress(OSError):
            self._heartbeat.beat("full")
        raise LobError(
            f"recording stopped: {os.strerror(error.errno or 0)} ({path}); everything written before is whole and "
            "listed in the ledger: free some room and start it again"
        ) from error

    def _report(self) -> dict[str, Any]:
        stats, counts = self._desk.stats, self._desk.ledger.counts
        names = {"gap": "gaps", "unknown": "unknown", "reconnect": "reconnects", "rollover": "rollovers"}
        names |= {"silence": "silences", "unread": "unread", "removed": "removed"}
        return {
            "session": self._desk.session,
            "markets": sorted({m for link in self._links for m in link.line.markets}),
            "frames": stats.frames,
            "bytes": stats.bytes,
            "segments": stats.segments,
            **{name: counts.get(kind, 0) for kind, name in names.items()},
            "folder": str(self._desk.root),
        }


def _want_of_room(error: BaseException) -> OSError | None:
    """Return the error of a full disk that ``error`` is or comes from, None for all others."""
    for found in (error, error.__cause__):
        if isinstance(found, OSError) and found.errno in _FULL:
            return found
    return None


def _sync_all(handles: list[int]) -> None:
    failure: OSError | None = None
    for handle in handles:
        try:
            os.fsync(handle)
        except OSError as error:
            failure = error
        finally:
            os.close(handle)
    if failure is not None:
        raise failure


def segment_folder(home: Home, market: Market, lane: str = "main") -> Path:
    """Return the folder of a market's segments."""
    return segments_root(home) / market.venue / market.symbol / lane
