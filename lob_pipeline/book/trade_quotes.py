"""Trades against the venue's own quotes: a judgement of the trades that no book takes part in.

By matching-engine time where quotes carry it (futures), else by receive time (spot). Judged as in ``trade_sides``,
against every quote that stood within a margin around the trade.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lob_pipeline.book.quote_match import silence_ns
from lob_pipeline.book.state import Int64Array
from lob_pipeline.book.trade_sides import FAR_BPS, FAR_SHARE, FAR_SLACK, SWEPT_SHARE, VERY_FAR_BPS, lone_prints
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET, FLAG_RPI
from lob_pipeline.core.units import NS_PER_MS

MARGIN_NS = {"event": 5 * NS_PER_MS, "recv": 100 * NS_PER_MS}
SIDE_SHARE = {"event": 5e-4, "recv": 0.04}
INSIDE_SHARE = {"event": 5e-4, "recv": 2e-3}
SLACK = {"event": 1, "recv": 5}  # trades that never count


class TradeQuotes:
    """Compares in one pass over the quotes. ``trades``: ts_event_ns, ts_recv_ns, side, price_ticks, flags."""

    def __init__(self, trades: Columns, quotes: Iterator[Columns]) -> None:
        flags = trades["flags"].astype(np.int64)
        keep = (flags & (FLAG_RPI | FLAG_BLOCK | FLAG_NOT_MARKET)) == 0
        self.trades = int(keep.sum())
        self.compared = self.other_side = self.inside = self.far = self.very_far = self.swept = 0
        self.by = "event"
        self._held: Int64Array = np.empty((0, 3), np.int64)
        self._at = self._quotes = self._since_ns = 0
        self._mine: Int64Array | None = None
        for chunk in quotes:
            if self._mine is None:
                known = [by for by in ("event", "recv") if (chunk[f"ts_{by}_ns"].astype(np.int64) > 0).all()]
                if not known:
                    return  # nothing says when a quote stood
                self.by = known[0]
                names = (f"ts_{self.by}_ns", "side", "price_ticks")
                mine = np.column_stack([trades[n][keep].astype(np.int64) for n in names])
                mine = mine[np.argsort(mine[:, 0], kind="stable")]
                alone = [lone_prints(mine[:, 2], bps) for bps in (FAR_BPS, VERY_FAR_BPS)]
                self._mine = np.column_stack([mine, *alone]).astype(np.int64)
            times = chunk[f"ts_{self.by}_ns"].astype(np.int64)
            table = np.column_stack([times, chunk["bid_ticks"], chunk["ask_ticks"]]).astype(np.int64)
            self._since_ns = self._since_ns or int(times[0])
            self._quotes += len(times)
            table = np.concatenate([self._held, table])
            table[:, 0] = np.maximum.accumulate(table[:, 0])
            self._held = table[self._judge(table, self._mine) :]

    def _judge(self, table: Int64Array, mine: Int64Array) -> int:
        """Judge the trades whose margin ends inside of ``table``; return the first quote that later ones may need."""
        margin = MARGIN_NS[self.by]
        hi = int(np.searchsorted(mine[:, 0], table[-1, 0] - margin, side="left"))
        trades = mine[self._at : hi]
        self._at = max(self._at, hi)
        if len(trades):
            first = np.searchsorted(table[:, 0], trades[:, 0] - margin, side="left") - 1
            last = np.searchsorted(table[:, 0], trades[:, 0] + margin, side="right")
            good = (first >= 0) & (trades[:, 0] > 0)
            steps = np.append(np.diff(table[:, 0]), 0)
            at = np.searchsorted(table[:, 0], trades[:, 0], side="right") - 1
            longest = np.maximum(steps[np.maximum(first, 0)], steps[np.maximum(at, 0)])
            good &= longest <= silence_ns(self._since_ns, int(table[-1, 0]), self._quotes)  # else the stream was cut
            self._compare(table, trades[good], first[good], last[good])
        later = table[-1, 0] - 2 * margin
        return max(0, int(np.searchsorted(table[:, 0], later, side="left")) - 1)

    def _compare(self, table: Int64Array, trades: Int64Array, first: Int64Array, last: Int64Array) -> None:
        if not len(trades):
            return
        edges = np.column_stack([first, last]).ravel()
        padded = np.concatenate([table[:, 1:], table[-1:, 1:]])  # reduceat wants every edge inside
        low_bid, high_bid = (f.reduceat(padded[:, 0], edges)[::2] for f in (np.minimum, np.maximum))
        low_ask, high_ask = (f.reduceat(padded[:, 1], edges)[::2] for f in (np.minimum, np.maximum))
        _, side, price, lone, very_lone = trades.T
        self.compared += len(trades)
        self.other_side += int(np.where(side > 0, price <= low_bid, price >= high_ask).sum())
        self.inside += int(((price > high_bid) & (price < low_ask)).sum())
        away = np.maximum(np.maximum(low_bid - price, price - high_ask), 0)
        far = away * 10_000 > FAR_BPS * price
        self.far += int((far & (lone != 0)).sum())
        self.swept += int((far & (lone == 0)).sum())
        self.very_far += int(((away * 10_000 > VERY_FAR_BPS * price) & (very_lone != 0)).sum())

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``trade_quote_sides``, ``trade_quote_spread`` and ``trade_quote_near``; nothing without quotes."""
        n = self.compared
        if self._mine is None:
            return []
        slack = SLACK[self.by]
        few_far = FAR_SLACK if self.very_far <= FAR_SHARE * n else 0
        far = max(self.far, self.very_far) + (self.swept if self.swept > SWEPT_SHARE * n + FAR_SLACK else 0)
        return [
            judge(
                name,
                found <= share * n + slack,
                examined=self.trades,
                judged=n,
                message=f"{found} of {n} trades {words} of the venue's quotes at that time",
            )
            for name, found, share, slack, words in (
                ("trade_quote_sides", self.other_side, SIDE_SHARE[self.by], slack, "lie on the other side"),
                ("trade_quote_spread", self.inside, INSIDE_SHARE[self.by], slack, "lie strictly inside of the spread"),
                ("trade_quote_near", far, FAR_SHARE, few_far, f"lie more than {FAR_BPS} bps outside, alone,"),
            )
        ]

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``trade_quotes``."""
        if self._mine is None:
            return {"trade_quotes": None}
        counts = {"compared": self.compared, "other_side": self.other_side, "inside_spread": self.inside}
        return {"trade_quotes": {**counts, "far": self.far, "by": self.by}}
