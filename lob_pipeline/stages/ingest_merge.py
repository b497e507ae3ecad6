"""One arrival order out of several files: successive files of a stream, and separate book and trade streams.

A *lane* is what one process wrote in one order: its files follow each other, and inside it nothing is ever sorted.
Lanes are merged by receive time where all have it, else by matching-engine time (each lane at its running maximum);
at equal times trades come first, then the lanes in the order of their files. Memory: a block or two a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.tables import KIND_DELTA
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline.stages.ingest_blocks import Arrivals, concat_books, concat_rows, cut, join, place_together, places
from lob_pipeline.stages.ingest_overlap import Overlap
from lob_pipeline.venues.block import DecodedBlock

Int64s = npt.NDArray[np.int64]
NO_DAY = -1


@dataclass
class BookFacts:
    """The first and last book message of a file: what tells whether another file continues it."""

    first: tuple[int, int, int, int]  # time, receive time, id and claimed previous id of the first message
    first_is_snapshot: bool
    first_delta_follows: int | None = None
    last_id: int | None = None  # that the next delta must follow: of the last message, of the last delta where bridged


@dataclass
class FileFacts:
    """What one pass over a file learns of it. ``days``: days since 1970 to which it contributes, by kind of item."""

    book: BookFacts | None = None
    first_ns: int = 0
    last_ns: int = 0
    days: dict[str, set[int]] = field(default_factory=lambda: {"book": set(), "trades": set(), "quotes": set()})
    off_grid_lots: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)  # what the format counts besides
    checksums: tuple[int, int] | None = None  # compared, equal

    @property
    def all_days(self) -> set[int]:
        """Return every day that the file has an item of."""
        return set().union(*self.days.values())


@dataclass(frozen=True)
class LaneFile:
    """A file of a lane: how to read it, what was learnt, and the archive day in its name (days since 1970).

    ``bridged``: the venue's snapshots bridge a chain of deltas, they are no part of it. ``segment``: a recorder's.
    ``witness``: another depth of the book, of which quotes are all that is read.
    """

    blocks: Callable[[], Iterator[DecodedBlock]]
    facts: FileFacts
    archive_day: int | None = None
    bridged: bool = False
    segment: bool = False
    witness: bool = False


def day_number(t_ns: Int64s) -> Int64s:
    """Return the day of ``t - 1`` in days since 1970: 24:00:00.000 closes its day."""
    return (t_ns - 1) // NS_PER_DAY


class _LaneClock:
    """Running maxima of a lane's streams: which day an item belongs to."""

    def __init__(self) -> None:
        self._book = self._trades = self._quotes = 0

    def days(self, block: DecodedBlock, when: Int64s, archive_day: int | None) -> tuple[Int64s, Int64s, Int64s]:
        """Return the days of the block's book messages, trades and quotes."""
        if archive_day is not None:
            return tuple(np.full(len(rows), archive_day) for rows in (block.book, block.trades, block.quotes))  # type: ignore[return-value]
        book, self._book = _running(when, self._book)
        trades, self._trades = _running(block.trades.ts_event_ns, self._trades)
        own = np.where(block.quotes.ts_event_ns > 0, block.quotes.ts_event_ns, block.quotes.ts_recv_ns)
        quotes, self._quotes = _running(np.where(own > 0, own, self._book), self._quotes)
        return day_number(book), day_number(trades), day_number(quotes)


def _running(times: Int64s, before: int) -> tuple[Int64s, int]:
    if times.shape[0] == 0:
        return times, before
    out = np.maximum.accumulate(np.maximum(times, before))
    return out, int(out[-1])


def _filled(times: Int64s, at_end: int) -> Int64s:
    """Return times with each 0 replaced by the next time that is not 0, at the end by ``at_end``."""
    timed = np.flatnonzero(times > 0)
    if timed.shape[0] == times.shape[0]:
        return times
    padded = np.append(times[timed], at_end)
    return padded[np.searchsorted(timed, np.arange(times.shape[0]))]


def read_lane(files: list[LaneFile]) -> Iterator[Arrivals]:
    """Yield a lane's items block by block, with days and times, filling in each file's facts on the way.

    A book message without a time at the end of a block waits for the next message that has one.
    """
    clock = _LaneClock()
    latest = 0
    overlap = Overlap(bridged=any(file.bridged for file in files))
    for file in files:
        overlap.begin()
        waiting: DecodedBlock | None = None
        for block in file.blocks():
            whole = block if waiting is None else _join_blocks(waiting, block)
            if len(whole.book) and whole.book.ts_event_ns[-1] == 0:
                waiting = whole
                continue
            waiting = None
            latest = max(latest, int(whole.book.ts_event_ns.max(initial=0)))
            yield _arrivals(whole, file, clock, latest, overlap)
        if waiting is not None:
            latest = max(latest, int(waiting.book.ts_event_ns.max(initial=0)), int(waiting.book.ts_recv_ns[-1]))
            yield _arrivals(waiting, file, clock, latest, overlap)


def _join_blocks(one: DecodedBlock, two: DecodedBlock) -> DecodedBlock:
    return DecodedBlock(
        one.first_line,
        one.lines + two.lines,
        one.offset,
        concat_books(one.book, two.book),
        concat_rows(one.trades, two.trades),
        concat_rows(one.quotes, two.quotes),
        one.off_grid_lots + two.off_grid_lots,
        _sum(one.skipped, two.skipped),
        _both(one.checksums, two.checksums),
        (one.clocks[0] + two.clocks[0], one.clocks[1] + two.clocks[1], one.clocks[2] + two.clocks[2]),
        _sum(one.facts, two.facts),
    )


