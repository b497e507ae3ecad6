"""``lob ingest``: recorded files become a day's ``l2_events``, ``trades`` and ``quotes``, all of them or none.

Everything is decoded and written to staging first. Only when the last byte was good are the sources kept, registered
in the raw ledger and the partitions published; whatever goes wrong before leaves the lake as it was.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

from lob_pipeline.capture.thin import note_of
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.units import shift_date
from lob_pipeline.lake import ledger
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.ingest_build import Built, build, total, unfinished_days, waits_for_the_day_before
from lob_pipeline.stages.ingest_files import InputFile, Progress, arrivals, given_file, instrument_of, kept_file, peek
from lob_pipeline.stages.ingest_rules import closed_days, replaced_by, require_books, require_continuation
from lob_pipeline.stages.ingest_sources import RawStore, Registered, Source, raw_path, registered
from lob_pipeline.stages.result import StageResult


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did. ``partitions`` is empty when the bytes were there already.

    ``decoder_facts``: what the format counts of its own (LOBSTER: where levels came from, rows equal to its book file).
    """

    market: Market
    partitions: list[StageResult] = field(default_factory=list)
    skipped_lines: dict[str, int] = field(default_factory=dict)
    decoder_facts: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        partitions = [result.to_json() for result in self.partitions]
        found: dict[str, Any] = {"market": str(self.market), "partitions": partitions}
        return found | {"skipped_lines": self.skipped_lines, "decoder_facts": self.decoder_facts}


@dataclass(frozen=True)
class _Call:
    """The files of one call: all of them, those that are new to the ledger, and the instrument that reads them."""

    home: Home
    market: Market
    grid: Instrument
    given: list[InputFile]
    files: list[InputFile]
    known: Registered


def ingest(
    home: Home,
    market: Market,
    paths: list[Path],
    *,
    replace: bool = False,
    tick: str | None = None,
    lot: str | None = None,
    keep: bool = True,
    progress: Progress | None = None,
) -> IngestReport:
    """Ingest recorded files of one market (CONTRACT.md, ``lob ingest``).

    Files with a book follow each other, files of trades alone are merged with them. Bytes that are registered already
    are left out; when all are, only days that are not in the lake are built. A file that continues a day's stream
    extends it; other bytes for a day that stands raise ``BadInputError`` unless ``replace``. Days that wait
    for the day before them are built again once that stands, so the order of ingests does not show.
    Raises ``BadInputError`` for bad input, ``LobError`` when storage fails; the lake is then as it was. A gate that
    refuses a day is no error: the day goes to quarantine and the report says so.
    """
    call = _examine(home, market, paths, tick, lot, replace)
    if keep and _take_back(call):
        call = _examine(home, market, paths, tick, lot, replace)  # what is registered is kept again
    if not call.files:
        return _build_missing(call)
    known = call.known
    with ExitStack() as stack:
        taken = set() if replace else known.dates(market)
        built = build(home, call.grid, call.files, stack, wanted=None, unwanted=taken, progress=progress)
        sources = _sources(call, keep, replace)
        after = known.plus(sources)
        if not replace:
            require_continuation(known, after, market, sources)
        wanted = {date for s in sources for date in s.kinds}
        shared = {d for d in wanted if len(after.of_day(market, d)) > sum(d in s.kinds for s in sources)}
        closed = closed_days(known, after, market, sources)
        if shared or closed:
            stack.close()
            built = _build_together(call, after, wanted | closed, stack, progress)
        if not built.days:
            names = ", ".join(f.name for f in call.files)
            raise BadInputError(f"{names}: no day with a book message of {market}: give its order book recording")
        sealed = built.seal(after, kept=keep, swapped=replace)
        _register(home, call.files, sources, keep)
        skipped, counted = (total([getattr(f.facts, n) for f in call.files]) for n in ("skipped", "counted"))
        report = IngestReport(market, built.publish(sealed), skipped, counted)
    _build_what_follows(call, report)
    return report


def register(
    home: Home,
    market: Market,
    paths: list[Path],
    *,
    tick: str | None = None,
    lot: str | None = None,
    replace: bool = False,
    keep: bool = True,
    progress: Progress | None = None,
) -> list[str]:
    """Read, keep and register recorded files without building; return the days they hold books of.

    ``build_events`` then gives the partitions that ``ingest`` would have published. Raises as ``ingest`` does.
    """
    call = _examine(home, market, paths, tick, lot, replace)
    if call.files:
        for _ in arrivals(call.files, call.grid, progress):
            pass  # reading fills the facts
        sources = _sources(call, keep, replace)
        if not replace:
            require_continuation(call.known, call.known.plus(sources), market, sources)
        _register(home, call.files, sources, keep)
    return _book_days(registered(home), call)


def build_events(home: Home, market: Market, date: str) -> list[StageResult]:
    """Build a day's three partitions from the sources that the raw ledger lists, and publish them.

    Raises ``BadInputError`` when it lists none, or one that was not kept.
    """
    known = registered(home)
    sources = known.of_day(market, date)
    if not any("book" in s.kinds[date] for s in sources):
        raise BadInputError(f"no book source of {market} on {date} is registered: run `lob ingest {market} PATH...`")
    files = [kept_file(home, source) for source in sources]
    grid = instrument(market, sources[0].tick, sources[0].lot, home.markets)
    with ExitStack() as stack:
        built = build(home, grid, files, stack, wanted={date})
        return built.publish(built.seal(known, kept=True, swapped=False))


