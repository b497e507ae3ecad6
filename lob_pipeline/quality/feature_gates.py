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
from lob_pipeline.features.profile import Profile
from lob_pipeline.features.registry import BOOK, BUILT, warmup_rows
from lob_pipeline.features.state import Int64s, new_state
from lob_pipeline.features.tape_rows import T_COUNT

MINIMUM_WARM_ROWS = 100
"""Fewer warm rows than ten seconds of a 100 ms grid say nothing about a day: the partition is not judged."""

SAMPLES_PER_CHUNK = 8


class FeatureGates:
    """Judges features against the book rows they came from.

    >>> gates = FeatureGates(clock, instrument, profile)
    >>> gates.warm(tail, its_tape)                # rows of the day before that warmed the state, if any
    >>> gates.add(rows, tape, features, valid)    # each chunk, in order
    >>> outcomes = gates.outcomes()
    """

    def __init__(self, clock: Clock, instrument: Instrument, profile: Profile | None = None) -> None:
        self._clock, self._instrument, self._profile = clock, instrument, profile
        self._memory = warmup_rows(clock)
        self._before: tuple[Int64s, Int64s] | None = None
        self._rows = self._book_valid = self._warm = 0
        self._samples = self._samples_judged = 0
        self._nan = ""
        self._prefix = ""

    def warm(self, rows: Int64s, tape: Int64s) -> None:
        """Take note of book rows int64 (n, ROW_WIDTH), and their tape, that came before the first chunk."""
        if len(rows):
            self._before = rows[-self._memory :].copy(), tape[-self._memory :].copy()

    def add(self, rows: Int64s, tape: Int64s, features: Float32s, valid: Bools) -> None:
        """Examine one chunk: book rows (n, ROW_WIDTH), tape (n, TAPE_WIDTH), features (n, N_BUILT), ``valid`` (n,)."""
        if len(rows) == 0:
            return
        absent = np.isnan(features)
        book_valid = rows[:, ROW["valid"]] != 0
        self._judge_nan(rows, tape, absent, valid, book_valid)
        for i in np.unique(np.linspace(0, len(rows) - 1, SAMPLES_PER_CHUNK).astype(int)).tolist():
            self._judge_prefix(self._up_to(rows, tape, i), features[i])
        before, tape_before = self._up_to(rows, tape, len(rows) - 1)
        self._before = before.copy(), tape_before.copy()
        self._rows += len(rows)
        self._book_valid += int(book_valid.sum())
        self._warm += int(valid.sum())

    def _up_to(self, rows: Int64s, tape: Int64s, i: int) -> tuple[Int64s, Int64s]:
        """Return the last rows that row ``i`` of a chunk may depend on, itself included, and their tape."""
        if i + 1 >= self._memory or self._before is None:
            span = slice(max(0, i + 1 - self._memory), i + 1)
            return rows[span], tape[span]
        before, tape_before = self._before
        joined = np.concatenate([before, rows[: i + 1]]), np.concatenate([tape_before, tape[: i + 1]])
        return joined[0][-self._memory :], joined[1][-self._memory :]

    def _judge_nan(self, rows: Int64s, tape: Int64s, absent: Bools, valid: Bools, book_valid: Bools) -> None:
        """``valid``: no book feature is NaN. An invalid row has none; tape features need a recorded tape."""
        wrong = (absent[:, BOOK].any(axis=1) == valid) | (~absent.all(axis=1) & ~book_valid)
        wrong |= ~absent[:, ~BOOK].all(axis=1) & (tape[:, T_COUNT] < 0)
        if wrong.any() and not self._nan:
            i = int(np.flatnonzero(wrong)[0])
            names = [f.name for f, missing in zip(BUILT, absent[i], strict=True) if missing]
            self._nan = (
                f"row {self._rows + i} ({format_ns(int(rows[i, ROW['ts_ns']]))}): valid is {bool(valid[i])}, the book "
                f"row's valid is {bool(book_valid[i])}, its trades are {'not ' if tape[i, T_COUNT] < 0 else ''}known, "
                f"{len(names)} features are NaN ({', '.join(names[:3])})"
            )

    def _judge_prefix(self, history: tuple[Int64s, Int64s], found: Float32s) -> None:
        """Compute a row again from an empty state, the last rows that may matter, and nothing after it."""
        again, _ = run_batch(new_state(self._clock, self._instrument, self._profile), *history)
        row, full = again[-1], len(history[0]) == self._memory
        seen = ~np.isnan(row)
        self._samples += 1
        self._samples_judged += bool(seen[BOOK].all())
        differs = seen & (row.view(np.uint32) != found.view(np.uint32))
        if full:
            differs |= ~seen & ~np.isnan(found)
        if differs.any() and not self._prefix:
            j = int(np.flatnonzero(differs)[0])
            self._prefix = (
                f"{BUILT[j].name} of {format_ns(int(history[0][-1, ROW['ts_ns']]))} is {found[j]!r}, and {row[j]!r} "
                f"from the {len(history[0])} rows up to it alone: it depends on something else"
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
