"""What emitted rows add up to: validity, warmth, depth, spreads, and the spans of time in which nothing is valid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.tables import LEVELS, ROW

_TS, _VALID, _RUN_START, _TRUNCATED = ROW["ts_ns"], ROW["valid"], ROW["run_start"], ROW["truncated"]
_BID, _ASK = ROW["bid_ticks_1"], ROW["ask_ticks_1"]
INVALID_SPANS = 200
"""Spans that are listed; all are counted."""


@dataclass
class RowCounts:
    """What the rows add up to. ``spreads``: how often each spread of a valid row occurs, capped at 2^16 - 1 ticks."""

    rows: int = 0
    valid: int = 0
    warm: int = 0
    truncated: int = 0
    crossed_valid: int = 0
    whole: int = 0
    whole_unsound: int = 0  # whole book, but a side is empty or the sides cross
    depths: Int64Array = field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))  # whole rows by thinner side
    spreads: Int64Array = field(default_factory=lambda: np.zeros(1 << 16, np.int64))
    invalid_spans: list[list[int]] = field(default_factory=list)  # instants of first and last row, the first ones
    invalid_span_count: int = 0
    _run: int = 0  # rows of the present run so far
    _last_ns: int = -1
    _was_invalid: bool = False

    def add(self, rows: Int64Array, whole: npt.NDArray[np.bool_], step_ns: int, warm_rows: int) -> None:
        """Count a batch. A row is warm when it and the ``warm_rows`` rows before it are valid rows of one run."""
        valid = rows[:, _VALID] != 0
        bid, ask = rows[:, _BID], rows[:, _ASK]
        self.rows += len(rows)
        self.valid += int(valid.sum())
        self.truncated += int(rows[:, _TRUNCATED].sum())
        self.crossed_valid += int((valid & (bid >= ask)).sum())
        self.whole += int(whole.sum())
        self.whole_unsound += int((whole & ((bid < 0) | (ask < 0) | (bid >= ask))).sum())
        shown = [(rows[:, first : first + LEVELS] >= 0).sum(axis=1) for first in (_BID, _ASK)]
        self.depths += np.bincount(np.minimum(*shown)[whole], minlength=LEVELS + 1)
        spread = np.clip(ask - bid, 0, len(self.spreads) - 1)[valid]
        self.spreads += np.bincount(spread, minlength=len(self.spreads))
        self._note_spans(rows[:, _TS], valid)
        before = np.concatenate([[self._last_ns], rows[:-1, _TS]])
        breaks = ~valid | (rows[:, _RUN_START] != 0) | (rows[:, _TS] - before != step_ns)
        index = np.arange(1, len(rows) + 1)
        since = np.maximum.accumulate(np.where(breaks, index, 0))
        length = np.where(since == 0, self._run + index, index - since + valid[np.maximum(since - 1, 0)])
        self.warm += int((valid & (length > warm_rows)).sum())
        self._run, self._last_ns = int(length[-1]), int(rows[-1, _TS])

    def _note_spans(self, ts: Int64Array, valid: npt.NDArray[np.bool_]) -> None:
        """Note where stretches of rows that are not valid begin and end."""
        edges = np.diff(np.concatenate([[0], ~valid, [0]]).astype(np.int8))
        for lo, after in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
            span = [int(ts[lo]), int(ts[after - 1])]
            goes_on = lo == 0 and self._was_invalid
            self.invalid_span_count += not goes_on
            if self.invalid_span_count <= INVALID_SPANS:
                if goes_on:
                    self.invalid_spans[-1][1] = span[1]
                else:
                    self.invalid_spans.append(span)
        self._was_invalid = not bool(valid[-1])

    def thinner_than(self, levels: int) -> int:
        """Return how many rows of a whole book show fewer than ``levels`` on a side."""
        return int(self.depths[:levels].sum())

    def median_spread_ticks(self) -> float:
        """Return the median spread of the valid rows, 0 where there is none."""
        return float(np.searchsorted(np.cumsum(self.spreads), (self.valid + 1) // 2)) if self.valid else 0.0
