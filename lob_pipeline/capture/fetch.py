"""One file over HTTP: resumed where it stopped, retried politely, checked whole before it becomes visible.

``.parts/NAME`` grows beside the target, with ``.parts/NAME.json`` (address, size, ETag, last change) to continue it:
the server is asked for the rest of the very same file (``Range`` with ``If-Range``) and anything else begins anew.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path

from lob_pipeline.capture.http_answer import AgainError, Answer, open_url, retry_after
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.lake.storage import replace_into, storing
from lob_pipeline.venues.source import container_of, open_source

_PIECE_BYTES = 256 << 10
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_ABSENT = (404, 410)


@dataclass(frozen=True)
class Patience:
    """How often and how slowly a server is asked again. ``attempts``: in a row that brought no byte.

    Waits double from ``first_wait_s`` to ``longest_wait_s``, each times 0.5 to 1.5 by chance; a server's Retry-After
    is honoured up to ``retry_after_s``. ``whole_tries``: fetches of a file whose checksum then disagreed.
    """

    attempts: int = 6
    whole_tries: int = 2
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    retry_after_s: float = 900.0
    timeout_s: float = 60.0


@dataclass(frozen=True)
class Fetched:
    """What a fetch did. ``status``: fetched, present (it was there already) or absent (the server has none)."""

    status: str
    url: str
    size: int = 0
    resumed_from: int = 0
    requests: int = 0
    etag: str = ""


@dataclass(frozen=True)
class _Version:
    """Which file the bytes of a part belong to."""

    url: str
    size: int
    etag: str
    modified: str

    @property
    def validator(self) -> str:
        """What ``If-Range`` may carry: a strong ETag, else the last change, else nothing."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Host:
    """One server as all fetches see it: when it asks for a pause, everybody pauses."""

    def __init__(self, patience: Patience, stop: threading.Event) -> None:
        self.patience, self.stop = patience, stop
        self._until = 0.0
        self.answered = self.given_up = False

    def pause(self, seconds: float, *, everybody: bool) -> None:
        """Wait, less when stopped; with ``everybody`` no other fetch asks before then either."""
        if everybody:
            self._until = max(self._until, time.monotonic() + seconds)
        self.stop.wait(seconds)

    def wait_turn(self) -> None:
        """Wait until the server may be asked again. Raises ``LobError`` when stopped."""
        while (left := self._until - time.monotonic()) > 0 and not self.stop.is_set():
            self.stop.wait(left)
        if self.stop.is_set():
            raise LobError("the download was stopped: run the same command again to go on")
        if self.given_up:
            raise LobError("the server was given up: it has not answered once")


