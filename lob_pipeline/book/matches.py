"""Comparisons of the book with what it was not built from: trades; digests of books for the others.

Each of them would fail on a book that is consistently wrong (sides swapped, deltas read as snapshots, levels off by
one), where every comparison of the pipeline with itself agrees.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.state import Int8Array, Int64Array
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET, FLAG_RPI, ROW
from lob_pipeline.core.units import NS_PER_S

_TS, _BID, _ASK = ROW["ts_ns"], ROW["bid_ticks_1"], ROW["ask_ticks_1"]


def digest(side: Int8Array, price_ticks: Int64Array, size_lots: Int64Array) -> str:
    """Return the SHA-256 of a book's levels, independent of their order; zero sizes are no levels."""
    keep = size_lots > 0
    order = np.lexsort((price_ticks[keep], side[keep]))
    table = np.stack([a[keep][order].astype("<i8") for a in (side, price_ticks, size_lots)])
    return hashlib.sha256(table.tobytes()).hexdigest()


def market_trades(trades: Columns) -> dict[str, Int64Array]:
    """Return int64 ``ts_event_ns``, ``side``, ``price_ticks`` of the trades that met the visible book, by event time.

    Not among them: RPI and block trades and prints that were no market trade (insurance fund, auto-deleveraging).
    """
    flags = trades["flags"].astype(np.int64)
    keep = (flags & (FLAG_RPI | FLAG_BLOCK | FLAG_NOT_MARKET)) == 0
    order = np.argsort(trades["ts_event_ns"][keep], kind="stable")
    return {name: trades[name][keep][order].astype(np.int64) for name in ("ts_event_ns", "side", "price_ticks")}


@dataclass
class TradeTouch:
    """Trades against the touch of the rows around them, rows coming in batches.

    A trade at T is compared with the row t <= T at most a second before it where that row and the next show a whole
    book and the same best prices (the quotes stood still, so the trade met them), or where row t is crossed or lacks a
    side (a sound book never does). It agrees when a taker bought at or above the ask or sold at or below the bid of an
    uncrossed row t, no farther from it than a tenth of its price: on a day of mostly sells a book whose prices are ten
    times too high would agree else.
    """

    trades: dict[str, Int64Array]
    step_ns: int
    compared: int = 0
    agree: int = 0
    _last: Int64Array | None = None

    def rows(self, rows: Int64Array, whole: npt.NDArray[np.bool_]) -> None:
        """Take emitted rows, int64 (n, ROW_WIDTH), and whether each shows a whole book."""
        table = np.column_stack([rows[:, [_TS, _BID, _ASK]], whole])
        table = table if self._last is None else np.vstack([self._last, table])
        self._last = table[-1:]
        ts, bid, ask, is_whole = table.T
        lo, hi = np.searchsorted(self.trades["ts_event_ns"], [ts[0], ts[-1]], side="left")
        t = self.trades["ts_event_ns"][lo:hi]
        i = np.searchsorted(ts, t, side="right") - 1
        j = i + 1
        broken = (bid[i] < 0) | (ask[i] < 0) | (bid[i] >= ask[i])
        still = (bid[i] == bid[j]) & (ask[i] == ask[j]) & (is_whole[j] != 0)
        near = (ts[j] - ts[i] == self.step_ns) & (is_whole[i] != 0) & (t - ts[i] <= NS_PER_S)
        keep = near & (broken | still)
        price, bought = self.trades["price_ticks"][lo:hi], self.trades["side"][lo:hi] > 0
        through = np.where(bought, price - ask[i], bid[i] - price)
        met = ~broken & (through >= 0) & (10 * through <= np.where(bought, ask[i], bid[i]))
        self.compared += int(keep.sum())
        self.agree += int((keep & met).sum())


def implied_spread_ticks(trades: dict[str, Int64Array]) -> tuple[int, float]:
    """Return (pairs, median) of |price difference| of consecutive trades of opposite sides within one second."""
    t, side, price = trades["ts_event_ns"], trades["side"], trades["price_ticks"]
    pairs = (side[1:] != side[:-1]) & (t[1:] - t[:-1] <= NS_PER_S)
    gaps = np.abs(price[1:] - price[:-1])[pairs]
    return len(gaps), float(np.median(gaps)) if len(gaps) else 0.0
