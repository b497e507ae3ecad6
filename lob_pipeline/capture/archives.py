"""Where Bybit keeps its public history, and under which names: a zip of books and a csv.gz of trades a day.

Books since 2023-01-18: ``{date}_{SYMBOL}_ob500.data.zip`` until 2025-08-20, ``_ob200`` later. Where the change falls
is third-party knowledge, so the other name is tried when one is absent. Trades: ``{SYMBOL}{date}.csv.gz``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market

BOOKS_URL = "https://quote-saver.bycsi.com/orderbook/linear"
"""Bybit's archive of linear order books, as its history page links to it (read 2026-11)."""
TRADES_URL = "https://public.bybit.com/trading"
"""Bybit's archive of linear trades."""
LAST_OB500 = "2025-08-20"

Kind = Literal["book", "trades"]


@dataclass(frozen=True)
class Wanted:
    """One file of one day: the names it may have, likeliest first."""

    date: str
    kind: Kind
    names: tuple[str, ...]


def wanted_files(market: Market, date: str) -> tuple[Wanted, Wanted]:
    """Return the book file and the trades file of a day. Raises ``BadInputError`` for a venue without an archive."""
    if market.venue != "bybit-linear":
        raise BadInputError(
            f"{market}: no public archive is known for this venue: `lob download` fetches bybit-linear.SYMBOL; record "
            "other venues with `lob record`"
        )
    depths = ("ob500", "ob200") if date <= LAST_OB500 else ("ob200", "ob500")
    books = tuple(f"{date}_{market.symbol}_{depth}.data.zip" for depth in depths)
    return Wanted(date, "book", books), Wanted(date, "trades", (f"{market.symbol}{date}.csv.gz",))


def folders(market: Market, kind: Kind, base_url: str | None) -> tuple[str, ...]:
    """Return the addresses of the folders that may hold a kind of file, likeliest first, without the last slash.

    ``base_url``: a mirror that keeps the archive's own tree, a folder a symbol, or everything in one folder.
    """
    if base_url is None:
        return (f"{BOOKS_URL if kind == 'book' else TRADES_URL}/{market.symbol}",)
    base = base_url.rstrip("/")
    tree = "orderbook/linear" if kind == "book" else "trading"
    return (f"{base}/{tree}/{market.symbol}", f"{base}/{market.symbol}", base)
