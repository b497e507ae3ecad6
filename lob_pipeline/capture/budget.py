"""``--keep-days``: which segments may go. Only what stands verified in the lake does, however full the disk is."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.ledger import closed_segments, read_lines
from lob_pipeline.capture.thin import days_near, thin
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline.lake import ledger as raw
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey


def remove_old(desk: Desk, lines: tuple[dict[str, Any], ...] | None) -> list[str]:
    """Remove the segments that are older than ``keep_days`` and safe in the lake; return their paths.

    Their bytes stay under ``raw/`` until the days are over and whole (``capture.thin``); then they go as well.

    ``lines``: the ledger's, read when None. What is younger, not ingested or not usable stays; so do the extra topics,
    which no table is built from: nothing could show that they are safe elsewhere.
    """
    if desk.config.keep_days is None:
        return []
    told = list(lines) if lines is not None else read_lines(desk.home)[0]
    before_ns = time.time_ns() - desk.config.keep_days * NS_PER_DAY
    dates = ingested_dates(desk.home)
    removed: list[dict[str, Any]] = []
    for line in closed_segments(told):
        path = desk.root / line["path"]
        if line["last_wall_ns"] >= before_ns or not path.exists():
            continue
        days = dates.get((line["market"], line["content_sha256"]), [])
        if not days or not all(_stands(desk.home, line, day) for day in days):
            continue
        path.unlink()
        desk.note("removed", path=line["path"], content_sha256=line["content_sha256"], bytes=line["bytes"], dates=days)
        removed.append({"content_sha256": line["content_sha256"], "path": line["path"], "dates": days})
    earlier = [line for line in told if line["kind"] == "removed"]
    main = [line for line in told if line.get("lane") == "main"]
    markets = {line["content_sha256"]: line["market"] for line in main if line["kind"] == "closed"}
    thin(desk.home, markets, [*earlier, *removed], _settled(desk, main, dates), before_ns)
    return [line["path"] for line in removed]


def _settled(
    desk: Desk, main: list[dict[str, Any]], dates: dict[tuple[str, str], list[str]]
) -> Callable[[str, str], bool]:
    """Return what says whether a (market, day) stands in the lake with everything that was recorded of it.

    ``main``: the ledger's lines of the main lane. Nothing near the day may be open, or closed and not registered; what
    is registered must be among the inputs of the day's events, unless other sources took its place.
    """
    waiting: set[tuple[str, str]] = set()
    for line in main:
        if line["kind"] == "opened" and (desk.root / f"{line['path']}.open").exists():
            waiting |= {(line["market"], day) for day in days_near(line["at_ns"], time.time_ns())}
        elif line["kind"] == "closed" and line["frames"] and (line["market"], line["content_sha256"]) not in dates:
            waiting |= {(line["market"], day) for day in days_near(line["first_wall_ns"], line["last_wall_ns"])}
    replaced = replaced_sources(desk.home)
    due: dict[tuple[str, str], set[str]] = {}
    for (market, sha256), days in dates.items():
        for day in days:
            if (market, day, sha256) not in replaced:
                due.setdefault((market, day), set()).add(sha256)

    @cache
    def settled(market: str, day: str) -> bool:
        if (market, day) in waiting:
            return False
        inputs = _usable_inputs(desk.home, market, day)
        return inputs is not None and all(f"raw/{sha256}" in inputs for sha256 in due.get((market, day), ()))

    return settled


def replaced_sources(home: Home) -> set[tuple[str, str, str]]:
    """Return (market, day, SHA-256) of sources whose place others took."""
    records = raw.read(raw.raw_ledger(home))
    return {(r["market"], day, sha) for r in records for day, gone in r.get("replaced", {}).items() for sha in gone}


def ingested_dates(home: Home) -> dict[tuple[str, str], list[str]]:
    """Return (market, SHA-256) -> the days that a registered source contributes to."""
    return {(r["market"], r["sha256"]): sorted(r["kinds"]) for r in raw.read(raw.raw_ledger(home))}


def _stands(home: Home, line: dict[str, Any], date: str) -> bool:
    """Return whether the day's events are in the lake, usable, and built from this segment."""
    return f"raw/{line['content_sha256']}" in (_usable_inputs(home, line["market"], date) or ())


def _usable_inputs(home: Home, market: str, date: str) -> dict[str, str] | None:
    """Return what the day's events were built from, None where they are not in the lake or not usable."""
    try:
        manifest = read_manifest(PartitionKey("l2_events", parse_market(market), date).path(home))
    except (FileNotFoundError, RefusedError):
        return None
    return manifest.inputs if manifest.usable else None
