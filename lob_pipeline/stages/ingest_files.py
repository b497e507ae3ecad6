"""The files a user gave: what they are, which tick and lot read them, and one pass that learns what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.units import NS_PER_DAY, day_of_ns, day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.ingest_blocks import Arrivals
from lob_pipeline.stages.ingest_merge import FileFacts, LaneFile, merge, read_lane
from lob_pipeline.stages.ingest_sources import Source, kept_path, sha256_of
from lob_pipeline.venues.block import DecodedBlock
from lob_pipeline.venues.decode import decode_file, read_recv_times
from lob_pipeline.venues.depths import DepthPlan, deepest, last_time_ns
from lob_pipeline.venues.detect import FileInfo, detect_file
from lob_pipeline.venues.forms import form_of

Progress = Callable[[float, str], None]


@dataclass
class InputFile:
    """A file to read: given by the user, or kept in the raw store. ``facts`` are filled by reading it.

    ``recv_path``: the file that is kept with it: its receive times, or the companion without which it means nothing.
    ``witness``: it holds nothing but other depths of the book that a file read with it holds.
    """

    path: Path
    name: str
    sha256: str
    size_bytes: int
    info: FileInfo
    archive_day: str | None
    recv_path: Path | None
    recv_sha256: str | None
    first_ns: int = 0
    has_recv: bool = False
    witness: bool = False
    facts: FileFacts = field(default_factory=FileFacts)
    stamp: tuple[int, int] = (0, 0)

    @property
    def has_book(self) -> bool:
        """Return whether the file is of the lane that carries the book."""
        return "book" in self.info.streams

    def blocks(self, instrument: Instrument, depths: DepthPlan | None = None) -> Iterator[DecodedBlock]:
        """Yield the file's rows; ``depths``: as ``decode_file`` takes it."""
        if self.info.companion is not None:
            return decode_file(self.path, instrument, info=self.info)
        times = read_recv_times(self.recv_path) if self.recv_path else None
        return decode_file(self.path, instrument, recv_times=times, info=self.info, depths=depths)

    def source(self, instrument: Instrument, kept: bool) -> Source:
        """Return the ledger's record of the file, which has been read."""
        kinds: dict[str, list[str]] = {}
        for kind, days in self.facts.days.items():
            for day in sorted(days):
                kinds.setdefault(day_of_ns(day * NS_PER_DAY), []).append(kind)
        return Source(
            market=str(instrument.market),
            sha256=self.sha256,
            name=self.name,
            size_bytes=self.size_bytes,
            tick=str(instrument.tick),
            lot=str(instrument.lot),
            first_ns=self.facts.first_ns,
            last_ns=self.facts.last_ns,
            has_recv=self.has_recv,
            kinds=kinds,
            book=self.facts.book,
            recv_sha256=self.recv_sha256,
            archive_day=self.archive_day,
            kept=kept,
            segment=self.info.segment is not None,
        )

    def unchanged(self) -> bool:
        """Return whether the file is still the one that was hashed, by size and time of change."""
        return _stamp(self.path) == self.stamp


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def given_file(path: Path, market: Market) -> InputFile:
    """Return a file the user named. Raises ``BadInputError`` when it is unreadable or of another market or format."""
    info = detect_file(path)
    info.require(market)
    path, beside = info.path, info.recv_path or info.companion
    stamp = _stamp(path)
    return InputFile(
        path=path,
        name=path.name,
        sha256=sha256_of(path),
        size_bytes=stamp[0],
        info=info,
        archive_day=info.declared_day,
        recv_path=beside,
        recv_sha256=sha256_of(beside) if beside else None,
        stamp=stamp,
    )


def kept_file(home: Home, source: Source) -> InputFile:
    """Return a registered file from the raw store, with what the ledger knows of it."""
    path = kept_path(home, source)
    beside = kept_path(home, source, source.recv_sha256) if source.recv_sha256 else None
    info = detect_file(path, source.name)
    if beside is not None and form_of(info.format).blocks is not None:
        info = replace(info, companion=beside)
    return InputFile(
        path=path,
        name=source.name,
        sha256=source.sha256,
        size_bytes=source.size_bytes,
        info=info,
        archive_day=source.archive_day,
        recv_path=beside,
        recv_sha256=source.recv_sha256,
        first_ns=source.first_ns,
        has_recv=source.has_recv,
        stamp=_stamp(path),
    )


def instrument_of(
    home: Home, market: Market, files: list[InputFile], tick: str | None, lot: str | None
) -> Instrument:
    """Return the instrument: tick and lot from the options, else from the recording's own data, else markets.toml.

    Raises ``BadInputError`` when none knows them, or two files of one call disagree.
    """
    grids = {f.info.grids[market.symbol] for f in files if market.symbol in f.info.grids}
    if len(grids) > 1 and not (tick and lot):
        told = ", ".join(f"tick {t} lot {n}" for t, n in sorted(grids))
        raise BadInputError(f"the files of {market} name different grids ({told}): pass --tick and --lot")
    grid = next(iter(grids)) if len(grids) == 1 else (None, None)
    return instrument(market, tick or grid[0], lot or grid[1], home.markets)


