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

_COUNTED = {"gap": "gaps", "unknown": "unknown_spans", "silence": "silences", "unread": "unread_frames"}
_FIGURES = ("segments", "frames", "bytes", "reconnects", *_COUNTED.values())


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


def recorded_figures(lines: list[dict[str, Any]]) -> dict[tuple[Market, str], dict[str, int]]:
    """Return, for each market and UTC day of the recorder's ledger, what was recorded of it and what was not."""
    found: dict[tuple[Market, str], dict[str, int]] = {}

    def count(market: str, date: str, name: str, more: int = 1) -> None:
        figures = found.setdefault((parse_market(market), date), dict.fromkeys(_FIGURES, 0))
        figures[name] += more

    for line in lines:
        kind = line["kind"]
        if kind == "closed" and line["lane"] == "main":
            date = day_of_ns(line["first_wall_ns"])
            for name, more in (("segments", 1), ("frames", line["frames"]), ("bytes", line["bytes"])):
                count(line["market"], date, name, more)
        elif kind in _COUNTED and line.get("market"):
            count(line["market"], day_of_ns(line["at_ns"]), _COUNTED[kind])
        elif kind == "reconnect":
            for market in line["markets"]:
                count(market, day_of_ns(line["at_ns"]), "reconnects")
    return found


def waiting_days(home: Home, before: dict[str, list[str]], offset: int) -> tuple[dict[str, set[str]], int]:
    """Return ``before`` (``date|market`` -> hashes) with the segments closed since byte ``offset`` of the ledger, and
    the offset after them: a look costs what is new."""
    lines, end = read_lines(home, offset)
    found = {key: set(hashes) for key, hashes in before.items()}
    for line in lines:
        if line["kind"] == "closed" and line["lane"] == "main":
            for date in segment_days(line):
                found.setdefault(f"{date}|{line['market']}", set()).add(_sha(line))
    return found, end


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
