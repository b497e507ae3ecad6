"""Read a bundle's folder as hostile input: exactly the expected plain files, none linked, none too large."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lob_pipeline.core.errors import BadInputError, RefusedError

_AGAIN = "take the bundle from the registry again"


def read_bundle_files(folder: Path, limits: Mapping[str, int]) -> dict[str, bytes]:
    """Return the bytes of every file of ``folder``; ``limits`` maps each expected name to its most bytes.

    Raises ``BadInputError`` when there is no such folder, ``RefusedError`` naming the file that is missing, that does
    not belong, that is a link or no plain file, or that is too large. Every file is opened once and never followed.
    """
    try:
        found = {entry.name for entry in os.scandir(folder)}
    except (FileNotFoundError, NotADirectoryError):
        raise BadInputError(f"bundle {folder} is not a folder: name the folder that holds MANIFEST.json") from None
    for name in sorted(limits.keys() - found):
        raise RefusedError(f"bundle {folder}: {name} is missing: {_AGAIN}")
    for name in sorted(found - limits.keys()):
        raise RefusedError(f"bundle {folder}: {name!r} does not belong to a bundle: remove it, or {_AGAIN}")
    return {name: _read(folder, name, limit) for name, limit in limits.items()}


def _read(folder: Path, name: str, limit: int) -> bytes:
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError(
            f"bundle {folder}: {name} is a link or cannot be opened ({error.strerror}): a bundle holds plain files only"
        ) from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"bundle {folder}: {name} is no plain file: {_AGAIN}")
        data = file.read(limit + 1) if status.st_size <= limit else b""
    if status.st_size > limit or len(data) > limit:
        raise RefusedError(f"bundle {folder}: {name} has more than {limit:,} bytes: {_AGAIN}")
    return data
