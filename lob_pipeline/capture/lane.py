"""One market's lane on one connection: opens segments when there is something to write, and turns them over."""

from __future__ import annotations

from dataclasses import dataclass

from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.recover import facts_of
from lob_pipeline.capture.segments import SegmentWriter, hour_of
from lob_pipeline.core.instrument import Market


@dataclass
class LaneWriter:
    """Writes frames of a market's lane. ``due``: the segment is full or its hour is over.

    ``fresh_start``: a segment only ends where the next begins with a snapshot (``turn_at_snapshot``).
    """

    desk: Desk
    market: Market
    lane: str
    conn: int
    fresh_start: bool = False
    segment: SegmentWriter | None = None
    due: bool = False

    def add(self, wall_ns: int, mono_ns: int, frame: bytes, *, readable: bool = True) -> SegmentWriter:
        """Write one frame; return the segment it is in."""
        segment = self.segment or self._open()
        segment.add(wall_ns, mono_ns, frame, readable=readable)
        return segment

    def _open(self) -> SegmentWriter:
        desk = self.desk
        self.segment = SegmentWriter(desk.root, self.market, self.lane, self.conn, desk.session)
        desk.stats.segments += 1
        desk.note(
            "opened", path=self.segment.name, market=str(self.market), lane=self.lane, conn=self.conn
        )
        return self.segment

    def tick(self, wall_ns: int) -> bool:
        """Flush; close the segment when it is due. Returns whether it became due just now and waits for a snapshot."""
        segment = self.segment
        if segment is None:
            return False
        segment.flush()
        over = segment.size >= self.desk.config.segment_bytes or hour_of(wall_ns) != hour_of(segment.opened_ns)
        if not over or self.due:
            return False
        self.due = True
        if not self.fresh_start:
            self.close("rotation")
        return self.fresh_start

    def turn_at_snapshot(self) -> None:
        """A snapshot is about to be written: a segment that was waiting for one ends here."""
        if self.due and self.fresh_start:
            self.close("rotation")

    def close(self, reason: str) -> None:
        """Close the segment, if one is open, and tell the ledger.

        Where the disk takes no more the segment ends with what was written, and ``OSError`` is raised after the ledger
        was told so.
        """
        segment, self.segment, self.due = self.segment, None, False
        if segment is None:
            return
        if segment.frames == 0:
            segment.discard()
            return
        try:
            facts = segment.close()
        except OSError:
            self.desk.release_reserve()
            segment.close(lost_tail=True)
            found = facts_of(self.desk.root, segment.path, segment.path.read_bytes())
            if found is not None:
                self.desk.note("closed", reason="full", **found[0])
            raise
        self.desk.note("closed", reason=reason, **facts)
