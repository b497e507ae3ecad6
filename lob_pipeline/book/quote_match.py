"""The book against the best bid and ask that the venue itself publishes, with the same update ids.

A quote stream tells every change of the touch, so between two of its ids the touch stands still: after a message with
id u the book must show the last quote with an id up to u, the quote *in force*. That compares every message and every
row; where a quote has the very id of a message their times must be equal too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.quote_span import QuoteSpan
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import ROW
from lob_pipeline.core.units import NS_PER_S

_VALID = ROW["valid"]
_TOP = [ROW[n] for n in ("bid_ticks_1", "bid_lots_1", "ask_ticks_1", "ask_lots_1")]
_ID, _EVENT_NS, _RECV_NS = 0, 5, 6
_WIDTH = 7
SILENCE_NS = (NS_PER_S // 4, 10 * NS_PER_S)
SILENCE_FACTOR = 40  # times the mean step: where the next quote comes later the stream may have been cut
FORCE_SHARE = 0.01  # of messages may differ from the quote in force: quotes are lost now and then
FORCE_SLACK = 2
FORCE_RUN, FORCE_RUN_SHARE = 3, 5e-4  # but never that many on end, nor that share of a long day
CLOCK_SHARE = 1e-3


def silence_ns(first_ns: int, last_ns: int, count: int) -> int:
    """Return after how long without a quote, of a stream of ``count`` in that time, none is in force any more."""
    low, high = SILENCE_NS
    return min(max(low, SILENCE_FACTOR * (last_ns - first_ns) // max(1, count - 1)), high)


@dataclass
class InForce:
    """Counts of one comparison with the quote in force."""

    compared: int = 0
    equal: int = 0
    longest_run: int = 0  # differing ones on end
    _run: int = 0

    def add(self, same: npt.NDArray[np.bool_]) -> None:
        """Take the next comparisons in stream order."""
        self.compared += len(same)
        self.equal += int(same.sum())
        if not len(same):
            return
        ends = np.concatenate([[-1 - self._run], np.flatnonzero(same), [len(same)]])
        runs = np.diff(ends) - 1
        self.longest_run = max(self.longest_run, int(runs.max()))
        self._run = int(runs[-1])

    @property
    def ok(self) -> bool:
        """Whether the differences are few and none lasts."""
        return (
            self.compared - self.equal <= FORCE_SHARE * self.compared + FORCE_SLACK
            and self.longest_run < max(FORCE_RUN, FORCE_RUN_SHARE * self.compared)
        )


@dataclass
class QuoteMatch:
    """Best prices and sizes against the venue's own quotes; chunks come with ids ascending.

    Columns of a chunk: update_id, bid_ticks, bid_lots, ask_ticks, ask_lots and, where known, ts_event_ns, ts_recv_ns.
    """

    chunks: Iterator[Columns]
    compared: int = 0
    equal: int = 0
    rows_compared: int = 0
    rows_equal: int = 0
    timed: int = 0
    time_equal: int = 0
    messages_in_force: InForce = field(default_factory=InForce)
    rows_in_force: InForce = field(default_factory=InForce)
    spans: QuoteSpan = field(default_factory=QuoteSpan)
    _held: Int64Array = field(default_factory=lambda: np.empty((0, _WIDTH), np.int64))
    _done: bool = False
    _span: tuple[int, int, int] | None = None  # receive times of the first and last quote so far, and their number

    def _upto(self, update_id: int) -> Int64Array:
        """Return the quotes held, after reading on until their ids pass ``update_id`` (int64 (n, 7), sorted by id)."""
        parts = [self._held]
        while not self._done and (not len(parts[-1]) or parts[-1][:, _ID].max() <= update_id):
            chunk = next(self.chunks, None)
            if chunk is None:
                self._done = True
            else:
                names = ("update_id", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "ts_event_ns", "ts_recv_ns")
                none = np.zeros(len(chunk["update_id"]), np.int64)
                parts.append(np.column_stack([chunk.get(n, none) for n in names]).astype(np.int64))
                recv = parts[-1][:, _RECV_NS]
                first, last, count = self._span or (int(recv.min()), 0, 0)
                self._span = (first, max(last, int(recv.max())), count + len(recv))
        if len(parts) > 1:
            table = np.concatenate(parts)
            self._held = table[np.argsort(table[:, _ID], kind="stable")]
        return self._held

    def rows(self, rows: Int64Array, ids: Int64Array) -> None:
        """Compare the emitted rows with the quote of their update id, and with the one in force."""
        seen = rows[:, _VALID] != 0
        shown = rows[seen][:, _TOP]
        n, same = self._compare(ids[seen], shown)
        self.rows_compared += n
        self.rows_equal += same
        self._force(self.rows_in_force, ids[seen], shown)

    def messages(
        self, update_ids: Int64Array, tops: Int64Array, ts_ns: Int64Array, prev_ids: Int64Array | None = None
    ) -> None:
        """Compare the book after messages (tops int64 (n, 4)); then forget the quotes before the last message's."""
        n, same = self._compare(update_ids, tops)
        if prev_ids is not None:
            self.spans.add(update_ids, prev_ids, ts_ns, self._held)
        self.compared += n
        self.equal += same
        self._force(self.messages_in_force, update_ids, tops)
        if len(update_ids):
            order = np.argsort(update_ids, kind="stable")
            at = np.searchsorted(update_ids[order], self._held[:, _ID])
            hit = (at < len(order)) & (self._held[:, _EVENT_NS] > 0)
            hit[hit] = update_ids[order][at[hit]] == self._held[hit, _ID]
            self.timed += int(hit.sum())
            self.time_equal += int((ts_ns[order][at[hit]] == self._held[hit, _EVENT_NS]).sum())
            keep = np.searchsorted(self._held[:, _ID], update_ids.max(), side="left") - 1
            self._held = self._held[max(0, keep) :]

    def _compare(self, update_ids: Int64Array, tops: Int64Array) -> tuple[int, int]:
        if not len(update_ids):
            return 0, 0
        quotes = self._upto(int(update_ids.max()))
        order = np.argsort(update_ids, kind="stable")
        ids, shown = update_ids[order], tops[order]
        at = np.searchsorted(ids, quotes[:, _ID], side="right") - 1
        hit = (at >= 0) & (ids[np.maximum(at, 0)] == quotes[:, _ID])
        same = (quotes[hit, 1:5] == shown[at[hit]]).all(axis=1)
        return int(hit.sum()), int(same.sum())

    def _force(self, into: InForce, ids: Int64Array, shown: Int64Array) -> None:
        quotes = self._held
        if not len(ids) or len(quotes) < 2:
            return
        at = np.searchsorted(quotes[:, _ID], ids, side="right") - 1
        good = (at >= 0) & (at + 1 < len(quotes))  # the stream went on: it was alive
        at, shown = at[good], shown[good]
        bound = silence_ns(*self._span) if self._span else 0
        lives = quotes[at + 1, _RECV_NS] - quotes[at, _RECV_NS] <= bound
        into.add((quotes[at[lives], 1:5] == shown[lives]).all(axis=1))

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``top_of_book_match``, ``top_of_book_on_rows``, ``top_of_book_in_force``, ``rows_in_force``,
        ``quote_clock_match`` and ``updates_in_time``: those that had something to compare with."""
        out = []
        if self.compared:
            out.append(_equal("top_of_book_match", self.compared, self.equal, "messages"))
        if self.rows_compared:
            out.append(_equal("top_of_book_on_rows", self.rows_compared, self.rows_equal, "rows"))
        for name, force, what in (
            ("top_of_book_in_force", self.messages_in_force, "messages"),
            ("rows_in_force", self.rows_in_force, "rows"),
        ):
            if force.compared:
                differ = force.compared - force.equal
                message = (
                    f"best prices or sizes of {differ} of {force.compared} {what} differ from the venue's quote in "
                    f"force, {force.longest_run} of them on end"
                )
                out.append(judge(name, force.ok, examined=force.compared, judged=force.compared, message=message))
        if self.timed:
            differ = self.timed - self.time_equal
            out.append(
                judge(
                    "quote_clock_match",
                    differ <= CLOCK_SHARE * self.timed,
                    examined=self.timed,
                    judged=self.timed,
                    message=f"{differ} of {self.timed} messages have another time than the quote of the same id",
                )
            )
        return out + self.spans.outcomes()

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``top_of_book_in_force`` and ``quote_clock_match``."""
        force = self.messages_in_force
        return {
            "top_of_book_in_force": {"compared": force.compared, "equal": force.equal} if force.compared else None,
            "quote_clock_match": {"compared": self.timed, "equal": self.time_equal} if self.timed else None,
        }


def _equal(name: str, compared: int, equal: int, what: str) -> CheckOutcome:
    ok = equal == compared
    other = "the venue's quotes at the same id"
    message = "" if ok else f"best prices or sizes of {compared - equal} of {compared} {what} differ from {other}"
    return judge(name, ok, examined=compared, judged=compared, message=message, facts={"equal": equal})
