"""Everyone who listens to a local exchange: who gets which message, and who is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from lob_pipeline.sim.clients import Client, frame_of
from lob_pipeline.sim.extras import Extras
from lob_pipeline.sim.feed import Feed

MAX_BEHIND_BYTES = 32 << 20
"""A client that leaves more than this unread is cut off, as exchanges do."""


class Audience:
    """The clients of one exchange. ``someone`` is set while any of them listens; ``note`` tells the sender's log."""

    def __init__(self, feed: Feed, note: Callable[..., None]) -> None:
        self._feed, self._note = feed, note
        self._wraps = feed.endless and feed.family == "binance"
        self._held_until = 0.0
        self.clients: list[Client] = []
        self.someone = asyncio.Event()

    def join(self, client: Client) -> None:
        """Take a client in."""
        self.clients.append(client)
        self._note("connected", client=client.name)
        self.look()

    def leave(self, client: Client) -> None:
        """Let a client go whose connection has ended."""
        self.clients.remove(client)
        self.look()
        self._note("disconnected", client=client.name)

    def look(self) -> None:
        """See whether anyone listens."""
        (self.someone.set if any(client.listens for client in self.clients) else self.someone.clear)()

    def tell(self, payload: bytes, topic: str, *, half: bool = False) -> tuple[int, bool]:
        """Queue one message (b"": only count) for whom it concerns; ``half``: cut them off in the middle of it.

        Returns (receivers, whether the topic is silent for one who would have received it).
        """
        frame = frame_of(payload) if payload else b""
        receivers, silenced = 0, False
        for client in self.clients:
            if not client.listens or (self._feed.by_topic and topic not in (client.topics or ())):
                continue
            if topic in client.silent:
                if asyncio.get_running_loop().time() < client.silent[topic]:
                    silenced = True
                    continue
                del client.silent[topic]
            receivers += 1
            if frame:
                own = client.wrapped(topic, payload) if self._wraps and client.combined else frame
                client.waiting.append(own[: len(own) // 2] if half else own)
            if half:
                client.flush()
                client.cut(reset=False)
        return receivers, silenced

    def tell_extras(self, extras: Extras) -> None:
        """Queue one message of each extra topic for who subscribed to it."""
        extras.look()
        made: dict[str, bytes] = {}
        for client in self.clients:
            for topic in client.topics or () if client.listens else ():
                if not self._feed.offers(topic):
                    if topic not in made:
                        made[topic] = extras.message(topic, first=False)
                    if made[topic]:
                        client.say(made[topic])

    def silence(self, topic: str, until: float) -> None:
        """Keep a topic from those who are here, until then or until they subscribe anew."""
        for client in self.clients:
            client.silent[topic] = until

    def hold(self, until: float) -> None:
        """Write nothing before then."""
        self._held_until = until

    def flush(self, now: float) -> None:
        """Write what waits, and cut off who leaves too much unread."""
        if now < self._held_until:
            return
        for client in self.clients:
            client.flush()
            if client.behind_bytes > MAX_BEHIND_BYTES:
                self._note("slow_consumer", client=client.name)
                client.cut(reset=True)

    def cut(self, *, reset: bool) -> None:
        """End every connection without a word."""
        for client in self.clients:
            client.cut(reset=reset)
        self.someone.clear()

    async def drain(self) -> None:
        """Wait until everyone has taken what was written."""
        from websockets.exceptions import ConnectionClosed

        for client in list(self.clients):
            with suppress(ConnectionClosed, OSError):
                await client.connection.drain()

    async def dismiss(self) -> None:
        """Close every connection in good order."""
        for client in list(self.clients):
            await client.connection.close()
