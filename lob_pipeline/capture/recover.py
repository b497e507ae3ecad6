"""After a kill: the whole zstd frames of a torn segment are kept, the rest is cut, and the ledger is told.

A recorder's start also finds segments that were closed without the ledger knowing, and where each topic stood.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from lob_pipeline.capture.ledger import SegmentLedger
from lob_pipeline.capture.segments import OPEN_SUFFIX, SUFFIX, TopicSpan, closed_files, open_files
from lob_pipeline.capture.track import Mark
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.lake.storage import fsync_directory
from lob_pipeline.venues.protocol import CONTROL, TRADES, UNREAD, Protocol
from lob_pipeline.venues.protocols import protocol_of
from lob_pipeline.venues.segment_form import header_of, read_lines

_FEED_BYTES = 64 << 10


@dataclass(frozen=True)
class Piece:
    """One whole zstd frame of a segment: where it ends in the file, and its lines."""

    end: int
    data: bytes


def whole_pieces(data: bytes) -> Iterator[Piece]:
    """Yield the whole zstd frames that ``data`` begins with; a torn or damaged one ends it."""
    position = 0
    view = memoryview(data)
    while position < len(data):
        inflate = zstandard.ZstdDecompressor().decompressobj()
        texts, fed = [], position
        try:
            while not inflate.eof and fed < len(data):
                texts.append(inflate.decompress(view[fed : fed + _FEED_BYTES]))
                fed = min(fed + _FEED_BYTES, len(data))
        except zstandard.ZstdError:
            return
        text = b"".join(texts)
        if not inflate.eof or not text.endswith(b"\n"):
            return
        position = fed - len(inflate.unused_data)
        yield Piece(position, text)


def facts_of(root: Path, path: Path, data: bytes) -> tuple[dict[str, Any], int] | None:
    """Return the facts of a ``closed`` line for the whole part of a segment and how many bytes that is; None when not
    even its header is whole."""
    kept, frames, walls = 0, 0, [0, 0]
    topics: dict[str, TopicSpan] = {}
    header: dict[str, Any] | None = None
    names: dict[bytes, str] = {}
    protocol: Protocol | None = None
    for piece in whole_pieces(data):
        if header is None:
            header = header_of(path, piece.data.split(b"\n", 1)[0])
            market = parse_market(f"{header['venue']}.{header['symbol']}")
            protocol = protocol_of(market)
            names = {t.key: t.name for t in protocol.topics(instrument(market, "1", "1"))}
        assert protocol is not None
        for line in read_lines(piece.data):
            frames += 1
            walls = [walls[0] or line.wall_ns, line.wall_ns]
            if line.readable:
                _see(topics, names, protocol, line.frame, line.wall_ns)
        kept = piece.end
    if header is None:
        return None
    name = str(path.relative_to(root)).removesuffix(".open")
    facts = {
        "path": name,
        "market": f"{header['venue']}.{header['symbol']}",
        "lane": header["lane"],
        "conn": header["conn"],
        "content_sha256": hashlib.sha256(data[:kept]).hexdigest(),
        "bytes": kept,
        "frames": frames,
        "first_wall_ns": walls[0],
        "last_wall_ns": walls[1],
        "topics": {topic: dict(vars(span)) for topic, span in topics.items()},
    }
    return facts, kept


def _see(topics: dict[str, TopicSpan], names: dict[bytes, str], protocol: Protocol, frame: bytes, wall_ns: int) -> None:
    heard = protocol.hear(frame)
    name = names.get(heard.key)
    if name is None or heard.kind in (CONTROL, UNREAD):
        return
    first = heard.first_id if heard.kind == TRADES else heard.last_id
    span = topics.setdefault(name, TopicSpan(0, first, heard.last_id, wall_ns, wall_ns))
    span.frames, span.last_id, span.last_wall_ns = span.frames + 1, heard.last_id, wall_ns


def recover(root: Path, ledger: SegmentLedger) -> int:
    """Close what a killed recorder left open and enter what the ledger does not list; return how many segments."""
    if not root.is_dir():
        return 0
    done = 0
    for path in open_files(root):
        data = path.read_bytes()
        found = facts_of(root, path, data)
        if found is None or found[0]["frames"] == 0:
            path.unlink()  # not one frame was written: there is nothing to keep
            fsync_directory(path.parent)
            continue
        facts, kept = found
        with path.open("r+b") as file:
            file.truncate(kept)
            os.fsync(file.fileno())
        closed = path.with_name(path.name.removesuffix(OPEN_SUFFIX) + SUFFIX)
        path.rename(closed)
        fsync_directory(closed.parent)
        about = {name: facts[name] for name in ("path", "market", "lane", "conn")}
        ledger.note("recovered", **about, kept_bytes=kept, cut_bytes=len(data) - kept)
        ledger.note("closed", reason="recovered", **facts)
        done += 1
    known = {line["path"] for line in ledger.records if line["kind"] == "closed"}
    for path in closed_files(root):
        name = str(path.relative_to(root))
        if name in known or name in ledger.entered:
            continue
        found = facts_of(root, path, path.read_bytes())
        if found is None:
            raise BadInputError(f"{path} is not a segment: take it out of {root}")
        ledger.note("closed", reason="recovered", **found[0])
        done += 1
    return done


def where_topics_stand(ledger: SegmentLedger) -> dict[tuple[str, str], Mark]:
    """Return the last message of every topic that the ledger knows of, and how the session that wrote it ended."""
    marks: dict[tuple[str, str], Mark] = {}
    stopped = True
    for line in (*ledger.records, *ledger.entered.values()):
        if line["kind"] == "started":
            stopped = False
        elif line["kind"] == "stopped":
            stopped = True
        elif line["kind"] == "closed":
            for topic, span in line["topics"].items():
                mark = marks.setdefault((line["market"], topic), Mark())
                if span["last_wall_ns"] >= mark.wall_ns:
                    mark.last_id, mark.wall_ns = span["last_id"], span["last_wall_ns"]
    for mark in marks.values():
        mark.cause = "stopped" if stopped else "killed"
    return marks
