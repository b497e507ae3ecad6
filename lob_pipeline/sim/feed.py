"""What a local exchange sends: a recording once, as it was recorded. ``sim.looped`` has the endless one.

A feed gives ``Message``s in order and can tell the book as it stands after the last one it gave.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple, Protocol

from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.sim.recorded import Frame, frames
from lob_pipeline.sim.talk_checked import kraken_topic, okx_topic
from lob_pipeline.venues.detect import FileInfo

BOOK, TRADES, OTHER = 1, 2, 3
"""Kinds of messages."""

Levels = dict[str, str]
"""Price -> size, both as the venue spells them."""

_TOPIC = re.compile(rb'"topic":\s?"([^"]+)"')
_STREAM = re.compile(rb'"stream":\s?"([^"]+)"')
_EVENT = re.compile(rb'"e":\s?"([A-Za-z]+)"')
_SYMBOL = re.compile(rb'"s(?:ymbol)?":\s?"([^"]+)"')
_UPDATE = re.compile(rb'"u":\s?(\d+)')
_SEQ = re.compile(rb'"seq":\s?(\d+)')
_CLOCKS = re.compile(rb'("(?:cts|ts|T|E)":\s?)(\d{13})')
_SUFFIXES = {b"depthUpdate": "@depth", b"trade": "@trade", b"aggTrade": "@aggTrade", b"bookTicker": "@bookTicker"}


class Message(NamedTuple):
    """One message of the market. ``topic`` as clients subscribe to it, ``update_id`` and ``seq`` −1 where it has none.

    ``time_ns``: when the recording had it. ``template``: its place in a looped recording, −1 elsewhere.
    """

    topic: str
    kind: int
    update_id: int
    seq: int
    payload: bytes
    time_ns: int
    template: int = -1


class Feed(Protocol):
    """Messages in order, and the market as it stands after the last one taken.

    ``by_topic``: clients get what they subscribed to; else the whole recording.
    """

    family: str
    endless: bool
    by_topic: bool

    def next_ns(self) -> int | None:
        """Return when the recording had the next message (0: unknown), None when there is none."""

    def take(self) -> Message:
        """Return the next message. Raises ``EOFError`` when there is none."""

    def books(self) -> list[str]:
        """Return the topics of books that a client can be told as they stand."""

    def canonical(self, topic: str) -> str:
        """Return the name under which messages carry the topic that a client names so."""

    def offers(self, topic: str) -> bool:
        """Return whether the market has messages of ``topic``."""

    def snapshot(self, topic: str) -> bytes:
        """Return the message that a new subscriber gets: the book as it stands; empty where the topic has none."""

    def rest(self, symbol: str, limit: int) -> bytes:
        """Return Binance's REST answer for the book as it stands; empty where the symbol is unknown."""

    def restart(self, topic: str) -> None:
        """Begin the update ids of ``topic`` at 1 again, with its next message."""

    def as_snapshot(self, message: Message) -> Message:
        """Return ``message``, the last one taken, as a snapshot of the book after it."""

    def step_clock(self, ms: int) -> None:
        """Move the exchange's clock by ``ms`` from the next message on."""


def describe(payload: bytes) -> tuple[str, int, int, int]:
    """Return (topic, kind, update id, seq) of a recorded message, by its bytes alone."""
    if found := _TOPIC.search(payload):
        topic = found[1].decode()
        kind = BOOK if topic.startswith("orderbook") else TRADES if topic.startswith("publicTrade") else OTHER
        update = [int(m[1]) for m in _UPDATE.finditer(payload)] if kind == BOOK else []
        seq = _SEQ.search(payload)
        return topic, kind, update[-1] if update else -1, int(seq[1]) if seq else -1
    if topic := okx_topic(payload) or kraken_topic(payload):
        kind = BOOK if topic.startswith("book") else TRADES if topic.startswith("trade") else OTHER
        return topic, kind, -1, -1
    event, symbol = _EVENT.search(payload), _SYMBOL.search(payload)
    stream = _STREAM.search(payload)
    if stream:
        topic = stream[1].decode()
    elif event and symbol and event[1] in _SUFFIXES:
        topic = symbol[1].decode().lower() + _SUFFIXES[event[1]]
    else:
        topic = ""
    name = event[1] if event else b""
    kind = BOOK if name == b"depthUpdate" else TRADES if name in (b"trade", b"aggTrade") else OTHER
    found_id = _UPDATE.search(payload) if kind == BOOK else None
    return topic, kind, int(found_id[1]) if found_id else -1, -1