def _sum(one: dict[str, int], two: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in {**one, **two}}


def _both(one: tuple[int, int] | None, two: tuple[int, int] | None) -> tuple[int, int] | None:
    return one or two if one is None or two is None else (one[0] + two[0], one[1] + two[1])


def _arrivals(block: DecodedBlock, file: LaneFile, clock: _LaneClock, latest: int, overlap: Overlap) -> Arrivals:
    when = _filled(block.book.ts_event_ns, latest)
    days = clock.days(block, when, file.archive_day)
    _learn(file, block, when, days)
    if file.segment:
        block, when, days = overlap.without_repeats(block, when, days)
    book_day, trades_day, quotes_day = days
    book_at, trades_at, quotes_at = places(block)
    items = len(block.book) + len(block.trades) + len(block.quotes)
    return Arrivals(
        items,
        block.book,
        book_at,
        when,
        book_day,
        block.trades,
        trades_at,
        trades_day,
        block.quotes,
        quotes_at,
        quotes_day,
    )


def _learn(file: LaneFile, block: DecodedBlock, when: Int64s, days: tuple[Int64s, Int64s, Int64s]) -> None:
    facts = file.facts
    for name, values in zip(("book", "trades", "quotes"), days, strict=True):
        facts.days[name].update(np.unique(values).tolist())
    quoted = (block.quotes.ts_event_ns,) if file.witness else ()  # its only rows
    for times in (when, block.trades.ts_event_ns, *quoted):
        if times.shape[0]:
            facts.first_ns = min(facts.first_ns or int(times[0]), int(times[0]))
            facts.last_ns = max(facts.last_ns, int(times.max()))
    facts.off_grid_lots += block.off_grid_lots
    facts.skipped = _sum(facts.skipped, block.skipped)
    facts.counted = _sum(facts.counted, block.facts)
    facts.checksums = _both(facts.checksums, block.checksums)
    book = block.book
    if len(book) == 0:
        return
    if facts.book is None:
        first = (int(when[0]), int(book.ts_recv_ns[0]), int(book.update_id[0]), int(book.prev_update_id[0]))
        facts.book = BookFacts(first, bool(book.kind[0] != KIND_DELTA))
    deltas = np.flatnonzero(book.kind == KIND_DELTA)
    known = facts.book
    if deltas.shape[0]:
        if known.first_delta_follows is None:
            known.first_delta_follows = int(book.prev_update_id[deltas[0]])
    chain = deltas if file.bridged else np.arange(len(book))
    if chain.shape[0]:
        known.last_id = int(book.update_id[chain[-1]])


class _Lane:
    """A lane being merged: its pending items and their merge keys."""

    def __init__(self, blocks: Iterator[Arrivals], by_recv: bool) -> None:
        self._blocks, self._by_recv, self._latest = blocks, by_recv, 0
        self.pending: Arrivals | None = None
        self.keys: Int64s = np.empty(0, dtype=np.int64)
        self.done = False
        self.load()

    def load(self) -> None:
        """Append the next block that has items."""
        for block in self._blocks:
            if block.items == 0:
                continue
            times = np.zeros(block.items, dtype=np.int64)
            times[block.book_at] = block.book.ts_recv_ns if self._by_recv else block.book_when
            times[block.trades_at] = block.trades.ts_recv_ns if self._by_recv else block.trades.ts_event_ns
            times[block.quotes_at] = block.quotes.ts_recv_ns if self._by_recv else block.quotes.ts_event_ns
            keys, self._latest = _running(times, self._latest)
            self.pending = block if self.pending is None else join(self.pending, block)
            self.keys = np.concatenate([self.keys, keys])
            return
        self.done = True

    def take(self, count: int) -> tuple[Arrivals, Int64s] | None:
        """Remove and return the first ``count`` items and their keys."""
        if self.pending is None or count == 0:
            return None
        part, keys = cut(self.pending, 0, count), self.keys[:count]
        rest = self.pending.items - count
        self.pending = cut(self.pending, count, self.pending.items) if rest else None
        self.keys = self.keys[count:]
        return part, keys


def merge(lanes: list[Iterator[Arrivals]], by_recv: bool) -> Iterator[Arrivals]:
    """Yield the items of all lanes in one order. Give the lanes of trades first: they win at equal times."""
    if len(lanes) == 1:
        yield from (part for part in lanes[0] if part.items)
        return
    open_lanes = [_Lane(blocks, by_recv) for blocks in lanes]
    while any(lane.pending is not None for lane in open_lanes):
        for lane in open_lanes:
            if lane.pending is None and not lane.done:
                lane.load()
        unfinished = [lane for lane in open_lanes if not lane.done]
        # Everything before the earliest end of a lane that may go on is settled; at that very time a tie may follow.
        horizon = min((int(lane.keys[-1]) for lane in unfinished), default=None)
        taken = [
            lane.take(len(lane.keys) if horizon is None else int(np.searchsorted(lane.keys, horizon, "left")))
            for lane in open_lanes
        ]
        parts = [t for t in taken if t is not None]
        if not parts:
            next(lane for lane in unfinished if int(lane.keys[-1]) == horizon).load()
            continue
        keys = np.concatenate([k for _, k in parts])
        rank = np.empty(keys.shape[0], dtype=np.int64)
        rank[np.argsort(keys, kind="stable")] = np.arange(keys.shape[0])
        edges = np.cumsum([0, *(p.items for p, _ in parts)])
        yield place_together([p for p, _ in parts], [rank[a:b] for a, b in pairwise(edges)])
