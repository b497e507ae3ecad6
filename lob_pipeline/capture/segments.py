"""Segments: append-only files of frames as they came, in small zstd frames that each stand alone.

Lines are ``<wall_ns> <mono_ns> <frame>``; a frame that holds a newline is written as ``=<base64>``, one that is no
message of a subscribed topic as ``!<base64>``. The first line and every note begin with ``#``. What a killed process
leaves is whole up to its last flush: the rest of a torn zstd frame is cut at the next start (``capture.recover``).
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import fsync_directory
from lob_pipeline.venues.segment_form import HEADER_KEY

SUFFIX, OPEN_SUFFIX = ".seg.zst", ".seg.zst.open"
_LEVEL = 3
_BUFFER_BYTES = 1 << 20
"""A flush never waits for more than this: memory stays flat however fast frames come."""


def segments_root(home: Home) -> Path:
    """Return the folder of all segments."""
    return home.root / "segments"


@dataclass
class TopicSpan:
    """First and last message of a topic in a segment."""

    frames: int
    first_id: int | str
    last_id: int | str
    first_wall_ns: int
    last_wall_ns: int


@dataclass
class SegmentWriter:
    """One segment being written. Everything that fails on disk raises ``OSError`` and leaves whole zstd frames behind.

    ``frames``: without notes. ``topics``: by name, filled with ``saw``.
    """

    root: Path
    market: Market
    lane: str
    conn: int
    session: str
    frames: int = 0
    first_wall_ns: int = 0
    last_wall_ns: int = 0
    topics: dict[str, TopicSpan] = field(default_factory=dict)
    size: int = 0
    path: Path = field(init=False)
    opened_ns: int = field(init=False)

    def __post_init__(self) -> None:
        folder = self.root / self.market.venue / self.market.symbol / self.lane
        folder.mkdir(parents=True, exist_ok=True)
        self.opened_ns = time.time_ns()
        self._handle = self._create(folder)
        self._sha = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._compress = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress
        self.synced = 0
        self.note(
            {
                HEADER_KEY: 1,
                "venue": self.market.venue,
                "symbol": self.market.symbol,
                "lane": self.lane,
                "conn": self.conn,
                "session": self.session,
                "opened_ns": self.opened_ns,
            }
        )
        self.flush()
        fsync_directory(folder)

    def _create(self, folder: Path) -> int:
        stamp_ms = self.opened_ns // 1_000_000
        while True:  # a name that is taken (two in one millisecond, a clock that stepped back) moves on by one
            at = dt.datetime.fromtimestamp(stamp_ms // 1000, dt.UTC)
            name = f"{at:%Y%m%dT%H%M%S}{stamp_ms % 1000:03d}-c{self.conn}"
            if not (folder / f"{name}{SUFFIX}").exists():
                self.path = folder / f"{name}{OPEN_SUFFIX}"
                try:
                    return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                except FileExistsError:
                    pass
            stamp_ms += 1

    @property
    def name(self) -> str:
        """The closed file's path under ``segments/``."""
        return str(self.path.relative_to(self.root)).removesuffix(".open")

    def add(self, wall_ns: int, mono_ns: int, frame: bytes, *, readable: bool = True) -> None:
        """Take one frame, exactly as it came."""
        if not readable:
            frame = b"!" + base64.b64encode(frame)
        elif b"\n" in frame or frame.startswith((b"=", b"!")):
            frame = b"=" + base64.b64encode(frame)
        line = b"%d %d %b\n" % (wall_ns, mono_ns, frame)
        self._pending.append(line)
        self._pending_bytes += len(line)
        self.frames += 1
        self.first_wall_ns = self.first_wall_ns or wall_ns
        self.last_wall_ns = wall_ns
        if self._pending_bytes > _BUFFER_BYTES:
            self.flush()

    def saw(self, topic: str, first_id: int | str, last_id: int | str, wall_ns: int) -> None:
        """Remember the ids of a topic's message."""
        span = self.topics.get(topic)
        if span is None:
            self.topics[topic] = TopicSpan(1, first_id, last_id, wall_ns, wall_ns)
            return
        span.frames += 1
        span.last_id = last_id
        span.last_wall_ns = wall_ns

    def note(self, facts: dict[str, Any]) -> None:
        """Write a note among the frames."""
        line = b"# " + json.dumps(facts, separators=(",", ":")).encode() + b"\n"
        self._pending.append(line)
        self._pending_bytes += len(line)

    def flush(self) -> None:
        """Write what is pending as one zstd frame. On ``OSError`` the file ends with the frame before."""
        if not self._pending:
            return
        data = self._compress(b"".join(self._pending))
        write_whole(self._handle, data, self.size)
        self._pending.clear()
        self._pending_bytes = 0
        self._sha.update(data)
        self.size += len(data)

    def duplicate_handle(self) -> int | None:
        """Return a handle to fsync in another thread, None when nothing was written since the last one."""
        if self.synced == self.size:
            return None
        self.synced = self.size
        return os.dup(self._handle)

    def close(self, *, lost_tail: bool = False) -> dict[str, Any]:
        """Flush, fsync and give the file its closed name; return the facts of its ``closed`` line.

        ``lost_tail``: the disk took no more: what is pending is given up.
        """
        if lost_tail:
            self._pending.clear()
        self.flush()
        os.fsync(self._handle)
        os.close(self._handle)
        closed = self.path.with_name(self.path.name.removesuffix(".open"))
        os.rename(self.path, closed)
        self.path = closed
        fsync_directory(closed.parent)
        return self.facts(self._sha.hexdigest())

    def discard(self) -> None:
        """Remove a segment that holds no frame."""
        os.close(self._handle)
        self.path.unlink()

    def facts(self, sha256: str) -> dict[str, Any]:
        """Return what a ``closed`` line says of this segment."""
        return {
            "path": self.name,
            "market": str(self.market),
            "lane": self.lane,
            "conn": self.conn,
            "content_sha256": sha256,
            "bytes": self.size,
            "frames": self.frames,
            "first_wall_ns": self.first_wall_ns,
            "last_wall_ns": self.last_wall_ns,
            "topics": {name: dict(vars(span)) for name, span in self.topics.items()},
        }


def write_whole(handle: int, data: bytes, end: int) -> None:
    """Write ``data`` at ``end``; on failure the file ends there again and ``OSError`` is raised."""
    written = 0
    try:
        while written < len(data):
            written += os.pwrite(handle, data[written:], end + written)
    except OSError:
        os.ftruncate(handle, end)
        raise


def hour_of(wall_ns: int) -> int:
    """Return the hour since 1970 of a wall time."""
    return wall_ns // (3600 * NS_PER_S)


def open_files(root: Path) -> Iterable[Path]:
    """Return the segments that no process has closed, oldest first."""
    return sorted(root.rglob(f"*{OPEN_SUFFIX}"), key=lambda path: path.name)


def closed_files(root: Path) -> Iterable[Path]:
    """Return the closed segments, oldest first."""
    return sorted(root.rglob(f"*{SUFFIX}"), key=lambda path: path.name)
