"""How far behind the defect the alarm comes: the shortest recording, cut off behind the defect, that is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, TRADE, WITNESS, Recording
from lob_pipeline.mutation.judge import KILLED, Judgement, false_alarm, judge
from lob_pipeline.mutation.mutant import Mutant
from lob_pipeline.mutation.trial import Outcome, run_trial
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

    Frames of the book's files end with the last message; what stands in files of its own (trades, another depth)
    ends at its engine time.
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
        if (i <= last if f.file in files else f.kind not in (TRADE, WITNESS) or wire.engine_ms(f) <= end_ms)
    )
    names = {f.file for f in kept}
    calls = tuple(some for call in recording.calls if (some := tuple(n for n in call if n in names)))
    return replace(recording, frames=kept, calls=calls, tail={n: t for n, t in recording.tail.items() if n in names})


def alarm_of(clean: Recording, mutant: Mutant, good: Outcome, found: Judgement) -> Alarm | None:
    """Return the alarm of a killed mutant: doubling, then halving, how much of the recording lies behind the defect.

    ``good``: the outcome of the clean recording; ``found``: the judgement of the whole mutant. A cut at which the clean
    recording is refused as well (too short for a row) is no alarm. None where the whole must be seen to judge.
    """
    if found.how == "not judged":
        return None
    reference = mutant.clean or clean
    if not reference.frames:
        return None  # files of a recorder
    first = sum(1 for i in reference.where(*BOOK_KINDS) if i < mutant.at)
    last = len(mutant.recording.where(*BOOK_KINDS))
    lo, hi, step = first, last, 1
    while lo < hi - 1:
        middle = min(lo + step, hi - 1) if step else (lo + hi) // 2
        judgement = _judged(upto(mutant.recording, middle), reference, middle, good)
        if judgement is not None:
            hi, found, step = middle, judgement, 0
        else:
            lo, step = middle, 2 * step
    return Alarm(found.check, max(0, hi - first), _rows_between(reference, first, hi))


def _judged(part: Recording, reference: Recording, count: int, good: Outcome) -> Judgement | None:
    judgement = judge(run_trial(part), good)
    if judgement.fate != KILLED or judgement.how == "not judged":
        return None
    if judgement.how == "refused" and false_alarm(run_trial(upto(reference, count))) is not None:
        return None
    return judgement


def _rows_between(recording: Recording, first: int, last: int) -> int:
    wire = wire_of(recording.venue)
    books = recording.where(*BOOK_KINDS)
    passed = [recording.frames[i] for i in books[max(0, first - 1) : last]]
    times = [wire.engine_ms(frame) for frame in passed if frame.kind == DELTA]
    return (max(times) - times[0]) // STEP_MS if times else 0
