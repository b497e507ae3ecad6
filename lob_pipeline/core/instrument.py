"""What is traded: tick, lot, contract kind, fees and the market's settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from lob_pipeline.core.errors import BadInputError

VENUES = (
    "bybit-linear",
    "bybit-spot",
    "binance-usdm",
    "binance-coinm",
    "binance-spot",
    "okx",
    "kraken",
    "lobster",
    "sim",
)
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,31}\Z")

Contract = Literal["linear", "inverse", "spot"]
Sequence = Literal["plus_one", "bridge", "none"]


@dataclass(frozen=True)
class Market:
    """A venue and a symbol, validated: safe in a path, in SQL and in a partition key."""

    venue: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}.{self.symbol}"


def parse_market(text: str) -> Market:
    """Return the market that ``venue.SYMBOL`` names. Raises ``BadInputError`` when it is not one."""
    venue, dot, symbol = text.partition(".")
    if not dot or venue not in VENUES or not _SYMBOL.match(symbol):
        known = ", ".join(VENUES)
        raise BadInputError(
            f"market {text!r} is unknown: expected venue.SYMBOL with a venue of {known}, "
            "for example bybit-linear.BTCUSDT"
        )
    return Market(venue, symbol)


@dataclass(frozen=True)
class Instrument:
    """A market with everything the kernels need to know of it.

    ``tick`` and ``lot`` are exact decimals (quote units; base units or contracts). Fees are of the base tier.
    ``depth_limit``: levels a side that features may see. ``block_ns``: walk-forward block.
    ``sequence``: how updates chain (``plus_one``: Bybit; ``bridge``: Binance with REST snapshots).
    ``round_off_grid_lots``: sizes off the lot grid are rounded down and counted (Binance spot), else an error.
    ``coarse_lots``: older recordings may be in multiples of so many lots, the lot of their day.
    """

    market: Market
    tick: Decimal
    lot: Decimal
    contract: Contract
    contract_value: Decimal
    sequence: Sequence
    maker_fee_bps: float | None
    taker_fee_bps: float | None
    fees_as_of: str
    funding_interval_hours: int
    depth_limit: int
    clock: str
    block_ns: int
    small_order_quote: int = 10_000
    large_order_quote: int = 100_000
    round_off_grid_lots: bool = False
    coarse_lots: int = 1

    @property
    def lots_scale(self) -> tuple[int, int]:
        """Return (numerator, denominator) of the quote value of one lot at one tick: tick·lot as a fraction."""
        value = (self.tick * self.lot).as_integer_ratio()
        return int(value[0]), int(value[1])

    def order_lots(self, quote: int, m2_half_ticks: int) -> int:
        """Return q, the lots of an order worth ``quote``: ceil(2·quote / (M2·tick·lot)), exact (FEATURES.md)."""
        if self.contract == "inverse":
            return (
                int(-(-Decimal(quote) // self.contract_value))
                if quote % self.contract_value == 0
                else int(Decimal(quote) // self.contract_value) + 1
            )
        num, den = self.lots_scale
        return -(-2 * quote * den // (m2_half_ticks * num))
