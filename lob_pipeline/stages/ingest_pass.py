"""One pass over the input: hands each day its items, closes a day when its stream goes on into the next."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.units import NS_PER_DAY, day_of_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.ingest_blocks import Arrivals, slice_book, slice_rows
from lob_pipeline.stages.ingest_carry import Closing, Crossing
from lob_pipeline.stages.ingest_days import DayBuild


def date_of(day: int) -> str:
    """Return ``YYYY-MM-DD`` of a day counted from 1970."""
    return day_of_ns(day * NS_PER_DAY)


def days_of(part: Arrivals) -> list[int]:
    """Return the days that have an item in ``part``, ascending."""
    found = {*np.unique(part.book_day).tolist(), *np.unique(part.trades_day), *np.unique(part.quotes_day)}
    return sorted(int(day) for day in found)


def select(part: Arrivals, day: int) -> tuple[Arrivals, int | None]:
    """Return the items of one day, and the place among them at which the book stream leaves it, None if not here."""
    b, t, q = (np.searchsorted(days, (day, day + 1)) for days in (part.book_day, part.trades_day, part.quotes_day))
    ats = [part.book_at[b[0] : b[1]], part.trades_at[t[0] : t[1]], part.quotes_at[q[0] : q[1]]]
    places = np.sort(np.concatenate(ats))
    book_at, trades_at, quotes_at = (np.searchsorted(places, at) for at in ats)
    mark_at = None
    if b[1] < len(part.book):
        mark_at = int(np.searchsorted(places, part.book_at[b[1]]))
    chosen = Arrivals(
        int(places.shape[0]),
        slice_book(part.book, int(b[0]), int(b[1])),
        book_at,
        part.book_when[b[0] : b[1]],
        part.book_day[b[0] : b[1]],
        slice_rows(part.trades, int(t[0]), int(t[1])),
        trades_at,
        part.trades_day[t[0] : t[1]],
        slice_rows(part.quotes, int(q[0]), int(q[1])),
        quotes_at,
        part.quotes_day[q[0] : q[1]],
    )
    return chosen, mark_at


class DayPass:
    """Builds the wanted days of a stretch of input.

    ``wanted(date)``: build this day. ``before(date)``: how the lake's day before ``date`` ended, asked for a day whose
    day before is not built in this pass. The builds are entered into ``stack``, which also gives them up.
    """

    def __init__(
        self,
        home: Home,
        instrument: Instrument,
        stack: ExitStack,
        *,
        wanted: Callable[[str], bool],
        before: Callable[[str], Closing | None],
        archive: bool = False,
    ) -> None:
        self._home, self._instrument, self._stack = home, instrument, stack
        self._wanted, self._before, self._archive = wanted, before, archive
        self._builds: dict[int, DayBuild] = {}
        self._book_day: int | None = None
        self._crossing: Crossing | None = None
        self._to_mark: DayBuild | None = None

    @property
    def builds(self) -> dict[str, DayBuild]:
        """Return the days that were built: those in which the book stream had a message."""
        return {date_of(day): build for day, build in sorted(self._builds.items()) if build.has_book}

    def add(self, part: Arrivals) -> None:
        """Take the next items."""
        for day in days_of(part):
            items, mark_at = select(part, day)
            if len(items.book) and (self._book_day is None or day > self._book_day):
                self._enter_day(day)
            build = self._build(day)
            if self._crossing is not None and day == self._book_day:
                self._crossing.offer(items.book, items.book_when)
            if build is not None:
                build.add(items, mark_at if day == self._book_day and not self._archive else None)
            self._mark_if_decided()

    def end(self) -> None:
        """Close the last day's book; a day whose successor never said a word gets no mark."""
        for build in self._builds.values():
            if build.has_book:
                build.end_book()

    def _build(self, day: int) -> DayBuild | None:
        if day not in self._builds and self._wanted(date_of(day)):
            build = DayBuild(self._home, self._instrument, date_of(day), archive=self._archive)
            self._builds[day] = self._stack.enter_context(build)
        return self._builds.get(day)

    def _enter_day(self, day: int) -> None:
        """The book stream has come to ``day``: settle the day before and find out how it ended."""
        left, self._book_day = self._book_day, day
        build = self._build(day)
        previous = self._builds.get(left) if left is not None and left == day - 1 else None
        if self._archive:
            return
        if previous is not None:
            ended: Closing | None = previous.end_book()
        else:
            ended = self._before(date_of(day)) if build is not None else None
        self._crossing = Crossing(ended, self._instrument.sequence)
        self._to_mark = previous
        if build is not None:
            build.open_book(self._crossing, ended)

    def _mark_if_decided(self) -> None:
        crossing, previous = self._crossing, self._to_mark
        if previous is not None and crossing is not None and crossing.decided and crossing.first:
            self._to_mark = None
            if crossing.continues:
                previous.mark(crossing.first)
