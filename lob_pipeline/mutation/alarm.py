"""How far behind the defect the alarm comes: the shortest recording, cut off behind the defect, that is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, TRADE, Recording
from lob_pipeline.mutation.judge import KILLED, judge
from lob_pipeline.mutation.mutant import Mutant
from lob_pipeline.mutation.trial import run_trial
from lob_pipeline.mutation.wire import wire_of

STEP_MS = 100


@dataclass(frozen=True)
class Alarm:
    """``check``: the one that spoke first; ``messages``, ``rows``: book messages and grid rows from defect to alarm."""

    check: str
    messages: int
    rows: int


def upto(recording: Recording, count: int) -> Recording:
    """Return the recording with only its first ``count`` book messages, and what came with them.

    Frames of the book's files end with the last message; trades of files of their own end at its engine time.
    """
    wire = wire_of(recording.venue)
    books = recording.where(*BOOK_KINDS)
    if count >= len(books):
        return recording
    last = books[count - 1]
    files = {recording.frames[i].file for i in books}
    seen = [recording.frames[i] for i in books[:count]]
    end_ms = max((wire.engine_ms(frame) for frame in seen if frame.kind == DELTA), default=0)
    kept = tuple(
        f
        for i, f in enumerate(recording.frames)
        if (i <= last if f.file in files else f.kind != TRADE or wire.engine_ms(f) <= end_ms)
    )
    names = {f.file for f in kept}
    calls = tuple(some for call in recording.calls if (some := tuple(n for n in call if n in names)))
    return replace(recording, frames=kept, calls=calls, tail={n: t for n, t in recording.tail.items() if n in names})


def alarm_of(clean: Recording, mutant: Mutant) -> Alarm | None:
    """Return the alarm of a killed mutant by bisection over where its recording ends."""
    reference = mutant.clean or clean
    books = [i for i in reference.where(*BOOK_KINDS) if i < mutant.at]
    first, last = len(books), len(mutant.recording.where(*BOOK_KINDS))
    good = run_trial(reference)
    found = judge(run_trial(mutant.recording), good)
    if found.fate != KILLED:
        return None
    lo, hi = first, last
    while lo < hi - 1:
        middle = (lo + hi) // 2
        judgement = judge(run_trial(upto(mutant.recording, middle)), run_trial(upto(reference, middle)))
        if judgement.fate == KILLED:
            hi, found = middle, judgement
        else:
            lo = middle
    return Alarm(found.check, hi - first, _rows_between(reference, first, hi))


def _rows_between(recording: Recording, first: int, last: int) -> int:
    wire = wire_of(recording.venue)
    books = recording.where(*BOOK_KINDS)
    passed = [recording.frames[i] for i in books[max(0, first - 1) : last]]
    times = [wire.engine_ms(frame) for frame in passed if frame.kind == DELTA]
    return (max(times) - times[0]) // STEP_MS if times else 0