def _examine(home: Home, market: Market, paths: list[Path], tick: str | None, lot: str | None, replace: bool) -> _Call:
    """Look at the files: formats, markets, grids, and which of them the ledger does not list yet."""
    if not paths:
        raise BadInputError("no file was given: name at least one recorded file")
    instrument(market, tick or "1", lot or "1", home.markets)  # an unknown venue, a bad step are said at once
    known = registered(home)
    given = list({f.sha256: f for f in (given_file(path, market) for path in paths)}.values())
    grid = instrument_of(home, market, given, tick, lot)
    files = []
    for file in given:
        there = known.find(market, file.sha256)
        if there is not None and (there.tick, there.lot) == (str(grid.tick), str(grid.lot)):
            continue
        if there is not None and not replace:
            raise BadInputError(
                f"{file.path} was ingested with tick {there.tick} and lot {there.lot}, not {grid.tick} and {grid.lot}: "
                "use --replace to read it anew"
            )
        peek(file, grid)
        files.append(file)
    if files:
        require_books(known, market, files)
    return _Call(home, market, grid, given, files, known)


def _take_back(call: _Call) -> bool:
    """Keep the bytes of given files again that ``lob record --keep-days`` removed; return whether there were any."""
    gone = [f for f in call.given if note_of(raw_path(call.home, f.sha256)).exists()]
    gone = [f for f in gone if not raw_path(call.home, f.sha256).exists()]
    for file in gone:
        RawStore(call.home).keep(file.path, file.sha256)
    return bool(gone)


def _sources(call: _Call, keep: bool, replace: bool) -> list[Source]:
    """Return the ledger's records of the new files, which have been read."""
    sources = [f.source(call.grid, keep) for f in call.files]
    gone = replaced_by(call.known, call.market, sources) if replace else {}
    return [with_fields(s, replaced=gone if i == 0 else {}) for i, s in enumerate(sources)]


def _book_days(known: Registered, call: _Call) -> list[str]:
    shas = {f.sha256 for f in call.given}
    days = known.dates(call.market)
    return sorted(
        d for d in days if any(s.sha256 in shas and "book" in s.kinds[d] for s in known.of_day(call.market, d))
    )


def _build_missing(call: _Call) -> IngestReport:
    """The bytes are registered: build what an interrupted ingest left out or a gate refused."""
    report = IngestReport(call.market)
    for date in unfinished_days(call.home, call.known, call.market, _book_days(call.known, call)):
        if all(s.kept for s in call.known.of_day(call.market, date)):
            report.partitions.extend(build_events(call.home, call.market, date))
    _build_what_follows(call, report)
    return report


def _build_what_follows(call: _Call, report: IngestReport) -> None:
    """Build the days that were waiting for the day before them, one after the other; add them to the report."""
    known = registered(call.home)
    buildable = {date for _, date in known.days(call.market)}
    done = {result.date for result in report.partitions}
    for date in sorted(buildable):  # a day that is built here may be what the next one was waiting for
        if date not in done and shift_date(date, -1) in done and waits_for_the_day_before(call.home, call.market, date):
            report.partitions.extend(build_events(call.home, call.market, date))
            done.add(date)


def _build_together(
    call: _Call, after: Registered, wanted: set[str], stack: ExitStack, progress: Progress | None
) -> Built:
    """Read the new files together with those that their days had already, and write those days."""
    new = {f.sha256 for f in call.files}
    old = {s.sha256: s for date in sorted(wanted) for s in after.of_day(call.market, date) if s.sha256 not in new}
    for source in old.values():
        if (source.tick, source.lot) != (str(call.grid.tick), str(call.grid.lot)):
            raise BadInputError(
                f"{source.name} of {call.market} was read with tick {source.tick} and lot {source.lot}, the new files "
                f"with {call.grid.tick} and {call.grid.lot}: pass the same --tick and --lot, or --replace"
            )
    here = new | set(old)
    for date in {d for s in old.values() for d in s.kinds} - wanted:
        complete = {s.sha256 for s in after.of_day(call.market, date)} <= here
        if complete and unfinished_days(call.home, call.known, call.market, [date]):
            wanted = wanted | {date}  # it was refused for want of what has come now
    files = [*(kept_file(call.home, s) for s in old.values()), *call.files]
    return build(call.home, call.grid, files, stack, wanted=wanted, progress=progress)


def _register(home: Home, files: list[InputFile], sources: list[Source], keep: bool) -> None:
    """Keep the bytes and write the ledger; on failure both are as they were."""
    store = RawStore(home)
    try:
        for file in files:
            if not file.unchanged():
                raise BadInputError(f"{file.path} changed while it was read: wait until it is written and run it again")
            if keep:
                store.keep(file.path, file.sha256)
                if file.recv_path and file.recv_sha256:
                    store.keep(file.recv_path, file.recv_sha256)
        ledger.append(ledger.raw_ledger(home), *(s.to_json() for s in sources))
    except BaseException:
        store.undo()
        raise
