"""One live message for the ingest's sequencer: settled on arrival where it can be, else as a message of its own."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.sequence import BRIDGE
from lob_pipeline.core.tables import KIND_DELTA
from lob_pipeline.stages.ingest_blocks import Int64s
from lob_pipeline.stages.ingest_bridge import UNBRIDGED, WHOLE, Sequencer, follow
from lob_pipeline.venues import job as card
from lob_pipeline.venues.block import BookMessages
from lob_pipeline.venues.job import Job


class LiveSequencer(Sequencer):
    """The ingest's sequencer, with a short way for a message that is settled on arrival."""

    def __init__(self, sequence: str, chain: Int64s | None = None) -> None:
        super().__init__(sequence, chain)
        self._kind = np.zeros(1, np.int8)
        self._ids = [np.zeros(1, np.int64) for _ in range(3)]
        self._applied = np.zeros(1, np.bool_)

    @property
    def holds(self) -> bool:
        """Return whether messages wait for a later one."""
        return self._held is not None

    def settles(self, kind: int, update_id: int, prev_id: int, ts_ns: int) -> int | None:
        """Return the claimed previous id as stored when the message is settled at once, None when ``push`` must see it.

        The message has levels, and none without levels came right before it.
        """
        if self._held is not None or self._empty_end is not None:
            return None
        if self._mode == BRIDGE and (kind != KIND_DELTA or not self.chain[WHOLE]):
            return None
        ids, prev_ids, times = self._ids
        self._kind[0], ids[0], prev_ids[0], times[0] = kind, update_id, prev_id, ts_ns
        settled = follow(self._mode, self.chain, self._kind, ids, prev_ids, times, self._applied)
        return int(prev_ids[0]) if settled else None

    def lose_track(self) -> None:
        """Forget that the book was whole."""
        self.chain[WHOLE] = self.chain[UNBRIDGED] = 0


def one_message(head: list[int], job: Job, levels: int) -> BookMessages:
    """Return a copy of the one message that a job holds."""

    def one(value: int) -> Int64s:
        return np.array([value], np.int64)

    return BookMessages(
        line=one(0),
        offset=one(0),
        ts_event_ns=one(head[card.EVENT_NS]),
        ts_recv_ns=one(head[card.RECV_NS]),
        update_id=one(head[card.UPDATE_ID]),
        first_update_id=one(head[card.FIRST_ID]),
        prev_update_id=one(head[card.PREV_ID]),
        seq=one(head[card.SEQ]),
        kind=np.array([head[card.KIND]], np.int8),
        level_start=np.array([0, levels], np.int64),
        side=job.sides[:levels].copy(),
        price_ticks=job.prices[:levels].copy(),
        size_lots=job.sizes[:levels].copy(),
    )
