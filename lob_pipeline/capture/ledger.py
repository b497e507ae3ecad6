"""The segment ledger ``HOME/ledgers/segments.jsonl``: what was recorded, and exactly what was not.

One JSON object a line, hash-chained (``lake.chain``). Every line has ``kind`` and ``at_ns`` (wall clock, UTC); ``conn``
is the connection's number in its session. Ids are whole numbers, or text where the venue's trade ids are.

``started`` session, pid, markets, urls · ``stopped`` session, reason, frames, segments.
``opened`` path, market, lane, conn · ``closed`` path, market, lane, conn, content_sha256, bytes, frames,
    first_wall_ns, last_wall_ns, topics {topic: {frames, first_id, last_id, first_wall_ns, last_wall_ns}}, reason
    (rotation, stop, reconnect, rollover, full, recovered). Paths are relative to ``HOME/segments``.
``gap`` market, topic, conn, expected, got, id, snapshot, from_wall_ns, to_wall_ns: messages are missing inside a
    connection. ``expected``: the last id recorded; ``got``: the id that the next message claims to follow; ``id``: its
    own. Missing are the ids in (expected, got], and as an event also ``id`` where that message is a ``snapshot``. The
    two times are those of the messages before and after.
``late`` market, topic, conn, id: a message of such a gap came after all and is recorded.
``replaced`` market, topic, conn, last_id, id: a snapshot came with the very next id, in the place of
    that update's own events.
``restart`` market, topic, conn, last_id, id: a snapshot's id fell back, the venue has restarted.
``unknown`` market, topic, conn, last_id, next_id, snapshot, from_wall_ns, to_wall_ns, cause (killed, stopped,
    reconnect, rollover): nothing of the topic was recorded between these two. Of a book the updates in
    (last_id, next_id) are unknown as events, and a ``next_id`` above ``last_id`` too where a ``snapshot`` came in its
    place, which holds their effect. (``next_id`` of a delta is the first update that it covers.)
``refused`` conn, text: the venue did not accept a request.
``reconnect`` conn, url, markets, why, attempt, wait_s · ``rollover`` from_conn, to_conn, url, markets.
``silence`` market, topic, conn, silent_s, action (resubscribe, reconnect, noted) · ``resync`` market, topic, conn, why.
``unread`` conn, market (null: any), why, bytes, frame_sha256: a frame that is no message of a subscribed topic. It is
    kept in the segment behind a ``!`` and never decoded. ``duplicate`` market, topic, conn, id: a message whose id is
    not newer and that no gap waits for; it is recorded. Of each of these two kinds at most ``LINES_A_MINUTE`` are
    written, then one with ``count`` tells the rest.
``snapshot_failed`` market, conn, why · ``clock`` url, conn, offset_ns, samples, window_s: the least (wall clock -
    venue's time) of the window, which is the difference of the clocks plus the shortest way.
``recovered`` path, market, lane, conn, kept_bytes, cut_bytes: a kill left the file; a ``closed`` line follows.
``removed`` path, content_sha256, bytes, dates · ``full`` path, error, frames (received so far; the ``closed`` lines
    say what was kept).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lob_pipeline.lake.chain import ChainWriter
from lob_pipeline.lake.home import Home

LINES_A_MINUTE = 100


def segment_ledger(home: Home) -> Path:
    """Return the path of the segment ledger."""
    return home.ledgers / "segments.jsonl"


class SegmentLedger:
    """The recorder's hand on its ledger.

    ``counts``: lines written, by kind. ``records``: what stood there before, ``entered``: the ``closed`` lines written
    since, by path; both until ``forget_records``.
    """

    def __init__(self, home: Home) -> None:
        self._writer = ChainWriter(segment_ledger(home))
        self.records = self._writer.records
        self.counts: dict[str, int] = {}
        self.entered: dict[str, dict[str, Any]] = {}
        self._starting = True
        self._dirty = False

    def note(self, kind: str, **facts: Any) -> None:
        """Append one line. Raises ``LobError`` when there is no room."""
        line = {"kind": kind, "at_ns": time.time_ns(), **facts}
        self._writer.append(line)
        if kind == "closed" and self._starting:
            self.entered[facts["path"]] = line
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self._dirty = True

    def forget_records(self) -> None:
        """Give the memory of the old lines back."""
        self.records = self._writer.records = ()
        self.entered.clear()
        self._starting = False

    def sync(self) -> None:
        """Make the lines survive a power cut."""
        if self._dirty:
            self._dirty = False
            self._writer.sync()

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()


def read_lines(home: Home, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines from byte ``offset`` on, and the offset after them. The chain is not judged here."""
    try:
        with segment_ledger(home).open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole)


def closed_segments(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the ``closed`` lines of segments that were not removed since."""
    gone = {line["path"] for line in lines if line["kind"] == "removed"}
    for line in lines:
        if line["kind"] == "closed" and line["path"] not in gone:
            yield line
