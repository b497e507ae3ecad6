"""The websocket side of a live run: connect, subscribe, keep alive, and come back after a drop. It never sends more."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.venues.protocols import protocol_of

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

PING_S = 20.0
SILENCE_S = 40.0
"""Without any frame for so long, pongs included, the connection counts as dropped."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
MAX_FRAME_BYTES = 1 << 20
_TICK_S = 0.1


@dataclass(frozen=True)
class Talk:
    """What is said to a venue: once after connecting, and every ``PING_S`` seconds (empty: nothing)."""

    hello: tuple[str, ...] = ()
    ping: str = ""


def talk_of(instrument: Instrument) -> Talk:
    """Return how to subscribe to a market's books and trades in its venue's protocol."""
    protocol = protocol_of(instrument.market)
    names = [topic.name for topic in protocol.topics(instrument) if topic.lane == "main"]
    return Talk(tuple(protocol.subscribe(names, 1)), protocol.ping)


def public_url(instrument: Instrument) -> str:
    """Return the venue's address. Raises ``BadInputError`` where it has none that brings its own snapshots."""
    protocol = protocol_of(instrument.market)
    if not protocol.url or protocol.snapshot_path is not None:
        raise BadInputError(
            f"{instrument.market} has no address that brings its own snapshots: give a stream that does with --url, or "
            "a recording with --path"
        )
    return protocol.url


class ResyncError(Exception):
    """The stream no longer follows: only a new connection brings a fresh snapshot."""


@dataclass
class Listener:
    """Feeds every frame of a websocket to ``handle(frame, recv_ns)`` until ``stop`` is set or the server is done.

    ``handle`` returns whether the frame held a row of the market.
    ``lost`` is called whenever a connection is gone. ``until_end``: a server that closes in good order has no more to
    say; else it is tried again. ``max_retries`` connections in a row that bring no row end the run, be
    they refused, silent, or full of frames that cannot be read.
    """

    url: str
    talk: Talk
    handle: Callable[[bytes, int], bool]
    lost: Callable[[], None]
    tick: Callable[[], None]
    say: Callable[[str], None]
    stop: Callable[[], bool]
    until_end: bool = False
    max_retries: int = 10
    _last_ns: int = 0
    _frames: int = 0
    _rows: int = 0
    _heard: float = 0.0
    _silent: bool = False

    async def run(self) -> None:
        """Listen until the end. Raises ``BadInputError`` for no websocket address, ``LobError`` when unreachable."""
        failures, waited_s = 0, FIRST_WAIT_S
        while not self.stop():
            before = self._rows
            why = await self._connect_once()
            if why is None or self.stop():
                return
            self.lost()
            if self._rows > before:
                failures, waited_s = 0, FIRST_WAIT_S
            elif self._frames == 0:
                raise LobError(f"{self.url} cannot be reached ({why}): is the address right and the server up?")
            failures += 1
            if failures > self.max_retries:
                raise LobError(f"{self.url}: {why}; gave up after {self.max_retries} attempts")
            self.say(f"{why}: connecting again in {waited_s:.1f} s (attempt {failures} of {self.max_retries})")
            await self._pause(waited_s * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, not a secret
            waited_s = min(2 * waited_s, LONGEST_WAIT_S)

    async def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop() and time.monotonic() < until:
            await asyncio.sleep(min(_TICK_S, seconds))
            self.tick()

    async def _connect_once(self) -> str | None:
        """Listen to one connection. Return why it ended, None when there is nothing more to hear."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidHandshake, InvalidURI

        try:
            async with connect(
                self.url, compression=None, max_size=MAX_FRAME_BYTES, open_timeout=10, close_timeout=1, max_queue=256
            ) as socket:
                for text in self.talk.hello:
                    await socket.send(text)
                self._heard, self._silent = time.monotonic(), False
                keeper = asyncio.create_task(self._keep(socket))
                try:
                    while not self.stop():
                        self._take(await socket.recv(decode=False))
                finally:
                    keeper.cancel()
                return None
        except InvalidURI as error:
            raise BadInputError(
                f"{self.url!r} is no websocket address: expected ws://host:port or wss://host"
            ) from error
        except ResyncError as error:
            return str(error)
        except ConnectionClosedOK:
            if self._silent:
                return f"no word for {SILENCE_S:.0f} s"
            return None if self.until_end or self.stop() else "the server closed the connection"
        except ConnectionClosed as error:
            return f"the connection broke ({error})"
        except InvalidHandshake as error:
            return f"it answers, but not as a websocket server: {error}"
        except (OSError, TimeoutError) as error:
            return str(getattr(error, "strerror", None) or error or type(error).__name__)

    async def _keep(self, socket: ClientConnection) -> None:
        """Ping, tell the time, and close the connection when it is silent or the run is to stop."""
        pinged = time.monotonic()
        while not self.stop() and not self._silent:
            await asyncio.sleep(_TICK_S)
            self.tick()
            now = time.monotonic()
            self._silent = now - self._heard > SILENCE_S
            if self.talk.ping and now - pinged > PING_S:
                pinged = now
                await socket.send(self.talk.ping)
        await socket.close()

    def _take(self, frame: bytes) -> None:
        """Hand one frame on, with a receive time after that of the frame before."""
        self._heard = time.monotonic()
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        self._frames += 1
        self._rows += self.handle(frame, self._last_ns)
