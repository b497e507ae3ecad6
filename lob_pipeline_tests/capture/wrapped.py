"""Recordings cut into segments as a recorder would have written them, with the recordings' own receive times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lob_pipeline.capture.ledger import SegmentLedger
from lob_pipeline.capture.segments import SegmentWriter, segments_root
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.recorded import frames, recorded_files


@dataclass(frozen=True)
class Stamped:
    """One frame with its receive time."""

    wall_ns: int
    frame: bytes


def stamped(files: list[Path]) -> list[Stamped]:
    """Return the frames of a recording."""
    return [Stamped(frame.time_ns, frame.payload) for frame in frames(recorded_files(files))]


def write(home: Home, market: str, parts: Iterable[list[Stamped]], ledger: bool = False) -> list[Path]:
    """Write one segment a part; return their paths. ``ledger``: enter them as closed."""
    paths = []
    for conn, part in enumerate(parts, start=1):
        writer = SegmentWriter(segments_root(home), parse_market(market), "main", conn, "test")
        for i, one in enumerate(part):
            writer.add(one.wall_ns, one.wall_ns - part[0].wall_ns, one.frame)
            if i % 50 == 49:
                writer.flush()
        facts = writer.close()
        paths.append(writer.path)
        if ledger:
            book = SegmentLedger(home)
            book.note("closed", reason="stop", **facts)
            book.close()
    return paths
