"""Hash-chained ledgers: one JSON object a line, each carrying the SHA-256 of the line before it.

A line that is changed, removed, inserted or moved breaks the chain at a place that ``verify`` names. What a chain
cannot show is that its last lines were cut off: keep ``Chain.head`` with whatever was decided from the ledger.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.storage import fsync_directory, storing

GENESIS = "0" * 64
"""What the first line carries as the hash of the line before it."""
_OWN = ("previous", "sha256")


@dataclass(frozen=True)
class Chain:
    """A verified ledger: its records, oldest first, without the two fields of the chain, and its last line's hash."""

    records: tuple[dict[str, Any], ...]
    head: str


def _text(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _link(record: dict[str, Any], previous: str) -> tuple[str, str]:
    """Return the line for a record and its hash: SHA-256 of the line's JSON without the field ``sha256``."""
    linked = {**record, "previous": previous}
    digest = hashlib.sha256(_text(linked).encode()).hexdigest()
    return _text({**linked, "sha256": digest}), digest


def _checked(path: Path, data: bytes) -> Chain:
    """Return the chain that whole lines hold. Raises ``LobError`` naming the first line that breaks it."""
    head = GENESIS
    records = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise _broken(path, number, "is not a JSON object")
        plain = {name: value for name, value in record.items() if name not in _OWN}
        if record.get("previous") != head:
            raise _broken(path, number, "does not follow the line before it")
        text, digest = _link(plain, head)
        if line != text.encode():
            raise _broken(path, number, "was changed after it was written")
        records.append(plain)
        head = digest
    return Chain(tuple(records), head)


def _broken(path: Path, number: int, what: str) -> LobError:
    return LobError(
        f"{path} line {number} {what}: the ledger's chain is broken and nothing more is written to it; restore it from "
        "a copy"
    )


def _whole(data: bytes) -> bytes:
    """Return the lines that end: a last one without its newline is an append cut short that nobody was told of."""
    return data[: data.rfind(b"\n") + 1]


def verify(path: Path) -> Chain:
    """Return the whole ledger, every link checked; an empty chain when the file does not exist.

    Raises ``LobError`` naming the first broken line.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Chain((), GENESIS)
    return _checked(path, _whole(data))


def append(
    path: Path, record: dict[str, Any], *, unless: Callable[[tuple[dict[str, Any], ...]], bool] | None = None
) -> Chain:
    """Append a record, durable before this returns, and return the chain with it. Concurrent appenders take turns.

    ``unless`` looks at the records that are there, under the same lock; where it says True nothing is written.
    Raises ``LobError`` when the chain is broken (a broken ledger is never continued) and ``ValueError`` when the record
    uses the chain's own field names.
    """
    if set(record) & set(_OWN):
        raise ValueError(f"{_OWN} belong to the chain")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            data = _whole(_read(handle))
            chain = _checked(path, data)
            if unless is not None and unless(chain.records):
                return chain
            line, head = _link(record, chain.head)
            _write(handle, f"{line}\n".encode(), len(data))
        finally:
            os.close(handle)
        fsync_directory(path.parent)
    return Chain((*chain.records, record), head)


class ChainWriter:
    """One process's hand on a ledger that it appends to for months: the chain is verified when it is opened, and again
    only when someone else has written since; each append then costs its own lines.

    Appends are whole when this process is killed; ``sync`` makes them survive a power cut. Raises as ``append`` does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fsync_directory(path.parent)
        self._end, self._head = 0, GENESIS
        self.records = self._catch_up()
        """The records that were there when it was opened."""

    def _catch_up(self) -> tuple[dict[str, Any], ...]:
        data = _whole(_read(self._handle))
        chain = _checked(self._path, data)
        self._end, self._head = len(data), chain.head
        return chain.records

    def append(self, *records: dict[str, Any]) -> None:
        """Append records, all or none."""
        if any(set(record) & set(_OWN) for record in records):
            raise ValueError(f"{_OWN} belong to the chain")
        with storing(self._path):
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            try:
                if os.fstat(self._handle).st_size != self._end:
                    self._catch_up()
                lines, head = [], self._head
                for record in records:
                    line, head = _link(record, head)
                    lines.append(f"{line}\n")
                data = "".join(lines).encode()
                _write(self._handle, data, self._end, durable=False)
                self._end, self._head = self._end + len(data), head
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def sync(self) -> None:
        """Make what was appended durable."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Make everything durable and let go."""
        os.fsync(self._handle)
        os.close(self._handle)


def _read(handle: int) -> bytes:
    parts = []
    offset = 0
    while part := os.pread(handle, 1 << 20, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _write(handle: int, data: bytes, end: int, *, durable: bool = True) -> None:
    """Write at ``end`` and (``durable``) fsync; on failure the file ends there again."""
    os.ftruncate(handle, end)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(handle, data[written:], end + written)
        if durable:
            os.fsync(handle)
    except OSError:
        os.ftruncate(handle, end)
        raise
