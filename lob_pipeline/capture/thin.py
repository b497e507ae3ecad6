"""What ``--keep-days`` gives back to the disk: the kept bytes of segments whose days are over, whole, and safe.

``raw/`` holds a second name of every ingested segment, from which its days are built again when more of them arrives.
So the bytes may go only when nothing more can: the days have ended long enough ago and no segment of theirs waits.
A note stays in their place (``raw/<sha256>.removed``), so that the lake says what became of them.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lob_pipeline.core.units import NS_PER_DAY, day_of_ns, day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import storing

REMOVED = ".removed"


def note_of(path: Path) -> Path:
    """Return the note that stands in the place of the kept bytes ``path``."""
    return path.with_name(path.name + REMOVED)


def removed_from(raw: Path) -> frozenset[str]:
    """Return the SHA-256 of all sources whose kept bytes were removed from ``raw`` and did not come back since."""
    noted = [path.with_name(path.name.removesuffix(REMOVED)) for path in raw.glob(f"*{REMOVED}")]
    return frozenset(path.name for path in noted if not path.exists())


def days_of(line: dict[str, Any]) -> set[str]:
    """Return every UTC day that a closed segment's frames were received on."""
    first, last = day_start_ns(day_of_ns(line["first_wall_ns"])), line["last_wall_ns"]
    return {day_of_ns(at) for at in range(first, last + 1, NS_PER_DAY)}


def thin(
    home: Home, closed: list[dict[str, Any]], removed: list[dict[str, Any]], ingested: set[str], before_ns: int
) -> int:
    """Remove the kept bytes of ``removed`` segments where nothing can need them any more; return the bytes freed.

    ``closed``: the ledger's closed segments of the main lane, ``removed``: its ``removed`` lines (which say on which
    days a segment has rows), ``ingested``: the SHA-256 of all registered sources. A day is over when it ended before
    ``before_ns``; it waits while a closed segment received on it is not registered.
    """
    waiting = {
        (line["market"], day)
        for line in closed
        if line["frames"] and line["content_sha256"] not in ingested
        for day in days_of(line)
    }
    markets = {line["content_sha256"]: line["market"] for line in closed}
    freed = 0
    for line in removed:
        path = home.raw / line["content_sha256"]
        market = markets.get(line["content_sha256"])
        if market is None or not path.exists():
            continue
        over = all(day_start_ns(day) + NS_PER_DAY <= before_ns for day in line["dates"])
        if not over or any((market, day) in waiting for day in line["dates"]):
            continue
        freed += path.stat().st_size
        with storing(path):
            note_of(path).write_text(json.dumps({"at_ns": time.time_ns(), "dates": line["dates"]}), "utf-8")
            path.unlink()
    return freed
