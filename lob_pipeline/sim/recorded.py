"""A recording as the frames that a venue's websocket would send, in the order in which they were received."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.venues.binance import stamp_end
from lob_pipeline.venues.decode import read_recv_times
from lob_pipeline.venues.detect import FileInfo, detect_file
from lob_pipeline.venues.source import open_source

_TIME = re.compile(rb'"(?:cts|E|T|ts)":\s?(\d{13})')


class Frame(NamedTuple):
    """One message: ``line`` as recorded (its receive stamp in front, where it has one), ``recv_ns`` from a file beside
    it (0: none)."""

    line: bytes
    recv_ns: int

    @property
    def payload(self) -> bytes:
        """What the venue sent: the line without the recorder's stamp."""
        return self.line[stamp_end(self.line) :].lstrip()

    @property
    def time_ns(self) -> int:
        """When the message was received, else when the venue says it was made; 0 where neither is known."""
        if self.recv_ns:
            return self.recv_ns
        end = stamp_end(self.line)
        stamp = self.line[:end].strip() if end else b""
        if stamp.isdigit() and len(stamp) in (16, 19):
            return int(stamp) * (1000 if len(stamp) == 16 else 1)
        found = _TIME.search(self.line)
        return int(found[1]) * NS_PER_MS if found else 0


def recorded_files(paths: list[Path]) -> list[FileInfo]:
    """Return what the files are. Raises ``BadInputError`` when none is given, one is unreadable, or formats differ."""
    if not paths:
        raise BadInputError("no recording was given: name at least one file")
    infos = [detect_file(path) for path in paths]
    for info in infos:
        if info.format == "bybit_trades_csv":
            raise BadInputError(
                f"{info.path} is a table of trades, not what a websocket sends: give the book recording"
            )
        if info.format != infos[0].format:
            raise BadInputError(f"{info.path} is {info.format}, {infos[0].path} is {infos[0].format}: give one stream")
    return infos


def frames(infos: list[FileInfo]) -> Iterator[Frame]:
    """Yield the frames of files: those of one symbol's books follow each other, files of trades alone and of other
    symbols are merged in by receive time."""
    lanes: dict[tuple[bool, tuple[str, ...]], list[FileInfo]] = {}
    for info in sorted(infos, key=lambda info: "book" in info.streams):  # at equal times trades come first
        lanes.setdefault(("book" in info.streams, () if info.several_symbols else info.symbols), []).append(info)
    if len(lanes) == 1 or all("book" not in info.streams for info in infos):
        for info in infos:
            yield from _frames_of(info)
        return
    if any(info.recv_path is None and info.format == "bybit_messages" for info in infos):
        raise BadInputError(
            "books and trades in separate files have an order only by their receive times: keep the *.recv_ts.txt "
            "files beside them"
        )
    sources = [(frame for info in lane for frame in _frames_of(info)) for lane in lanes.values()]
    yield from heapq.merge(*sources, key=lambda frame: frame.time_ns)


def _frames_of(info: FileInfo) -> Iterator[Frame]:
    times = read_recv_times(info.recv_path).tolist() if info.recv_path else []
    number = 0
    for data, size, _ in open_source(info.path):
        for line in bytes(data[:size]).split(b"\n")[:-1]:
            text = line.rstrip(b"\r")
            if info.family in ("okx", "kraken"):
                yield from _unwrapped(text)
            elif text:
                yield Frame(text, times[number] if number < len(times) else 0)
            number += 1


def _unwrapped(line: bytes) -> Iterator[Frame]:
    """Yield what a line of a wrapped recording received; answers to subscriptions are the exchange's own business."""
    said = json.loads(line) if line else {}
    if isinstance(said, dict) and said.get("t") == "recv" and '"event"' not in said["data"][:80]:
        yield Frame(said["data"].encode(), round(said["ts"] * NS_PER_S))
    elif line and not (isinstance(said, dict) and ("t" in said or "event" in said)):
        yield Frame(line, 0)
