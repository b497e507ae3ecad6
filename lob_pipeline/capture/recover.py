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
from lob_pipeline.venues.protocol import CONTROL, TRADES, UNREAD, Heard, Protocol, Topic
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


@dataclass
class _Found:
    """Where a topic's frames are in a segment: how many, and the bytes of the first and last zstd frame with one."""

    frames: int
    first: tuple[int, int]
    last: tuple[int, int]


def facts_of(root: Path, path: Path, data: bytes) -> tuple[dict[str, Any], int] | None:
    """Return the facts of a ``closed`` line for the whole part of a segment and how many bytes that is; None when not
    even its header is whole.

    Frames are counted by byte searches; only the first and last ones of a topic are looked at, so that a restart after
    a kill waits a second or two for its largest segment, not a minute.
    """
    kept = frames = first_ns = last_ns = 0
    header: dict[str, Any] | None = None
    topics: list[Topic] = []
    found: dict[str, _Found] = {}
    for piece in whole_pieces(data):
        if header is None:
            header = header_of(path, piece.data.split(b"\n", 1)[0])
            market = parse_market(f"{header['venue']}.{header['symbol']}")
            protocol = protocol_of(market)
            grid = instrument(market, "1", "1", user=root.parent / "markets.toml")  # only the topics' names are wanted
            topics = [t for t in protocol.topics(grid) if t.lane == header["lane"]]
        count = piece.data.count(b"\n") - piece.data.count(b"\n#") - piece.data.startswith(b"#")
        if count:
            frames += count
            first_ns = first_ns or next(read_lines(piece.data)).wall_ns
            last_ns = _last_wall_ns(piece.data)
            for topic in topics:
                _count(found, topic, protocol, piece.data, (kept, piece.end))
        kept = piece.end
    if header is None:
        return None
    spans = {topic.name: _span(data, topic, protocol, found[topic.name]) for topic in topics if topic.name in found}
    facts = {
        "path": str(path.relative_to(root)).removesuffix(".open"),
        "market": f"{header['venue']}.{header['symbol']}",
        "lane": header["lane"],
        "conn": header["conn"],
        "content_sha256": hashlib.sha256(data[:kept]).hexdigest(),
        "bytes": kept,
        "frames": frames,
        "first_wall_ns": first_ns,
        "last_wall_ns": last_ns,
        "topics": {name: dict(vars(span)) for name, span in spans.items() if span is not None},
    }
    return facts, kept


def _last_wall_ns(text: bytes) -> int:
    end = len(text) - 1
    while True:
        start = text.rfind(b"\n", 0, end) + 1
        if text[start : start + 1] != b"#":
            return int(text[start : text.index(b" ", start)])
        end = start - 1


def _count(found: dict[str, _Found], topic: Topic, protocol: Protocol, text: bytes, at: tuple[int, int]) -> None:
    if protocol.needle is not None:
        count = text.count(protocol.needle(topic))
    else:
        count = len(_heard(text, topic, protocol))
    if count:
        known = found.setdefault(topic.name, _Found(0, at, at))
        known.frames, known.last = known.frames + count, at


def _heard(text: bytes, topic: Topic, protocol: Protocol) -> list[tuple[int, Heard]]:
    """Return receive time and content of a topic's frames in whole lines."""
    lines = ((line.wall_ns, protocol.hear(line.frame)) for line in read_lines(text) if line.readable)
    return [(wall_ns, h) for wall_ns, h in lines if h.key == topic.key and h.kind not in (CONTROL, UNREAD)]


def _span(data: bytes, topic: Topic, protocol: Protocol, found: _Found) -> TopicSpan | None:
    ends = [_heard(_inflated(data, at), topic, protocol) for at in (found.first, found.last)]
    if not (ends[0] and ends[1]):
        return None
    (first_ns, first), (last_ns, last) = ends[0][0], ends[1][-1]
    first_id = first.first_id if first.kind == TRADES else first.last_id
    return TopicSpan(found.frames, first_id, last.last_id, first_ns, last_ns)


def _inflated(data: bytes, at: tuple[int, int]) -> bytes:
    return next(whole_pieces(data[at[0] : at[1]])).data


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
        if found[0]["frames"] == 0:
            path.unlink()
            continue
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
