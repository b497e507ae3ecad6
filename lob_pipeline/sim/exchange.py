"""A loopback exchange: serves a recording in its venue's protocol, at any speed, with faults by script.

Without --loop the recording is one stream that waits for its listener: Bybit's form sends after a subscription,
Binance's at once. With --loop it is a market without end (Bybit, Binance): it goes on while nobody listens, knows its
topics and shows the book as it stands: Bybit's opens each subscription with it, Binance's answers GET /fapi/v1/depth.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.sim.audience import Audience
from lob_pipeline.sim.clients import Client
from lob_pipeline.sim.extras import EVERY_S, Extras
from lob_pipeline.sim.faults import Fault
from lob_pipeline.sim.feed import Feed, RecordedFeed
from lob_pipeline.sim.looped import LoopedFeed
from lob_pipeline.sim.looped_binance import BinanceLoop
from lob_pipeline.sim.recorded import recorded_files
from lob_pipeline.sim.sender_log import NOBODY, SENT, SILENCED, SenderLog
from lob_pipeline.sim.serving import serving
from lob_pipeline.sim.talk import Said, hear_binance, hear_bybit, parse_words, rest_answer
from lob_pipeline.sim.talk_checked import hear_kraken, hear_okx
from lob_pipeline.sim.trouble import Trouble
from lob_pipeline.venues.detect import FileInfo

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

__all__ = ["Exchange", "serving"]

_BATCH = 256
"""Messages after which a server that does not wait for the clock lets its clients breathe."""
_TICK_S = 0.002


class Exchange:
    """Serves one recording, or with ``loop`` a market made of it.

    ``speed``: times as fast as it was recorded, 0 as fast as the client takes it. ``rate``: messages a second instead.
    ``drop_after``: cut the connection after so many messages without a word; ``miss``: messages that nobody then gets.
    The next connection opens with a snapshot of the book as it stands, as Bybit's does. ``log``: folder of the
    sender's log. ``extras``: a loop of Bybit's sends tickers, RPI books and liquidations too. Raises ``BadInputError``
    for unreadable files and for a loop of a venue other than Bybit and Binance.
    """

    def __init__(
        self,
        paths: list[Path],
        speed: float = 0.0,
        drop_after: int | None = None,
        miss: int = 0,
        *,
        loop: bool = False,
        rate: float = 0.0,
        faults: list[Fault] | None = None,
        log: Path | None = None,
        extras: bool = False,
    ) -> None:
        if loop and not rate > 0:
            raise BadInputError("a market without end needs a pace: give the messages a second with --rate")
        infos = recorded_files(paths)
        self.feed: Feed = _looped(infos) if loop else RecordedFeed(infos)
        self._speed, self._rate, self._miss = speed, rate, miss
        script = list(faults or [])
        if drop_after is not None:
            script.append(Fault(drop_after + 1, "abrupt_close"))
        self._trouble = Trouble(script, self.feed)
        self._log = SenderLog(log) if log else None
        self._extras = Extras(self.feed) if extras and loop and self.feed.family == "bybit" else None
        self._extras_at = 0.0
        self._audience = Audience(self.feed, self._note)
        self._number, self._started = 0, 0.0
        self._refuse_until = 0.0
        self._over = False
        self.connections = 0
        self.received: list[dict[str, Any]] = []

    async def handle(self, connection: ServerConnection) -> None:
        """Hear one client until the connection ends; the market speaks from ``run``."""
        from websockets.exceptions import ConnectionClosed

        self.connections += 1
        path = connection.request.path if connection.request else ""
        client = Client(connection, f"loopback-{self.connections}", combined=path.startswith("/stream"))
        if self.feed.family == "binance" and not self.feed.endless:
            client.topics = None
        self._audience.join(client)
        if self._over and client.listens:
            await connection.close()
        try:
            async for text in connection:
                await self._hear(client, text)
        except ConnectionClosed:
            return  # the client went away: the next one goes on from here
        finally:
            self._audience.leave(client)

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a plain HTTP request on the websocket's port; None lets a websocket in."""
        if time.monotonic() < self._refuse_until:
            self._note("refused")
            return connection.respond(503, "try again later\n")
        found = rest_answer(request.path, self.feed, time.time_ns())
        if found is None:
            return None
        response = connection.respond(found[0], found[1].decode())
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response

    async def run(self) -> None:
        """Send message after message until the recording is over; a market without end runs until cancelled."""
        loop = asyncio.get_running_loop()
        paced_from, paced_at, batch = 0.0, 0, 0
        while (next_ns := self.feed.next_ns()) is not None:
            if not self._audience.someone.is_set() and (not self.feed.endless or not self._number):
                await self._audience.someone.wait()
                paced_from = 0.0
            now = due = loop.time()
            self._started = self._started or now
            if self._rate:
                if not paced_from:
                    paced_from, paced_at = now, self._number
                due = paced_from + (self._number - paced_at) / self._rate
            elif self._speed and next_ns:  # a message without a time of its own goes with the one before it
                if not paced_from:
                    paced_from, paced_at = now, next_ns
                due = paced_from + (next_ns - paced_at) / NS_PER_S / self._speed
            if due > now:
                self._audience.flush(now)
                await asyncio.sleep(max(_TICK_S, due - now))
                batch = 0
                continue
            await self._begin(now)
            self._send()
            if self._extras and now > self._extras_at:
                self._extras_at = now + EVERY_S
                self._audience.tell_extras(self._extras)
            batch += 1
            if batch >= _BATCH:
                self._audience.flush(now)
                await self._breathe()
                batch = 0
        self._over = True
        self._audience.flush(float("inf"))
        await self._audience.dismiss()

    def close(self) -> None:
        """Close the sender's log."""
        if self._log:
            self._note("closed")
            self._log.close()

    async def _hear(self, client: Client, text: str | bytes) -> None:
        if text in ("ping", b"ping"):  # OKX's
            client.say(b"pong")
            client.flush()
            return
        words = parse_words(text)
        if words is None:
            client.say(b'{"success":false,"ret_msg":"error:not a JSON object"}')
            client.flush()
            return
        self.received.append(words)
        await self._obey(client, self._answer(client, words))

    def _answer(self, client: Client, words: dict[str, Any]) -> Said:
        have = (client.topics or {}).values()
        if self.feed.family == "bybit":
            return hear_bybit(words, self.feed, have, client.name, self.feed.endless)
        if self.feed.family == "okx":
            return hear_okx(words)
        return hear_kraken(words) if self.feed.family == "kraken" else hear_binance(words, have)

    async def _obey(self, client: Client, said: Said) -> None:
        for late in self._trouble.held_back() if said.subscribed else []:
            self._audience.tell(late.payload, late.topic)  # nobody gets an old message behind a new snapshot
        for answer in said.answers:
            client.say(answer)
        for topic in said.unsubscribed:
            (client.topics or {}).pop(self.feed.canonical(topic), None)
        for topic in said.subscribed:
            client.silent.pop(self.feed.canonical(topic), None)
            if client.topics is not None:
                client.topics[self.feed.canonical(topic)] = topic
        if said.subscribed and (self._number or self.feed.endless):
            for topic in said.subscribed if self.feed.endless else self.feed.books():
                if self._extras and (extra := self._extras.message(topic, first=True)):
                    client.say(extra)
                elif snapshot := self.feed.snapshot(topic):
                    client.say(snapshot)
                    self._note("snapshot", client=client.name, topic=topic)
        if said.subscribed or said.unsubscribed:
            self._note("subscribed", client=client.name, topics=sorted(client.topics or {}))
        client.flush()
        self._audience.look()
        if self._over:
            await client.connection.close()

    async def _begin(self, now: float) -> None:
        for fault in self._trouble.due(self._number + 1, now - self._started):
            self._note("fault", fault=fault.kind, count=fault.count, ms=fault.ms, at=fault.at)
            if fault.kind in ("abrupt_close", "refuse_connections"):
                await self._cut_all()
            if fault.kind == "refuse_connections":
                self._refuse_until = time.monotonic() + fault.count
            elif fault.kind == "slow":
                self._audience.hold(now + fault.count)
            elif fault.kind == "silence":
                topic = fault.topic or next(iter(self.feed.books()), "")
                self._audience.silence(topic, now + fault.count)
            else:
                self._trouble.start(fault)

    async def _cut_all(self) -> None:
        paced = bool(self._rate or self._speed)
        if not paced:
            self._audience.flush(float("inf"))
            await self._breathe()
        self._audience.cut(reset=paced)
        for _ in range(self._miss):
            if self.feed.next_ns() is not None:
                self._send()
        self._miss = 0
        if not self.feed.endless:
            await self._audience.someone.wait()

    def _send(self) -> None:
        message = self.feed.take()
        self._number += 1
        treated = self._trouble.treat(message)
        receivers, silenced = 0, False
        for payload in treated.payloads or [b""]:
            receivers, silenced = self._audience.tell(payload, message.topic, half=treated.half)
        fate = treated.fate
        if fate == SENT and not receivers:
            fate = SILENCED if silenced else NOBODY
        if self._log:
            self._log.message(self._number, treated.message, fate, treated.flags, receivers, time.time_ns())

    async def _breathe(self) -> None:
        await asyncio.sleep(0)
        if not self._rate and not self._speed:
            await self._audience.drain()

    def _note(self, event: str, **more: Any) -> None:
        if self._log:
            self._log.event(event, self._number, **more)


def _looped(infos: list[FileInfo]) -> Feed:
    return LoopedFeed(infos) if infos[0].family == "bybit" else BinanceLoop(infos)


if __name__ == "__main__":
    from lob_pipeline.sim.exchange_command import main

    sys.exit(main())
