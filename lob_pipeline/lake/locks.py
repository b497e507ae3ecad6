"""One writer a (table, market, date): advisory file locks that vanish with the process that holds them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import remove_if_empty, storing


class WriterLock:
    """Hold the lock ``name`` for as long as the context lasts; a second holder gets ``BadInputError`` at once.

    The lock is the kernel's (flock), so a killed process never leaves one behind; the file is removed on release so
    that an ingest that changed nothing leaves nothing.
    """

    def __init__(self, home: Home, name: str, what: str) -> None:
        self._home = home
        self._path = home.staging / f"{name}.lock"
        self._what = what
        self._handle: int | None = None

    def __enter__(self) -> WriterLock:
        with storing(self._path):
            self._handle = self._acquire()
        return self

    def _acquire(self) -> int:
        while True:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except FileNotFoundError:
                continue  # the folder was tidied away between mkdir and open
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise BadInputError(
                    f"another process writes {self._what}: wait until it has finished and run this again"
                ) from None
            if _same_file(handle, self._path):
                return handle
            os.close(handle)  # the former holder removed the file after we opened it: its lock guards nothing

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None
            remove_if_empty(self._home.staging, self._home.lake, self._home.root)


def _same_file(handle: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)