class RecordedFeed:
    """The frames of recorded files, once. The book as it stands is read again from the start when it is asked for."""

    endless = False

    def __init__(self, infos: list[FileInfo]) -> None:
        self.infos = infos
        self.family = infos[0].family
        self.by_topic = self.family in ("okx", "kraken")
        self._source = frames(infos)
        self._ahead = next(self._source, None)
        self._count = 0
        self._last: dict[str, Message] = {}
        self._shift: dict[str, int] = {}
        self._restarting: set[str] = set()
        self._clock_ms = 0

    def next_ns(self) -> int | None:
        """Return when the next message was received, or made (0: unknown); None at the end."""
        return self._ahead.time_ns if self._ahead else None

    def take(self) -> Message:
        """Return the next message, restarts and clock steps worked in. Raises ``EOFError`` at the end."""
        frame = self._ahead
        if frame is None:
            raise EOFError("the recording is over")
        self._ahead = next(self._source, None)
        payload = frame.payload
        topic, kind, update_id, seq = describe(payload)
        if kind == BOOK:
            if topic in self._restarting:
                self._restarting.discard(topic)
                self._shift[topic] = update_id - 1
            if shift := self._shift.get(topic, 0):
                update_id -= shift
                payload = _with_update_id(payload, update_id)
        message = Message(topic, kind, update_id, seq, _stepped(payload, self._clock_ms), frame.time_ns)
        self._count += 1
        self._last[topic] = message
        return message

    def books(self) -> list[str]:
        """Return the topics of Bybit books that were seen so far: a recording is not read ahead."""
        return [topic for topic, last in self._last.items() if last.kind == BOOK and self.family == "bybit"]

    def canonical(self, topic: str) -> str:
        """Return ``topic``."""
        return topic

    def offers(self, topic: str) -> bool:
        """Return True: what a recording holds is known at its end only."""
        return True

    def snapshot(self, topic: str) -> bytes:
        """Return Bybit's snapshot of ``topic`` after the last message; empty before its first."""
        if topic not in self.books():
            return b""
        text = snapshot_after(frames(self.infos), self._count, topic)
        return _stepped(_with_update_id(text, self._last[topic].update_id), self._clock_ms)

    def rest(self, symbol: str, limit: int) -> bytes:
        """Return Binance's REST answer for the book that the recording shows; empty where it shows none."""
        return rest_after(frames(self.infos), self._count, symbol, limit) if self.family == "binance" else b""

    def restart(self, topic: str) -> None:
        """Begin the update ids of ``topic`` at 1 again, with its next message."""
        self._restarting.add(topic)

    def as_snapshot(self, message: Message) -> Message:
        """Return ``message``, the last one taken, as a snapshot of the book after it."""
        return message._replace(payload=self.snapshot(message.topic) or message.payload)

    def step_clock(self, ms: int) -> None:
        """Move the clock by ``ms`` from the next message on."""
        self._clock_ms += ms


def _with_update_id(payload: bytes, update_id: int) -> bytes:
    return _UPDATE.sub(b'"u":%d' % update_id, payload)


def _stepped(payload: bytes, ms: int) -> bytes:
    return _CLOCKS.sub(lambda found: found[1] + b"%d" % (int(found[2]) + ms), payload) if ms else payload


