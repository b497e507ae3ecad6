"""A recording as ``lob record`` leaves it: closed segments and the ledger that lists them, made by capture's own hand.

Where files are given by what a trial's home holds, the recording has no frames of its own: nothing but the bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from lob_pipeline.capture.ledger import SegmentLedger, segment_ledger
from lob_pipeline.capture.segments import SegmentWriter, segments_root
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.mutation.frames import Recording
from lob_pipeline.mutation.trial import HOME
from lob_pipeline.sim.recorded import frames, recorded_files
from lob_pipeline.venues.protocol import SNAPSHOT
from lob_pipeline.venues.protocols import protocol_of

Heard = tuple[int, bytes]
"""Receive time and what was received."""


@dataclass(frozen=True)
class Segment:
    """A closed segment: its path under the home, its bytes, and what a ``closed`` line says of it."""

    path: str
    data: bytes
    facts: dict[str, Any]


def stretches(recording: Recording, count: int) -> list[list[Heard]]:
    """Return what was received, in order of receipt, divided before each of the last ``count`` - 1 snapshots."""
    with tempfile.TemporaryDirectory(prefix="lob-recorder-") as folder:
        root = Path(folder)
        for name, data in recording.files().items():
            (root / name).write_bytes(data)
        infos = recorded_files([root / name for call in recording.calls for name in call])
        heard = [(frame.time_ns, frame.payload) for frame in frames(infos)]
    hear = protocol_of(parse_market(recording.market)).hear
    opened = [i for i, (_, payload) in enumerate(heard) if hear(payload).kind == SNAPSHOT]
    starts = [0, *opened[len(opened) - count + 1 :], len(heard)]
    return [heard[lo:hi] for lo, hi in pairwise(starts)]


def segments_of(recording: Recording, parts: Sequence[Sequence[Heard]]) -> list[Segment]:
    """Write each part as a segment of its own."""
    market, found = parse_market(recording.market), []
    with tempfile.TemporaryDirectory(prefix="lob-recorder-") as folder:
        home = Home(Path(folder))
        for part in parts:
            writer = SegmentWriter(segments_root(home), market, "main", 1, "mutant")
            for wall_ns, payload in part:
                writer.add(wall_ns, wall_ns, payload)
            facts = writer.close()
            found.append(Segment(f"segments/{facts['path']}", writer.path.read_bytes(), facts))
    return found


def left_by_recorder(recording: Recording, files: dict[str, bytes], listed: Sequence[dict[str, Any]]) -> Recording:
    """Return the recording as the files of a home: ``files`` by their paths in it, ``listed`` in the recorder's ledger.

    One call ingests them all, as ``lob ingest MARKET HOME/segments/...`` does.
    """
    with tempfile.TemporaryDirectory(prefix="lob-recorder-") as folder:
        home = Home(Path(folder))
        ledger = SegmentLedger(home)
        for facts in listed:
            ledger.note("closed", reason="stop", **facts)
        ledger.close()
        path = segment_ledger(home)
        lines = {f"{HOME}/{path.relative_to(home.root)}": path.read_bytes()}
    given = {f"{HOME}/{name}": data for name, data in files.items()}
    return replace(
        recording,
        name=f"{recording.name}, recorder",
        frames=(),
        calls=(tuple(sorted(given)),),
        sidecars=recording.sidecars | given | lines,
        tail={},
    )
