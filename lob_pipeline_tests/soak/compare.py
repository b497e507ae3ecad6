"""The partition against the sender's log: equal, but for exactly what the recorder's own ledger lists as lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.sim.feed import BOOK, Levels
from lob_pipeline.sim.looped import LoopedFeed
from lob_pipeline.sim.sender_log import SENT, SNAPSHOT, Sent
from lob_pipeline_tests.soak.lake_side import Messages, batches, trades

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_EXAMPLES = 5


@dataclass
class Verdict:
    """One topic's comparison. Everything in ``wrong`` is a failure: what -> the first few messages it concerns.

    ``sent``: messages of the log in the compared span; ``listed``: lost by the ledger; ``recorded``: in the partition.
    """

    topic: str
    sent: int = 0
    withheld: int = 0
    listed: int = 0
    recorded: int = 0
    snapshots: int = 0
    levels: int = 0
    wrong: dict[str, list[Any]] = field(default_factory=dict)

    def find(self, what: str, which: Any) -> None:
        """Note what is wrong, if anything."""
        if len(which):
            self.wrong[what] = [len(which), *np.asarray(which)[:_EXAMPLES].tolist()]


class Topic:
    """One topic of the sender's log, by position in the order of sending."""

    def __init__(self, sent: Sent, topic: str) -> None:
        self.name = topic
        self.rows = sent.frames[sent.frames["topic"] == sent.topics.index(topic)]
        self.seq: Int64s = self.rows["seq"].astype(np.int64)
        self.update_id: Int64s = self.rows["update_id"].astype(np.int64)
        self.wall_ns: Int64s = self.rows["wall_ns"].astype(np.int64)
        self.whole: Bools = (self.rows["flags"] & SNAPSHOT) != 0
        self._order = np.argsort(self.update_id, kind="stable")
        self._sorted_ids = self.update_id[self._order]

    def at(self, update_id: int, before_ns: int) -> int:
        """Return the position of the last message of that id made before ``before_ns`` (ids recur after a restart)."""
        first, last = np.searchsorted(self._sorted_ids, [update_id, update_id + 1])
        return next((int(p) for p in self._order[first:last][::-1] if self.wall_ns[p] <= before_ns), -1)

    def of_seq(self, seq: Int64s) -> Int64s:
        """Return positions of messages by ``seq``, −1 for those that were never sent."""
        at = np.minimum(np.searchsorted(self.seq, seq), len(self.seq) - 1)
        return np.where(self.seq[at] == seq, at, -1)


def lost_by_ledger(topic: Topic, lines: list[dict[str, Any]]) -> Bools:
    """Return for each message of a book topic whether the ledger lists it as lost, as its docstring defines."""
    lost = np.zeros(len(topic.rows), dtype=bool)
    for line in lines:
        if line.get("topic") != topic.name:
            continue
        kind, until = line["kind"], line.get("to_wall_ns") or line["at_ns"]
        if kind == "late":
            if (came := topic.at(line["id"], until)) >= 0:
                lost[came] = False
            continue
        if kind == "gap":
            first, last = line["expected"], line["id"]
            own = bool(line["snapshot"])
        elif kind == "unknown":
            first, last, own = line["last_id"], line["next_id"], True
        elif kind == "restart":
            first, last, own = line["last_id"], line["id"], True
        else:
            continue
        end = topic.at(last, until)
        if first is None or end < 0:
            continue
        start = topic.at(first, int(topic.wall_ns[end]))
        lost[start + 1 : end] = True
        if own and start != end and not topic.whole[end]:
            lost[end] = True  # its effect came as a snapshot, itself it did not
    return lost


def compare_book(
    feed: LoopedFeed, grid: Instrument, sent: Sent, topic_name: str, home: Path, lines: list[dict[str, Any]]
) -> Verdict:
    """Hold every recorded book message of a topic against the message that was sent, level by level."""
    topic, verdict = Topic(sent, topic_name), Verdict(topic_name)
    expected = Expected(feed, grid, topic_name)
    present = np.zeros(len(topic.rows), dtype=np.int64)
    first, last = -1, -1
    foreign: list[int] = []
    for messages in batches(home, str(grid.market)):
        where = topic.of_seq(messages.seq)
        deltas = messages.kind == KIND_DELTA
        sent_ones = deltas | (messages.kind == KIND_SNAPSHOT)  # others are the ingest's own, at midnight
        begins = (where < 0) & ~deltas & sent_ones & (messages.seq < topic.seq[0])  # before the first message
        foreign += messages.seq[(where < 0) & sent_ones & ~begins].tolist()
        known = (where >= 0) & sent_ones
        if first < 0:
            first = int(where[0]) if known[0] else 0
        last = max(last, int(where.max()))
        np.add.at(present, where[known & (deltas | topic.whole[where])], 1)
        verdict.find("update ids differ", messages.seq[known & (topic.update_id[where] != messages.update_id)])
        templates = np.where(known, topic.rows["template"][where], -1)
        verdict.find("levels differ", expected.wrong_deltas(messages, templates, known & deltas))
        verdict.find("snapshots differ", expected.wrong_snapshots(messages, templates, (known | begins) & ~deltas))
        verdict.snapshots += int((~deltas).sum())
        verdict.levels += int(messages.start[-1])
    span = slice(first, last + 1)
    lost = lost_by_ledger(topic, lines)[span]
    here = present[span] > 0
    fate, seq = topic.rows["fate"][span], topic.seq[span]
    twice = ((topic.rows["flags"][span] & 1) == 0) & (present[span] > 1)
    # a message that was itself sent as a snapshot shares its seq with the snapshot of a new subscription
    ambiguous = topic.whole[span]
    verdict.sent, verdict.recorded, verdict.listed = len(lost), int(here.sum()), int(lost.sum())
    verdict.withheld = int((fate != SENT).sum())
    verdict.find("never sent, yet recorded", foreign)
    verdict.find("neither recorded nor listed as lost", seq[~here & ~lost])
    verdict.find("recorded, yet listed as lost", seq[here & lost & ~ambiguous])
    verdict.find("withheld, yet recorded", seq[(fate != SENT) & here & ~ambiguous])
    verdict.find("recorded twice", seq[twice & ~ambiguous])
    return verdict


