"""Recorder segments (``capture.segments`` writes them, ``segment_form`` says how), read as the venue's own messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.venues import job as card
from lob_pipeline.venues.block import Int64s
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import UnreadableError
from lob_pipeline.venues.segment_kernel import unwrap
from lob_pipeline.venues.source import Block, open_source

MOST_UNREADABLE = 100
UNREADABLE_SHARE = 0.05
"""A venue sends a broken frame now and then; more than both of these and the segment is not what its header says."""


class Unwrapped(NamedTuple):
    """A block whose lines are the venue's own messages, spaces in front. ``recv_ns``: one a line; ``unread``: lines of
    frames that were never messages."""

    block: Block
    recv_ns: Int64s
    unread: int


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
