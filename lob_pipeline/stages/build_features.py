"""Stage ``features``: a day's book rows become its features, warmed on the tail of the day before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lob_pipeline.core.clock import Clock, parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import shift_date
from lob_pipeline.features.batch import Bools, Float32s, rows_of_columns, run_batch
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE, N_BUILT, registry_fingerprint, warmup_rows
from lob_pipeline.features.state import Int64s, new_state
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import content_or_absent, open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.feature_gates import FeatureGates
from lob_pipeline.quality.schemas import SchemaGate
from lob_pipeline.stages.result import StageResult, stage_result

CHUNK_ROWS = 1 << 17


def build_features(home: Home, market: Market, date: str, clock_id: str | None = None) -> StageResult:
    """Compute the features of every row of a book partition and publish them.

    Inputs: ``book_snapshots`` of the day (must be usable: ``RefusedError`` otherwise) and of the day before (its tail
    warms the windows where it is usable and its last row is one step before the first; else the first rows are not
    valid). Gates: ``schema`` (dtypes, order, hard ranges), ``nan_rule``, ``prefix_invariance``, ``warm_rows``.
    """
    instrument = partition_instrument(home, market, date)
    clock = parse_clock(clock_id or instrument.clock)
    book_key = PartitionKey("book_snapshots", market, date, clock.id)
    day_before = shift_date(date, -1)
    key = PartitionKey("features", market, date, clock.id)
    gates, schema = FeatureGates(clock, instrument), SchemaGate(FEATURES_TABLE)
    with open_partition(home, book_key, BOOK_SNAPSHOTS) as book, PartitionWriter(home, key, FEATURES_TABLE) as writer:
        state = new_state(clock, instrument)
        before, tail = day_before_rows(home, market, day_before, clock)
        if len(tail):
            run_batch(state, tail)
            gates.warm(tail)
        for rows in _chunks(book.chunks(CHUNK_ROWS)):
            features, valid = run_batch(state, rows)
            columns = feature_columns(rows, features, valid)
            gates.add(rows, features, valid)
            schema.add(columns)
            writer.write(columns)
        manifest = writer.commit(
            code_fingerprint=code_fingerprint("features", instrument),
            inputs={
                f"book_snapshots/{date}": book.manifest.content_sha256,
                f"book_snapshots/{day_before}": before,
            },
            outcomes=[schema.outcome(minimum=1), *gates.outcomes()],
            extra={
                "profile_version": "none",
                "features": N_BUILT,
                "registry_sha256": registry_fingerprint(),
                "rows_of_the_day_before": len(tail),
            },
        )
        return stage_result(key, manifest, writer.path)


def feature_columns(rows: Int64s, features: Float32s, valid: Bools) -> Columns:
    """Return the columns of FEATURES_TABLE for book rows (n, ROW_WIDTH) and their features (n, N_BUILT)."""
    by_column = np.ascontiguousarray(features.T)
    columns: Columns = {"ts_ns": rows[:, BOOK_SNAPSHOTS.index["ts_ns"]].copy(), "valid": valid}
    columns.update({feature.name: by_column[i] for i, feature in enumerate(BUILT)})
    return columns


def day_before_rows(home: Home, market: Market, date: str, clock: Clock) -> tuple[str, Int64s]:
    """Return the content hash of the books of ``date`` and their last rows, as many as warm every window.

    ``absent`` and no rows where those books are not usable.
    """
    key = PartitionKey("book_snapshots", market, date, clock.id)
    if content_or_absent(home, key) == ABSENT:
        return ABSENT, np.empty((0, len(BOOK_SNAPSHOTS.columns)), dtype=np.int64)
    with open_partition(home, key, BOOK_SNAPSHOTS) as partition:
        return partition.manifest.content_sha256, rows_of_columns(partition.tail(warmup_rows(clock) + 1))


def _chunks(columns: Iterator[Columns]) -> Iterator[Int64s]:
    for chunk in columns:
        yield rows_of_columns(chunk)
