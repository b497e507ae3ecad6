"""Tick and lot are as coarse as the recording allows: a step ten times too fine shows as a common factor."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.book.seen import Seen
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge

TICK_MINIMUM = 50  # level rows and trades
LOT_MINIMUM = 100  # book messages: a few sizes may all be round


class GridTight:
    """The greatest common divisor of all prices, and of all sizes, in ticks and lots."""

    def __init__(self, trades: Columns | None) -> None:
        self.prices = self.sizes = self.rows = self.messages = 0
        if trades is not None and "size_lots" in trades:
            self._add(trades["price_ticks"], trades["size_lots"])

    def chunk(self, seen: Seen) -> None:
        """Look at the next level rows."""
        self.messages += len(seen.first)
        self._add(seen.events.price_ticks, seen.events.size_lots)

    def _add(self, price: Any, size: Any) -> None:
        self.rows += len(price)
        if self.prices != 1:
            self.prices = int(np.gcd.reduce(price, initial=self.prices))
        if self.sizes != 1:
            self.sizes = int(np.gcd.reduce(size, initial=self.sizes))

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``tick_tight`` and ``lot_tight``."""
        return [
            self._tight("tick", "price", self.prices, self.rows, TICK_MINIMUM),
            self._tight("lot", "size", self.sizes, self.messages, LOT_MINIMUM),
        ]

    def _tight(self, step: str, what: str, factor: int, seen: int, minimum: int) -> CheckOutcome:
        message = f"every {what} is a multiple of {factor} {step}s: read the recording again with a coarser --{step}"
        return judge(
            f"{step}_tight",
            factor <= 1 or seen < minimum,
            examined=self.rows,
            judged=seen if factor else 0,
            minimum=minimum,
            message=message if factor > 1 else "",
        )

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``grid``."""
        return {"grid": {"price_factor": self.prices, "size_factor": self.sizes}}
