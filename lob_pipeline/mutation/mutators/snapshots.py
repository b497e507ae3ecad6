"""2 deltas as snapshots, 5 a snapshot as a delta, 7 deltas before the first snapshot, 8 a restart ignored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lob_pipeline.mutation.frames import DELTA, SNAPSHOT, Frame, Recording
from lob_pipeline.mutation.mutant import Defect, Dose, Make, Mutant, one, span
from lob_pipeline.mutation.mutators.common import Choose, applied_deltas, closed_up, every, snapshot_at
from lob_pipeline.mutation.wire import Wire


def _deltas_as_snapshots(choose: Choose) -> Make:
    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        chosen = choose(rng, applied_deltas(recording, wire))
        if not chosen:
            return None
        return Mutant(recording.put({i: (wire.as_snapshot(recording.frames[i]),) for i in chosen}), chosen[0])

    return make


def _ghosts(lost: int, hidden: bool) -> Make:
    """Lose ``lost`` deltas; the snapshot that heals the loss comes as a delta."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        if len(deltas) < lost + 8 or (hidden and wire.ids(recording.frames[deltas[0]])[1] < 0):
            return None
        k = int(rng.integers(1, len(deltas) - lost - 4))
        snapshot = snapshot_at(recording, wire, deltas[k + lost - 1])
        before = recording.frames[deltas[k - 1]]
        delta = wire.as_delta(snapshot, before)
        if not hidden:
            wire.set_ids(delta := delta.edited(), wire.ids(snapshot)[1] - 1, wire.ids(snapshot)[1])
        gone: dict[int, tuple[Frame, ...]] = dict.fromkeys(deltas[k:k + lost], ())
        out = recording.put({**gone, deltas[k + lost - 1]: (delta,)})
        return Mutant(closed_up(out, wire) if hidden else out, deltas[k])

    return make


def _no_snapshot(late: int | None) -> Make:
    """Open with what the first delta names; the real snapshot is lost, or comes ``late`` deltas later."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        opened = next(iter(recording.where(SNAPSHOT)), None)
        if opened is None:
            return None
        own = wire.ids(recording.frames[opened])[1]
        deltas = [i for i in recording.where(DELTA) if own < 0 or wire.ids(recording.frames[i])[1] > own]
        if len(deltas) < (late or 0) + 5:
            return None
        changes: dict[int, tuple[Frame, ...]] = {opened: ()}
        changes[deltas[0]] = (wire.as_snapshot(recording.frames[deltas[0]]),)
        if late is not None:
            i = deltas[late]
            there = snapshot_at(recording, wire, i)
            changes[i] = (recording.frames[i], there) if recording.venue.startswith("binance") else (there,)
        return Mutant(recording.put(changes), opened)

    return make


def _only_deltas(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    """Leave every snapshot out."""
    places = recording.where(SNAPSHOT)
    return Mutant(recording.put(dict.fromkeys(places, ())), places[0]) if places else None


def _restart(lost: int, fate: str) -> Make:
    """Let ids start again at 1 after ``lost`` messages went missing; the restart's snapshot is ``fate``."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        if len(deltas) < lost + 8:
            return None
        k = int(rng.integers(1, len(deltas) - lost - 4))
        at = deltas[k + lost]
        changes: dict[int, tuple[Frame, ...]] = dict.fromkeys(deltas[k:k + lost], ())
        snapshot = snapshot_at(recording, wire, at).edited()
        if fate == "lost":
            changes[at] = ()
        elif fate == "as a delta":
            changes[at] = (replace(wire.as_delta(snapshot, recording.frames[deltas[k - 1]])),)
        number = 1
        for i in [at, *(j for j in recording.where(DELTA) if j > at)]:
            frame = changes[at][0] if i == at and changes[at] else recording.frames[i]
            if i == at and not changes[at]:
                number += 1
                continue
            copy = frame.edited()
            wire.set_ids(copy, number - 1, number)
            changes[i] = (copy,)
            number += 1
        out = recording.put(changes)
        return Mutant(closed_up(out, wire) if fate == "as a delta, ids closed up" else out, deltas[k])

    return make


_BYBIT_ONLY = "`u = 1` after a restart of the service is Bybit's"

DEFECTS = (
    Defect(
        2,
        "delta messages treated as full snapshots",
        "deltas typed as snapshots (Binance: in the form of a REST answer)",
        [
            Dose("all", _deltas_as_snapshots(every)),
            Dose("a span", _deltas_as_snapshots(span)),
            Dose("one message", _deltas_as_snapshots(one), strength="small"),
        ],
    ),
    Defect(
        5,
        "snapshot applied like a delta (ghost levels)",
        "updates lost, and the snapshot that would heal the loss typed as a delta: what it does not name stays",
        [
            Dose("100 updates before it lost, ids closed up", _ghosts(100, hidden=True), strength="disguised"),
            Dose("10 updates before it lost, ids closed up", _ghosts(10, hidden=True), strength="disguised"),
            Dose("1 update before it lost, ids closed up", _ghosts(1, hidden=True), strength="disguised"),
            Dose("10 updates before it lost", _ghosts(10, hidden=False)),
            Dose("1 update before it lost", _ghosts(1, hidden=False), strength="small"),
        ],
    ),
    Defect(
        7,
        "deltas before the first snapshot applied",
        "the book opens with what the first delta names; the snapshot is lost or comes later",
        [
            Dose("snapshot lost", _no_snapshot(None)),
            Dose("snapshot 50 messages late", _no_snapshot(50)),
            Dose("snapshot 3 messages late", _no_snapshot(3)),
            Dose("deltas only", _only_deltas),
        ],
    ),
    Defect(
        8,
        "`u = 1` restart ignored",
        "ids start again at 1; the snapshot that comes with it is lost or typed as a delta",
        [
            Dose("10 messages and the snapshot lost", _restart(10, "lost")),
            Dose("the snapshot lost", _restart(0, "lost")),
            Dose("10 messages lost, snapshot as a delta", _restart(10, "as a delta")),
            Dose("snapshot as a delta", _restart(0, "as a delta")),
        ],
        not_on=dict.fromkeys(("binance-usdm", "binance-spot", "okx", "kraken"), _BYBIT_ONLY),
    ),
)
