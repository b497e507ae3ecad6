"""What ``--keep-days`` gives back to the disk: the kept bytes of segments whose days are over, whole, and safe.

``raw/`` holds a second name of every ingested segment, from which its days are built again when more of them arrives.
So the bytes may go only when nothing more can: the days ended long enough ago and nothing recorded near them waits.
A note stays in their place (``raw/<sha256>.removed``), so that the lake says what became of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
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


def days_near(first_ns: int, last_ns: int) -> set[str]:
    """Return every UTC day of a span of receive time, and one more on either side.

    A message that is received after midnight may be of the day before, and where clocks differ of the day after.
    """
    first, last = day_start_ns(day_of_ns(first_ns)) - NS_PER_DAY, last_ns + NS_PER_DAY
    return {day_of_ns(at) for at in range(first, last + 1, NS_PER_DAY)}


def thin(
    home: Home,
    markets: dict[str, str],
    removed: list[dict[str, Any]],
    settled: Callable[[str, str], bool],
    before_ns: int,
) -> int:
    """Remove the kept bytes of ``removed`` segments where nothing can need them any more; return the bytes freed.

    ``markets``: SHA-256 of a segment of the main lane -> its market, ``removed``: the ledger's ``removed`` lines (which
    say on which days a segment has rows), ``settled``: whether nothing is to come that a (market, day) would be built
    again with. A day is over when it ended before ``before_ns``.
    """
    freed = 0
    for line in removed:
        path = home.raw / line["content_sha256"]
        market = markets.get(line["content_sha256"])
        if market is None or not path.exists():
            continue
        over = all(day_start_ns(day) + NS_PER_DAY <= before_ns for day in line["dates"])
        if not over or not all(settled(market, day) for day in line["dates"]):
            continue
        freed += path.stat().st_size
        with storing(path):
            note_of(path).write_text(json.dumps({"at_ns": time.time_ns(), "dates": line["dates"]}), "utf-8")
            path.unlink()
    return freed
