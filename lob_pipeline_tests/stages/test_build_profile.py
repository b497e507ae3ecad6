"""The profile stage: strictly earlier usable days, neutral where they are few, and an input of the features."""

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
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, PROFILE_DAYS, ROW, SEASONAL_PROFILE
from lob_pipeline.core.units import day_start_ns, shift_date
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.profile import COLUMNS, Profile, count, fit, new_counts
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE
from lob_pipeline.features.state import new_state
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_profile import build_profile, ensure_profile, profile_columns, profile_of_columns
from lob_pipeline_tests.features.rows import RowPlan, random_rows
from lob_pipeline_tests.features.trades import random_profile
from lob_pipeline_tests.lake.helpers import gates_of

CLOCK = parse_clock("t1s")
MARKET = parse_market("bybit-linear.BTCUSDT")
DAY = "2024-05-10"
Rows = npt.NDArray[np.int64]


def rows_of(date: str, seed: int = 0) -> Rows:
    """Rows of the first minutes of a day, of no day before it."""
    start = day_start_ns(date) + 10 * CLOCK.step_ns
    return random_rows(RowPlan(400, seed=seed + int(date[-2:]), step_ns=CLOCK.step_ns, start_ns=start, moves=0.5))


def publish(home: Home, date: str, rows: Rows, ok: bool = True) -> str:
    key = PartitionKey("book_snapshots", MARKET, date, CLOCK.id)
    with PartitionWriter(home, key, BOOK_SNAPSHOTS) as writer:
        writer.write({c.name: rows[:, i].astype(c.dtype) for i, c in enumerate(BOOK_SNAPSHOTS.columns)})
        outcome = judge("invariants", ok, examined=len(rows), judged=len(rows), message="made for this test")
        gates = gates_of("book_snapshots", outcome)
        return writer.commit(code_fingerprint="x", inputs={}, outcomes=gates).content_sha256


def stored(home: Home, date: str = DAY) -> Profile:
    with open_partition(home, PartitionKey("seasonal_profile", MARKET, date, CLOCK.id), SEASONAL_PROFILE) as partition:
        return profile_of_columns(partition.read())


def expected(days: list[str]) -> Profile:
    past = []
    for day in days:
        past.append(new_counts())
        count(past[-1], np.column_stack([rows_of(day)[:, ROW[name]] for name in COLUMNS]), CLOCK.step_ns)
    return fit(past, 60)


def test_the_profile_is_of_the_usable_days_before(tmp_path: Path) -> None:
    home = Home(tmp_path)
    days = [shift_date(DAY, -n) for n in (1, 3, 4, PROFILE_DAYS)]
    for day in days:
        publish(home, day, rows_of(day))
    publish(home, DAY, rows_of(DAY))
    publish(home, shift_date(DAY, 1), rows_of(DAY))
    publish(home, shift_date(DAY, -2), rows_of(DAY), ok=False)
    publish(home, shift_date(DAY, -PROFILE_DAYS - 1), rows_of(DAY))
    result = build_profile(home, MARKET, DAY, CLOCK.id)
    assert not result.refused
    assert result.manifest.extra == {"days": sorted(days), "neutral": False}
    assert set(result.manifest.inputs) == {f"book_snapshots/{shift_date(DAY, -n)}" for n in range(1, PROFILE_DAYS + 1)}
    assert sum(content != ABSENT for content in result.manifest.inputs.values()) == len(days)
    assert {o.name: o.status for o in result.manifest.outcomes} == dict.fromkeys(
        ("schema", "strictly_earlier", "odd_microprice"), "passed"
    )
    for ours, theirs in zip(stored(home), expected(days), strict=True):
        assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.isfinite(stored(home).spread_ticks).any()
    assert np.abs(stored(home).microprice_ticks).max() > 0


def test_features_take_the_profile_and_say_which(tmp_path: Path) -> None:
    home = Home(tmp_path)
    days = [shift_date(DAY, -n) for n in (2, 3, 4)]
    for day in [*days, DAY]:
        publish(home, day, rows_of(day))
    profile = build_profile(home, MARKET, DAY, CLOCK.id)
    result = build_features(home, MARKET, DAY, CLOCK.id)
    content = profile.manifest.content_sha256
    assert result.manifest.extra["profile_version"] == content
    assert result.manifest.inputs[f"seasonal_profile/{DAY}"] == content
    assert not result.refused
    found, _ = run_batch(new_state(CLOCK, instrument(MARKET), stored(home)), rows_of(DAY))
    with open_partition(home, PartitionKey("features", MARKET, DAY, CLOCK.id), FEATURES_TABLE) as partition:
        columns = partition.read()
    features = np.column_stack([columns[f.name] for f in BUILT])
    assert np.array_equal(features.view(np.uint32), found.view(np.uint32))
    assert np.nanmax(np.abs(columns["spread_vs_season_log"])) > 0
    assert np.nanmax(np.abs(columns["microprice_momentum_1s_ticks"])) > 0


def test_with_two_days_it_is_neutral_and_features_say_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for n in (0, 1, 2):
        publish(home, shift_date(DAY, -n), rows_of(shift_date(DAY, -n)))
    assert build_profile(home, MARKET, DAY, CLOCK.id).manifest.extra["neutral"]
    result = build_features(home, MARKET, DAY, CLOCK.id)
    assert result.manifest.extra["profile_version"] == "none"
    assert result.manifest.inputs[f"seasonal_profile/{DAY}"] != ABSENT
    assert np.isnan(stored(home).spread_ticks).all()
    assert (stored(home).microprice_ticks == 0).all()


def test_it_is_built_again_only_when_an_earlier_day_changed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for n in (0, 1, 2, 3):
        publish(home, shift_date(DAY, -n), rows_of(shift_date(DAY, -n)))
    assert ensure_profile(home, MARKET, DAY, CLOCK.id) is not None
    assert ensure_profile(home, MARKET, DAY, CLOCK.id) is None
    publish(home, DAY, rows_of(DAY, seed=50))
    assert ensure_profile(home, MARKET, DAY, CLOCK.id) is None
    before = stored(home)
    publish(home, shift_date(DAY, -2), rows_of(shift_date(DAY, -2), seed=50))
    assert ensure_profile(home, MARKET, DAY, CLOCK.id) is not None
    assert not np.array_equal(before.microprice_ticks, stored(home).microprice_ticks)


def test_features_refuse_a_refused_profile(tmp_path: Path) -> None:
    home = Home(tmp_path)
    publish(home, DAY, rows_of(DAY))
    key = PartitionKey("seasonal_profile", MARKET, DAY, CLOCK.id)
    with PartitionWriter(home, key, SEASONAL_PROFILE) as writer:
        writer.write(profile_columns(random_profile(1), np.zeros(126, np.int64)))
        outcome = judge("strictly_earlier", False, examined=1, judged=1, message="it read the day itself")
        writer.commit(code_fingerprint="x", inputs={}, outcomes=[outcome])
    with pytest.raises(RefusedError, match="it read the day itself"):
        build_features(home, MARKET, DAY, CLOCK.id)


def test_a_profile_survives_its_columns() -> None:
    profile = random_profile(3)
    for one, other in zip(profile, profile_of_columns(profile_columns(profile, np.zeros(126))), strict=True):
        assert np.array_equal(one, other, equal_nan=True)
