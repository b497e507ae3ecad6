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
from lob_pipeline.sim.feed import BOOK, TRADES, Levels, Message, describe, now_ms, snapshot_text
from lob_pipeline.sim.loop_book import Changes, LoopBook, difference
from lob_pipeline.sim.recorded import frames
from lob_pipeline.venues.detect import FileInfo

_PATCHED = re.compile(rb'"(cts|ts|T|u|seq)":\s?\d+|"i":\s?"([0-9a-f-]+)"')
_ID_DIGITS = 12


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


class LoopedFeed:
    """Bybit files of one or several symbols, endless. ``clock``: the machine's time in ns.

    Raises ``BadInputError`` for other venues' files, and for a book that does not begin with a snapshot.
    """

    family = "bybit"
    endless = True
    by_topic = True

    def __init__(self, infos: list[FileInfo], clock: Callable[[], int] = time.time_ns) -> None:
        if any(info.format != "bybit_messages" for info in infos):
            raise BadInputError(f"{infos[0].path} is {infos[0].format}: only Bybit's recordings are played in a loop")
        self._clock, self._step_ms = clock, 0
        self._books: dict[str, LoopBook] = {}
        self._restarting: set[str] = set()
        self.templates: list[Template] = []
        self._seqs: dict[str, int] = {}
        self._trades, self._index = 0, -1
        self._build(infos)
        self._topics = frozenset(template.topic for template in self.templates)

    def _build(self, infos: list[FileInfo]) -> None:
        for payload in [frame.payload for frame in frames(infos)]:
            topic, kind, update_id, seq = describe(payload)
            if kind == TRADES:
                trades = len(json.loads(payload)["data"])
                self.templates.append(Template(topic, TRADES, _pattern(payload), trades))
            elif kind == BOOK:
                self._build_book(json.loads(payload), payload, update_id, seq)
        for topic, book in self._books.items():
            data = {"s": topic.rpartition(".")[2], "b": [], "a": [], "u": 0, "seq": 0}
            said = {"topic": topic, "type": "delta", "ts": 0, "data": data, "cts": 0}
            self._add(topic, said, *book.way_back())
        if not self._books:
            raise BadInputError(f"{infos[0].path} holds no book: a market needs one")

    def _build_book(self, said: dict[str, Any], payload: bytes, update_id: int, seq: int) -> None:
        topic, bids, asks = said["topic"], said["data"]["b"], said["data"]["a"]
        book = self._books.get(topic)
        if book is None:
            if said["type"] != "snapshot":
                raise BadInputError(f"the recording of {topic} begins without a snapshot: its book is unknown")
            self._books[topic] = LoopBook(dict(bids), dict(asks), update_id, seq)
            symbol = topic.rpartition(".")[2]
            self._seqs[symbol] = max(seq, self._seqs.get(symbol, 0))
        elif said["type"] == "snapshot":
            old_bids, old_asks = book.at(len(self.templates))
            self._add(topic, said, difference(old_bids, dict(bids)), difference(old_asks, dict(asks)))
        else:
            book.add(len(self.templates), bids, asks)
            self.templates.append(Template(topic, BOOK, _pattern(payload), 0, bids, asks))

    def _add(self, topic: str, said: dict[str, Any], bids: Changes, asks: Changes) -> None:
        """Append a delta of our own making, with the fields of the message ``said``."""
        text = {**said, "type": "delta", "data": {**said["data"], "b": bids, "a": asks}}
        self._books[topic].add(len(self.templates), bids, asks)
        pattern = _pattern(json.dumps(text, separators=(",", ":")).encode())
        self.templates.append(Template(topic, BOOK, pattern, 0, bids, asks))

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

    def canonical(self, topic: str) -> str:
        """Return ``topic``: Bybit's have one name each."""
        return topic

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
            if topic in self._restarting:
                self._restarting.discard(topic)
                book.update_id = 0
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
        return self._books[topic].at(index)

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
            self._restarting.add(topic)

    def as_snapshot(self, message: Message) -> Message:
        """Return ``message``, the last one taken, as a snapshot of the book after it."""
        return message._replace(payload=self.snapshot(message.topic))

    def step_clock(self, ms: int) -> None:
        """Move the exchange's clock by ``ms`` from the next message on."""
        self._step_ms += ms


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
