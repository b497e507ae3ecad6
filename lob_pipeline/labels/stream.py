"""Chunks of ``l2_events`` as messages of the truth clock: running maximum of times, what is applied, where it broke."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.sequence import BRIDGE, FOLLOWS, GAP, MODES, REPLACES, UNBRIDGED, judge_message
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import KIND_AUDIT, KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.labels.messages import DELTA, SKIP, SNAPSHOT, Messages
from lob_pipeline.labels.states import Int, Int64s

NEEDED = (
    *("ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id", "seq"),
    *("kind", "side", "price_ticks", "size_lots", "first_in_message"),
)
_BEFORE_ALL = -(1 << 62)

# chain: the scalars carried from message to message
MODE = 0
WHOLE = 1
UNBRIDGED_YET = 2
LAST_ID = 3
GOOD_NS = 4  # running maximum of the times of what was applied
SEEN_NS = 5  # running maximum of the times of every message
HOLD = 6  # receive time of a bridging snapshot while its buffered deltas follow, else 0
BROKEN_NS = 7  # the book is not valid after this instant (_VALID where it is)
CANDIDATE = 8  # 1 while a bridging snapshot waits for the first event that follows it
CANDIDATE_NS = 9  # time of that snapshot
WHOLE_NS = 10  # the book is whole from here on, if the candidate is bridged
SPANS = 11  # broken spans written
CHAIN = 12
_VALID = 1 << 62


@njit(cache=True)
def _becomes_whole(chain: Int64s, spans: Int64s, at_ns: Int) -> None:
    if chain[BROKEN_NS] != _VALID:
        spans[chain[SPANS], 0] = chain[BROKEN_NS]
        spans[chain[SPANS], 1] = at_ns
        chain[SPANS] += 1
        chain[BROKEN_NS] = _VALID
    chain[CANDIDATE] = 0


@njit(cache=True)
def judge_messages(
    chain: Int64s,
    ts_ns: Int64s,
    recv_ns: Int64s,
    update_id: Int64s,
    prev_id: Int64s,
    kind: npt.NDArray[np.int8],
    time_ns: Int64s,
    action: npt.NDArray[np.int8],
    spans: Int64s,
) -> None:
    """Write each message's time and action (all (m,)), and the spans (k, 2) that end here in which the book was broken.

    A snapshot that must be bridged makes the book whole when the deltas buffered before it arrived are through; one
    that never bridges leaves it broken.
    """
    for i in range(ts_ns.size):
        verdict = judge_message(
            chain[MODE],
            chain[WHOLE],
            chain[UNBRIDGED_YET],
            chain[LAST_ID],
            chain[GOOD_NS],
            kind[i],
            update_id[i],
            prev_id[i],
            ts_ns[i],
        )
        buffered = chain[HOLD] > 0 and kind[i] == KIND_DELTA and 0 < recv_ns[i] <= chain[HOLD]
        if chain[HOLD] > 0 and not buffered:
            chain[HOLD] = 0
            chain[WHOLE_NS] = chain[SEEN_NS]
        if chain[CANDIDATE] == 1 and not buffered and (verdict == FOLLOWS or chain[UNBRIDGED_YET] == 0):
            _becomes_whole(chain, spans, chain[WHOLE_NS])
        chain[SEEN_NS] = max(chain[SEEN_NS], ts_ns[i])
        time_ns[i] = chain[SEEN_NS]
        action[i] = SKIP
        over_whole = verdict == REPLACES and chain[WHOLE] == 1
        if verdict == UNBRIDGED or (over_whole and chain[UNBRIDGED_YET] == 1) or (verdict == GAP and buffered):
            # the snapshot before was of no use: the book was not whole from it on
            chain[BROKEN_NS] = min(chain[BROKEN_NS], chain[CANDIDATE_NS] - 1)
        elif verdict == GAP or (over_whole and chain[MODE] == BRIDGE and kind[i] == KIND_SNAPSHOT):
            # inside an unbroken chain such a snapshot would have been stored as an audit
            chain[BROKEN_NS] = min(chain[BROKEN_NS], chain[GOOD_NS])
        if verdict == FOLLOWS:
            action[i] = DELTA
            chain[UNBRIDGED_YET] = 0
            chain[LAST_ID] = update_id[i]
            chain[GOOD_NS] = max(chain[GOOD_NS], ts_ns[i])
        elif verdict == REPLACES:
            action[i] = SNAPSHOT
            bridging = chain[MODE] == BRIDGE and kind[i] == KIND_SNAPSHOT
            held = bridging and recv_ns[i] > 0
            chain[WHOLE] = 1
            chain[LAST_ID] = update_id[i]
            chain[UNBRIDGED_YET] = bridging
            chain[HOLD] = recv_ns[i] if held else 0
            chain[GOOD_NS] = ts_ns[i] if held else max(chain[GOOD_NS], ts_ns[i])
            chain[CANDIDATE] = bridging
            chain[CANDIDATE_NS] = time_ns[i]
            chain[WHOLE_NS] = time_ns[i]
            if not bridging:
                _becomes_whole(chain, spans, time_ns[i])
        elif verdict in (GAP, UNBRIDGED):
            chain[WHOLE] = 0
            chain[UNBRIDGED_YET] = 0
            chain[CANDIDATE] = 0


class MessageStream:
    """Cuts chunks of ``l2_events`` (any size, a message may straddle two) into ``Messages``; audits are left out."""

    def __init__(self, sequence: str) -> None:
        self._chain = np.zeros(CHAIN, np.int64)
        self._chain[MODE] = MODES[sequence]
        self._chain[LAST_ID] = -1
        self._chain[BROKEN_NS] = _BEFORE_ALL
        self._held: Columns = {}
        self._spans: list[Int64s] = []

    def split(self, chunks: Iterable[Columns]) -> Iterator[Messages]:
        """Yield the messages of ``chunks`` in order; a message that straddles chunks comes by itself."""
        for chunk in chunks:
            columns = {n: np.asarray(chunk[n]) for n in NEEDED}
            heads = np.flatnonzero(columns["first_in_message"])
            if not len(heads):
                self._hold(columns)
                continue
            if heads[0] > 0:
                self._hold({n: columns[n][: heads[0]] for n in NEEDED})
            if self._held:
                yield self.take({n: columns[n][:0] for n in NEEDED}, last=True)
            yield self._messages({n: columns[n][heads[0] : heads[-1]] for n in NEEDED}, heads[:-1] - heads[0])
            self._hold({n: columns[n][heads[-1] :].copy() for n in NEEDED})
        if self._held:
            yield self.take({n: self._held[n][:0] for n in NEEDED}, last=True)

    def _hold(self, columns: Columns) -> None:
        self._held = {n: np.concatenate([self._held[n], columns[n]]) for n in NEEDED} if self._held else columns

    def take(self, chunk: Columns, last: bool = False) -> Messages:
        """Return the whole messages of what is held and ``chunk``; the last one is held back unless ``last``."""
        self._hold({n: np.asarray(chunk[n]) for n in NEEDED})
        columns, self._held = self._held, {}
        heads = np.flatnonzero(columns["first_in_message"])
        if not last:
            end = int(heads[-1]) if len(heads) else 0
            self._held = {n: columns[n][end:] for n in NEEDED}
            columns, heads = {n: columns[n][:end] for n in NEEDED}, heads[:-1]
        return self._messages(columns, heads)

    def _messages(self, columns: Columns, heads: npt.NDArray[np.int64]) -> Messages:
        start = np.append(heads, len(columns["kind"]))
        audits = columns["kind"][heads] == KIND_AUDIT
        if audits.any():
            keep = np.repeat(~audits, np.diff(start))
            columns = {n: columns[n][keep] for n in NEEDED}
            return self._messages(columns, np.flatnonzero(columns["first_in_message"]))
        per_message: dict[str, Any] = {n: np.ascontiguousarray(columns[n][heads]) for n in NEEDED[:6]}
        n = len(heads)
        time_ns, action = np.empty(n, np.int64), np.empty(n, np.int8)
        spans = np.empty((n + 1, 2), np.int64)
        self._chain[SPANS] = 0
        judge_messages(
            self._chain,
            per_message["ts_event_ns"],
            per_message["ts_recv_ns"],
            per_message["update_id"],
            per_message["prev_update_id"],
            per_message["kind"],
            time_ns,
            action,
            spans,
        )
        self._spans.append(spans[: self._chain[SPANS]].copy())
        return Messages(
            start=start.astype(np.int64),
            time_ns=time_ns,
            seq=per_message["seq"],
            action=action,
            side=np.ascontiguousarray(columns["side"]),
            price=np.ascontiguousarray(columns["price_ticks"]),
            size=np.ascontiguousarray(columns["size_lots"]),
        )

    @property
    def last_ns(self) -> int:
        """Running maximum of the times of every message so far, audits not counted."""
        return int(self._chain[SEEN_NS])

    def broken_spans(self) -> Int64s:
        """Return the open intervals (k, 2) in ns in which the book was not whole so far, ascending."""
        found = [*self._spans]
        if self._chain[BROKEN_NS] != _VALID:
            found.append(np.array([[self._chain[BROKEN_NS], _VALID]], np.int64))
        return np.concatenate(found) if found else np.empty((0, 2), np.int64)