class Expected:
    """What each message of the loop holds, in ticks and lots."""

    def __init__(self, feed: LoopedFeed, grid: Instrument, topic: str) -> None:
        self._feed, self._grid, self._topic = feed, grid, topic
        counts, rows = [], []
        for template in feed.templates:
            mine = template.kind == BOOK and template.topic == topic
            sides = ((1, template.bids), (-1, template.asks)) if mine else ()
            levels = [self._row(side, price, size) for side, changes in sides for price, size in changes]
            counts.append(len(levels))
            rows += levels
        self._counts: Int64s = np.array(counts)
        self._start: Int64s = np.cumsum(self._counts) - self._counts
        self._rows: Int64s = np.array(rows)

    def _row(self, side: int, price: str, size: str) -> tuple[int, int, int]:
        from decimal import Decimal

        return side, int(Decimal(price) / self._grid.tick), int(Decimal(size) / self._grid.lot)

    def wrong_deltas(self, messages: Messages, templates: Int64s, chosen: Bools) -> Int64s:
        """Return the seqs of deltas whose levels are not those that were sent."""
        at = np.flatnonzero(chosen)
        lengths = np.diff(messages.start)[at]
        counts = self._counts[templates[at]]
        wrong = lengths != counts
        at, counts = at[~wrong], counts[~wrong]
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        got = np.repeat(messages.start[at], counts) + inside
        want = self._rows[np.repeat(self._start[templates[at]], counts) + inside]
        same = (messages.side[got] == want[:, 0]) & (messages.price_ticks[got] == want[:, 1])
        same &= messages.size_lots[got] == want[:, 2]
        differs = np.repeat(np.arange(len(at)), counts)[~same]
        return np.append(messages.seq[np.flatnonzero(chosen)[wrong]], messages.seq[at[np.unique(differs)]])

    def wrong_snapshots(self, messages: Messages, templates: Int64s, chosen: Bools) -> list[int]:
        """Return the seqs of snapshots that are not the book as it stood."""
        found = []
        for i in np.flatnonzero(chosen).tolist():
            rows = slice(int(messages.start[i]), int(messages.start[i + 1]))
            columns = (messages.side[rows], messages.price_ticks[rows], messages.size_lots[rows])
            got = set(zip(*(column.tolist() for column in columns), strict=True))
            bids, asks = self._feed.book_at(self._topic, int(templates[i]))
            if got != self._levels(1, bids) | self._levels(-1, asks):
                found.append(int(messages.seq[i]))
        return found

    def _levels(self, side: int, levels: Levels) -> set[tuple[int, int, int]]:
        return {self._row(side, price, size) for price, size in levels.items()}


def compare_trades(market: str, sent: Sent, topic_name: str, home: Path, lines: list[dict[str, Any]]) -> Verdict:
    """Hold the recorded trades against the log. Bybit's trades have no chain: what is lost shows in breaks only."""
    topic, verdict = Topic(sent, topic_name), Verdict(topic_name)
    got = trades(home, market)
    by_id = dict(zip(got["trade_id"], got["seq"].tolist(), strict=True))
    where = topic.of_seq(np.unique(got["seq"]))
    verdict.find("never sent, yet recorded", np.unique(got["seq"])[where < 0])
    if len(by_id) != len(got["trade_id"]):
        verdict.wrong["trade ids twice"] = [len(got["trade_id"]) - len(by_id)]
    here = np.zeros(len(topic.rows), dtype=bool)
    here[where[where >= 0]] = True
    lost = np.zeros(len(topic.rows), dtype=bool)
    for line in lines:
        if line["kind"] == "unknown" and line["topic"] == topic_name and line["next_id"] in by_id:
            # (a next trade that a second kill took away is told again, with the one that came after it)
            lost |= (topic.seq > by_id.get(line["last_id"], -1)) & (topic.seq < by_id[line["next_id"]])
    span = slice(int(where.min()), int(where.max()) + 1)
    seq = topic.seq[span]
    verdict.sent, verdict.recorded, verdict.listed = len(seq), int(here[span].sum()), int(lost[span].sum())
    verdict.withheld = int((topic.rows["fate"][span] != SENT).sum())
    verdict.find("neither recorded nor listed as lost", seq[~here[span] & ~lost[span]])
    verdict.find("recorded, yet listed as lost", seq[here[span] & lost[span]])
    return verdict
