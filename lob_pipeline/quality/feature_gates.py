"""Gates of a day's features, fed chunk by chunk while they are computed: NaN rule, prefix and warm-up, warm rows.

Schema and hard ranges are ``schemas.SchemaGate``'s; nothing is judged twice.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.clock import Clock
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import ROW
from lob_pipeline.core.units import format_ns
from lob_pipeline.features.batch import Bools, Float32s, run_batch
from lob_pipeline.features.registry import BUILT, warmup_rows
from lob_pipeline.features.state import Int64s, new_state

MINIMUM_WARM_ROWS = 100
"""Fewer warm rows than ten seconds of a 100 ms grid say nothing about a day: the partition is not judged."""

SAMPLES_PER_CHUNK = 8


class FeatureGates:
    """Judges features against the book rows they came from.

    >>> gates = FeatureGates(clock, instrument)
    >>> gates.warm(tail)                    # rows of the day before that warmed the state, if any
    >>> gates.add(rows, features, valid)    # each chunk, in order
    >>> outcomes = gates.outcomes()
    """

    def __init__(self, clock: Clock, instrument: Instrument) -> None:
        self._clock, self._instrument = clock, instrument
        self._memory = warmup_rows(clock)
        self._before: Int64s | None = None
        self._rows = self._book_valid = self._warm = 0
        self._samples = self._samples_judged = 0
        self._nan = ""
        self._prefix = ""

    def warm(self, rows: Int64s) -> None:
        """Take note of book rows int64 (n, ROW_WIDTH) that came before the first chunk."""
        self._before = rows[-self._memory :].copy()

    def add(self, rows: Int64s, features: Float32s, valid: Bools) -> None:
        """Examine one chunk: book rows (n, ROW_WIDTH), their features (n, features) and their ``valid`` (n,)."""
        if len(rows) == 0:
            return
        absent = np.isnan(features)
        book_valid = rows[:, ROW["valid"]] != 0
        self._judge_nan(rows, absent, valid, book_valid)
        for i in np.unique(np.linspace(0, len(rows) - 1, SAMPLES_PER_CHUNK).astype(int)).tolist():
            self._judge_prefix(self._up_to(rows, i), features[i])
        self._before = self._up_to(rows, len(rows) - 1).copy()
        self._rows += len(rows)
        self._book_valid += int(book_valid.sum())
        self._warm += int(valid.sum())

    def _up_to(self, rows: Int64s, i: int) -> Int64s:
        """Return the last rows that row ``i`` of a chunk may depend on, itself included."""
        if i + 1 >= self._memory or self._before is None:
            return rows[max(0, i + 1 - self._memory) : i + 1]
        return np.concatenate([self._before, rows[: i + 1]])[-self._memory :]

    def _judge_nan(self, rows: Int64s, absent: Bools, valid: Bools, book_valid: Bools) -> None:
        wrong = (absent.any(axis=1) == valid) | (~absent.all(axis=1) & ~book_valid)
        if wrong.any() and not self._nan:
            i = int(np.flatnonzero(wrong)[0])
            names = [f.name for f, missing in zip(BUILT, absent[i], strict=True) if missing]
            self._nan = (
                f"row {self._rows + i} ({format_ns(int(rows[i, ROW['ts_ns']]))}): valid is {bool(valid[i])}, the book "
                f"row's valid is {bool(book_valid[i])}, {len(names)} features are NaN ({', '.join(names[:3])})"
            )

    def _judge_prefix(self, history: Int64s, found: Float32s) -> None:
        """Compute a row again from an empty state, the last rows that may matter, and nothing after it."""
        again, _ = run_batch(new_state(self._clock, self._instrument), history)
        row, full = again[-1], len(history) == self._memory
        seen = ~np.isnan(row)
        self._samples += 1
        self._samples_judged += bool(seen.all())
        differs = seen & (row.view(np.uint32) != found.view(np.uint32))
        if full:
            differs |= ~seen & ~np.isnan(found)
        if differs.any() and not self._prefix:
            j = int(np.flatnonzero(differs)[0])
            self._prefix = (
                f"{BUILT[j].name} of {format_ns(int(history[-1, ROW['ts_ns']]))} is {found[j]!r}, and {row[j]!r} from "
                f"the {len(history)} rows up to it alone: it depends on something else"
            )

    def outcomes(self) -> list[CheckOutcome]:
        """Return the gates ``nan_rule``, ``prefix_invariance`` and ``warm_rows``."""
        return [
            judge("nan_rule", not self._nan, examined=self._rows, judged=self._book_valid, message=self._nan),
            judge(
                "prefix_invariance",
                not self._prefix,
                examined=self._samples,
                judged=self._samples_judged,
                message=self._prefix,
            ),
            judge(
                "warm_rows",
                True,
                examined=self._rows,
                judged=self._warm,
                minimum=MINIMUM_WARM_ROWS,
                message=""
                if self._warm >= MINIMUM_WARM_ROWS
                else f"{self._warm} of {self._rows} rows are warm, {MINIMUM_WARM_ROWS} are needed for a judgement",
            ),
        ]
