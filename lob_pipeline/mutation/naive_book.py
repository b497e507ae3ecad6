"""The obvious book: two dictionaries of decimal strings. Cuts and mutators read the state of a book from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from lob_pipeline.mutation.frames import DELTA, SNAPSHOT, Frame, Recording
from lob_pipeline.mutation.wire import Levels, Wire


class NaiveBook:
    """Price string -> the level as the venue wrote it, one dictionary a side (0 bids, 1 asks)."""

    def __init__(self) -> None:
        self.sides: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})

    def clear(self) -> None:
        """Forget every level."""
        for side in self.sides:
            side.clear()

    def apply(self, bids: Levels, asks: Levels) -> None:
        """Set the levels; a size of zero deletes."""
        for side, levels in zip(self.sides, (bids, asks), strict=True):
            for level in levels:
                if float(level[1]) == 0:
                    side.pop(level[0], None)
                else:
                    side[level[0]] = list(level)

    def levels(self) -> tuple[Levels, Levels]:
        """Return (bids, asks), best first."""
        bids = sorted(self.sides[0].values(), key=lambda level: -Decimal(level[0]))
        return bids, sorted(self.sides[1].values(), key=lambda level: Decimal(level[0]))

    def copy(self) -> NaiveBook:
        """Return a book of its own with the same levels."""
        other = NaiveBook()
        other.sides = (dict(self.sides[0]), dict(self.sides[1]))
        return other


def walk(recording: Recording, wire: Wire) -> Iterator[tuple[int, Frame, NaiveBook | None]]:
    """Yield each book frame with its index and the book after it; None before the first snapshot came.

    Deltas that came before the snapshot are kept and those it does not hold yet are applied after it. A later snapshot
    inside an unbroken chain of a venue that asks for them is left alone, as is one older than the book.
    """
    book: NaiveBook | None = None
    early: list[Frame] = []
    last = -1
    for i, frame in enumerate(recording.frames):
        if frame.kind == SNAPSHOT:
            own = wire.ids(frame)[1]
            if book is None or own < 0 or not recording.venue.startswith("binance"):
                book = book or NaiveBook()
                book.clear()
                book.apply(*wire.levels(frame))
                for delta in early:
                    if wire.ids(delta)[1] >= own:
                        book.apply(*wire.levels(delta))
                early, last = [], own
        elif frame.kind == DELTA:
            if book is None:
                early.append(frame)
            elif wire.ids(frame)[1] < 0 or wire.ids(frame)[1] > last or not recording.venue.startswith("binance"):
                book.apply(*wire.levels(frame))
                last = wire.ids(frame)[1]
        else:
            continue
        yield i, frame, book


def book_after(recording: Recording, wire: Wire, index: int) -> NaiveBook:
    """Return the book after the frame ``index`` (empty before the first snapshot)."""
    found: NaiveBook | None = None
    for _, _, book in walk(replace(recording, frames=recording.frames[: index + 1]), wire):
        found = book
    return found.copy() if found is not None else NaiveBook()