class Fetch:
    """Fetches one address into one file. ``accept`` looks at it when it is whole and before anyone else can: it raises
    ``BadInputError`` for a file that is not what was wanted. ``progress`` is told the share (0..1) that is here."""

    def __init__(
        self,
        url: str,
        target: Path,
        host: Host,
        accept: Callable[[Path], None] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.url, self.target, self.host = url, target, host
        self._accept = accept or (lambda _path: None)
        self._progress = progress or (lambda _share: None)
        self._part = target.parent / ".parts" / target.name
        self._about = self._part.with_name(target.name + ".json")
        self._requests = self._resumed_from = 0

    def run(self) -> Fetched:
        """Fetch the file, whole and verified, or say that the server has none.

        Raises ``LobError`` when it cannot be had: attempts used up, refused, or damaged at the source.
        """
        if self.target.exists():
            return Fetched("present", self.url, self.target.stat().st_size)
        failures = damaged = 0
        while True:
            had = self._size()
            try:
                self.host.wait_turn()
                version = self._get()
                if version is None:
                    return Fetched("absent", self.url, requests=self._requests)
                verify_whole(self._part)
                self._accept(self._part)
                break
            except BadInputError as error:  # complete, and yet not right
                damaged += 1
                self._forget()
                if damaged >= self.host.patience.whole_tries:
                    raise LobError(f"{self.url} is damaged where it comes from: {error}") from error
            except (AgainError, HTTPException, OSError) as error:
                if isinstance(error, OSError) and error.filename:
                    with storing(self._part):
                        raise  # of our own disk, not of the network
                failures = 0 if self._size() > had else failures + 1
                if failures >= self.host.patience.attempts:
                    self.host.given_up = not self.host.answered
                    raise LobError(
                        f"{self.url}: {error or type(error).__name__}; gave up after {failures} attempts in a row; run "
                        "the same command later to go on"
                    ) from error
                self._wait(failures, getattr(error, "wait_s", 0.0))
        with storing(self.target), self._part.open("rb+") as file:
            os.fsync(file.fileno())
        replace_into(self._part, self.target)
        self._about.unlink(missing_ok=True)
        return Fetched("fetched", self.url, version.size, self._resumed_from, self._requests, version.etag)

    def _wait(self, failures: int, asked_s: float) -> None:
        patience = self.host.patience
        wait_s = min(patience.first_wait_s * 2 ** max(0, failures - 1), patience.longest_wait_s)
        wait_s *= random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        self.host.pause(max(wait_s, min(asked_s, patience.retry_after_s)), everybody=asked_s > 0)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def _known(self) -> _Version | None:
        """Return which version the part is of; a part that nothing is known of is thrown away."""
        try:
            known = _Version(**json.loads(self._about.read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            known = None
        if known is None or known.url != self.url or not 0 < self._size() <= known.size:
            self._forget()
            return None
        return known

    def _get(self) -> _Version | None:
        """Bring the part nearer to the whole. Return its version when it is complete, None when there is no file."""
        known = self._known()
        if known and self._size() == known.size:
            return known
        headers = {"Accept-Encoding": "identity", "User-Agent": "lob-pipeline"}
        if known:
            headers["Range"] = f"bytes={self._size()}-"
            if known.validator:
                headers["If-Range"] = known.validator
        self._requests += 1
        with open_url(self.url, headers, self.host.patience.timeout_s) as answer:
            self.host.answered = True
            if answer.status in _ABSENT:
                return None
            version = self._version(answer, known)
            continued = answer.status == 206
            if continued and not self._resumed_from:
                self._resumed_from = self._size()
            if not continued:
                self._resumed_from = 0
            self._receive(answer, version, "ab" if continued else "wb")
        if version.size and self._size() < version.size:
            raise AgainError(f"the answer broke off at byte {self._size()} of {version.size}")
        if self._size() > version.size > 0:
            self._forget()
            raise AgainError(f"more came than the {version.size} bytes that were announced")
        return version if version.size else _Version(self.url, self._size(), version.etag, version.modified)

    def _version(self, answer: Answer, known: _Version | None) -> _Version:
        """Judge the head of an answer. Raises ``AgainError`` or ``LobError`` for all but 200 and a fitting 206."""
        status, head = answer.status, answer.headers
        if status in _BUSY:
            raise AgainError(f"the server answers {status}", retry_after(head))
        if status == 416:
            self._forget()  # the file became shorter than what is here
            raise AgainError("the file has changed on the server")
        if status not in (200, 206):
            raise LobError(f"{self.url}: the server answers {status}: is the address right?")
        length, etag = head.get("Content-Length", ""), head.get("ETag", "")
        modified = head.get("Last-Modified", "")
        if status == 200:
            return _Version(self.url, int(length) if length.isdigit() else 0, etag, modified)
        found = _CONTENT_RANGE.match(head.get("Content-Range", ""))
        same = known and found and int(found[1]) == self._size() and int(found[3]) == known.size
        if not known or not same or (etag and known.etag and etag != known.etag):
            self._forget()
            raise AgainError("the server continues another file than the one that was begun")
        return known

    def _receive(self, answer: Answer, version: _Version, mode: str) -> None:
        with storing(self._part):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            if mode == "wb":
                self._part.write_bytes(b"")
            self._about.write_text(json.dumps(asdict(version)), encoding="utf-8")
        with self._part.open(mode) as file:
            while piece := answer.read(_PIECE_BYTES):
                with storing(self._part):
                    file.write(piece)
                self._progress(file.tell() / version.size if version.size else 0.0)
                if self.host.stop.is_set():
                    raise LobError("the download was stopped: run the same command again to go on")


def verify_whole(path: Path) -> None:
    """Raise ``BadInputError`` unless ``path`` is a zip or gzip whose every byte inflates to the checksum it carries."""
    if container_of(path) not in ("zip", "gzip"):
        with path.open("rb") as file:
            head = file.read(40)
        raise BadInputError(f"{path.name} is neither zip nor gzip, it begins {head!r}")
    for _ in open_source(path):
        pass
