"""Contiguous cuts of a recording; one that starts in mid-stream opens with the book there, in the venue's form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lob_pipeline.mutation.frames import DELTA, SNAPSHOT, TRADE, WITNESS, Frame, Recording
from lob_pipeline.mutation.naive_book import NaiveBook, walk
from lob_pipeline.mutation.wire import Wire, wire_of

DAY_MS = 86_400_000
MARGIN_MS = 1_000


def cut(recording: Recording, spans: Sequence[tuple[int, int]]) -> list[Recording]:
    """Return the cuts [first, last] given by indices of delta frames, in one walk over the recording.

    Each opens with a snapshot of the book after the delta ``first`` and ends with the delta ``last``. Where trades are
    a file of their own they are taken by the matching engine's time, else by their place; another depth of the book is
    cut at the same times and opens with a snapshot of its own.
    """
    wire = wire_of(recording.venue)
    books: dict[int, NaiveBook] = {}
    wanted = {first for first, _ in spans}
    for i, _, book in walk(recording, wire):
        if i in wanted and book is not None:
            books[i] = book.copy()
    inside = [(first, last) for first, last in spans if first in books]
    beside = _witnesses(recording, wire, inside)
    return [_one(recording, wire, *span, books[span[0]], seen) for span, seen in zip(inside, beside, strict=True)]


def _witnesses(recording: Recording, wire: Wire, spans: Sequence[tuple[int, int]]) -> list[list[Frame]]:
    """Return, for each cut, the frames of another depth between its times; none where no other depth was recorded."""
    seen = [recording.frames[i] for i in recording.where(WITNESS)]
    if not seen:
        return [[] for _ in spans]
    other = replace(recording, frames=tuple(wire.parse(f.line(), f.file, f.recv) for f in seen))
    deltas = other.where(DELTA)
    times = np.array([wire.engine_ms(other.frames[i]) for i in deltas])
    wanted = []
    for span in spans:
        low, high = (wire.engine_ms(recording.frames[i]) for i in span)
        first, end = np.searchsorted(times, low, "left"), np.searchsorted(times, high, "right")
        wanted.append((deltas[int(first)], deltas[int(end) - 1]))
    return [
        [replace(f, kind=WITNESS) for f in part.frames if f.kind in (SNAPSHOT, DELTA)] for part in cut(other, wanted)
    ]


def _one(
    recording: Recording, wire: Wire, first: int, last: int, book: NaiveBook, beside: Sequence[Frame]
) -> Recording:
    frames = recording.frames
    opening = wire.snapshot(frames[first], *book.levels())
    inside = [opening, *frames[first + 1 : last + 1]]
    book_file = frames[first].file
    if all(f.kind != TRADE for f in inside) and any(f.kind == TRADE and f.file != book_file for f in frames):
        low, high = wire.engine_ms(frames[first]), wire.engine_ms(frames[last])
        inside += [f for f in frames if f.kind == TRADE and low <= wire.engine_ms(f) <= high]
    inside += beside
    names = {f.file for f in inside}
    calls = tuple(kept for call in recording.calls if (kept := tuple(n for n in call if n in names)))
    return replace(recording, name=f"{recording.name}[{first}:{last}]", frames=tuple(inside), calls=calls)


def random_spans(recording: Recording, rng: np.random.Generator, count: int, messages: int) -> list[tuple[int, int]]:
    """Return ``count`` random contiguous spans of about ``messages`` deltas (half to one and a half times).

    None begins or ends within ``MARGIN_MS`` of a midnight: a day of a few milliseconds has no row.
    """
    wire, deltas = wire_of(recording.venue), recording.where(DELTA)
    out: list[tuple[int, int]] = []
    while len(out) < count:
        length = min(int(rng.integers(messages // 2, messages + messages // 2 + 1)), len(deltas) - 2)
        begin = int(rng.integers(0, len(deltas) - length))
        ends = (deltas[begin], deltas[begin + length])
        times = [wire.engine_ms(recording.frames[i]) for i in ends]
        if all(min(t % DAY_MS, -t % DAY_MS) >= MARGIN_MS for t in times):
            out.append(ends)
    return out
