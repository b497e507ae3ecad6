"""Watchdogs of a connection: pings, silence of the whole and of single topics; and the clocks' difference."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from lob_pipeline.core.units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from lob_pipeline.capture.connection import Connection
    from lob_pipeline.capture.desk import Desk
    from lob_pipeline.capture.track import Track

_TICK_S = 0.1


class Watch:
    """Pings a connection and ends it when nothing answers; has silent books sent anew; notes other silences."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._config = connection.desk.config
        self._ping_s = self._config.ping_s or connection.line.protocol.ping_s

    async def run(self) -> None:
        """Watch until the connection is closed."""
        connection = self._connection
        now = time.monotonic_ns()
        connection.heard_mono_ns = now
        for track in connection.tracks.values():
            track.heard_mono_ns = now
            if connection.line.protocol.snapshot_path is None:
                track.resynced_mono_ns = now  # the snapshot that comes with the subscription is on its way
        pinged = now
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic_ns()
            if now - pinged > self._ping_s * NS_PER_S:
                pinged = now
                await self._ping()
            if now - connection.heard_mono_ns > (self._ping_s + self._config.pong_s) * NS_PER_S:
                silent_s = (now - connection.heard_mono_ns) / NS_PER_S
                await connection.close(f"no word for {silent_s:.0f} s, pongs included", "reconnect")
                return
            for track in connection.tracks.values():
                if await self._is_dead(track, now):
                    return
            connection.clock.tick(now)

    async def _ping(self) -> None:
        connection = self._connection
        socket = connection.socket
        assert socket is not None
        if connection.line.protocol.ping:
            await socket.send(connection.line.protocol.ping)
            return
        waiter = await socket.ping()
        asyncio.ensure_future(waiter).add_done_callback(self._heard)

    def _heard(self, answer: asyncio.Future[float]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._connection.heard_mono_ns = time.monotonic_ns()

    async def _is_dead(self, track: Track, now: int) -> bool:
        """Act on a topic that has been silent for too long. Returns whether the connection was closed for it."""
        silent_ns = now - track.heard_mono_ns
        book = track.topic.kind == "book"
        patience = self._config.book_silence_s if book else self._config.quiet_s
        if silent_ns <= patience * NS_PER_S:
            if book and silent_ns < NS_PER_S and track.frames > track.frames_at_silence:
                track.silences = 0
            return False
        if not book and track.frames_at_silence == track.frames and track.silences:
            return False  # told already, and not a word since
        connection = self._connection
        # A book that never said a word may be of a market that the venue does not know: asking is all that helps, and
        # it must not cost the others their connection.
        again = "reconnect" if track.silences and track.frames else "resubscribe"
        action = again if book else "noted"
        track.silences += 1
        track.frames_at_silence = track.frames
        track.heard_mono_ns = now
        connection.desk.note(
            "silence",
            market=track.market,
            topic=track.topic.name,
            conn=connection.number,
            silent_s=round(silent_ns / NS_PER_S, 3),
            action=action,
        )
        if action == "resubscribe":
            connection.mender.resubscribe(track)
        elif action == "reconnect":
            await connection.close(f"{track.topic.name} stays silent", "reconnect")
            return True
        return False


class ClockWatch:
    """The least (wall clock - venue's time) of a window: what the clocks differ by, plus the shortest way."""

    def __init__(self, desk: Desk, url: str, conn: int) -> None:
        self._desk, self._url, self._conn = desk, url, conn
        self._least: int | None = None
        self._samples = 0
        self._since = time.monotonic_ns()
        self._next_s = desk.config.clock_first_s

    def sample(self, wall_ns: int, event_ms: int) -> None:
        """Take one message's times."""
        behind = wall_ns - event_ms * NS_PER_MS
        self._samples += 1
        if self._least is None or behind < self._least:
            self._least = behind
        if behind > self._desk.stats.lag_ns:
            self._desk.stats.lag_ns = behind

    def tick(self, mono_ns: int) -> None:
        """Write a line when a window is over."""
        if mono_ns - self._since < self._next_s * NS_PER_S or self._least is None:
            return
        self._desk.note(
            "clock",
            url=self._url,
            conn=self._conn,
            offset_ns=self._least,
            samples=self._samples,
            window_s=round((mono_ns - self._since) / NS_PER_S, 3),
        )
        self._least, self._samples, self._since = None, 0, mono_ns
        self._next_s = self._desk.config.clock_s
