"""Where market views come from: partitions of a lake, and seeds of the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.markets import settings
from lob_pipeline.core.tables import L2_EVENTS, TRADES, Table
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.oracle import OracleTape
from lob_pipeline.sim.realism_view import STEP_MS, MarketView, market_view

MINIMUM_SECONDS = 40.0
MAXIMUM_SECONDS = 3600.0
_LEAD_MINUTES = 30  # simulated before what is looked at: the slow regime has forgotten where it began
_CHUNK_ROWS = 1 << 18


def recorded_view(home: Home, market: Market, dates: list[str]) -> MarketView:
    """Return the view of an ingested market over ``dates`` (ascending): its longest unbroken stretch.

    Of a stretch longer than an hour the first hour counts. Raises ``RefusedError`` where a day is not usable, and where
    less than 40 s are unbroken.
    """
    view = market_view(
        _chunks(home, market, dates, L2_EVENTS),
        _chunks(home, market, dates, TRADES),
        str(settings(market, home.markets)["sequence"]),
    )
    if view.seconds < MINIMUM_SECONDS:
        raise RefusedError(
            f"{market} {dates[0]} to {dates[-1]}: {view.seconds:.0f} s of unbroken book; a comparison needs "
            f"{MINIMUM_SECONDS:.0f} s"
        )
    return view.cut(0, min(len(view.time_ms), round(MAXIMUM_SECONDS * 1000 / STEP_MS)))


def _chunks(home: Home, market: Market, dates: list[str], table: Table) -> Iterator[Columns]:
    for date in dates:
        with open_partition(home, PartitionKey(table.name, market, date), table) as partition:
            yield from partition.chunks(_CHUNK_ROWS)


def simulated_view(config: SimConfig, rows: int, lead_minutes: int = _LEAD_MINUTES) -> MarketView:
    """Return the last ``rows`` rows before midnight of the first day of ``config``, as published.

    The session opens ``lead_minutes`` before the first of them; ``config.minutes`` and ``config.days`` do not count.
    """
    minutes = lead_minutes + -(-(rows + 1) * STEP_MS // 60_000)
    made = replace(config, days=1, minutes=min(1440, minutes))
    tape, date = OracleTape(), made.first_day
    for chunk in run_day(made, date, new_session(made, date)):
        tape.add(chunk.messages, chunk.trades)
    view = market_view(tape.events(), [tape.trades()], made.instrument.sequence)
    return view.cut(max(0, len(view.time_ms) - rows), len(view.time_ms))
