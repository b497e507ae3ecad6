"""live_shadow asks for the newest usable day that a model has not predicted; promotion_ready tells and does nothing."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import content_or_absent
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.registry.releases import read_releases, record_promoted, record_registered
from lob_pipeline.resources import Lake
from lob_pipeline.sensors import live_shadow, promotion_ready
from lob_pipeline_tests.lake.helpers import gates_of
from lob_pipeline_tests.orchestration.fake_stages import rows_of
from lob_pipeline_tests.registry.samples import sample_info

MARKET = parse_market("sim.BTCUSDT")
DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")
FIRST, SECOND = "1a" * 32, "2b" * 32


@pytest.fixture
def home(memory_home: Path) -> Home:
    home = Home(memory_home)
    for number, day in enumerate(DAYS):
        publish(home, day, number)
    return home


def publish(home: Home, day: str, seed: int, *, gate: bool = True) -> None:
    columns, strings = rows_of(FEATURES_TABLE, day, seed)
    with PartitionWriter(home, PartitionKey("features", MARKET, day, "t100ms"), FEATURES_TABLE) as writer:
        writer.write(columns, strings)
        outcomes = gates_of("features") if gate else []
        writer.commit(code_fingerprint="x", inputs={}, outcomes=outcomes)


def register(home: Home, sha256: str, version: int) -> None:
    info = sample_info(market=str(MARKET), clock="t100ms", semver=f"1.{version}.0")
    record_registered(home, info, sha256, version, "a test", [judge("parity", True, examined=1, judged=1)])


def predict(home: Home, sha256: str, day: str, *, gate: bool = True) -> None:
    """Publish predictions of a bundle, made from the features that stand."""
    zeros = {c.name: np.zeros(2, c.dtype) for c in PREDICTIONS.columns if c.dtype != "string"}
    columns = {**zeros, "ts_ns": np.full(2, day_start_ns(day) + 1), "side": np.array([-1, 1], np.int8)}
    strings = {c.name: pa.array(["x", "y"]) for c in PREDICTIONS.columns if c.dtype == "string"}
    key = PartitionKey("predictions", MARKET, day, "t100ms", bundle=sha256[:12], origin="batch")
    features = content_or_absent(home, PartitionKey("features", MARKET, day, "t100ms"))
    with PartitionWriter(home, key, PREDICTIONS) as writer:
        writer.write(columns, strings)
        outcomes = [judge("schema", True, examined=2, judged=2)] if gate else []
        writer.commit(code_fingerprint="x", inputs={f"features/{day}": features}, outcomes=outcomes)


def look(sensor: dg.SensorDefinition, home: Home, cursor: str | None = None) -> dg.SensorResult:
    with dg.build_sensor_context(cursor=cursor, resources={"lake": Lake.of(home)}) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_the_newest_usable_day_is_asked_for_once(home: Home) -> None:
    register(home, FIRST, 1)
    first = look(live_shadow, home)
    assert [r.partition_key for r in first.run_requests] == [f"2026-01-07|{MARKET}"]
    again = look(live_shadow, home, first.cursor)
    assert not again.run_requests
    assert again.cursor == first.cursor
    predict(home, FIRST, "2026-01-07")
    assert not look(live_shadow, home).run_requests  # also without a cursor
    publish(home, "2026-01-08", 8)
    (new,) = look(live_shadow, home, first.cursor).run_requests
    assert new.partition_key == f"2026-01-08|{MARKET}"
    assert new.run_key != first.run_requests[0].run_key


def test_a_new_challenger_is_shown_a_day_that_the_champion_has_seen(home: Home) -> None:
    register(home, FIRST, 1)
    record_promoted(home, None, read_releases(home).releases[0], "a test", [], "recipe")
    predict(home, FIRST, "2026-01-07")
    assert not look(live_shadow, home).run_requests
    register(home, SECOND, 2)
    (request,) = look(live_shadow, home).run_requests
    assert SECOND[:12] in str(request.run_key)
    assert FIRST[:12] not in str(request.run_key)


def test_predictions_of_other_features_or_without_a_gate_are_none(home: Home) -> None:
    register(home, FIRST, 1)
    predict(home, FIRST, "2026-01-07", gate=False)
    assert len(look(live_shadow, home).run_requests) == 1
    predict(home, FIRST, "2026-01-07")
    assert not look(live_shadow, home).run_requests
    publish(home, "2026-01-07", 70)  # the day is rebuilt with other contents
    assert len(look(live_shadow, home).run_requests) == 1


def test_unusable_and_damaged_days_are_passed_over(home: Home) -> None:
    register(home, FIRST, 1)
    publish(home, "2026-01-07", 7, gate=False)
    damaged = PartitionKey("features", MARKET, "2026-01-08", "t100ms").path(home)
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"PAR1")
    (request,) = look(live_shadow, home).run_requests
    assert request.partition_key == f"2026-01-06|{MARKET}"


@pytest.mark.parametrize("sensor", [live_shadow, promotion_ready], ids=lambda s: s.name)
def test_an_empty_home_is_a_reason_to_skip(tmp_path: Path, sensor: dg.SensorDefinition) -> None:
    for home in (Home(tmp_path), Home(tmp_path / "absent")):
        result = look(sensor, home)
        assert not result.run_requests
        assert result.skip_reason is not None
    assert not any(tmp_path.iterdir())  # looking makes nothing


def test_a_challenger_is_reported_once_and_promoted_by_nobody(home: Home) -> None:
    register(home, FIRST, 1)
    ledger = (home.ledgers / "releases.jsonl").read_bytes()
    told = look(promotion_ready, home)
    said = str(told.skip_reason.skip_message)
    assert "waits, there is no champion" in said
    assert "DO_NOT_TRADE" in said.split("against it:")[1]
    (event,) = told.asset_events
    assert isinstance(event, dg.AssetObservation)
    assert event.partition == f"{read_releases(home).releases[0].as_of}|{MARKET}"
    assert event.metadata["challenger_bundle_sha256"].value == FIRST
    assert look(promotion_ready, home, told.cursor).asset_events == []
    assert (home.ledgers / "releases.jsonl").read_bytes() == ledger
    record_promoted(home, None, read_releases(home).releases[0], "a test", [], "recipe")
    assert "no challenger" in str(look(promotion_ready, home, told.cursor).skip_reason.skip_message)
    register(home, SECOND, 2)
    later = look(promotion_ready, home, told.cursor)
    assert "1.1.0 is champion" in str(later.skip_reason.skip_message)
    assert len(later.asset_events) == 1
