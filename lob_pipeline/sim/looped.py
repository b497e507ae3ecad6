"""A Bybit recording as a market without end: the same changes again and again, ids and clocks going on.

Each book's recording closes with one synthesised delta that takes the book back to its first state, so the chain of
``u`` + 1 never breaks and the book is right at every message. Clocks are the machine's, trade ids are counted on.
Messages are byte templates: one costs a few microseconds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.feed import BOOK, TRADES, Levels, Message, apply_levels, describe, now_ms, snapshot_text
from lob_pipeline.sim.recorded import frames
from lob_pipeline.venues.detect import FileInfo

_PATCHED = re.compile(rb'"(cts|ts|T|u|seq)":\s?\d+|"i":\s?"([0-9a-f-]+)"')
_ID_DIGITS = 12
_CHECKPOINT = 64


@dataclass(frozen=True)
class Template:
    """One message of the loop. ``pattern`` takes cts, ts, T, u, seq and the number i of its first trade.

    ``bids`` and ``asks``: the level changes of a book message, as spelled.
    """

    topic: str
    kind: int
    pattern: bytes
    trades: int
    bids: list[list[str]] = field(default_factory=list)
    asks: list[list[str]] = field(default_factory=list)


@dataclass
class _Book:
    """One topic's chain: the state before the loop, and where its ids stand."""

    bids: Levels
    asks: Levels
    update_id: int
    seq: int
    restarting: bool = False
    states: dict[int, tuple[Levels, Levels]] = field(default_factory=dict)


