"""Storage that fails says so in one sentence: full disks, limits, read-only homes; and what fsync is needed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lob_pipeline.core.errors import BadInputError, LobError

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow further here (file size limit)",
}
_FORBIDDEN = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "writing is not permitted",
    errno.EPERM: "writing is not permitted",
    errno.ENOTDIR: "a part of the path is a file",
}


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the ways in which storage says no into one sentence; other errors pass unchanged.

    Raises ``LobError`` (exit 1) when there is no room, ``BadInputError`` (exit 2) when writing is not allowed.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or _errno_in_text(str(error))
        if code in _FULL:
            raise LobError(
                f"cannot write {path}: {_FULL[code]}; nothing in the lake was changed: free some room and run it again"
            ) from error
        if code in _FORBIDDEN:
            raise BadInputError(
                f"cannot write {path}: {_FORBIDDEN[code]}; choose a home that can be written with --home or LOB_HOME"
            ) from error
        raise


def _errno_in_text(text: str) -> int:
    # Arrow's own OSErrors do not always set errno, but their text ends in "[errno N] ...".
    for code in (*_FULL, *_FORBIDDEN):
        if f"[errno {code}]" in text.lower():
            return code
    return 0


def fsync_directory(path: Path) -> None:
    """Make renames and new names in ``path`` survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_into(source: Path, target: Path) -> None:
    """Move ``source`` to ``target`` atomically and durably, making the target's folders.

    A reader sees the old file or the new one. The source must be fsynced and on the same file system.
    """
    with storing(target):
        for _ in range(100):
            missing = [p for p in (target.parent, *target.parent.parents) if not p.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(source, target)
            except FileNotFoundError:
                if source.exists():
                    continue  # another process tidied the empty folder away between mkdir and replace
                raise
            break
        fsync_directory(target.parent)
        for folder in missing:
            fsync_directory(folder.parent)


def remove_if_empty(*folders: Path) -> None:
    """Remove folders that hold nothing, innermost first; a folder in use stays."""
    for folder in folders:
        with suppress(OSError):  # not empty, absent or already taken by another process: all mean "leave it"
            folder.rmdir()