def apply_levels(book: Levels, levels: list[list[str]]) -> None:
    """Set or delete the levels of one side of a message."""
    for price, size, *_ in levels:
        if float(size) == 0:
            book.pop(price, None)
        else:
            book[price] = size


def sorted_levels(book: Levels, *, bids: bool, limit: int | None = None) -> list[list[str]]:
    """Return the levels of one side, best first, at most ``limit``."""
    return [[price, book[price]] for price in sorted(book, key=float, reverse=bids)[:limit]]


def snapshot_after(recording: Iterator[Frame], count: int, topic: str = "") -> bytes:
    """Return Bybit's snapshot of the book after ``count`` frames; empty where it has none. ``topic``: of one only."""
    sides: dict[str, Levels] = {"b": {}, "a": {}}
    last: dict[str, Any] = {}
    for frame in islice(recording, count):
        said = json.loads(frame.payload)
        name = str(said.get("topic", ""))
        if not name.startswith("orderbook") or (topic and name != topic):
            continue
        if said["type"] == "snapshot":
            sides = {"b": {}, "a": {}}
        for side, levels in sides.items():
            apply_levels(levels, said["data"][side])
        last = said
    return snapshot_text(last, sides["b"], sides["a"]) if last else b""


def snapshot_text(last: dict[str, Any], bids: Levels, asks: Levels) -> bytes:
    """Return a book as Bybit's snapshot message, with the ids and clocks of the message ``last``."""
    data = {**last["data"], "b": sorted_levels(bids, bids=True), "a": sorted_levels(asks, bids=False)}
    return json.dumps({**last, "type": "snapshot", "data": data}, separators=(",", ":")).encode()


def rest_after(recording: Iterator[Frame], count: int, symbol: str, limit: int) -> bytes:
    """Return Binance's REST depth answer after ``count`` frames; empty when they hold no snapshot of ``symbol``.

    Levels outside the window of the recorded snapshot are unknown until a delta names them, as for every client.
    """
    bids: Levels = {}
    asks: Levels = {}
    last_id, clocks = -1, {}
    waiting: list[dict[str, Any]] = []
    for frame in islice(recording, count):
        said = json.loads(frame.payload)
        named = str(said.get("symbol", symbol))
        said = said["data"] if isinstance(said.get("data"), dict) else said
        if named != symbol or said.get("s", symbol) != symbol:
            continue
        if "lastUpdateId" in said:
            if last_id < 0 or said["lastUpdateId"] > last_id:
                bids, asks = dict(said["bids"]), dict(said["asks"])
                last_id = said["lastUpdateId"]
                for delta in waiting:
                    if delta["u"] > last_id:
                        last_id = _apply_delta(bids, asks, delta)
            waiting = []
        elif said.get("e") == "depthUpdate":
            clocks = {name: said[name] for name in ("E", "T") if name in said}
            if last_id < 0:
                waiting.append(said)
            elif said["u"] > last_id:
                last_id = _apply_delta(bids, asks, said)
    return rest_text(last_id, clocks, bids, asks, limit) if last_id >= 0 else b""


def _apply_delta(bids: Levels, asks: Levels, delta: dict[str, Any]) -> int:
    apply_levels(bids, delta["b"])
    apply_levels(asks, delta["a"])
    return int(delta["u"])


def rest_text(last_id: int, clocks: dict[str, int], bids: Levels, asks: Levels, limit: int) -> bytes:
    """Return a book as Binance's REST depth answer; ``clocks``: ``E`` and ``T`` where the venue has them."""
    sides = {"bids": sorted_levels(bids, bids=True, limit=limit), "asks": sorted_levels(asks, bids=False, limit=limit)}
    return json.dumps({"lastUpdateId": last_id, **clocks, **sides}, separators=(",", ":")).encode()


def now_ms(now_ns: int) -> int:
    """Return whole milliseconds of an instant, as venues stamp it."""
    return now_ns // NS_PER_MS
