"""Order and clocks of the book stream: ids, ``seq``, event times, receive times, and how fast time goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.book.advance import M_GAP, M_LATE
from lob_pipeline.book.seen import Seen
from lob_pipeline.book.sequence import DUPLICATE, REPLACES, STALE
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import KIND_AUDIT, KIND_CARRIED
from lob_pipeline.core.units import NS_PER_DAY, NS_PER_MS, NS_PER_S, NS_PER_US, day_start_ns

ORDER_SHARE, ORDER_SLACK = 1e-3, 1  # of messages may step back in time or in seq; so many never count in time
BURST_SHARE = 0.8  # of messages may have the time of the one before
OUTSIDE_SHARE = 0.01  # of messages may lie outside of the day
SKEW_WINDOW = 64  # messages of which the quickest tells the skew of the clocks
SKEW_SLACK_NS = 5 * NS_PER_S
SKEW_SHARE = 0.01  # of the recording's span: both clocks run
MEDIAN_STEP_NS = (10 * NS_PER_US, 60 * NS_PER_S)
STEP_MINIMUM = 30
_STEP_BINS = 64


class StreamOrder:
    """Counts what is out of order, and compares the clocks that the stream carries."""

    def __init__(self, date: str) -> None:
        self._day = (day_start_ns(date) - NS_PER_S, day_start_ns(date) + NS_PER_DAY + 60 * NS_PER_S)
        self.messages = self.gaps = self.duplicates = self.late = self.outside = self.stale = 0
        self.with_seq = self.seq_falls = 0
        self._last_seq = -1
        self._last_ns = 0
        self._steps = np.zeros(_STEP_BINS, np.int64)  # by the power of two of the step in ns
        self._pending: Int64Array = np.empty(0, np.int64)
        self.skews: list[int] = []  # quickest skew of each window, thinned out when there are many
        self._every = 1
        self._windows = 0
        self._recv: tuple[int, int] | None = None

    def chunk(self, seen: Seen) -> None:
        """Look at the next messages."""
        first, verdict = seen.first, seen.verdict
        kind, ts = seen.events.kind[first], seen.events.ts_event_ns[first]
        live = (kind != KIND_AUDIT) & (kind != KIND_CARRIED)
        self.messages += int(live.sum())
        self.gaps += int((seen.marks[:, M_GAP] != 0).sum())
        self.duplicates += int((verdict == DUPLICATE).sum())
        self.stale += int((verdict == STALE).sum())
        self.late += int(seen.marks[:, M_LATE].sum())
        self.outside += int(((ts < self._day[0]) | (ts > self._day[1]))[live].sum())
        self._seq(seen.seq, seen.applied & live, verdict == REPLACES)
        self._step(ts[live])
        recv = seen.events.ts_recv_ns[first]
        timed = live & (recv > 0)
        self._skew(recv[timed], ts[timed])

    def _seq(self, seq: Int64Array, applied: np.ndarray[Any, np.dtype[np.bool_]], replaces: Any) -> None:
        known = applied & (seq >= 0)
        values = np.concatenate([[self._last_seq], seq[known]])
        falls = (np.diff(values) < 0) & ~replaces[known]  # a restarted service may count anew, with its snapshot
        self.with_seq += int(known.sum())
        self.seq_falls += int(falls.sum())
        self._last_seq = int(values[-1])

    def _step(self, ts: Int64Array) -> None:
        if not len(ts):
            return
        steps = np.diff(ts, prepend=self._last_ns or ts[0])
        self._last_ns = int(ts[-1])
        bins = np.where(steps > 0, np.log2(np.maximum(steps, 1)).astype(np.int64), 0)
        self._steps += np.bincount(bins, minlength=_STEP_BINS)

    def _skew(self, recv: Int64Array, ts: Int64Array) -> None:
        if not len(recv):
            return
        low, high = int(recv.min()), int(recv.max())
        self._recv = (min(self._recv[0], low), max(self._recv[1], high)) if self._recv else (low, high)
        skew = np.concatenate([self._pending, recv - ts])
        whole = len(skew) // SKEW_WINDOW * SKEW_WINDOW
        self._pending = skew[whole:]
        for quickest in skew[:whole].reshape(-1, SKEW_WINDOW).min(axis=1).tolist():
            if self._windows % self._every == 0:
                self.skews.append(quickest)
            self._windows += 1
        if len(self.skews) > 4096:
            self.skews, self._every = self.skews[::2], 2 * self._every

    @property
    def median_step_ns(self) -> float:
        """Return the median step between messages of different times, to a power of two.

        Messages of one burst share their time and tell no unit. 0 where nearly all have the time of the one before.
        """
        steps, none = int(self._steps.sum()), int(self._steps[0])
        if none >= BURST_SHARE * steps:
            return 0.0
        middle = 1 + int(np.searchsorted(np.cumsum(self._steps[1:]), (steps - none + 1) // 2))
        return float(2.0**middle)

    @property
    def skew_range_ns(self) -> tuple[int, int]:
        """Return (range of the skew's quickest values, how much of it may be)."""
        span = self._recv[1] - self._recv[0] if self._recv else 0
        bound = SKEW_SLACK_NS + int(SKEW_SHARE * span)
        return (max(self.skews) - min(self.skews), bound) if self.skews else (0, bound)

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``update_chain`` and ``no_duplicates`` (warnings: what they find is masked or dropped), then gates.

        ``time_order``, ``inside_day``, ``message_steps``; ``seq_order``, ``clock_drift`` where there is what they need.
        """
        n, steps = self.messages, int(self._steps.sum())
        low, high = MEDIAN_STEP_NS
        words = {
            "update_chain": f"{self.gaps} gaps in the chain of updates, masked until the next snapshot",
            "no_duplicates": f"{self.duplicates} messages came again and were dropped",
            "seq_order": f"seq falls at {self.seq_falls} of {self.with_seq} messages that the chain applies",
            "time_order": f"{self.late} of {n} messages are older than one before them, {ORDER_SHARE:.1%} may be",
            "inside_day": f"{self.outside} of {n} messages lie outside of the day: another clock, unit or day",
            "message_steps": f"messages lie {self.median_step_ns / NS_PER_MS:g} ms apart (median), as in no feed: the "
            "clock has another unit",
        }
        found = [
            ("update_chain", self.gaps == 0, n, 1),
            ("no_duplicates", self.duplicates == 0, n, 1),
            ("time_order", self.late <= max(ORDER_SLACK, ORDER_SHARE * n), n, 1),
            ("inside_day", self.outside <= OUTSIDE_SHARE * n, n, 1),
            ("message_steps", steps < STEP_MINIMUM or low <= self.median_step_ns <= high, steps, STEP_MINIMUM),
        ]
        if self.with_seq:
            found.append(("seq_order", self.seq_falls <= ORDER_SHARE * self.with_seq, self.with_seq, 1))
        if len(self.skews) > 1:
            drift, bound = self.skew_range_ns
            words["clock_drift"] = (
                f"receive and event clock drift apart by {drift / NS_PER_S:.3f} s, {bound / NS_PER_S:.3f} s may be: "
                "one of them has another unit"
            )
            found.append(("clock_drift", drift <= bound, len(self.skews), 2))
        return [
            judge(
                name,
                ok,
                examined=n,
                judged=judged,
                minimum=minimum,
                severity="warning" if name in ("update_chain", "no_duplicates") else "gate",
                message=words[name],
            )
            for name, ok, judged, minimum in found
        ]

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``duplicates``, ``out_of_order`` and ``clock``."""
        drift, _ = self.skew_range_ns
        return {
            "duplicates": self.duplicates,
            "stale": self.stale,
            "out_of_order": self.late + self.seq_falls,
            "clock": {
                "median_step_ns": self.median_step_ns,
                "skew_ns": [min(self.skews), max(self.skews)] if self.skews else None,
                "skew_range_ns": drift,
                "messages_outside_day": self.outside,
                "seq_falls": self.seq_falls,
            },
        }