def peek(file: InputFile, instrument: Instrument) -> None:
    """Read the first rows: the file's first time, and whether it has receive times.

    Raises ``BadInputError`` when it has none that count: neither book messages nor trades nor quotes of the market.
    """
    for block in file.blocks(instrument):
        rows = [r for r in (block.book, block.trades, block.quotes) if len(r)]
        if not rows:
            continue
        times = [int(t) for r in rows for t in (*r.ts_event_ns[:8], *r.ts_recv_ns[:8]) if t > 0]
        file.first_ns = min(times) if times else 0
        file.has_recv = all(bool((r.ts_recv_ns > 0).all()) for r in rows)
        return
    if file.info.segment is not None:
        return  # a connection that brought nothing but its own talk
    raise BadInputError(
        f"{file.path} holds no book message, trade or quote of {instrument.market}: give a recording of that market"
    )


def arrivals(files: list[InputFile], instrument: Instrument, progress: Progress | None = None) -> Iterator[Arrivals]:
    """Yield the items of files that were peeked at (or are registered) in one arrival order, filling their facts.

    Files with a book follow each other as one lane, files of trades alone as another, and those of each other depth of
    the book that was recorded at the same time as one more (``venues.depths``).
    Raises ``BadInputError`` when one kind of item comes from both.
    """
    roles = _depths(files, instrument)
    books = sorted((f for f in files if f.has_book and not f.witness), key=_first)
    trades = sorted((f for f in files if not f.has_book), key=_first)
    others = sorted((f for f in files if f.witness), key=_first)
    by_depth = [[f for f in others if roles[f.sha256] == depth] for depth in sorted({roles[f.sha256] for f in others})]
    by_recv = all(f.has_recv for f in files)
    for file in files:
        file.facts = FileFacts()
    done = 0
    lanes = [_lane_files(lane, instrument, roles) for lane in (trades, books, *by_depth) if lane]
    for part in merge([read_lane(lane) for lane in lanes], by_recv):
        if any(f.facts.days["book"] for f in trades):
            name = next(f.name for f in trades if f.facts.days["book"])
            raise BadInputError(f"{name} holds book messages after a long stretch without: cut that stretch off")
        if trades and any(f.facts.days["trades"] for f in books):
            name = next(f.name for f in books if f.facts.days["trades"])
            raise BadInputError(
                f"trades come twice: {name} holds trades already, so leave {', '.join(f.name for f in trades)} out"
            )
        if any(f.facts.days["trades"] for f in others):
            name = next(f.name for f in others if f.facts.days["trades"])
            raise BadInputError(
                f"{name} holds another depth of the book and trades: give that depth in a file of its own, and the "
                "trades beside the deepest book"
            )
        done += part.book.level_rows + len(part.trades)
        if progress is not None:
            seen = sum(1 for f in files if f.facts.first_ns)
            progress(max(0.0, (seen - 0.5) / len(files)), f"{done:,} rows")
        yield part


def _depths(files: list[InputFile], instrument: Instrument) -> dict[str, int]:
    """Return the deepest book topic of each of Bybit's message files, and mark the files that are witnesses.

    A file is one when a file of a deeper topic was recorded over some of its time: the deeper one is then the book.
    Without that, files of different depths follow each other as those of one depth do.
    """
    symbol = instrument.market.symbol
    given = [f for f in files if f.has_book and f.info.format == "bybit_messages"]
    depths = {f.sha256: deepest(f.path, symbol) for f in given}
    several = len({d for d in depths.values() if d}) > 1
    last_ns = {f.sha256: last_time_ns(f.path) for f in given} if several else {}
    for file in files:
        file.witness = several and any(
            depths[other.sha256] > depths.get(file.sha256, 0) > 0
            and (
                other.archive_day == file.archive_day
                if other.archive_day or file.archive_day
                else other.first_ns <= last_ns[file.sha256] and file.first_ns <= last_ns[other.sha256]
            )
            for other in given
        )
    return depths


def _first(file: InputFile) -> tuple[int, str]:
    return file.first_ns, file.name


def _lane_files(files: list[InputFile], instrument: Instrument, roles: dict[str, int]) -> list[LaneFile]:
    """Return a lane's files; what is remembered of other depths goes on from one to the next."""
    known = DepthPlan()
    return [_lane_file(f, instrument, replace(known, book_depth=_book_depth(f, roles))) for f in files]


def _book_depth(file: InputFile, roles: dict[str, int]) -> int:
    return max(roles.values()) if file.witness else roles.get(file.sha256, 0)


def _lane_file(file: InputFile, instrument: Instrument, depths: DepthPlan) -> LaneFile:
    day = day_start_ns(file.archive_day) // NS_PER_DAY if file.archive_day else None
    bridged = instrument.sequence == "bridge"
    blocks = partial(file.blocks, instrument, depths)
    return LaneFile(blocks, file.facts, day, bridged, file.info.segment is not None, file.witness)
