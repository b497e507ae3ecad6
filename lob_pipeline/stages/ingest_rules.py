"""Which new files may join which days: continuation, replacement, closing marks; judged from the ledger alone."""

from __future__ import annotations

from itertools import pairwise

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import shift_date
from lob_pipeline.stages.ingest_files import InputFile
from lob_pipeline.stages.ingest_sources import Registered, Source


def require_books(known: Registered, market: Market, files: list[InputFile]) -> None:
    """Raise ``BadInputError`` when files of trades alone come without a book, now or registered before."""
    if any(f.has_book for f in files):
        return
    dates = {date for _, date in known.days(market)}
    for file in files:
        if file.archive_day not in dates if file.archive_day else not dates:
            raise BadInputError(
                f"{file.path} holds trades without books: give the order book recording of {market} with it"
            )


def chained(one: Source, two: Source) -> bool:
    """Return whether the book stream of ``two`` goes on where that of ``one`` ends."""
    if one.book is None or two.book is None or one.archive_day or two.archive_day:
        return False
    return one.book.last_id is not None and two.book.first_delta_follows == one.book.last_id


def _continues(one: Source, two: Source, date: str) -> bool:
    """Return whether two sources of the same kind of items, in the order of their times, may share a day.

    A recorder's segments of one market always do: what lies between them is a gap, found and masked as in one file.
    """
    if one.segment and two.segment:
        return True
    if date in (one.archive_day, two.archive_day):
        return False
    if one.book is None and two.book is None:
        return two.first_ns >= one.last_ns
    return chained(one, two)


def require_continuation(known: Registered, after: Registered, market: Market, new: list[Source]) -> None:
    """Raise ``BadInputError`` unless every day that had sources goes on in the new ones, or they go on in it.

    Files of one call may have gaps between them: those are found and masked, as in a single file.
    """
    shas = {s.sha256 for s in new}
    for date in sorted({d for s in new for d in s.kinds}):
        old = known.of_day(market, date)
        for kind in ("book", "trades") if old else ():
            sources = [s for s in after.of_day(market, date) if kind in s.kinds[date]]
            for one, two in pairwise(sources):
                if (one.sha256 in shas) != (two.sha256 in shas) and not _continues(one, two, date):
                    other = two if two.sha256 in shas else one
                    raise BadInputError(
                        f"{market} on {date} was ingested from {', '.join(s.name for s in old)}, and {other.name} does "
                        "not continue it: use --replace to put the new files in their place"
                    )


def replaced_by(known: Registered, market: Market, new: list[Source]) -> dict[str, list[str]]:
    """Return, for each day of which the new files hold books, the registered sources whose place they take.

    A neighbour whose stream chains with a new file stays.
    """
    found = {}
    for date in sorted({d for s in new for d, kinds in s.kinds.items() if "book" in kinds}):
        gone = [
            old.sha256
            for old in known.of_day(market, date)
            if not any(chained(old, s) or chained(s, old) for s in new) and old.sha256 not in {s.sha256 for s in new}
        ]
        if gone:
            found[date] = gone
    return found


def closed_days(known: Registered, after: Registered, market: Market, new: list[Source]) -> set[str]:
    """Return the standing days before the new files whose stream these go on with: they get their closing mark."""
    shas = {s.sha256 for s in new}
    found = set()
    for date in {shift_date(d, -1) for s in new for d in s.kinds}:
        closing, standing = after.closes(market, date), known.of_day(market, date)
        if closing is not None and closing.sha256 in shas and standing and all(s.kept for s in standing):
            found.add(date)
    return found
