"""Stage ``features``: a day's book rows become its features, warmed on the tail of the day before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lob_pipeline.core.clock import Clock, parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, ROW_WIDTH, SEASONAL_PROFILE
from lob_pipeline.core.units import shift_date
from lob_pipeline.features.batch import Bools, Float32s, rows_of_columns, run_batch
from lob_pipeline.features.profile import Profile, neutral_profile
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE, N_BUILT, registry_fingerprint, warmup_rows
from lob_pipeline.features.state import FeatureState, Int64s, new_state
from lob_pipeline.features.tape_rows import TapeState
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import content_or_absent, open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.feature_gates import FeatureGates
from lob_pipeline.quality.schemas import SchemaGate
from lob_pipeline.stages.build_features_tape import DayTape, tail_tape
from lob_pipeline.stages.build_profile import profile_of_columns
from lob_pipeline.stages.result import StageResult, stage_result

CHUNK_ROWS = 1 << 17
NO_PROFILE = "none"


class Warmth(NamedTuple):
    """What a day's features start from: the last rows of the day before, their trades, and the profile.

    rows int64 (n, ROW_WIDTH), tape int64 (n, TAPE_WIDTH), the trades that still wait after them, the profile with its
    version, and the content of every input that was looked at.
    """

    rows: Int64s
    tape: Int64s
    waiting: TapeState
    profile: Profile
    profile_version: str
    inputs: dict[str, str]

    def state(self, clock: Clock, instrument: Instrument) -> FeatureState:
        """Return the feature state in which the day begins."""
        state = new_state(clock, instrument, self.profile)
        run_batch(state, self.rows, self.tape)
        return state


def build_features(home: Home, market: Market, date: str, clock_id: str | None = None) -> StageResult:
    """Compute the features of every row of a book partition and publish them.

    Inputs: ``book_snapshots`` of the day (must be usable: ``RefusedError`` otherwise), its ``trades`` and ``l2_events``
    (which trades a row counts; where no trade was recorded the tape features are NaN), its ``seasonal_profile`` (where
    there is none: neutral), and books, events and trades of the day before, whose tail warms the windows where it is
    usable and its last row is one step before the first; else the first rows are not valid. Gates: ``schema`` (dtypes,
    order, hard ranges), ``nan_rule``, ``prefix_invariance``, ``warm_rows``.
    """
    instrument = partition_instrument(home, market, date)
    clock = parse_clock(clock_id or instrument.clock)
    book_key = PartitionKey("book_snapshots", market, date, clock.id)
    key = PartitionKey("features", market, date, clock.id)
    schema = SchemaGate(FEATURES_TABLE)
    with open_partition(home, book_key, BOOK_SNAPSHOTS) as book, PartitionWriter(home, key, FEATURES_TABLE) as writer:
        warmth = warmth_of(home, market, date, clock, instrument)
        state = warmth.state(clock, instrument)
        day_tape = DayTape(home, market, date, instrument, book, warmth.waiting)
        gates = FeatureGates(clock, instrument, warmth.profile)
        gates.warm(warmth.rows, warmth.tape)
        for columns in book.chunks(CHUNK_ROWS):
            rows = rows_of_columns(columns)
            tape = day_tape.of(rows)
            features, valid = run_batch(state, rows, tape)
            out = feature_columns(rows, features, valid)
            gates.add(rows, tape, features, valid)
            schema.add(out)
            writer.write(out)
        inputs = {f"book_snapshots/{date}": book.manifest.content_sha256, **warmth.inputs}
        for table in ("l2_events", "trades"):
            inputs[f"{table}/{date}"] = content_or_absent(home, PartitionKey(table, market, date))
        manifest = writer.commit(
            code_fingerprint=code_fingerprint("features", instrument),
            inputs=inputs,
            outcomes=[schema.outcome(minimum=1), *gates.outcomes()],
            extra={
                "profile_version": warmth.profile_version,
                "tape": "recorded" if day_tape.recorded else "none",
                "features": N_BUILT,
                "registry_sha256": registry_fingerprint(),
                "rows_of_the_day_before": len(warmth.rows),
            },
        )
        return stage_result(key, manifest, writer.path)


def feature_columns(rows: Int64s, features: Float32s, valid: Bools) -> Columns:
    """Return the columns of FEATURES_TABLE for book rows (n, ROW_WIDTH) and their features (n, N_BUILT)."""
    by_column = np.ascontiguousarray(features.T)
    columns: Columns = {"ts_ns": rows[:, BOOK_SNAPSHOTS.index["ts_ns"]].copy(), "valid": valid}
    columns.update({feature.name: by_column[i] for i, feature in enumerate(BUILT)})
    return columns


def warmth_of(home: Home, market: Market, date: str, clock: Clock, instrument: Instrument) -> Warmth:
    """Return what the features of ``date`` start from: nothing and neutral where the days before are not usable.

    Raises ``RefusedError`` when the profile was refused: the features would silently be others.
    """
    before = shift_date(date, -1)
    inputs = {
        f"{table}/{before}": content_or_absent(home, PartitionKey(table, market, before))
        for table in ("l2_events", "trades")
    }
    key = PartitionKey("book_snapshots", market, before, clock.id)
    content = inputs[f"book_snapshots/{before}"] = content_or_absent(home, key)
    rows = np.empty((0, ROW_WIDTH), dtype=np.int64)
    if content != ABSENT:
        with open_partition(home, key, BOOK_SNAPSHOTS) as partition:
            rows = rows_of_columns(partition.tail(warmup_rows(clock) + 1))
    tape, waiting = tail_tape(home, market, before, instrument, rows)
    profile_key = PartitionKey("seasonal_profile", market, date, clock.id)
    profile, version = neutral_profile(), NO_PROFILE
    content = inputs[f"seasonal_profile/{date}"] = content_or_absent(home, profile_key)
    if content != ABSENT or newest_refusal(home, profile_key) is not None:
        with open_partition(home, profile_key, SEASONAL_PROFILE) as partition:
            profile = profile_of_columns(partition.read())
            version = NO_PROFILE if partition.manifest.extra["neutral"] else content
    return Warmth(rows, tape, waiting, profile, version, inputs)
