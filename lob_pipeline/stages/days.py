"""Which days a home knows, and what the events of a day are built from today."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.stages.ingest_sources import raw_path, registered


def ledger_days(home: Home, market: Market | None = None) -> list[tuple[Market, str]]:
    """Return every (market, date) whose events can be built from the raw ledger, sorted."""
    return registered(home).days(market)


def event_inputs(home: Home, market: Market, date: str) -> dict[str, str]:
    """Return the inputs (name -> SHA-256 or ``absent``) that ``build_events`` would record today.

    The sources, a source that goes on after midnight, and ``l2_events`` of the day before, whose book may be carried
    over. Nothing for a day that the ledger does not list or whose sources were not kept.
    """
    known = registered(home)
    sources = known.of_day(market, date)
    if not all(source.kept for source in sources):
        return {}
    return known.inputs(home, market, date)


@dataclass(frozen=True)
class RawFile:
    """A source of a day: its kept bytes, the name it was given with, the receive times beside it, its grid."""

    path: Path
    name: str
    sha256: str
    recv_path: Path | None
    tick: str
    lot: str


def sources_of(home: Home, market: Market, date: str) -> list[RawFile]:
    """Return the registered sources of a day, in the order of their first times; none where nothing is registered.

    The paths exist when the sources were kept.
    """
    return [
        RawFile(
            raw_path(home, s.sha256),
            s.name,
            s.sha256,
            raw_path(home, s.recv_sha256) if s.recv_sha256 else None,
            s.tick,
            s.lot,
        )
        for s in registered(home).of_day(market, date)
    ]


def days_with_events(home: Home, market: Market, dates: list[str]) -> list[str]:
    """Return those of ``dates`` whose ``l2_events`` stand in the lake or in quarantine.

    Raises ``BadInputError`` when none does, saying what to ingest.
    """
    found = []
    for date in dates:
        key = PartitionKey("l2_events", market, date)
        if key.path(home).exists() or newest_refusal(home, key) is not None:
            found.append(date)
    if not found:
        span = dates[0] if len(dates) == 1 else f"{dates[0]}..{dates[-1]}"
        raise BadInputError(
            f"{home.root} has no events of {market} on {span}: "
            f"run `lob ingest {market} PATH...` with the recording first"
        )
    return found
