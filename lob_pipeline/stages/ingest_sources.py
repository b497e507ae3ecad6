"""The sources of a market: what the raw ledger lists, where the bytes are kept, what a day is built from."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lob_pipeline.capture.thin import note_of, removed_from
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.units import day_of_ns, shift_date
from lob_pipeline.lake import ledger
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import content_or_absent
from lob_pipeline.lake.storage import fsync_directory, remove_if_empty, storing
from lob_pipeline.stages.ingest_merge import BookFacts


@dataclass(frozen=True)
class Source:
    """A registered file. ``kinds``: date -> the kinds of items (book, trades, quotes) it holds of that day.

    ``recv_sha256``: the file of receive times beside it. ``book``: its first and last book message. ``replaced``: date
    -> hashes of the sources whose place it took. ``kept``: the bytes are under ``raw/``. ``segment``: a recorder's.
    """

    market: str
    sha256: str
    name: str
    size_bytes: int
    tick: str
    lot: str
    first_ns: int
    last_ns: int
    has_recv: bool
    kinds: dict[str, list[str]]
    book: BookFacts | None = None
    recv_sha256: str | None = None
    archive_day: str | None = None
    kept: bool = True
    replaced: dict[str, list[str]] = field(default_factory=dict)
    segment: bool = False

    @property
    def has_book(self) -> bool:
        """Return whether the file is of the lane that carries the book."""
        return self.book is not None

    def to_json(self) -> dict[str, Any]:
        """Return the ledger's record."""
        return {**asdict(self), "days": sorted(self.kinds)}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Source:
        """Rebuild a source from its record."""
        book = record["book"]
        facts = BookFacts(**{**book, "first": tuple(book["first"])}) if book else None
        return cls(**{**{k: v for k, v in record.items() if k != "days"}, "book": facts})


class Registered:
    """The sources in force: later records may have replaced earlier ones day by day."""

    def __init__(self, sources: list[Source]) -> None:
        self._by_day: dict[tuple[str, str], dict[str, Source]] = {}
        for source in sources:
            for date, gone in source.replaced.items():
                there = self._by_day.get((source.market, date), {})
                for sha256 in gone:
                    there.pop(sha256, None)
            for date in source.kinds:
                self._by_day.setdefault((source.market, date), {})[source.sha256] = source
        self.sources = sources

    def of_day(self, market: Market, date: str) -> list[Source]:
        """Return the sources of a day in the order of their first times."""
        there = self._by_day.get((str(market), date), {}).values()
        return sorted(there, key=lambda s: (s.first_ns, s.name, s.sha256))

    def dates(self, market: Market) -> set[str]:
        """Return every date that has a source in force."""
        return {date for (name, date), there in self._by_day.items() if name == str(market) and there}

    def find(self, market: Market, sha256: str) -> Source | None:
        """Return the source with these bytes, None unless it is in force on one of its days at least."""
        for (name, _), there in self._by_day.items():
            if name == str(market) and sha256 in there:
                return there[sha256]
        return None

    def days(self, market: Market | None = None) -> list[tuple[Market, str]]:
        """Return every (market, date) that has a book source which was kept, sorted."""
        found = [
            (name, date)
            for (name, date), there in self._by_day.items()
            if any("book" in s.kinds[date] for s in there.values()) and all(s.kept for s in there.values())
        ]
        return [(parse_market(n), d) for n, d in sorted(found) if market is None or n == str(market)]

    def plus(self, more: list[Source]) -> Registered:
        """Return what would be in force with ``more`` registered too."""
        return Registered([*self.sources, *more])

    def closes(self, market: Market, date: str) -> Source | None:
        """Return the source that goes on with the day's stream after midnight, None when none does or its own do."""
        own = [s for s in self.of_day(market, date) if "book" in s.kinds[date]]
        tomorrow = shift_date(date, 1)
        if not own or own[-1].book is None or own[-1].archive_day or "book" in own[-1].kinds.get(tomorrow, []):
            return None
        for source in self.of_day(market, tomorrow):
            if source.book is not None and "book" in source.kinds[tomorrow] and not source.archive_day:
                opens = day_of_ns(source.book.first[0] - 1) == tomorrow
                follows = source.book.first_delta_follows == own[-1].book.last_id
                restarts = source.book.first_is_snapshot and instrument(market, "1", "1").sequence != "bridge"
                return source if opens and follows and not restarts else None
        return None

    def inputs(self, home: Home, market: Market, date: str, events_before: str | None = None) -> dict[str, str]:
        """Return what the day's partitions are built from: name -> SHA-256; nothing when no kept book source is there.

        ``events_before``: content hash of ``l2_events`` of the day before, when it is not (yet) the lake's.
        """
        sources = self.of_day(market, date)
        if not any("book" in s.kinds[date] for s in sources):
            return {}
        closing = self.closes(market, date)
        shas = [sha for s in (*sources, closing) if s for sha in (s.sha256, s.recv_sha256) if sha]
        found = {f"raw/{sha}": sha for sha in shas}
        if not is_archive_day(sources, date):
            before = PartitionKey("l2_events", market, shift_date(date, -1))
            found[f"l2_events/{before.date}"] = events_before or content_or_absent(home, before)
        return found


