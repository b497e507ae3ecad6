"""Keeps one line recording for months: connects again after every break, and replaces a connection before its venue
would cut it, by a second one that overlaps it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from lob_pipeline.capture.config import ROLL_BEFORE_LIMIT_S
from lob_pipeline.capture.connection import Connection, Line
from lob_pipeline.capture.desk import Desk


@dataclass
class _Held:
    """A connection and the task that runs it."""

    connection: Connection
    task: asyncio.Task[None]


@dataclass
class Link:
    """Run with ``run`` until ``stop`` is set. ``held``: the connections that are up, one or, in an overlap, two."""

    desk: Desk
    line: Line
    stop: asyncio.Event
    held: list[_Held] = field(default_factory=list)
    attempts: int = 0

    @property
    def roll_s(self) -> float:
        """Age at which a connection is replaced, 0 never."""
        limit_s = self.line.protocol.limit_s
        return self.desk.config.roll_s or (limit_s - ROLL_BEFORE_LIMIT_S if limit_s else 0.0)

    async def run(self) -> None:
        """Record until ``stop`` is set. What a connection raises (a bad address, a full disk) is raised here."""
        try:
            current = self._start()
            while not self.stop.is_set():
                await self._first_of(self.roll_s, current.task)
                if self.stop.is_set():
                    return
                if current.task.done():
                    current = await self._again(current)
                else:
                    current = await self._roll(current)
        finally:
            await self._let_all_go()

    def _start(self) -> _Held:
        connection = Connection(self.desk, self.line, self.desk.next_conn())
        held = _Held(connection, asyncio.create_task(connection.run()))
        self.held.append(held)
        return held

    async def _first_of(self, timeout_s: float, *tasks: asyncio.Task[None]) -> None:
        """Wait until a task is done, ``stop`` is set, or time is over (0: no limit)."""
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait([stopping, *tasks], timeout=timeout_s or None, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()

    def _drop(self, held: _Held) -> None:
        """A connection is over: close what it wrote; raise what ended it, if it was more than a break."""
        self.held.remove(held)
        held.connection.let_go()
        if not held.task.cancelled():
            held.task.result()

    async def _again(self, over: _Held) -> _Held:
        """Connect anew after a break, waiting longer each time that it brings nothing."""
        self._drop(over)
        config = self.desk.config
        if any(track.frames for track in over.connection.tracks.values()):
            self.attempts = 0  # market data came: a server that only greets and hangs up is not called ever faster
        wait_s = min(config.first_wait_s * 2**self.attempts, config.longest_wait_s)
        wait_s *= random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        self.attempts = min(self.attempts + 1, 30)
        self.desk.note(
            "reconnect",
            conn=over.connection.number,
            url=self.line.url,
            markets=self.line.markets,
            why=over.connection.why,
            attempt=self.attempts,
            wait_s=round(wait_s, 3),
        )
        await self._first_of(wait_s)
        return over if self.stop.is_set() else self._start()

    async def _roll(self, old: _Held) -> _Held:
        """Replace a connection that gets old. While the new one is not ready the old one stays."""
        config = self.desk.config
        new = self._start()
        ready = asyncio.create_task(_wait(new.connection.ready))
        await self._first_of(config.ready_timeout_s, ready, new.task, old.task)
        if new.connection.ready.is_set() and not new.task.done():
            await self._first_of(config.overlap_s, new.task, old.task)
        ready.cancel()
        if self.stop.is_set():
            return new
        if new.task.done() or not new.connection.ready.is_set():
            await new.connection.close("it did not get ready in time", "reconnect")
            await asyncio.wait([new.task])
            self._drop(new)
            await self._first_of(config.first_wait_s, old.task)
            return old
        if not old.task.done():
            await old.connection.close("it is replaced by a younger one", "rollover")
            await asyncio.wait([old.task])
        self._drop(old)
        self.desk.note(
            "rollover",
            from_conn=old.connection.number,
            to_conn=new.connection.number,
            url=self.line.url,
            markets=self.line.markets,
        )
        return new

    async def _let_all_go(self) -> None:
        """Stop in good order: close every connection, then what it wrote. The first failure is raised at the end."""
        failure: BaseException | None = None
        for held in list(self.held):
            if not held.task.done():
                await held.connection.close("the recorder stops", "stop")
                await asyncio.wait([held.task], timeout=2.0)
                if not held.task.done():
                    held.task.cancel()
                    await asyncio.wait([held.task])
            try:
                self._drop(held)
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
