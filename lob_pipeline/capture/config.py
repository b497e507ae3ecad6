"""How a recorder behaves. Times in seconds unless the name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecordConfig:
    """``lob record``'s settings; the defaults are for years of unattended running.

    ``flush_ms``: the longest that a frame stays in memory. ``segment_bytes``: a segment that reaches it is closed, as
    one is whose hour is over. ``connections``: over how many the markets of one address are spread.
    ``book_silence_s``: a book topic without a word for so long is subscribed to anew, then its connection is closed;
    ``quiet_s``: for other topics, noted only. ``ping_s`` 0: the venue's own. ``pong_s``: patience for any frame after a
    ping. ``roll_s`` 0: shortly before the venue's own limit, if it has one; ``overlap_s``: how long both connections
    record. ``resync_s``: the least time between two fresh snapshots of a topic; after ``most_resyncs`` in a row that
    did not mend it the connection is closed. ``keep_days`` None: segments are never removed. ``reserve_bytes``: kept
    free so that a full disk can still be told of.
    """

    flush_ms: int = 250
    segment_bytes: int = 64 << 20
    connections: int = 1
    keep_days: int | None = None
    duration_s: float | None = None
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    open_timeout_s: float = 10.0
    ping_s: float = 0.0
    pong_s: float = 10.0
    book_silence_s: float = 60.0
    quiet_s: float = 900.0
    roll_s: float = 0.0
    overlap_s: float = 2.0
    ready_timeout_s: float = 30.0
    resync_s: float = 1.0
    most_resyncs: int = 5
    clock_first_s: float = 10.0
    clock_s: float = 600.0
    reserve_bytes: int = 1 << 20


ROLL_BEFORE_LIMIT_S = 1800.0
"""A connection that the venue would cut after a day is replaced so long before."""
MAX_FRAME_BYTES = 16 << 20
QUEUE_FRAMES = 1024
"""Frames that wait inside the websocket; beyond them the socket, and then the venue, waits."""