def is_archive_day(sources: list[Source], date: str) -> bool:
    """Return whether the day's book comes from the exchange's archive: that opens with its own book."""
    return any(s.archive_day == date for s in sources if s.has_book)


def registered(home: Home) -> Registered:
    """Return the sources that the home's raw ledger lists. Read once for each state of the file."""
    path = ledger.raw_ledger(home)
    try:
        state = path.stat()
    except FileNotFoundError:
        return Registered([])
    store = home.raw.stat().st_mtime_ns if home.raw.exists() else 0  # changes when kept bytes come or go
    return _registered(path, home.raw, store, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=8)
def _registered(path: Path, raw: Path, *_state: int) -> Registered:
    sources = [Source.from_json(record) for record in ledger.read(path)]
    gone = removed_from(raw)
    return Registered([replace(s, kept=False) if s.sha256 in gone else s for s in sources])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    total = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def raw_path(home: Home, sha256: str) -> Path:
    """Return where the bytes of a source are kept."""
    return home.raw / sha256


def kept_path(home: Home, source: Source, sha256: str | None = None) -> Path:
    """Return the kept bytes of a source (or of its receive times), checked against their hash.

    Raises ``BadInputError`` when they were not kept, ``LobError`` when they are no longer what was registered.
    """
    sha256 = sha256 or source.sha256
    path = raw_path(home, sha256)
    if not source.kept:
        raise BadInputError(
            f"{source.name} of {source.market} {why_not_kept(home, source)}: its days cannot be built again; ingest "
            "another recording of them with --replace"
        )
    if not path.exists() or sha256_of(path) != sha256:
        fault = "is missing" if not path.exists() else "has other bytes than were registered"
        raise LobError(f"{path} ({source.name} of {source.market}) {fault}: put the original file there again")
    return path


def why_not_kept(home: Home, source: Source) -> str:
    """Return what became of the bytes of a source that is not kept."""
    thinned = note_of(raw_path(home, source.sha256)).exists()
    return "was removed by `lob record --keep-days`" if thinned else "was ingested with --no-keep"


class RawStore:
    """Keeps files under ``raw/`` by their hash; ``undo`` takes back what this object added."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._added: list[Path] = []

    def keep(self, path: Path, sha256: str) -> None:
        """Hard-link, else copy, ``path`` into the store. Nothing happens when the bytes are there."""
        target = raw_path(self._home, sha256)
        if target.exists():
            return
        with storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._added.append(target)
            try:
                os.link(path.resolve(), target)
            except OSError:  # another file system, or one without hard links
                part = target.with_name(f".{sha256}.{os.getpid()}")
                try:
                    with path.open("rb") as source, part.open("wb") as copy:
                        shutil.copyfileobj(source, copy, 1 << 20)
                        copy.flush()
                        os.fsync(copy.fileno())
                    os.replace(part, target)
                finally:
                    part.unlink(missing_ok=True)
            fsync_directory(target.parent)

    def undo(self) -> None:
        """Remove what was added."""
        for path in self._added:
            path.unlink(missing_ok=True)
        remove_if_empty(self._home.raw, self._home.root)
