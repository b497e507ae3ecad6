"""A recorder beside the local exchange, and the truth of what it should have recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lob_pipeline.capture.config import RecordConfig
from lob_pipeline.capture.ledger import read_lines, segment_ledger
from lob_pipeline.capture.recorder import RecordOptions, record
from lob_pipeline.capture.recover import whole_pieces
from lob_pipeline.capture.segments import closed_files, open_files, segments_root
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.chain import verify
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.sender_log import read_sender_log
from lob_pipeline.venues import segment_form
from lob_pipeline.venues.protocol import DELTA, SNAPSHOT
from lob_pipeline.venues.protocols import protocol_of
from lob_pipeline.venues.segment_form import Line

MARKET = "bybit-linear.BTCUSDT"
BOOK = "orderbook.200.BTCUSDT"
PATIENCE_S = 30.0


def bybit_files(real_data: Path) -> list[Path]:
    """Return the recordings of books and trades."""
    folder = real_data / "bybit_linear_ws"
    return [folder / f"{name}.BTCUSDT.ndjson" for name in ("orderbook.200", "publicTrade")]


def wait_for(what: Callable[[], Any], why: str) -> Any:
    """Return what ``what`` returns once that is true."""
    until = time.monotonic() + PATIENCE_S
    while not (found := what()):
        if time.monotonic() > until:
            raise AssertionError(f"waited in vain for {why}")
        time.sleep(0.02)
    return found


def lines(home: Home, *kinds: str) -> list[dict[str, Any]]:
    """Return the lines of the segment ledger, of these kinds where any are named."""
    return [line for line in read_lines(home)[0] if not kinds or line["kind"] in kinds]


@dataclass
class Live:
    """A recorder in a thread. ``report`` or ``error`` are set when it has ended."""

    home: Home
    report: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    said: list[str] = field(default_factory=list)

    def saw(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the ledger's lines of a kind once there are so many."""
        return wait_for(lambda: (f := lines(self.home, kind)) if len(lines(self.home, kind)) >= count else [], kind)

    def frames(self, count: int) -> None:
        """Wait until so many frames of the main lane are in the files."""
        wait_for(lambda: len(recorded(self.home)) >= count, f"{count} frames")


@contextmanager
def recording(home: Home, url: str, *markets: str, **config: Any) -> Iterator[Live]:
    """Record from ``url`` while the context lasts."""
    stop, live = threading.Event(), Live(home)
    settings = RecordConfig(**{"flush_ms": 20, "first_wait_s": 0.05, "overlap_s": 0.3, "clock_first_s": 0.2, **config})

    def run() -> None:
        try:
            chosen = [parse_market(m) for m in markets or (MARKET,)]
            live.report = record(home, chosen, RecordOptions(url), settings, live.said.append, stop.is_set)
        except BaseException as error:
            live.error = error

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield live
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def segments(home: Home, lane: str = "main") -> list[Path]:
    """Return the segments of a lane, closed or not, oldest first."""
    root = segments_root(home)
    found = [*closed_files(root), *open_files(root)] if root.exists() else []
    return [path for path in found if path.parent.name == lane]


def recorded(home: Home, lane: str = "main") -> list[Line]:
    """Return every frame in the files of a lane, in the order of the segments."""
    found: list[Line] = []
    for path in segments(home, lane):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # it was closed between the look and the read
        for piece in whole_pieces(data):
            found += segment_form.read_lines(piece.data)
    return found


def recorded_ids(home: Home, market: str = MARKET) -> tuple[set[int], set[int]]:
    """Return the update ids of the recorded deltas and snapshots of the book."""
    hear = protocol_of(parse_market(market)).hear
    heard = [hear(line.frame) for line in recorded(home) if line.readable]
    return {h.last_id for h in heard if h.kind == DELTA}, {h.last_id for h in heard if h.kind == SNAPSHOT}  # type: ignore[misc]


def declared_lost(home: Home, topic: str = BOOK) -> set[int]:
    """Return the update ids of which the ledger says that no event was recorded (``capture.ledger``)."""
    ids: set[int] = set()
    for line in lines(home):
        if line.get("topic") != topic:
            continue
        kind = line["kind"]
        if kind == "gap":
            ids |= set(range(line["expected"] + 1, line["got"] + 1)) | ({line["id"]} if line["snapshot"] else set())
        elif kind == "unknown":
            ids |= set(range(line["last_id"] + 1, line["next_id"])) | _in_place(line)
        elif kind == "replaced":
            ids.add(line["id"])
        elif kind == "late":
            ids.discard(line["id"])
    return ids


def _in_place(line: dict[str, Any]) -> set[int]:
    return {line["next_id"]} if line["snapshot"] and line["next_id"] > line["last_id"] else set()


def require_true_statement(home: Home, log: Path) -> tuple[set[int], set[int]]:
    """Hold the ledger against the sender's log: recorded and declared lost together are what there was, exactly.

    Returns (recorded, lost) update ids of the book.
    """
    sent = read_sender_log(log)
    rows = sent.frames[sent.frames["topic"] == sent.topics.index(BOOK)]
    deltas, snapshots = recorded_ids(home)
    lost = declared_lost(home)
    first, last = min(deltas | snapshots), max(deltas | snapshots)
    there_were = {int(u) for u in rows["update_id"] if first <= u <= last}
    assert len(there_were) > 50
    assert deltas <= there_were | {first}
    assert lost & deltas == set()
    assert deltas | lost | {first} == there_were | {first}
    return deltas, lost


def require_sound_ledger(home: Home) -> None:
    """Every closed file is what the ledger says of it, no file is open, and the chain holds."""
    import hashlib

    root = segments_root(home)
    assert list(open_files(root)) == []
    closed = {line["path"]: line for line in verify(segment_ledger(home)).records if line["kind"] == "closed"}
    files = {str(p.relative_to(root)): p for p in closed_files(root)}
    assert closed.keys() == files.keys()
    assert files
    for name, path in files.items():
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() == closed[name]["content_sha256"]
        frames = [line for piece in whole_pieces(data) for line in segment_form.read_lines(piece.data)]
        assert len(frames) == closed[name]["frames"] > 0
        assert (frames[0].wall_ns, frames[-1].wall_ns) == (closed[name]["first_wall_ns"], closed[name]["last_wall_ns"])
