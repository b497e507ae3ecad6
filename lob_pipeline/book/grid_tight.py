"""Tick and lot are as coarse as the recording allows: a step ten times too fine shows as a common factor.

So do sizes that were taken twice or scaled for a while: every one of them is even, or ends in 0, for longer than sizes
of that market ever are. The book's sizes are judged apart from the trades'.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lob_pipeline.book.level_laws import EXACT_FEEDS
from lob_pipeline.book.seen import Seen
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.outcome import CheckOutcome, judge

TICK_MINIMUM = 50  # level rows
TRADE_MINIMUM = 500
STRETCH_MINIMUM = 1000  # sizes
STRETCH_BOUND = 40.0  # minus the log of the chance of the longest stretch of round sizes
STRETCH_SHARE = 1e-3  # of all sizes: shorter ones are one trader's ladder in a quiet hour of a long day
_DIVISORS = (2, 5, 10)
TENS_SHARE = 0.995  # of sizes that are whole tens mean a lot ten times too fine, though a few odd ones are sent
ROUNDED_SHARE = 0.01  # of level rows may lie off the lot grid where the market allows it
LOT_MINIMUM = 60  # book messages: a few sizes may all be round


class GridTight:
    """The greatest common divisors of prices and of sizes in ticks and lots, and the longest stretch of round sizes."""

    def __init__(self, instrument: Instrument, trades: Columns | None, rounded: int = 0) -> None:
        self._rounded = rounded if instrument.round_off_grid_lots else None
        self.prices = self.sizes = self.rows = self.messages = 0
        self._coarse = instrument.coarse_lots
        self._exact = instrument.market.venue.startswith(EXACT_FEEDS)
        self._sized = self._sizes = self._tens = 0
        self._round = np.zeros(len(_DIVISORS), np.int64)
        self._run = np.zeros(len(_DIVISORS), np.int64)
        self._longest = np.zeros(len(_DIVISORS), np.int64)
        self._traded: tuple[int, int] = (0, 0)
        if trades is not None and "size_lots" in trades:
            self._traded = (int(np.gcd.reduce(trades["price_ticks"].astype(np.int64))), len(trades["price_ticks"]))

    def chunk(self, seen: Seen) -> None:
        """Look at the next level rows."""
        price, size = seen.events.price_ticks, seen.events.size_lots
        self.messages += len(seen.first)
        self.rows += len(price)
        if self.prices != 1:
            self.prices = int(np.gcd.reduce(price, initial=self.prices))
        if self.sizes != 1:
            self.sizes = int(np.gcd.reduce(size, initial=self.sizes))
        self._tens += int(np.count_nonzero((size > 0) & (size % 10 == 0)))
        self._sizes += int(np.count_nonzero(size > 0))
        if self._exact:
            self._stretches(size[(size > 0) & np.repeat(seen.applied, np.diff(seen.starts))])

    def _stretches(self, size: Int64Array) -> None:
        self._sized += len(size)
        for i, divisor in enumerate(_DIVISORS):
            odd = np.flatnonzero(size % divisor)
            self._round[i] += len(size) - len(odd)
            runs = np.diff(np.concatenate([[-1 - self._run[i]], odd, [len(size)]])) - 1
            self._longest[i] = max(self._longest[i], runs.max())
            self._run[i] = runs[-1]

    @property
    def surprise(self) -> float:
        """Return minus the log of the chance of the longest stretch, were sizes independent."""
        share = self._round / max(1, self._sized)
        least = STRETCH_SHARE * self._sized
        runs = zip(self._longest.tolist(), share.tolist(), strict=True)
        found = [n * -math.log(p) for n, p in runs if 0 < p < 1 and n >= least]
        return max(found, default=0.0)

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``tick_tight``, ``lot_tight``, and where they apply lots_on_grid, trade_tick_tight, sizes_vary."""
        factor = self.sizes if self.sizes != 1 or self._tens < TENS_SHARE * self._sizes or not self._sizes else 10
        factor = 1 if 0 < factor <= self._coarse else factor
        out = [
            self._tight("tick_tight", "tick", "price", self.prices, self.rows, TICK_MINIMUM),
            self._tight("lot_tight", "lot", "size", factor, self.messages, LOT_MINIMUM),
        ]
        if self._rounded is not None:
            few = self._rounded <= ROUNDED_SHARE * self.rows
            message = f"{self._rounded} sizes lie off the lot grid: read the recording again with a finer --lot"
            out.append(
                judge("lots_on_grid", few, examined=self.rows, judged=self.rows, message="" if few else message)
            )
        factor, trades = self._traded
        if trades >= TRADE_MINIMUM:
            out.append(self._tight("trade_tick_tight", "tick", "traded price", factor, trades, TRADE_MINIMUM))
        if self._exact:
            message = "sizes are multiples of one number for longer than chance allows: taken twice, or scaled"
            ok = self.surprise <= STRETCH_BOUND or self._sized < STRETCH_MINIMUM
            text, least = "" if ok else message, STRETCH_MINIMUM
            out.append(
                judge("sizes_vary", ok, examined=self.rows, judged=self._sized, minimum=least, message=text)
            )
        return out

    def _tight(self, name: str, step: str, what: str, factor: int, seen: int, minimum: int) -> CheckOutcome:
        message = f"every {what} is a multiple of {factor} {step}s: read the recording again with a coarser --{step}"
        return judge(
            name,
            factor <= 1 or seen < minimum,
            examined=self.rows,
            judged=seen if factor else 0,
            minimum=minimum,
            message=message if factor > 1 else "",
        )

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``grid``."""
        return {
            "grid": {
                "price_factor": self.prices,
                "size_factor": self.sizes,
                "traded_price_factor": self._traded[0],
                "size_surprise": round(self.surprise, 1),
            }
        }