class LoopedFeed:
    """Bybit files of one or several symbols, endless. ``clock``: the machine's time in ns.

    Raises ``BadInputError`` for other venues' files, and for a book that does not begin with a snapshot.
    """

    bybit = True
    endless = True

    def __init__(self, infos: list[FileInfo], clock: Callable[[], int] = time.time_ns) -> None:
        if any(info.format != "bybit_messages" for info in infos):
            raise BadInputError(f"{infos[0].path} is {infos[0].format}: only Bybit's recordings are played in a loop")
        self._clock, self._step_ms = clock, 0
        self._books: dict[str, _Book] = {}
        self.templates: list[Template] = []
        self._seqs: dict[str, int] = {}
        self._trades, self._index = 0, -1
        self._build(infos)
        self._topics = frozenset(template.topic for template in self.templates)

    def _build(self, infos: list[FileInfo]) -> None:
        states: dict[str, tuple[Levels, Levels]] = {}
        for payload in [frame.payload for frame in frames(infos)]:
            topic, kind, update_id, seq = describe(payload)
            symbol = topic.rpartition(".")[2]
            if kind == TRADES:
                said = json.loads(payload)
                self.templates.append(Template(topic, TRADES, _pattern(payload), len(said["data"])))
            elif kind == BOOK:
                said = json.loads(payload)
                data = said["data"]
                if topic not in states:
                    if said["type"] != "snapshot":
                        raise BadInputError(f"the recording of {topic} begins without a snapshot: its book is unknown")
                    states[topic] = (dict(data["b"]), dict(data["a"]))
                    self._books[topic] = _Book(dict(data["b"]), dict(data["a"]), update_id, seq)
                    self._seqs[symbol] = max(seq, self._seqs.get(symbol, 0))
                    continue
                bids, asks = data["b"], data["a"]
                if said["type"] == "snapshot":
                    old_bids, old_asks = states[topic]
                    bids, asks = difference(old_bids, dict(bids)), difference(old_asks, dict(asks))
                    payload = _delta_text(said, bids, asks)
                apply_levels(states[topic][0], bids)
                apply_levels(states[topic][1], asks)
                self.templates.append(Template(topic, BOOK, _pattern(payload), 0, bids, asks))
        for topic, state in states.items():
            book = self._books[topic]
            sides = [difference(old, new) for old, new in zip(state, (book.bids, book.asks), strict=True)]
            said = {"topic": topic, "type": "delta", "ts": 0, "data": {"s": topic.rpartition(".")[2]}, "cts": 0}
            said["data"] |= {"b": [], "a": [], "u": 0, "seq": 0}
            text = _delta_text(said, *sides)
            self.templates.append(Template(topic, BOOK, _pattern(text), 0, *sides))
        if not self._books:
            raise BadInputError(f"{infos[0].path} holds no book: a market needs one")

    def next_ns(self) -> int | None:
        """Return 0: a loop has no times of its own."""
        return 0

    def take(self) -> Message:
        """Return the next message, stamped now."""
        self._index = (self._index + 1) % len(self.templates)
        return self._message(self._index, self.templates[self._index])

    def books(self) -> list[str]:
        """Return the topics of the books."""
        return list(self._books)

    def offers(self, topic: str) -> bool:
        """Return whether the recording has ``topic``."""
        return topic in self._topics

    def _message(self, index: int, template: Template) -> Message:
        topic = template.topic
        symbol = topic.rpartition(".")[2]
        seq = self._seqs.get(symbol, 0) + 1
        self._seqs[symbol] = seq
        update_id = -1
        if template.kind == BOOK:
            book = self._books[topic]
            if book.restarting:
                book.update_id, book.restarting = 0, False
            book.update_id = update_id = book.update_id + 1
            book.seq = seq
        now_ns = self._clock()
        payload = template.pattern % self._values(update_id, seq, now_ns)
        self._trades += template.trades
        return Message(topic, template.kind, update_id, seq, payload, now_ns, index)

    def _values(self, update_id: int, seq: int, now_ns: int) -> dict[bytes, int]:
        ms = now_ms(now_ns) + self._step_ms
        first = self._trades
        numbers = {b"i%d" % i: first + i for i in range(self.templates[self._index].trades)}
        return {b"ts": ms, b"cts": ms - 1, b"T": ms - 1, b"u": update_id, b"seq": seq, **numbers}

    def book_at(self, topic: str, index: int) -> tuple[Levels, Levels]:
        """Return (bids, asks) of ``topic`` after template ``index`` of any pass; −1: before the first."""
        book = self._books[topic]
        start = max((i for i in book.states if i <= index), default=-1)
        bids, asks = book.states.get(start, (book.bids, book.asks))
        bids, asks = dict(bids), dict(asks)
        for i in range(start + 1, index + 1):
            template = self.templates[i]
            if template.topic == topic:
                apply_levels(bids, template.bids)
                apply_levels(asks, template.asks)
            if i % _CHECKPOINT == 0:
                book.states[i] = (dict(bids), dict(asks))
        return bids, asks

    def snapshot(self, topic: str) -> bytes:
        """Return the snapshot of the book as it stands after the last message; empty for other topics."""
        book = self._books.get(topic)
        if book is None:
            return b""
        ms = now_ms(self._clock()) + self._step_ms
        data = {"s": topic.rpartition(".")[2], "b": [], "a": [], "u": book.update_id, "seq": book.seq}
        said = {"topic": topic, "type": "snapshot", "ts": ms, "data": data, "cts": ms - 1}
        return snapshot_text(said, *self.book_at(topic, self._index))

    def rest(self, symbol: str, limit: int) -> bytes:
        """Return nothing: Bybit's books come over the websocket."""
        return b""

    def restart(self, topic: str) -> None:
        """Begin the update ids of ``topic`` at 1 again, with its next message."""
        if topic in self._books:
            self._books[topic].restarting = True

    def as_snapshot(self, message: Message) -> Message:
        """Return ``message``, the last one taken, as a snapshot of the book after it."""
        return message._replace(payload=self.snapshot(message.topic))

    def step_clock(self, ms: int) -> None:
        """Move the exchange's clock by ``ms`` from the next message on."""
        self._step_ms += ms


def difference(old: Levels, new: Levels) -> list[list[str]]:
    """Return the level changes that make ``old`` into ``new``; a deleted level has the size ``0``."""
    gone = [[price, "0"] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]


def _delta_text(said: dict[str, Any], bids: list[list[str]], asks: list[list[str]]) -> bytes:
    data = {**said["data"], "b": bids, "a": asks}
    return json.dumps({**said, "type": "delta", "data": data}, separators=(",", ":")).encode()


def _pattern(payload: bytes) -> bytes:
    """Return the message as a format string: clocks and ids by name, the last 12 digits of trade ids by number."""
    trade = 0

    def name(found: re.Match[bytes]) -> bytes:
        nonlocal trade
        if found[1]:
            return b'"%s":%%(%s)d' % (found[1], found[1])
        trade += 1
        return b'"i":"%s%%(i%d)0%dx"' % (found[2][:-_ID_DIGITS], trade - 1, _ID_DIGITS)

    return _PATCHED.sub(name, payload.replace(b"%", b"%%"))
