"""21 on a recorder's own segments: what is left of the day's start is not what the ledger says was recorded."""

from __future__ import annotations

import numpy as np

from lob_pipeline.mutation.frames import BOOK_KINDS, TRADE, WITNESS, Recording
from lob_pipeline.mutation.mutant import Dose, Make, Mutant
from lob_pipeline.mutation.mutators.common import applied_deltas, put_snapshot, snapshot_at
from lob_pipeline.mutation.segments import Segment, left_by_recorder, segments_of, stretches
from lob_pipeline.mutation.wire import Wire


def with_restarts(recording: Recording, wire: Wire, rng: np.random.Generator, count: int) -> Recording | None:
    """Return the recording with ``count`` fresh snapshots at random places of its middle, as after restarts."""
    deltas = applied_deltas(recording, wire)
    middle = deltas[len(deltas) // 5 : -(len(deltas) // 5) or None]
    if len(middle) < 10 * count:
        return None
    for i in sorted((int(i) for i in rng.choice(middle, count, replace=False)), reverse=True):
        recording = put_snapshot(recording, i, snapshot_at(recording, wire, i))
    return recording


def _files(segments: list[Segment]) -> dict[str, bytes]:
    return {segment.path: segment.data for segment in segments}


def _damaged(how: str) -> Make:
    """Record the day in three stretches that each open with a snapshot; then ``how`` strikes the first ones."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        received = (*BOOK_KINDS, TRADE)
        if recording.where(WITNESS) or not all(f.recv or f.prefix for f in recording.frames if f.kind in received):
            return None  # a restart would open both depths anew; what has no receive times no recorder received
        restarted = with_restarts(recording, wire, rng, 2)
        if restarted is None:
            return None
        one, two, three = stretches(restarted, 3)
        parts = [[*one, *two], three] if how == "halved" else [one, two, three]
        recorded = segments_of(recording, parts)
        files, listed = _files(recorded), [segment.facts for segment in recorded]
        clean = left_by_recorder(recording, files, listed)
        first = recorded[0].path
        if how == "overwritten":
            del files[recorded[-1].path]
            files[first] = recorded[-1].data
            listed[-1] = {**listed[-1], "path": recorded[0].facts["path"]}
        elif how == "halved":
            files[first] = segments_of(recording, [two])[0].data
        elif how == "torn":
            files[first] = recorded[0].data[: len(recorded[0].data) * 2 // 3]
        else:
            for segment in recorded[: 2 if how == "two gone" else 1]:
                del files[segment.path]
        return Mutant(left_by_recorder(recording, files, listed), 0, clean)

    return make


RECORDER_DOSES = (
    Dose("the recorder's first two segments gone", _damaged("two gone")),
    Dose("the recorder's first segment gone", _damaged("gone")),
    Dose("the last segment in the place of the first", _damaged("overwritten")),
    Dose("the first segment without its first half", _damaged("halved")),
    Dose("the first segment cut off", _damaged("torn")),
)
