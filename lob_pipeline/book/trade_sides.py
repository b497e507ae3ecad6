"""Every trade against the touch of the book messages around it: on which side, how far, and when.

``matches.TradeTouch`` asks of the rows whether most trades agree; here each trade is judged on its own, by ``seq``
where book and trades both carry it, else by event time. The messages just before and after make a bracket: a taker who
bought at or below the lowest best bid of it, or sold at or above the highest best ask, took the other side; a price
strictly inside the narrowest spread, or far outside of it, never met the visible book.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.seen import Seen
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET, FLAG_RPI

SIDE_SHARE = 0.01  # of trades on the other side of a book whose ``seq`` the trades share
SIDE_SHARE_MANY, MANY = 0.02, 1000  # trades of a day: in bursts prices come back between two messages
SIDE_SHARE_TIMED = 0.04  # where time alone orders them; 0.5 % in a calm hour of futures, 2 % on a thin spot market
INSIDE_SHARE = 0.01
INSIDE_SHARE_WIDE, WIDE_TICKS = 0.1, 3.0  # wider spreads than that leave room for orders that come and go
FAR_BPS, FAR_BPS_SPOT = 25, 100
FAR_SHARE, FAR_SLACK = 1e-5, 2  # of trades may be lone prints so far away
FAR_SHARE_SPOT = 1e-3
VERY_FAR_BPS = 100  # not one in a hundred thousand
SWEPT_SHARE = 0.05  # of trades may be so far away in stretches that the touch walks to: a crash, not another market
UNORDERED_SLACK = 2  # trades that may lie so where time alone orders them: one price can come and go between messages
CLOCK_SHARE = 1e-3  # of trades whose time contradicts their place in seq
_CLOCK_WORDS = (
    "have a time before the message they follow in seq, or after the one they precede: books and trades have different "
    "clocks"
)
_INSIDE_WORDS = "lie strictly inside of the spread"
_SIDE_WORDS = "lie on the other side of the book messages around them"
_AROUND, _AROUND_BY_SEQ = 2, 1  # messages before and after; where seq orders them exactly, one says more

_T, _SEQ, _BID, _ASK, _OK = range(5)


def lone_prints(price: Int64Array, bps: int) -> npt.NDArray[np.bool_]:
    """Return which trades belong to a stretch that begins and ends with a jump of more than ``bps``.

    A market order that sweeps a crashing book walks there level by level; a print of the insurance fund jumps there
    and back.
    """
    jumps = np.abs(np.diff(price, prepend=price[:1])) * 10_000 > bps * price
    stretch = np.cumsum(jumps)
    return (stretch > 0) & (stretch < stretch[-1:])


class TradeSides:
    """Walks the trades along the messages. ``trades``: ts_event_ns, side, price_ticks, flags and, where known, seq."""

    def __init__(self, trades: Columns, instrument: Instrument) -> None:
        self._spot = instrument.market.venue.endswith("-spot")
        self._far_bps = FAR_BPS_SPOT if self._spot else FAR_BPS
        flags = trades["flags"].astype(np.int64)
        keep = (flags & (FLAG_RPI | FLAG_BLOCK | FLAG_NOT_MARKET)) == 0
        seq = trades.get("seq", np.full(len(flags), -1, np.int64))
        names = ("ts_event_ns", "side", "price_ticks")
        table = np.column_stack([*(trades[n][keep].astype(np.int64) for n in names), seq[keep]])
        self.by_seq = bool(len(table) and (table[:, 3] >= 0).all())
        order = np.argsort(table[:, 3 if self.by_seq else 0], kind="stable")
        table = table[order]
        alone = [lone_prints(table[:, 2], bps) for bps in (self._far_bps, VERY_FAR_BPS)]
        self._trades: Int64Array = np.column_stack([table, *alone]).astype(np.int64)
        self._around = _AROUND_BY_SEQ if self.by_seq else _AROUND
        self._at = 0
        self._held: Int64Array = np.empty((0, 5), np.int64)
        self._latest_ns = 0
        self.compared = self.other_side = self.inside = self.far = self.very_far = self.swept = 0
        self.spreads = 0  # ticks, added up over the trades
        self.timed = self.untimely = 0

    def chunk(self, seen: Seen) -> None:
        """Hold the trades that fall between the messages so far against them."""
        applied = seen.applied
        if not applied.any() or not len(self._trades):
            return
        ts = np.maximum.accumulate(np.maximum(seen.events.ts_event_ns[seen.first], self._latest_ns))
        self._latest_ns = int(ts[-1])
        bid, ask = seen.touch.T
        whole = applied & (bid >= 0) & (ask > bid)
        self.by_seq = self.by_seq and bool((seen.seq[applied] >= 0).all())
        table = np.column_stack([ts, seen.seq, bid, ask, whole])
        named = applied | (bid < 0)  # duplicates show nothing new; a broken book breaks the bracket
        table = np.concatenate([self._held, table[named]])
        self._judge(table)
        self._held = table[-2 * self._around :]

    def _judge(self, table: Int64Array) -> None:
        if len(table) < 2 * self._around:
            return
        key = table[:, _SEQ if self.by_seq else _T]
        if self.by_seq:
            key = np.maximum.accumulate(key)
        mine = self._trades[:, 3 if self.by_seq else 0]
        # the last self._around messages of the table wait for those that come after them
        hi = int(np.searchsorted(mine, key[-self._around], side="right"))
        trades = self._trades[self._at : hi]
        self._at = max(self._at, hi)
        j = np.searchsorted(key, mine[len(mine[:hi]) - len(trades) : hi], side="left")
        good = (j >= self._around) & (j + self._around <= len(table))
        j, trades = j[good], trades[good]
        around = table[j[:, None] + np.arange(-self._around, self._around)]
        good = (around[:, :, _OK] != 0).all(axis=1)
        around, trades = around[good], trades[good]
        if not len(trades):
            return
        bid, ask = around[:, :, _BID], around[:, :, _ASK]
        t, side, price, _, lone, very_lone = trades.T
        low, high = bid.min(axis=1), ask.max(axis=1)
        self.compared += len(trades)
        self.other_side += int(np.where(side > 0, price <= low, price >= high).sum())
        self.inside += int(((price > bid.max(axis=1)) & (price < ask.min(axis=1))).sum())
        away = np.maximum(np.maximum(low - price, price - high), 0)
        self.spreads += int((ask - bid).min(axis=1).sum())
        far = away * 10_000 > self._far_bps * price
        self.far += int((far & (lone != 0)).sum())
        self.swept += int((far & (lone == 0)).sum())
        self.very_far += int(((away * 10_000 > VERY_FAR_BPS * price) & (very_lone != 0)).sum())
        if self.by_seq:
            before, after = around[:, self._around - 1, _T], around[:, self._around, _T]
            self.timed += len(trades)
            self.untimely += int(((t < before) | (t > after)).sum())

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``trade_sides``, ``trades_off_spread``, ``trades_near`` and, by seq, ``trade_clock``."""
        n, examined = self.compared, len(self._trades)
        side_share = SIDE_SHARE if n < MANY else SIDE_SHARE_MANY
        side_share = side_share if self.by_seq else SIDE_SHARE_TIMED
        inside_share = INSIDE_SHARE_WIDE if self.spreads > WIDE_TICKS * n else INSIDE_SHARE
        far_share = FAR_SHARE_SPOT if self._spot else FAR_SHARE
        slack = 0 if self.by_seq else UNORDERED_SLACK
        far, far_slack = self.far, FAR_SLACK
        if self.swept > SWEPT_SHARE * n + FAR_SLACK:
            far += self.swept
        if self.very_far > FAR_SHARE * n and not self._spot:
            far, far_slack = max(far, self.very_far), 0
        near = f"lie more than {self._far_bps} bps outside of the touch, alone"
        out = [
            self._few("trade_sides", self.other_side, side_share, n, examined, _SIDE_WORDS, slack),
            self._few("trades_off_spread", self.inside, inside_share, n, examined, _INSIDE_WORDS, max(slack, 1)),
            self._few("trades_near", far, far_share, n, examined, near, far_slack),
        ]
        if self.timed:
            out.append(self._few("trade_clock", self.untimely, CLOCK_SHARE, self.timed, examined, _CLOCK_WORDS))
        return out

    def _few(
        self, name: str, found: int, share: float, judged: int, examined: int, words: str, slack: int = 0
    ) -> CheckOutcome:
        return judge(
            name,
            found <= share * judged + slack,
            examined=examined,
            judged=judged,
            message=f"{found} of {judged} trades {words}, {share:.3%} may",
        )

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``trade_sides``."""
        return {
            "trade_sides": {
                "compared": self.compared,
                "other_side": self.other_side,
                "inside_spread": self.inside,
                "far": self.far,
                "very_far": self.very_far,
                "swept": self.swept,
                "by_seq": self.by_seq,
                "timed": self.timed,
                "untimely": self.untimely,
            }
        }
