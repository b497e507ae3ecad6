"""Several depths of one Bybit book recorded side by side: which of them is the book, and the others as its witnesses.

A witness is a book of its own, kept as plain dictionaries by the complete line reader. After each of its messages its
best bid and ask become a ``quotes`` row whose ``update_id`` is the message's ``seq``: at equal ``seq`` two depths of
one symbol show the same instant, so the certificate can hold the book against them (``book.depth_agreement``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from lob_pipeline.core.tables import KIND_SNAPSHOT
from lob_pipeline.core.units import BID, NS_PER_MS
from lob_pipeline.venues import bybit
from lob_pipeline.venues import job as card
from lob_pipeline.venues.bybit import BookMessage
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import add_quote, parse_object
from lob_pipeline.venues.source import open_source

MESSAGES, GAPS = "second_depth_messages", "second_depth_gaps"
PUBLISHED = frozenset({1, 25, 50, 100, 200, 500, 1000})
"""Depths that Bybit has or had: another number beside one of these is a damaged line, not a second depth."""
_SAMPLE_BYTES = 1 << 20
_TIME = re.compile(rb'"(?:cts|ts)"\s*:\s*(\d{13})\b')
_TAIL_BYTES = 1 << 16


class WitnessBook:
    """The book of one topic, whole while its chain of ``u`` is unbroken since a snapshot."""

    def __init__(self) -> None:
        self.sides: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.last_id: int | None = None
        self.gaps = 0

    def apply(self, message: BookMessage) -> bool:
        """Apply a message; return whether the book is whole after it and the message was news."""
        if message.kind == KIND_SNAPSHOT:
            self.sides = {1: {}, -1: {}}
        elif self.last_id is None or message.update_id <= self.last_id:
            return False
        elif message.update_id != self.last_id + 1:
            self.last_id = None  # what was lost is not known: nothing is said until the next snapshot
            self.gaps += 1
            return False
        self.last_id = message.update_id
        for side, price, size in message.levels:
            if size:
                self.sides[side][price] = size
            else:
                self.sides[side].pop(price, None)
        return True

    def best(self) -> tuple[int, int, int, int] | None:
        """Return (bid ticks, bid lots, ask ticks, ask lots), None where a side is empty."""
        bids, asks = self.sides[BID], self.sides[-BID]
        if not bids or not asks:
            return None
        bid, ask = max(bids), min(asks)
        return bid, bids[bid], ask, asks[ask]


@dataclass
class DepthPlan:
    """Which depth is the book (0: the first that comes) and what is remembered of the others from file to file."""

    book_depth: int = 0
    witnesses: dict[int, WitnessBook] = field(default_factory=dict)


class DepthReader:
    """Reads the lines that the scanner leaves: those of other depths go to their witness, all else to ``bybit``."""

    def __init__(self, job: Job, plan: DepthPlan) -> None:
        self._job, self._plan = job, plan
        self._messages = 0
        self._gaps_before = self._gaps()
        job.card[card.BOOK_STREAM] = plan.book_depth

    def read(self, line: bytes, offset: int) -> None:
        """Append the rows of one line to the job's. Raises ``UnreadableError``, and then has changed nothing."""
        found = parse_object(line)
        topic = found.get("topic")
        depth = bybit.topic_of(topic)[1] if isinstance(topic, str) else 0
        if depth not in PUBLISHED or self._job.card[card.BOOK_STREAM] in (0, depth):
            bybit.read_line(line, offset, self._job)
            return
        message = bybit.book_of_line(line, found, self._job)
        self._messages += 1
        book = self._plan.witnesses.setdefault(depth, WitnessBook())
        if not book.apply(message) or message.seq < 0:
            return
        best = book.best()
        if best is not None:
            recv_ns = int(self._job.card[card.RECV_NS_HERE])
            add_quote(self._job, offset, recv_ns, message.ts_ns, message.seq, best)

    def checksums(self) -> tuple[int, int] | None:
        """Return None: the venue sends no checksums."""
        return None

    def facts(self) -> dict[str, int]:
        """Return how many messages of other depths were read since the last call, and gaps found in them."""
        if not self._messages:
            return {}
        gaps = self._gaps()
        out = {MESSAGES: self._messages, GAPS: gaps - self._gaps_before}
        self._messages, self._gaps_before = 0, gaps
        return out

    def _gaps(self) -> int:
        return sum(book.gaps for book in self._plan.witnesses.values())


def deepest(path: Path, symbol: str) -> int:
    """Return the deepest book topic of ``symbol`` in the first megabyte of a recording, 0 where there is none.

    Depths that Bybit never published count only where no other is there.
    """
    topic = re.compile(rb'"orderbook\.([1-9]\d{0,5})\.' + re.escape(symbol.encode()) + rb'"')
    for data, size, _ in open_source(path, _SAMPLE_BYTES):
        found = {int(depth) for depth in set(topic.findall(data, 0, size))}
        return max(found & PUBLISHED or found, default=0)
    return 0


def last_time_ns(path: Path) -> int:
    """Return the last time that a recording's messages state, 0 where its end states none. Reads the whole file."""
    tail = b""
    for data, size, _ in open_source(path):
        tail = bytes(data[max(0, size - _TAIL_BYTES) : size])
    times = _TIME.findall(tail)
    return int(times[-1]) * NS_PER_MS if times else 0
