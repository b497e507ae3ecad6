"""Building the days in reversed order, ingest included, gives equal content once `lob run` reports nothing stale.

Run: ``python -m lob_pipeline_tests.acceptance.reversed_order``. Exit 1 when a hash differs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lob_pipeline.lake.home import find_home
from lob_pipeline.lake.paths import list_partitions
from lob_pipeline.lake.reader import read_manifest
from lob_pipeline_tests.acceptance.recordings import RECORDINGS, lob
from lob_pipeline_tests.real_data import real_data_root

STAGES = ("books", "features", "labels")


def build(home: Path, market: str, paths: list[Path], days: list[str]) -> dict[str, str]:
    """Ingest the files one by one and build the days one by one, in the given order; then run what is stale.

    Return the content hash of every partition.
    """
    for path in paths:
        code, result = lob(home, "ingest", market, str(path))
        if code not in (0, 3):  # a day whose start is not known yet is refused until the day before arrives
            raise SystemExit(f"ingest of {path.name}: exit {code} {result}")
    for day in days:
        for stage in STAGES:
            lob(home, stage, market, day)
    code, result = lob(home, "run")
    if code != 0:
        raise SystemExit(f"lob run: exit {code} {result}")
    code, result = lob(home, "run", "--plan")
    stale = result["plan"]
    if code != 0 or stale:
        raise SystemExit(f"after lob run something is still to do: {stale}")
    place = find_home(str(home))
    return {
        f"{key.table} {key.date} {key.clock or ''}": read_manifest(key.path(place)).content_sha256
        for key in list_partitions(place)
    }


def main() -> int:
    """Compare both orders for every recording of two files and two days; print a line a partition."""
    root = real_data_root()
    if root is None:
        raise SystemExit("the real recordings are not at ../shared/data (or LOB_REAL_DATA)")
    different = compared = 0
    for recording in RECORDINGS:
        if len(recording.paths) < 2 or not recording.crosses_midnight:
            continue
        paths, days = [root / p for p in recording.paths], list(recording.days)
        with tempfile.TemporaryDirectory() as scratch:
            forward = build(Path(scratch) / "forward", recording.market, paths, days)
            backward = build(Path(scratch) / "backward", recording.market, paths[::-1], days[::-1])
        for name in sorted(set(forward) | set(backward)):
            equal = forward.get(name) == backward.get(name)
            compared += 1
            different += not equal
            print(f"{recording.market} {name:34} {forward.get(name, 'absent')[:16]} {'equal' if equal else 'DIFFERS'}")
    print(f"{compared} partitions compared, {different} differ")
    return 1 if different or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
