"""What several mutators share: doses over frames, chains closed up, books at a place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, SNAPSHOT, TRADE, Frame, Recording
from lob_pipeline.mutation.mutant import Dose, Make, Mutant, one, span
from lob_pipeline.mutation.naive_book import book_after
from lob_pipeline.mutation.wire import Levels, Wire

Change = Callable[[Wire, Frame, np.random.Generator], None]
Test = Callable[[Wire, Frame], bool]
Choose = Callable[[np.random.Generator, Sequence[int]], list[int]]


def every(_rng: np.random.Generator, indices: Sequence[int]) -> list[int]:
    """Return all of the indices."""
    return list(indices)


def editing(kinds: tuple[str, ...], change: Change, choose: Choose, test: Test | None = None) -> Make:
    """Return a mutator that edits the chosen frames of these kinds (of those that pass ``test``)."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        frames = recording.frames
        places = [i for i in recording.where(*kinds) if test is None or test(wire, frames[i])]
        chosen = choose(rng, places)
        if not chosen:
            return None
        edited = recording.edit(chosen, lambda frame: change(wire, frame, rng))
        return Mutant(without_empty(edited, wire, chosen), chosen[0])

    return make


def graded(kinds: tuple[str, ...], change: Change, test: Test | None = None) -> list[Dose]:
    """Return the three usual doses: all frames, a span of a fifth of them, one message."""
    return [
        Dose("all", editing(kinds, change, every, test)),
        Dose("a span", editing(kinds, change, span, test)),
        Dose("one message", editing(kinds, change, one, test), strength="small"),
    ]


def untraded(make: Make) -> Make:
    """Return a mutator that does the same to the recording without its trades, which is then the clean one.

    What is consistent in itself and has no trade to be held against is seen by another source of the book alone.
    """

    def made(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        left = replace(recording, frames=tuple(f for f in recording.frames if f.kind != TRADE))
        names = {f.file for f in left.frames}
        calls = tuple(some for call in recording.calls if (some := tuple(n for n in call if n in names)))
        left = replace(left, name=f"{recording.name}, no trades", calls=calls)
        mutant = make(left, wire, rng)
        return replace(mutant, clean=mutant.clean or left) if mutant is not None else None

    return made


def without_empty(recording: Recording, wire: Wire, indices: Sequence[int]) -> Recording:
    """Return the recording without named deltas that have no level left, where the venue sends none such."""
    frames = recording.frames
    gone = [i for i in indices if wire.drops_empty and frames[i].kind == DELTA and not any(wire.levels(frames[i]))]
    return recording.put(dict.fromkeys(gone, ())) if gone else recording


def is_zero(size: str) -> bool:
    """Return whether a size deletes its level."""
    return float(size) == 0


def any_level(
    frame: Frame, wire: Wire, rng: np.random.Generator, keep: Callable[[list[str]], bool]
) -> list[str] | None:
    """Return a random level of the frame among those that ``keep`` accepts, None without one."""
    rows = [level for side in wire.levels(frame) for level in side if keep(level)]
    return rows[int(rng.integers(0, len(rows)))] if rows else None


def applied_deltas(recording: Recording, wire: Wire) -> list[int]:
    """Return the deltas after the first snapshot was applied, but for the two next to it and the last three."""
    opened = next((i for i in recording.where(SNAPSHOT)), None)
    if opened is None:
        return []
    own = wire.ids(recording.frames[opened])[1]
    after = [i for i in recording.where(DELTA) if i > opened and (own < 0 or wire.ids(recording.frames[i])[1] > own)]
    return after[2:-3]


def closed_up(recording: Recording, wire: Wire) -> Recording:
    """Return the recording with ids rewritten so that every delta follows the book message before it."""
    last, changes = None, {}
    for i, frame in enumerate(recording.frames):
        if frame.kind not in BOOK_KINDS:
            continue
        before, own = wire.ids(frame)
        if frame.kind == DELTA and last is not None and before != last and own >= 0:
            copy = frame.edited()
            wire.set_ids(copy, last, max(own, last + 1) if _jumps(recording) else last + 1)
            changes[i], own = (copy,), wire.ids(copy)[1]
        if frame.kind == DELTA or last is None or not _jumps(recording):
            last = own
    return recording.put(changes)


def _jumps(recording: Recording) -> bool:
    return recording.venue.startswith("binance")


def snapshot_at(recording: Recording, wire: Wire, index: int, best: int | None = None) -> Frame:
    """Return a snapshot frame of the book after the delta ``index``, of its ``best`` levels a side."""
    bids, asks = book_after(recording, wire, index).levels()
    return wire.snapshot(recording.frames[index], bids[:best], asks[:best])


def put_snapshot(recording: Recording, index: int, snapshot: Frame) -> Recording:
    """Return the recording with a snapshot in mid-stream: a REST answer after a delta, or in the place of one."""
    old = recording.frames[index]
    return recording.put({index: (old, snapshot) if _jumps(recording) else (snapshot,)})


def clear_of_levels(frame: Frame) -> tuple[Levels, Levels]:
    """Return two empty sides."""
    return [], []
