"""What is checked of a day's events before they are published, as they are written (``PartitionWriter.on_rows``)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import KIND_CARRIED, KIND_DELTA, KIND_SNAPSHOT, L2_EVENTS, TRADES
from lob_pipeline.core.units import format_ns
from lob_pipeline.quality.schemas import SchemaGate


class EventGates:
    """Gates of ``l2_events``: ``schema``, ``messages`` (rows in order, grouped as messages), ``verifiable_start``."""

    def __init__(self) -> None:
        self._schema = SchemaGate(L2_EVENTS)
        self._rows = self._deltas = 0
        self._last_order = -1
        self._faults: dict[str, int] = {}
        self.messages = self.snapshots = 0
        self.book_at: int | None = None  # index of the first message that makes the book whole
        self._book_ns = 0

    def add(self, rows: Columns, _strings: dict[str, pa.Array]) -> None:
        """Look at the next rows."""
        self._schema.add(rows)
        order, first, kind = rows["order"], rows["first_in_message"], rows["kind"]
        step = np.diff(order, prepend=self._last_order)
        starts = np.flatnonzero(first)
        self._fault("first_in_message does not mark a change of order", np.count_nonzero((step != 0) != first))
        self._fault("order falls", np.count_nonzero(step < 0))
        self._fault("side is neither +1 nor -1", np.count_nonzero(np.abs(rows["side"]) != 1))
        opens = (kind == KIND_SNAPSHOT) | (kind == KIND_CARRIED)
        self._fault("a snapshot claims to follow a message", np.count_nonzero(opens & (rows["prev_update_id"] != -1)))
        whole = np.flatnonzero(opens[starts])
        if self.book_at is None and whole.shape[0]:
            self.book_at = self.messages + int(whole[0])
            self._book_ns = int(rows["ts_event_ns"][starts[whole[0]]])
        self.snapshots += int(np.count_nonzero(kind[starts] == KIND_SNAPSHOT))
        self._deltas += int(np.count_nonzero(kind[starts] == KIND_DELTA))
        self._rows += int(order.shape[0])
        self.messages += int(starts.shape[0])
        self._last_order = int(order[-1])

    def _fault(self, what: str, count: int | np.integer) -> None:
        if count:
            self._faults[what] = self._faults.get(what, 0) + int(count)

    def outcomes(self) -> list[CheckOutcome]:
        """Return the gates' verdicts on everything seen."""
        text = "; ".join(f"{what} in {count} rows" for what, count in self._faults.items())
        start = judge(
            "verifiable_start",
            self.book_at is not None,
            examined=self.messages,
            judged=self.messages,
            message=(
                f"whole from message {self.book_at} ({format_ns(self._book_ns)})"
                if self.book_at is not None
                else f"unverifiable start: none of {self.messages} messages is a snapshot and no book is carried over "
                "from the day before; ingest the recording that holds the snapshot"
            ),
            facts={"messages_before": self.book_at, "snapshots": self.snapshots, "deltas": self._deltas},
        )
        grouped = judge("messages", not text, examined=self._rows, judged=self._rows, message=text)
        return [self._schema.outcome(minimum=1), grouped, start]


class TradeGates:
    """Gates of ``trades``: ``schema`` and ``trade_rows`` (in order; a day without trades is published, not judged)."""

    def __init__(self) -> None:
        self._schema = SchemaGate(TRADES)
        self._rows = self._faults = 0
        self._last_order = -1

    def add(self, rows: Columns, strings: dict[str, pa.Array]) -> None:
        """Look at the next trades."""
        self._schema.add({name: strings[name] if name in strings else rows[name] for name in TRADES.names})
        self._faults += int(np.count_nonzero(np.diff(rows["order"], prepend=self._last_order) <= 0))
        self._faults += int(np.count_nonzero(np.abs(rows["side"]) != 1))
        self._last_order = int(rows["order"][-1])
        self._rows += int(rows["order"].shape[0])

    def outcomes(self) -> list[CheckOutcome]:
        """Return the gates' verdicts on everything seen."""
        text = f"{self._faults} trades out of order or without a side" if self._faults else ""
        rows = judge("trade_rows", not text, examined=self._rows, judged=self._rows, message=text)
        return [self._schema.outcome(), rows]


def checksum_gate(checksums: tuple[int, int] | None) -> list[CheckOutcome]:
    """Return the gate ``checksum_match``: every checksum that was compared is equal; none where the venue sends none.

    ``checksums``: (compared, equal). A lost message is a gap, which is masked, and is not counted here: what differs
    is a book that was read wrongly from its start on. A day whose checksums were all left out is not judged.
    """
    if checksums is None:
        return []
    compared, equal = checksums
    text = f"{compared - equal} of {compared} checksums of the venue differ from the book" if equal < compared else ""
    facts = {"compared": compared, "equal": equal}
    return [judge("checksum_match", not text, examined=compared, judged=compared, message=text, facts=facts)]
