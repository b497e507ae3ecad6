"""Recorder segments (``capture.segments`` writes them): a venue's own messages in a wrapper, told by the first line.

Lines are ``<wall_ns> <mono_ns> <frame>``, ``=<base64>`` for a frame that holds a newline, ``!<base64>`` for one that is
no message of a subscribed topic; lines that begin with ``#`` are notes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.venues import job as card
from lob_pipeline.venues.block import Int64s
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import UnreadableError
from lob_pipeline.venues.segment_kernel import unwrap
from lob_pipeline.venues.source import Block, open_source

HEADER_KEY = "lob_segment"
MAGIC = b'# {"' + HEADER_KEY.encode() + b'":'
VERSION = 1

MOST_UNREADABLE = 100
UNREADABLE_SHARE = 0.05
"""A venue sends a broken frame now and then; more than both of these and the segment is not what its header says."""


class Unwrapped(NamedTuple):
    """A block whose lines are the venue's own messages, spaces in front. ``recv_ns``: one a line; ``unread``: lines of
    frames that were never messages."""

    block: Block
    recv_ns: Int64s
    unread: int


class Line(NamedTuple):
    """One recorded frame. ``readable`` is false for frames that are no message of a subscribed topic."""

    wall_ns: int
    mono_ns: int
    frame: bytes
    readable: bool


def header_of(path: Path, first_line: bytes) -> dict[str, Any]:
    """Return the facts of a segment's first line. Raises ``BadInputError`` for one that is damaged or of the future."""
    try:
        facts: dict[str, Any] = json.loads(first_line[2:])
        parse_market(f"{facts['venue']}.{facts['symbol']}")
        version, _lane = facts[HEADER_KEY], facts["lane"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path}: the first line of a recorder's segment is damaged ({error}): fetch the segment again"
        ) from error
    if version != VERSION:
        raise BadInputError(f"{path} is a segment of form {version}, expected {VERSION}: read it with a newer program")
    return facts


def market_of(path: Path, header: dict[str, Any]) -> Market:
    """Return the market of a segment whose lane feeds the lake. Raises ``BadInputError`` for another lane."""
    market = Market(header["venue"], header["symbol"])
    if header["lane"] != "main":
        raise BadInputError(
            f"{path} holds the {header['lane']} topics of {market}, which no table is built from: give segments of its "
            "main lane"
        )
    return market


def unwrapped(path: Path, block_bytes: int) -> Iterator[Unwrapped]:
    """Yield a segment's blocks as the venue's own lines. Raises ``BadInputError`` naming line and byte."""
    first_line = 0
    for data, size, offset in open_source(path, block_bytes):
        held = data if isinstance(data, bytearray) else bytearray(data)
        owned = np.frombuffer(held, dtype=np.uint8)
        recv_ns = np.empty(data.count(b"\n", 0, size), dtype=np.int64)
        unread = np.zeros(1, dtype=np.int64)
        lines, wrong = unwrap(owned, size, recv_ns, unread)
        if wrong >= 0:
            raise BadInputError(
                f"{path}, line {first_line + lines + 1}, byte {offset + wrong} of the inflated data: expected a "
                "recorder's line <wall_ns> <mono_ns> <frame>; fetch the segment again"
            )
        del owned  # a view would keep the reader from growing its buffer
        yield Unwrapped(Block(held, size, offset), recv_ns, int(unread[0]))
        first_line += lines


def read_lines(data: bytes) -> Iterator[Line]:
    """Yield the frames in whole lines of a segment, exactly as they were received; notes are left out."""
    for line in data.split(b"\n")[:-1]:
        if line.startswith(b"#"):
            continue
        wall, mono, frame = line.split(b" ", 2)
        readable = not frame.startswith(b"!")
        if frame[:1] in (b"!", b"="):
            frame = base64.b64decode(frame[1:], validate=True)
        yield Line(int(wall), int(mono), frame, readable)


class Tolerant:
    """Reads the lines of a segment that the scanner leaves: blank ones are notes, unreadable ones are counted.

    What a venue sent is recorded as it came, garbage included; a missing book message shows in its chain.
    """

    def __init__(self, path: Path, read: Callable[[bytes, int], None], job: Job) -> None:
        self._path, self._read, self._job = path, read, job
        self.unreadable = 0
        self._first: UnreadableError | None = None

    def __call__(self, line: bytes, offset: int) -> None:
        """Read one line."""
        if not line.strip():
            self._job.card[card.SKIPPED_CONTROL] += 1
            return
        try:
            self._read(line, offset)
        except UnreadableError as error:
            self._first = self._first or error
            self.unreadable += 1

    def judge(self, lines: int) -> None:
        """Raise ``BadInputError`` when too many of the segment's ``lines`` could not be read."""
        if self.unreadable > max(MOST_UNREADABLE, UNREADABLE_SHARE * lines):
            raise BadInputError(
                f"{self._path}: {self.unreadable} of {lines} lines cannot be read, the first says: {self._first}; the "
                "segment does not hold what its header says"
            )
