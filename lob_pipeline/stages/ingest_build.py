"""From files to built days: which pass builds which day, what each day is built from, and publication at the end."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.units import shift_date
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import ABSENT, Manifest, read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import content_or_absent
from lob_pipeline.stages.ingest_carry import Closing, closing_of_partition
from lob_pipeline.stages.ingest_days import TABLES, DayBuild
from lob_pipeline.stages.ingest_files import InputFile, Progress, arrivals
from lob_pipeline.stages.ingest_merge import FileFacts
from lob_pipeline.stages.ingest_pass import DayPass
from lob_pipeline.stages.ingest_sources import Registered
from lob_pipeline.stages.result import StageResult
from lob_pipeline.stages.segment_ledger import segment_ledger_match


@dataclass
class Built:
    """Days that were written and not yet published. ``facts``: what reading each source told, by its hash."""

    home: Home
    instrument: Instrument
    days: dict[str, DayBuild]
    facts: dict[str, FileFacts]

    def seal(self, known: Registered, *, kept: bool, swapped: bool) -> dict[str, list[Manifest]]:
        """Mark what a later source continues, then finish every day's files; return their manifests by date.

        ``known``: with this call's sources. ``kept``: whether their bytes are. ``swapped``: these days take the place
        of others, which the lineage names.
        """
        market = self.instrument.market
        for date, day in self.days.items():
            day.checksums = checksums_of([f for f in self._facts_of(known, date) if f.book is not None])
            day.recorded = segment_ledger_match(self.home, market, date, known)
            after = known.closes(market, date)
            if after is not None and after.book is not None and not day.marked and not day.archive:
                day.mark(after.book.first)
        fingerprint = code_fingerprint("events", self.instrument)
        sealed = {}
        for date, day in self.days.items():
            before = shift_date(date, -1)
            content = (self.days[before].content or ABSENT) if before in self.days else None
            inputs = known.inputs(self.home, market, date, content)
            sources = known.of_day(market, date)
            found = self._facts_of(known, date)
            extra: dict[str, Any] = {
                "tick": str(self.instrument.tick),
                "lot": str(self.instrument.lot),
                "sources_kept": kept,
                "sources": [s.name for s in sources],
                "off_grid_lots": sum(f.off_grid_lots for f in found),
            }
            if any(f.counted for f in found):
                extra["decoder_facts"] = total([f.counted for f in found])
            extra["lineage"] = self._lineage(date, inputs, swapped)
            sealed[date] = day.seal(fingerprint, inputs, extra)
        return sealed

    def _facts_of(self, known: Registered, date: str) -> list[FileFacts]:
        return [self.facts[s.sha256] for s in known.of_day(self.instrument.market, date) if s.sha256 in self.facts]

    def _lineage(self, date: str, inputs: dict[str, str], swapped: bool) -> list[dict[str, Any]]:
        """Return what stood in this day's place before it was replaced, oldest first.

        A source that the standing day was built from and this one is not was replaced, whoever builds: the ledger may
        have been told earlier, and the orchestrator builds now.
        """
        key = PartitionKey("l2_events", self.instrument.market, date)
        refused = newest_refusal(self.home, key)
        try:
            old = read_manifest(refused if refused and not key.path(self.home).exists() else key.path(self.home))
        except (FileNotFoundError, RefusedError):
            return []
        swapped = swapped or bool(_sources_of(old.inputs) - _sources_of(inputs))
        gone = [{"content_sha256": old.content_sha256, "inputs": old.inputs}] if swapped else []
        return [*old.extra.get("lineage", []), *gone]

    def publish(self, sealed: dict[str, list[Manifest]]) -> list[StageResult]:
        """Move every sealed day into the lake, or into quarantine."""
        return [result for date, day in self.days.items() for result in day.publish(sealed[date])]


def checksums_of(files: list[FileFacts]) -> tuple[int, int] | None:
    """Return how many checksums of a day's book files were compared and equal; None where the venue sends none.

    Of whole files: one that holds two days vouches for both, or for neither.
    """
    found = [f.checksums for f in files if f.checksums is not None]
    return (sum(c for c, _ in found), sum(e for _, e in found)) if found else None


def total(counts: list[dict[str, int]]) -> dict[str, int]:
    """Return the sums of named counts, by name."""
    return {name: sum(c.get(name, 0) for c in counts) for name in sorted({n for c in counts for n in c})}


def build(
    home: Home,
    instrument: Instrument,
    files: list[InputFile],
    stack: ExitStack,
    *,
    wanted: set[str] | None,
    unwanted: set[str] = frozenset(),  # type: ignore[assignment]
    progress: Progress | None = None,
) -> Built:
    """Read ``files`` and write the wanted days (all when None) but the unwanted ones; nothing is published.

    Days of the exchange's archive are built each on their own: their file is all that belongs to them.
    """
    days: dict[str, DayBuild] = {}
    groups: dict[str | None, list[InputFile]] = {}
    archive_days: set[str | None] = {f.archive_day for f in files if f.has_book and f.archive_day}
    for file in files:
        groups.setdefault(file.archive_day if file.archive_day in archive_days else None, []).append(file)
    for archive_day, group in groups.items():
        if archive_day is not None:
            group = group + [f for f in groups.get(None, []) if not f.has_book]
        if not any(f.has_book for f in group):
            continue  # read below, unless an archive day has read it
        one = DayPass(
            home,
            instrument,
            stack,
            wanted=_Wanted(archive_day, archive_days, wanted, unwanted),
            before=_Before(home, instrument),
            archive=archive_day is not None,
        )
        for part in arrivals(group, instrument, progress):
            one.add(part)
        one.end()
        days.update(one.builds)
    for file in files:
        if not file.facts.first_ns and not file.witness:
            for _ in arrivals([file], instrument, progress):
                pass  # trades of days whose books are registered already: only their facts are wanted
    return Built(home, instrument, dict(sorted(days.items())), {f.sha256: f.facts for f in files})


@dataclass(frozen=True)
class _Wanted:
    archive_day: str | None
    archive_days: set[str | None]
    wanted: set[str] | None
    unwanted: set[str]

    def __call__(self, date: str) -> bool:
        mine = date == self.archive_day if self.archive_day else date not in self.archive_days
        return mine and date not in self.unwanted and (self.wanted is None or date in self.wanted)


@dataclass(frozen=True)
class _Before:
    home: Home
    instrument: Instrument

    def __call__(self, date: str) -> Closing | None:
        return closing_of_partition(self.home, self.instrument, shift_date(date, -1))


def unfinished_days(home: Home, known: Registered, market: Market, dates: list[str]) -> list[str]:
    """Return the dates of which a table is not in the lake, or was built from other sources than are in force.

    Both are what a kill between ledger and publication leaves.
    """
    found = []
    for date in dates:
        recorded = _recorded_inputs(home, market, date)
        sources = _sources_of(known.inputs(home, market, date))
        if any(inputs is None or _sources_of(inputs) != sources for inputs in recorded):
            found.append(date)
    return found


def _sources_of(inputs: dict[str, str]) -> set[str]:
    return {name for name in inputs if name.startswith("raw/")}


def waits_for_the_day_before(home: Home, market: Market, date: str) -> bool:
    """Return whether ``date`` is refused, or opens without a book, for want of the day before, which stands now."""
    before = PartitionKey("l2_events", market, shift_date(date, -1))
    if content_or_absent(home, before) == ABSENT:
        return False
    try:
        stands = read_manifest(PartitionKey("l2_events", market, date).path(home))
    except (FileNotFoundError, RefusedError):
        return True
    start = next(o for o in stands.outcomes if o.name == "verifiable_start")
    return stands.inputs.get(f"l2_events/{before.date}") == ABSENT and start.facts["messages_before"] > 0


def _recorded_inputs(home: Home, market: Market, date: str) -> list[dict[str, str] | None]:
    """Return the different inputs that the tables of a day record, None for a table that is not in the lake."""
    found: list[dict[str, str] | None] = []
    for table in TABLES:
        try:
            inputs = read_manifest(PartitionKey(table.name, market, date).path(home)).inputs
        except (FileNotFoundError, RefusedError):
            inputs = None
        if inputs not in found:
            found.append(inputs)
    return found
