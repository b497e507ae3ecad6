"""``lob download``: a market's days from the venue's public archive into ``HOME/downloads``.

A file is there whole, with its checksums verified, or not at all; what a stop leaves behind is continued by the next
run. Two connections by default: an archive is a courtesy.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lob_pipeline.capture.archives import Kind, Wanted, folders, wanted_files
from lob_pipeline.capture.fetch import Fetch, Fetched, Host, Patience
from lob_pipeline.capture.http_answer import require_http
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import Market
from lob_pipeline.lake import ledger
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import storing
from lob_pipeline.venues.detect import detect_file

MAX_JOBS = 8


@dataclass(frozen=True)
class DownloadConfig:
    """``base_url``: a mirror instead of the public archive. ``jobs``: connections at a time."""

    base_url: str | None = None
    jobs: int = 2
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class FileReport:
    """What became of one file of a day. ``status``: fetched, present, absent (404) or failed, with ``why``."""

    date: str
    kind: Kind
    status: str
    path: Path | None = None
    fetched: Fetched | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        facts: dict[str, Any] = {"date": self.date, "kind": self.kind, "status": self.status}
        if self.fetched and self.path:
            facts |= {"path": str(self.path), "bytes": self.fetched.size, "url": self.fetched.url}
            facts |= {"resumed_from": self.fetched.resumed_from, "requests": self.fetched.requests}
        return facts | ({"why": self.why} if self.why else {})


@dataclass(frozen=True)
class DownloadReport:
    """What a download did, a report a file in the order of days, books first."""

    market: Market
    folder: Path
    files: list[FileReport]

    def of(self, status: str) -> list[FileReport]:
        """Return the files of one status."""
        return [file for file in self.files if file.status == status]

    def days(self) -> list[tuple[str, list[Path]]]:
        """Return (date, its files) of the days whose book is here: what ``lob ingest`` takes, day by day."""
        days: dict[str, list[Path]] = {}
        for file in self.files:  # books first
            if file.path and (file.kind == "book" or file.date in days):
                days.setdefault(file.date, []).append(file.path)
        return sorted(days.items())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "market": str(self.market),
            "folder": str(self.folder),
            "fetched": len(self.of("fetched")),
            "present": len(self.of("present")),
            "bytes": sum(f.fetched.size for f in self.of("fetched") if f.fetched),
            "missing": [f"{f.date} {f.kind}" for f in self.of("absent")],
            "failed": [f"{f.date} {f.kind}" for f in self.of("failed")],
            "files": [f.to_json() for f in self.files],
        }

    @property
    def exit_code(self) -> int:
        """0: everything that the archive has is here; 1: a file failed; 2: the archive has nothing of the range."""
        if self.of("failed"):
            return 1
        return 0 if any(f.path for f in self.files) else 2


def download_folder(home: Home, market: Market) -> Path:
    """Return where the files of a market are kept."""
    return home.root / "downloads" / str(market)


def download(
    home: Home,
    market: Market,
    dates: list[str],
    config: DownloadConfig | None = None,
    *,
    progress: Callable[[float, str], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> DownloadReport:
    """Fetch books and trades of ``dates``; files that are here are left alone.

    A day that the archive does not have, or that fails, does not keep the others from coming: the report says it.
    Raises ``BadInputError`` for a venue without an archive, a bad address or when another download of the market runs.
    """
    config = config or DownloadConfig()
    if not 1 <= config.jobs <= MAX_JOBS:
        raise BadInputError(f"{config.jobs} connections at a time: expected 1 to {MAX_JOBS}")
    if config.base_url is not None:
        require_http(config.base_url)
    wanted = [file for date in dates for file in wanted_files(market, date)]
    folder = download_folder(home, market)
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        run = _Run(home, market, folder, config)
        reports = run.all(wanted, progress or (lambda _fraction, _text: None), say or (lambda _text: None))
    return DownloadReport(market, folder, reports)


class _Run:
    """One download: what its threads share."""

    def __init__(self, home: Home, market: Market, folder: Path, config: DownloadConfig) -> None:
        self._home, self._market, self._folder, self._config = home, market, folder, config
        self._stop = threading.Event()
        self._host = Host(config.patience, self._stop)
        self._places: dict[Kind, str] = {}
        self._shares: dict[Wanted, float] = {}
        self._tell: Callable[[str], None] = lambda _text: None

    def all(
        self, wanted: list[Wanted], progress: Callable[[float, str], None], say: Callable[[str], None]
    ) -> list[FileReport]:
        done: dict[Wanted, FileReport] = {}
        self._shares = dict.fromkeys(wanted, 0.0)
        self._tell = lambda name: progress(sum(self._shares.values()) / len(wanted), name)
        with ThreadPoolExecutor(self._config.jobs, thread_name_prefix="download") as pool:
            waiting = {pool.submit(self._one, file): file for file in wanted}
            try:
                for future in as_completed(waiting):
                    file = waiting[future]
                    report = done[file] = future.result()
                    text = f"{report.date} {report.kind} {report.status}"
                    self._shares[file] = 1.0
                    self._tell(text)
                    say(text + (f": {report.why}" if report.why else ""))
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [done[file] for file in wanted]

    def _one(self, wanted: Wanted) -> FileReport:
        for name in wanted.names:
            if (path := self._folder / name).exists():
                there = Fetched("present", "", path.stat().st_size)
                return FileReport(wanted.date, wanted.kind, "present", path, there)
        failure = ""
        for place in self._places_of(wanted.kind):
            for name in wanted.names:
                path = self._folder / name
                try:
                    fetched = Fetch(
                        f"{place}/{name}", path, self._host, self._accept, lambda share: self._come(wanted, share)
                    ).run()
                except BadInputError:
                    raise
                except LobError as error:
                    failure = failure or str(error)
                    continue
                if fetched.status == "absent":
                    continue
                self._places[wanted.kind] = place
                return self._kept(wanted, path, fetched)
            if failure:
                break  # it is there, or the server is not well: other folders of it would not help
        status = "failed" if failure else "absent"
        return FileReport(wanted.date, wanted.kind, status, why=failure)

    def _come(self, wanted: Wanted, share: float) -> None:
        """Tell of a part of a file: at most a hundred times, and from whichever thread."""
        if share - self._shares[wanted] >= 0.01:
            self._shares[wanted] = share
            self._tell(f"{wanted.date} {wanted.kind} {share:.0%}")

    def _places_of(self, kind: Kind) -> tuple[str, ...]:
        """Return where to look; once a file was found, only there."""
        known = self._places.get(kind)
        return (known,) if known else folders(self._market, kind, self._config.base_url)

    def _accept(self, path: Path) -> None:
        """Judge a whole file by its content: of this market, whatever its name says."""
        detect_file(path).require(self._market)

    def _kept(self, wanted: Wanted, path: Path, fetched: Fetched) -> FileReport:
        """Note where a file came from."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        source = {"market": str(self._market), "date": wanted.date, "kind": wanted.kind, "file": path.name}
        facts = {"url": fetched.url, "etag": fetched.etag, "bytes": fetched.size, "sha256": sha256}
        ledger.append(self._home.ledgers / "downloads.jsonl", {**source, **facts})
        return FileReport(wanted.date, wanted.kind, "fetched", path, fetched)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises ``BadInputError`` when another download has it."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInputError(f"another download into {folder} is running: wait until it is done") from error
        yield
    finally:
        os.close(handle)
