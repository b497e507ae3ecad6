"""How long a message gathers changes, by the venue's own quotes: a hole in the book that no id tells of.

A venue pushes what changed since its last push, every 10 ms to a second. So the quotes whose ids lie between those of
two successive messages span no more time than that. Where messages are lost and the chain is closed over them, the book
stands still while the quotes go on, and every row in between is wrong.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S

SPAN_NS = NS_PER_S
"""More than any venue with quotes gathers for, but on its slowest streams."""
SLOW_NS, SLOW_SPAN_NS = NS_PER_S // 2, 3 * NS_PER_S // 2
"""Where most messages come later than ``SLOW_NS`` after the one before, the stream is pushed once a second (Binance
spot's 1,000 ms) or its market is quiet: a push that is late by a millisecond is no hole, one that is missing is."""
LONGEST_NS = 5 * NS_PER_S
SPAN_SHARE = 1e-5  # of the messages of a long day may gather for longer than that, none than ``LONGEST_NS``
_ID, _EVENT_NS, _RECV_NS = 0, 5, 6


class QuoteSpan:
    """Counts messages that follow the one before by id and gather for too long.

    Time is the lesser of what the messages' own clock and what the quotes' tell (event time, else receive time): a
    stream of quotes that stalls and comes in a heap stretches only one of them.
    """

    def __init__(self) -> None:
        self.compared = self.slow = self.long = self.very_long = self.longest_ns = 0
        self._last: tuple[int, int] | None = None  # id and time of the last message

    def add(self, ids: Int64Array, prev_ids: Int64Array, ts_ns: Int64Array, quotes: Int64Array) -> None:
        """Take the next messages that joined the book, in stream order; ``quotes``: those around, by id, int64 (n, 7).

        ``prev_ids``: the id that each claims to follow.
        """
        if not len(ids):
            return
        last = self._last or (-1, 0)
        before = np.concatenate([[last[0]], ids[:-1]])
        passed = ts_ns - np.concatenate([[last[1]], ts_ns[:-1]])
        self._last = int(ids[-1]), int(ts_ns[-1])
        first = np.searchsorted(quotes[:, _ID], before, side="right")
        end = np.searchsorted(quotes[:, _ID], ids, side="right") - 1
        use = (prev_ids == before) & (before >= 0) & (end > first)
        if not use.any():
            return
        first, end = first[use], end[use]
        by_event = (quotes[first, _EVENT_NS] > 0) & (quotes[end, _EVENT_NS] > 0)
        times = np.where(by_event, quotes[first, _EVENT_NS], quotes[first, _RECV_NS])
        ends = np.where(by_event, quotes[end, _EVENT_NS], quotes[end, _RECV_NS])
        span = np.minimum(np.where(times > 0, ends - times, 0), passed[use])
        self.compared += len(span)
        self.slow += int((passed[use] > SLOW_NS).sum())
        self.long += int((span > SPAN_NS).sum())
        self.very_long += int((span > SLOW_SPAN_NS).sum())
        self.longest_ns = max(self.longest_ns, int(span.max()))

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``updates_in_time``; nothing where no two quotes lie between messages."""
        if not self.compared:
            return []
        longest_ms = self.longest_ns // NS_PER_MS
        slow = 2 * self.slow > self.compared
        long, span_ns = (self.very_long, SLOW_SPAN_NS) if slow else (self.long, SPAN_NS)
        return [
            judge(
                "updates_in_time",
                long <= SPAN_SHARE * self.compared and self.longest_ns <= LONGEST_NS,
                examined=self.compared,
                judged=self.compared,
                message=f"{long} of {self.compared} messages tell at once what the venue's quotes told over more "
                f"than {span_ns // NS_PER_MS} ms, the longest over {longest_ms} ms: messages before them are missing",
                facts={"long": long, "longest_ms": longest_ms},
            )
        ]
