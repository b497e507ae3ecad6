"""The features stage: warmed on the day before, gated, and honest about what it could not judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, ROW
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.features.batch import rows_of_columns, run_batch
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE, INDEX
from lob_pipeline.features.state import new_state
from lob_pipeline.features.tape_rows import unknown_tape
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.feature_gates import MINIMUM_WARM_ROWS, FeatureGates
from lob_pipeline.stages.build_features import build_features
from lob_pipeline_tests.features.rows import RowPlan, random_rows
from lob_pipeline_tests.lake.helpers import gates_of

CLOCK = parse_clock("t1s")
MARKET = parse_market("bybit-linear.BTCUSDT")
MIDNIGHT = day_start_ns("2024-05-02")
ROWS_BEFORE, ROWS_AFTER = 400, 450
Rows = npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Book rows across midnight; the row of 24:00:00.000 closes the first day."""
    start = MIDNIGHT - ROWS_BEFORE * CLOCK.step_ns
    return random_rows(RowPlan(ROWS_BEFORE + ROWS_AFTER, seed=4, step_ns=CLOCK.step_ns, start_ns=start, messages=4))


def publish(home: Home, date: str, rows: Rows, ok: bool = True) -> str:
    columns = {c.name: rows[:, i].astype(c.dtype) for i, c in enumerate(BOOK_SNAPSHOTS.columns)}
    key = PartitionKey("book_snapshots", MARKET, date, CLOCK.id)
    with PartitionWriter(home, key, BOOK_SNAPSHOTS) as writer:
        writer.write(columns)
        outcome = judge("invariants", ok, examined=len(rows), judged=len(rows), message="made for this test")
        gates = gates_of("book_snapshots", outcome)
        return writer.commit(code_fingerprint="x", inputs={}, outcomes=gates).content_sha256


def stored(home: Home, date: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    with open_partition(home, PartitionKey("features", MARKET, date, CLOCK.id), FEATURES_TABLE) as partition:
        columns = partition.read()
    return np.column_stack([columns[f.name] for f in BUILT]), columns["valid"]


def test_rows_survive_the_way_through_columns(rows: Rows) -> None:
    columns = {c.name: rows[:, i].astype(c.dtype) for i, c in enumerate(BOOK_SNAPSHOTS.columns)}
    assert np.array_equal(rows_of_columns(columns), rows)


def test_a_day_is_warmed_on_the_tail_of_the_day_before(tmp_path: Path, rows: Rows) -> None:
    home = Home(tmp_path)
    first = publish(home, "2024-05-01", rows[:ROWS_BEFORE])
    second = publish(home, "2024-05-02", rows[ROWS_BEFORE:])
    result = build_features(home, MARKET, "2024-05-02", CLOCK.id)
    assert not result.refused
    others = [f"{table}/{day}" for table in ("l2_events", "trades") for day in ("2024-05-01", "2024-05-02")]
    assert result.manifest.inputs == {
        "book_snapshots/2024-05-01": first,
        "book_snapshots/2024-05-02": second,
        **dict.fromkeys([*others, "seasonal_profile/2024-05-02"], ABSENT),
    }
    assert (result.manifest.extra["profile_version"], result.manifest.extra["tape"]) == ("none", "none")
    assert {o.name: o.status for o in result.manifest.outcomes} == dict.fromkeys(
        ("schema", "nan_rule", "prefix_invariance", "warm_rows"), "passed"
    )
    whole, valid = run_batch(new_state(CLOCK, instrument(MARKET)), rows)
    features, stored_valid = stored(home, "2024-05-02")
    assert stored_valid.all()
    assert np.array_equal(features.view(np.uint32), whole[ROWS_BEFORE:].view(np.uint32))
    assert np.array_equal(stored_valid, valid[ROWS_BEFORE:])


def test_without_the_day_before_the_first_rows_are_not_valid(tmp_path: Path, rows: Rows) -> None:
    home = Home(tmp_path)
    publish(home, "2024-05-02", rows[ROWS_BEFORE:])
    result = build_features(home, MARKET, "2024-05-02", CLOCK.id)
    assert result.manifest.inputs["book_snapshots/2024-05-01"] == ABSENT
    assert stored(home, "2024-05-02")[1].argmax() == 300


def test_a_day_before_with_a_hole_at_midnight_warms_nothing(tmp_path: Path, rows: Rows) -> None:
    home = Home(tmp_path)
    publish(home, "2024-05-01", rows[: ROWS_BEFORE - 1])
    publish(home, "2024-05-02", rows[ROWS_BEFORE:])
    build_features(home, MARKET, "2024-05-02", CLOCK.id)
    assert stored(home, "2024-05-02")[1].argmax() == 300


def test_a_short_recording_is_published_as_not_judged(tmp_path: Path, rows: Rows) -> None:
    home = Home(tmp_path)
    publish(home, "2024-05-02", rows[ROWS_BEFORE : ROWS_BEFORE + 44])
    result = build_features(home, MARKET, "2024-05-02", CLOCK.id)
    assert not result.refused
    assert not result.manifest.trainable
    outcomes = {o.name: o for o in result.manifest.outcomes}
    assert outcomes["warm_rows"].status == outcomes["prefix_invariance"].status == "not_judged"
    assert outcomes["warm_rows"].minimum_judged == MINIMUM_WARM_ROWS


def test_a_refused_or_absent_book_has_no_features(tmp_path: Path, rows: Rows) -> None:
    home = Home(tmp_path)
    with pytest.raises(RefusedError, match="lob books"):
        build_features(home, MARKET, "2024-05-02", CLOCK.id)
    publish(home, "2024-05-02", rows[ROWS_BEFORE:], ok=False)
    with pytest.raises(RefusedError, match="made for this test"):
        build_features(home, MARKET, "2024-05-02", CLOCK.id)
    assert not PartitionKey("features", MARKET, "2024-05-02", CLOCK.id).path(home).exists()


def judged(rows: Rows, features: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> dict[str, str]:
    gates = FeatureGates(CLOCK, instrument(MARKET))
    gates.add(rows, unknown_tape(len(rows)), features, valid)
    return {o.name: o.status for o in gates.outcomes()}


def test_the_gates_see_a_nan_in_a_valid_row_and_a_value_in_an_invalid_one(rows: Rows) -> None:
    features, valid = run_batch(new_state(CLOCK, instrument(MARKET)), rows)
    assert judged(rows, features, valid)["nan_rule"] == "passed"
    missing = features.copy()
    missing[400, 3] = np.nan
    assert judged(rows, missing, valid)["nan_rule"] == "refused"
    broken = rows.copy()
    broken[200, ROW["valid"]] = 0
    assert judged(broken, features, valid)["nan_rule"] == "refused"
    made_up = features.copy()
    made_up[400, INDEX["vpin_60s_ratio"]] = 0.5
    assert judged(rows, made_up, valid)["nan_rule"] == "refused"


def test_the_gates_see_a_feature_that_reads_the_future(rows: Rows) -> None:
    features, valid = run_batch(new_state(CLOCK, instrument(MARKET)), rows)
    column = INDEX["ofi_l1_5s_lots"]
    leaking = features.copy()
    leaking[:-1, column] = features[1:, column]
    assert judged(rows, leaking, valid)["prefix_invariance"] == "refused"
