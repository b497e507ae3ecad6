"""Verdicts on the sequence of book messages: does this message follow the book we hold?

Rules of the venues (MARKET_FACTS.md), judged from the ids in ``l2_events`` alone: ``plus_one`` (every message's
``prev_update_id`` equals the last ``update_id``), ``bridge`` (the same, except that the first event after a snapshot
with id L has ``prev_update_id <= L <= update_id``; earlier ones are stale), ``none`` (no ids: every message follows).
"""

from __future__ import annotations

from lob_pipeline.book.bits import Int
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import KIND_AUDIT, KIND_DELTA

FOLLOWS = 0  # applied
REPLACES = 1  # a snapshot or carried book: applied
GAP = 2  # messages are missing before this one: the book is not whole until the next snapshot
DUPLICATE = 3  # already applied: dropped
STALE = 4  # older than the snapshot it should bridge: dropped
UNBRIDGED = 5  # the first event after a snapshot starts later than it: the snapshot is of no use
NOT_WHOLE = 6  # a delta without a whole book: dropped
AUDIT = 7  # never applied

PLUS_ONE = 0
BRIDGE = 1
NO_IDS = 2
MODES = {"plus_one": PLUS_ONE, "bridge": BRIDGE, "none": NO_IDS}


@njit(cache=True)
def judge_message(
    mode: Int,
    whole: Int,
    unbridged: Int,
    last_id: Int,
    last_ns: Int,
    kind: Int,
    update_id: Int,
    prev_id: Int,
    ts_ns: Int,
) -> Int:
    """Return the verdict on one message.

    ``whole``: the book holds an applied snapshot and no gap since; ``unbridged``: that snapshot still waits for its
    first event; ``last_id``, ``last_ns``: id and running maximum of the times of what was applied. An id that is not
    newer is a duplicate, unless its time is: then ids started again and the snapshot that came with it was lost.
    """
    if kind == KIND_AUDIT:
        return AUDIT
    if kind != KIND_DELTA:
        return REPLACES
    if whole == 0:
        return NOT_WHOLE
    if mode == NO_IDS:
        return FOLLOWS
    if unbridged != 0:
        if update_id < last_id:
            return STALE
        return FOLLOWS if prev_id <= last_id else UNBRIDGED
    if update_id <= last_id:
        return GAP if ts_ns > last_ns else DUPLICATE
    return FOLLOWS if prev_id == last_id else GAP
