"""The recorder's closed segments on their way into the lake: which wait, and how those of a day are registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lob_pipeline.capture.ledger import closed_segments, read_lines
from lob_pipeline.capture.segments import segments_root
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.units import day_of_ns
from lob_pipeline.lake import ledger
from lob_pipeline.lake.home import Home


def segment_days(line: dict[str, Any]) -> set[str]:
    """Return the UTC days of receive time that a closed segment touches."""
    return {day_of_ns(line["first_wall_ns"]), day_of_ns(line["last_wall_ns"])}


def recorded_markets(home: Home) -> set[Market]:
    """Return the markets that a recorder of this home has closed segments of."""
    return {parse_market(line["market"]) for line in _closed(home)}


def waiting_segments(home: Home, market: Market, date: str) -> list[Path]:
    """Return the closed segments of a market that hold frames of ``date`` and were never registered, oldest first."""
    known = registered_hashes(home)
    root = segments_root(home)
    found = [
        line
        for line in _closed(home)
        if line["market"] == str(market) and date in segment_days(line) and (str(market), _sha(line)) not in known
    ]
    paths = [root / line["path"] for line in sorted(found, key=lambda line: int(line["first_wall_ns"]))]
    return [path for path in paths if path.exists()]


def registered_hashes(home: Home) -> set[tuple[str, str]]:
    """Return (market, SHA-256) of everything that the raw ledger ever listed: what was replaced does not come back."""
    return {(record["market"], record["sha256"]) for record in ledger.read(ledger.raw_ledger(home))}


def register_closed(home: Home, market: Market, date: str) -> list[Path]:
    """Register the segments that wait for a day, so that it can be built; return them.

    A day that the exchange's archive holds takes none. Raises as ``stages.ingest.register`` does.
    """
    from lob_pipeline.stages.ingest import register  # lazily: the kernels are not for a sensor
    from lob_pipeline.stages.ingest_sources import is_archive_day, registered

    if is_archive_day(registered(home).of_day(market, date), date):
        return []
    paths = waiting_segments(home, market, date)
    if paths:
        register(home, market, paths)
    return paths


def _closed(home: Home) -> list[dict[str, Any]]:
    return [line for line in closed_segments(read_lines(home)[0]) if line["lane"] == "main"]


def _sha(line: dict[str, Any]) -> str:
    return str(line["content_sha256"])
