"""Append-only ledgers: one JSON object a line, durable before the append returns."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import fsync_directory, storing


def raw_ledger(home: Home) -> Path:
    """Return the ledger of raw sources: market, days, SHA-256 (CONTRACT.md, ``lob ingest``)."""
    return home.ledgers / "raw.jsonl"


def append(path: Path, *records: dict[str, Any]) -> None:
    """Append records, all or none, and fsync. Concurrent appenders take turns.

    A line without its newline is an append that a crash cut short and nobody was told of: it is dropped first.
    """
    texts = [json.dumps(r, sort_keys=True, separators=(",", ":"), allow_nan=False) for r in records]
    lines = "".join(f"{text}\n" for text in texts).encode()
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            end = _whole_lines(handle)
            os.ftruncate(handle, end)
            try:
                _write_all(handle, lines, end)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, end)
                raise
        finally:
            os.close(handle)
        fsync_directory(path.parent)


def _whole_lines(handle: int) -> int:
    """Return the length of the file up to and including its last newline."""
    end = os.fstat(handle).st_size
    while end:
        start = max(0, end - 65536)
        block = os.pread(handle, end - start, start)
        found = block.rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _write_all(handle: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written


def read(path: Path) -> list[dict[str, Any]]:
    """Return every whole record, oldest first; none when the ledger does not exist.

    Raises ``LobError`` naming the line when a record is no JSON object: a ledger is never repaired in silence.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise LobError(f"{path} line {number} is not a JSON object: restore the ledger from a copy")
        records.append(record)
    return records
