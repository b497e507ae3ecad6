"""3 depth index wrong, 20 day boundary from an empty book, 21 start overwritten, 22 nothing to examine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lob_pipeline.book.depth import ASK_LOTS, ASK_TICKS, BID_LOTS, BID_TICKS
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.tables import LEVELS, ROW
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline.mutation.frames import DELTA, QUOTE, SNAPSHOT, TRADE, WITNESS, Frame, Recording
from lob_pipeline.mutation.mutant import Defect, Dose, Make, Mutant, one
from lob_pipeline.mutation.mutators.common import applied_deltas, editing, snapshot_at
from lob_pipeline.mutation.mutators.recorder import RECORDER_DOSES
from lob_pipeline.mutation.wire import Wire

_TS = ROW["ts_ns"]
_STEP_NS = 100_000_000
_BLOCKS = ((BID_TICKS, -1), (BID_LOTS, 0), (ASK_TICKS, -1), (ASK_LOTS, 0))


@dataclass(frozen=True)
class WrongIndex:
    """Gives rows of [first_ns, last_ns) the levels of another index. ``form``: shift, unsorted, or one level."""

    first_ns: int
    last_ns: int
    form: str

    def __call__(self, rows: Int64Array) -> Int64Array:
        """Return the batch with its wrong rows."""
        rows = rows.copy()
        hit = np.flatnonzero((rows[:, _TS] >= self.first_ns) & (rows[:, _TS] < self.last_ns))
        for first, empty in _BLOCKS:
            columns = np.arange(first, first + LEVELS)
            block = rows[np.ix_(hit, columns)]
            if self.form == "shift":
                block[:, :-1] = block[:, 1:].copy()
                block[:, -1] = empty
            elif self.form == "unsorted":
                block[:, [0, 1, 2]] = block[:, [2, 0, 1]]
            elif self.form == "one level" and first == BID_LOTS:
                block[:, 5] = block[:, 6]
            elif self.form == "last level" and first in (BID_TICKS, BID_LOTS):
                block[:, -1] = empty
            rows[np.ix_(hit, columns)] = block
        return rows


def _index(form: str, rows: int | None) -> Make:
    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        chosen = one(rng, deltas[: max(1, len(deltas) * 3 // 4)])
        if not chosen:
            return None
        at_ns = wire.engine_ms(recording.frames[chosen[0]]) * 1_000_000
        first_ns = at_ns // _STEP_NS * _STEP_NS + _STEP_NS
        limits = (0, 1 << 62) if rows is None else (first_ns, first_ns + rows * _STEP_NS)
        at = deltas[0] if rows is None else chosen[0]
        return Mutant(replace(recording, row_map=WrongIndex(*limits, form)), at)

    return make


def _sizes_shifted(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    for side in wire.levels(frame):
        sizes = [level[1] for level in side]
        for level, size in zip(side, [*sizes[1:], *sizes[:1]], strict=True):
            level[1] = size


def first_after_midnight(recording: Recording, wire: Wire) -> int | None:
    """Return the first delta whose engine time lies on another day than the first delta's."""
    deltas = applied_deltas(recording, wire)
    days = [(wire.engine_ms(recording.frames[i]) * 1_000_000 - 1) // NS_PER_DAY for i in deltas]
    return next((i for i, day in zip(deltas, days, strict=True) if day != days[0]), None)


def _restarts(best: int, lost: int) -> Make:
    """Let the book of the new day begin with the ``best`` levels a side instead of the carried one."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        at = first_after_midnight(recording, wire)
        if at is None:
            return None
        later = [i for i in recording.where(DELTA) if i >= at]
        i = later[int(rng.integers(0, min(3, len(later))))]
        thin = snapshot_at(recording, wire, i, best)
        changes: dict[int, tuple[Frame, ...]] = {i: (thin,)}
        if lost:
            changes[later[later.index(i) + 1]] = ()
        return Mutant(recording.put(changes), i)

    return make


def _second_day_alone(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    at = first_after_midnight(recording, wire)
    if at is None:
        return None
    names = {f.file for f in recording.frames[at:]}
    kept = tuple(f for i, f in enumerate(recording.frames) if i >= at or (f.kind == TRADE and f.file in names))
    calls = tuple(tuple(n for n in call if n in names) for call in recording.calls)
    return Mutant(replace(recording, frames=kept, calls=tuple(c for c in calls if c)), at)


def _overwritten_in_place(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    """Open the file anew without emptying it: what comes after the restart lies over the first bytes."""
    deltas = applied_deltas(recording, wire)
    book_file = recording.frames[deltas[-1]].file
    own = [i for i in deltas if recording.frames[i].file == book_file]
    k = own[int(rng.integers(len(own) * 2 // 3, len(own) - 2))]
    opened = snapshot_at(recording, wire, k)
    after = [f for i, f in enumerate(recording.frames) if i > k and f.file == book_file]
    before = b"".join(f.line() + b"\n" for i, f in enumerate(recording.frames) if i <= k and f.file == book_file)
    written = b"".join(f.line() + b"\n" for f in (opened, *after))
    rest = before[len(written) :].rstrip(b"\n")
    others = tuple(f for f in recording.frames if f.file != book_file)
    kept = (*(replace(f, recv=b"") for f in (opened, *after)), *others)
    return Mutant(replace(recording, frames=kept, tail={book_file: rest + b"\n" if rest else b""}), deltas[0])


def _overwritten_whole(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    """Ingest what was recorded before the restart; then the same file, which holds only what came after it."""
    deltas = applied_deltas(recording, wire)
    k = deltas[int(rng.integers(len(deltas) // 3, len(deltas) * 2 // 3))]
    book_file = recording.frames[k].file
    if len({f.file for f in recording.frames if f.kind == DELTA}) > 1 or len(recording.calls) > 1:
        return None
    again = f"again-{book_file}"
    opened = replace(snapshot_at(recording, wire, deltas[deltas.index(k) + 3]), file=again)
    first = deltas[deltas.index(k) + 3]
    late = tuple(replace(f, file=again) for i, f in enumerate(recording.frames) if i > first and f.file == book_file)
    early = tuple(f for i, f in enumerate(recording.frames) if i <= k or f.file != book_file)
    calls = (*recording.calls, (again,))
    return Mutant(replace(recording, frames=(*early, opened, *late), calls=calls), first)


def _nothing(kinds: tuple[str, ...]) -> Make:
    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        gone = dict.fromkeys(recording.where(*kinds), ())
        return Mutant(recording.put(dict(gone)), next(iter(gone))) if gone else None

    return make


def _snapshot_alone(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    gone: dict[int, tuple[Frame, ...]] = dict.fromkeys(recording.where(DELTA), ())
    return Mutant(recording.put(gone), next(iter(gone)))


def _all_invalid(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    """Break the chain right behind the snapshot: every row that follows is masked."""
    deltas = applied_deltas(recording, wire)
    opened = recording.where(SNAPSHOT)[0]
    first = next(i for i in recording.where(DELTA) if i > opened)
    gone: dict[int, tuple[Frame, ...]] = {i: () for i in recording.where(DELTA) if first <= i <= deltas[0]}
    return Mutant(recording.put(gone), first)


DEFECTS = (
    Defect(
        3,
        "depth index returns the wrong level",
        "rows between book and table: level k + 1 where k belongs, levels unsorted (an injected row map); "
        "in the bytes: sizes of a snapshot one level off their prices",
        [
            Dose("every row", _index("shift", None)),
            Dose("every row, unsorted", _index("unsorted", None)),
            Dose("50 rows", _index("shift", 50)),
            Dose("one row", _index("shift", 1), strength="small"),
            Dose("one row, unsorted", _index("unsorted", 1), strength="small"),
            Dose("one level of one row", _index("one level", 1), strength="small"),
            Dose("last level of one row", _index("last level", 1), strength="small"),
            Dose("sizes of one snapshot one level off", editing((SNAPSHOT,), _sizes_shifted, one), strength="small"),
        ],
    ),
    Defect(
        20,
        "day boundary restarts from an empty book",
        "the new day opens with an empty or thin snapshot in the place of the carried book; its file alone",
        [
            Dose("empty book", _restarts(0, 0)),
            Dose("5 levels", _restarts(5, 0)),
            Dose("20 levels", _restarts(20, 0)),
            Dose("5 levels after a lost update", _restarts(5, 1)),
            Dose("20 levels after a lost update", _restarts(20, 1)),
            Dose("second day alone", _second_day_alone),
        ],
        needs="midnight",
    ),
    Defect(
        21,
        "restart overwrites the start of the recording",
        "the recorder opens its file anew: later bytes over the first ones; or the later part under the same day; "
        "its segments, beside the ledger that lists them: the first ones gone, replaced or shortened",
        [
            *RECORDER_DOSES,
            Dose("later bytes over the first", _overwritten_in_place),
            Dose("only the later part is left", _overwritten_whole),
        ],
    ),
    Defect(
        22,
        "check that examined zero rows passes",
        "an empty and an all-invalid partition enter; no check may pass on no row",
        [
            Dose("no book message", _nothing((SNAPSHOT, DELTA, WITNESS))),
            Dose("a snapshot alone", _snapshot_alone),
            Dose("every row invalid", _all_invalid),
            Dose("no trade and no quote", _nothing((TRADE, QUOTE))),
        ],
    ),
)
