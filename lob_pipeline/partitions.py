"""The one partitions definition: a UTC day and a market. Today's open day is no partition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import dagster as dg

from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.markets import enabled_markets
from lob_pipeline.core.units import parse_date
from lob_pipeline.lake.home import Home

FIRST_DAY = "2023-01-01"


def make_partitions(home: Home) -> dg.MultiPartitionsDefinition:
    """Return days × markets: the markets that markets.toml enables, those in the home's raw ledger, and recorded ones.

    A market that is ingested or recorded for the first time appears when the code location is loaded again.
    """
    from lob_pipeline.stages.plan import known_days
    from lob_pipeline.stages.segments import recorded_markets

    ingested = {str(market) for market, _ in known_days(home)} | {str(market) for market in recorded_markets(home)}
    markets = sorted({str(m) for m in enabled_markets()} | ingested)
    return dg.MultiPartitionsDefinition(
        {"date": dg.DailyPartitionsDefinition(FIRST_DAY), "market": dg.StaticPartitionsDefinition(markets)}
    )


def partition_key(market: Market, date: str) -> str:
    """Return ``2026-11-18|bybit-linear.BTCUSDT``."""
    return f"{date}|{market}"


def parse_key(key: str) -> tuple[Market, str]:
    """Return market and day of a partition key."""
    date, _, market = key.partition("|")
    parse_date(date)
    return parse_market(market), date


def inside(date: str) -> bool:
    """Return whether a day is a partition: since ``FIRST_DAY`` and over (UTC)."""
    return parse_date(FIRST_DAY) <= parse_date(date) < dt.datetime.now(dt.UTC).date()


def ranges(keys: Iterable[tuple[Market, str]]) -> list[tuple[Market, str, str]]:
    """Return (market, first, last) of unbroken runs of days, markets and days ascending."""
    found: list[tuple[Market, str, str]] = []
    for market, date in sorted(set(keys), key=lambda k: (str(k[0]), k[1])):
        if found and found[-1][0] == market and (parse_date(date) - parse_date(found[-1][2])).days == 1:
            found[-1] = (market, found[-1][1], date)
        else:
            found.append((market, date, date))
    return found
