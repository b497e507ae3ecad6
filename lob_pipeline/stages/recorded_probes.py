"""Queue models on a LOBSTER day: probes stand in the real queue, since its messages name every order."""

from __future__ import annotations

from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.probe_study import score
from lob_pipeline.sim.recorded_log import RecordedLog
from lob_pipeline.sim.recorded_study import recorded_look
from lob_pipeline.stages.ingest_files import kept_file
from lob_pipeline.stages.ingest_sources import registered
from lob_pipeline.venues import lobster


def score_recording(home: Home, market: Market, date: str, instants: int, seed: int = 1) -> dict[str, Any]:
    """Return ``sim.probe_study.score`` of an ingested LOBSTER day, with what its log had to assume (``log``).

    Raises ``BadInputError`` for a market whose recordings name no orders, a day that was not ingested or is too short.
    """
    if market.venue != "lobster":
        raise BadInputError(f"{market}: only LOBSTER recordings name the orders that a probe would stand behind")
    sources = registered(home).of_day(market, date)
    if not sources:
        raise BadInputError(f"no source of {market} on {date} is registered: run `lob ingest {market} PATH...`")
    file = kept_file(home, sources[0])
    grid = instrument(market, sources[0].tick, sources[0].lot, home.markets)
    pair = lobster.pair_of(file.path, file.info)
    units, midnight_us = int(grid.tick * lobster.UNITS_A_DOLLAR), pair.messages.midnight_ns // 1000
    recorded = RecordedLog(units, int(grid.lot), midnight_us)
    recorded.read((messages, books) for _, _, messages, books in pair.pieces())
    found = score([recorded_look(recorded.log(), date, instants, seed)])
    return {"market": str(market), "days": [date], "log": recorded.facts, **found}
