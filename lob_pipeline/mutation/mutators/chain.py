"""6 gaps, 13 duplicates, 14 order."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from lob_pipeline.mutation.frames import DELTA, Frame, Recording
from lob_pipeline.mutation.mutant import Defect, Dose, Make, Mutant, one, span
from lob_pipeline.mutation.mutators.common import Choose, any_level, applied_deltas, closed_up, editing, every, is_zero
from lob_pipeline.mutation.wire import Wire


def _chained(recording: Recording, wire: Wire) -> bool:
    first = recording.where(DELTA)
    return bool(first) and wire.ids(recording.frames[first[0]])[1] >= 0


def gap(lost: int, hidden: bool) -> Make:
    """Return a mutator that loses ``lost`` successive deltas; ``hidden``: and closes the ids up."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        if len(deltas) < lost + 4 or (hidden and not _chained(recording, wire)):
            return None
        k = int(rng.integers(0, len(deltas) - lost))
        out = recording.put(dict.fromkeys(deltas[k:k + lost], ()))
        return Mutant(closed_up(out, wire) if hidden else out, deltas[k])

    return make


def _twice(choose: Choose, later: int) -> Make:
    """Send deltas a second time, ``later`` messages after the first, as they were."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        chosen = choose(rng, deltas[: -later or None])
        changes: dict[int, tuple[Frame, ...]] = {}
        for i in chosen:
            j = deltas[deltas.index(i) + later] if later else i
            changes[j] = (*changes.get(j, (recording.frames[j],)), recording.frames[i])
        return Mutant(recording.put(changes), chosen[0]) if chosen else None

    return make


def _double(level: list[str]) -> None:
    level[1] = str(Decimal(level[1]) * 2)


def _doubled(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    for side in wire.levels(frame):
        for level in side:
            _double(level)


def _doubled_one(wire: Wire, frame: Frame, rng: np.random.Generator) -> None:
    level = any_level(frame, wire, rng, lambda level: not is_zero(level[1]))
    if level is not None:
        _double(level)


def _adds(wire: Wire, frame: Frame) -> bool:
    return any(not is_zero(level[1]) for side in wire.levels(frame) for level in side)


def _moved(later: int) -> Make:
    """Let a delta arrive ``later`` messages late, as it was sent."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        if len(deltas) < later + 4:
            return None
        k = int(rng.integers(0, len(deltas) - later))
        i, j = deltas[k], deltas[k + later]
        return Mutant(recording.put({i: (), j: (recording.frames[j], recording.frames[i])}), i)

    return make


def _exchanged(later: int) -> Make:
    """Let two deltas exchange their levels: ids and times stay in order."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        if len(deltas) < later + 4 or not _chained(recording, wire):
            return None
        k = int(rng.integers(0, len(deltas) - later))
        one_frame, two = recording.frames[deltas[k]].edited(), recording.frames[deltas[k + later]].edited()
        first, second = wire.levels(one_frame), wire.levels(two)
        wire.set_levels(one_frame, *second)
        wire.set_levels(two, *first)
        return Mutant(recording.put({deltas[k]: (one_frame,), deltas[k + later]: (two,)}), deltas[k])

    return make


DEFECTS = (
    Defect(
        6,
        "gap of k updates unnoticed",
        "successive updates left out; `ids closed up`: those behind them renumbered, so that no id tells",
        [
            Dose("100 updates, ids closed up", gap(100, hidden=True), strength="disguised"),
            Dose("10 updates, ids closed up", gap(10, hidden=True), strength="disguised"),
            Dose("1 update, ids closed up", gap(1, hidden=True), strength="disguised"),
            Dose("100 updates", gap(100, hidden=False)),
            Dose("10 updates", gap(10, hidden=False)),
            Dose("1 update", gap(1, hidden=False), strength="small"),
        ],
    ),
    Defect(
        13,
        "duplicate message applied twice as if relative",
        "sizes of a message doubled, as applying it twice as a change would; messages sent twice as they were",
        [
            Dose("all", editing((DELTA,), _doubled, every, _adds)),
            Dose("a span", editing((DELTA,), _doubled, span, _adds)),
            Dose("one message", editing((DELTA,), _doubled, one, _adds), strength="small"),
            Dose("one level", editing((DELTA,), _doubled_one, one, _adds), strength="small"),
            Dose("a span sent twice", _twice(span, 0)),
            Dose("one sent again 5 later", _twice(one, 5), strength="small"),
            Dose("one sent twice", _twice(one, 0), strength="small"),
        ],
    ),
    Defect(
        14,
        "out-of-order message applied",
        "a message behind later ones; `ids in order`: two messages exchange their levels",
        [
            Dose("10 late, ids in order", _exchanged(10), strength="disguised"),
            Dose("1 late, ids in order", _exchanged(1), strength="disguised"),
            Dose("10 late", _moved(10)),
            Dose("1 late", _moved(1), strength="small"),
        ],
    ),
)
