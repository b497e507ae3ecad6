"""A recording as lines that can be edited: one frame a line, with the venue's own JSON inside."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lob_pipeline.book.replay import RowMap

SNAPSHOT, DELTA, TRADE, QUOTE, OTHER = "snapshot", "delta", "trade", "quote", "other"
WITNESS = "witness"
"""A message of another depth of the book, in a file of its own: what strikes one depth leaves it alone."""
BOOK_KINDS = (SNAPSHOT, DELTA)


@dataclass(frozen=True)
class Frame:
    """One recorded line.

    ``raw``: the bytes as recorded, empty once the frame was edited; ``prefix``: what stands before the JSON; ``body``:
    the parsed JSON, shared until ``edited``; ``recv``: the line of the receive-time file beside it, empty without one;
    ``quoted``: the JSON stands as a string in an object that the line's end closes.
    """

    kind: str
    file: str
    body: Any = None
    prefix: bytes = b""
    raw: bytes = b""
    recv: bytes = b""
    quoted: bool = False

    def edited(self) -> Frame:
        """Return a copy whose body may be changed in place."""
        return replace(self, body=copy.deepcopy(self.body), raw=b"")

    def line(self) -> bytes:
        """Return the line to write, without its line end."""
        if self.raw:
            return self.raw
        text = json.dumps(self.body, separators=(",", ":"))
        return self.prefix + (json.dumps(text) + "}" if self.quoted else text).encode()


@dataclass(frozen=True)
class Recording:
    """The files of one market's recording, frame by frame.

    ``frames``: in file order, files in the order of ``calls``. ``calls``: the file names that each ``ingest`` call
    gets. ``sidecars``: files beside them that nobody names (instruments). ``tick``, ``lot``: options of the call.
    ``row_map``: what stands between the book and its rows (a defect of the process itself).
    """

    name: str
    market: str
    frames: tuple[Frame, ...]
    calls: tuple[tuple[str, ...], ...]
    sidecars: dict[str, bytes] = field(default_factory=dict)
    tick: str | None = None
    lot: str | None = None
    row_map: RowMap | None = None
    tail: dict[str, bytes] = field(default_factory=dict)  # bytes after the last line of a file, without a line end

    @property
    def venue(self) -> str:
        """Return the venue's name."""
        return self.market.split(".")[0]

    def where(self, *kinds: str) -> list[int]:
        """Return the indices of the frames of these kinds."""
        return [i for i, f in enumerate(self.frames) if f.kind in kinds]

    def put(self, changes: Mapping[int, Sequence[Frame]]) -> Recording:
        """Return the recording with each named frame replaced by the given ones (none: removed)."""
        out: list[Frame] = []
        for i, frame in enumerate(self.frames):
            out.extend(changes.get(i, (frame,)))
        return replace(self, frames=tuple(out))

    def edit(self, indices: Sequence[int], change: Callable[[Frame], None]) -> Recording:
        """Return the recording with ``change`` done to copies of the named frames."""
        changes = {}
        for i in indices:
            frame = self.frames[i].edited()
            change(frame)
            changes[i] = (frame,)
        return self.put(changes)

    def files(self) -> dict[str, bytes]:
        """Return the bytes of every file, receive-time files included."""
        lines: dict[str, list[bytes]] = {name: [] for call in self.calls for name in call}
        stamps: dict[str, list[bytes]] = {}
        for frame in self.frames:
            lines[frame.file].append(frame.line())
            if frame.recv:
                stamps.setdefault(frame.file, []).append(frame.recv)
        out = {name: b"".join(line + b"\n" for line in some) + self.tail.get(name, b"") for name, some in lines.items()}
        for name, some in stamps.items():
            out[name.removesuffix(".ndjson") + ".recv_ts.txt"] = b"".join(line + b"\n" for line in some)
        return {**out, **self.sidecars}
