"""``--keep-days``: which segments may go. Only what stands verified in the lake does, however full the disk is."""

from __future__ import annotations

import time
from typing import Any

from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.ledger import closed_segments, read_lines
from lob_pipeline.capture.thin import thin
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
    main = [line for line in told if line["kind"] == "closed" and line["lane"] == "main"]
    thin(desk.home, main, [*earlier, *removed], {sha256 for _, sha256 in dates}, before_ns)
    return [line["path"] for line in removed]


def ingested_dates(home: Home) -> dict[tuple[str, str], list[str]]:
    """Return (market, SHA-256) -> the days that a registered source contributes to."""
    return {(r["market"], r["sha256"]): sorted(r["kinds"]) for r in raw.read(raw.raw_ledger(home))}


def _stands(home: Home, line: dict[str, Any], date: str) -> bool:
    """Return whether the day's events are in the lake, usable, and built from this segment."""
    try:
        manifest = read_manifest(PartitionKey("l2_events", parse_market(line["market"]), date).path(home))
    except (FileNotFoundError, RefusedError):
        return False
    return manifest.usable and f"raw/{line['content_sha256']}" in manifest.inputs
