"""settle: good keys are logged at their own partition, bad keys fail the step by name, in single and range runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from lob_pipeline.assets.tables import table_assets
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import read_manifest
from lob_pipeline.partitions import make_partitions
from lob_pipeline.resources import Lake
from lob_pipeline_tests.orchestration.fake_stages import Fake, register_days

MARKET = parse_market("sim.BTCUSDT")
DAYS = ["2026-01-05", "2026-01-06", "2026-01-07"]
BOOKS = dg.AssetKey("book_snapshots")


@pytest.fixture
def home(memory_home: Path) -> Home:
    home = Home(memory_home)
    register_days(home, MARKET, DAYS)
    return home


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(home: Home, fake: Fake, layer: str, days: list[str], instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    tags = {
        "dagster/asset_partition_range_start": f"{days[0]}|{MARKET}",
        "dagster/asset_partition_range_end": f"{days[-1]}|{MARKET}",
    }
    return dg.materialize(
        [table_assets(make_partitions(home))[layer]],
        instance=instance,
        resources={"lake": Lake.of(home), "stages": fake.stages()},
        tags=tags if len(days) > 1 else None,
        partition_key=None if len(days) > 1 else f"{days[0]}|{MARKET}",
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def logged(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> tuple[list[str], dict[str, bool]]:
    """Return the materialised keys of the run (with repeats) and the verdict of ``published`` at each key."""
    made, verdicts = [], {}
    for record in instance.get_records_for_run(result.run_id, limit=1000).records:
        event = record.event_log_entry.dagster_event
        if event and event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            made.append(str(event.partition))
        if event and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if evaluation.check_name == "published":
                verdicts[str(evaluation.partition)] = evaluation.passed
    return made, verdicts


@pytest.mark.parametrize("bad", [c for n in range(4) for c in itertools.combinations(range(3), n)], ids=str)
def test_a_range_run_keeps_the_good_days_and_names_the_bad_ones(
    home: Home, instance: dg.DagsterInstance, bad: tuple[int, ...]
) -> None:
    fake = Fake(bad={("books", str(MARKET), DAYS[i]) for i in bad})
    assert run(home, fake, "raw", DAYS, instance).success
    result = run(home, fake, "books", DAYS, instance)
    good = [f"{day}|{MARKET}" for i, day in enumerate(DAYS) if i not in bad]
    made, verdicts = logged(result, instance)
    assert result.success is (not bad)
    assert sorted(made) == good  # once each: not again by Dagster itself
    assert verdicts == {f"{day}|{MARKET}": i not in bad for i, day in enumerate(DAYS)}
    for i, day in enumerate(DAYS):
        assert PartitionKey("book_snapshots", MARKET, day, "t100ms").path(home).exists() is (i not in bad)
    if bad:
        failure = result.get_step_failure_events()[0].step_failure_data.user_failure_data
        assert all(DAYS[i] in failure.description for i in bad)
        assert not any(day in failure.description for i, day in enumerate(DAYS) if i not in bad)
        assert "bad on purpose" in failure.description


@pytest.mark.parametrize("is_bad", [False, True])
def test_a_single_run(home: Home, instance: dg.DagsterInstance, is_bad: bool) -> None:
    fake = Fake(bad={("books", str(MARKET), DAYS[0])} if is_bad else set())
    assert run(home, fake, "raw", DAYS[:1], instance).success
    result = run(home, fake, "books", DAYS[:1], instance)
    key = f"{DAYS[0]}|{MARKET}"
    assert result.success is not is_bad
    assert logged(result, instance) == ([] if is_bad else [key], {key: not is_bad})


def test_metadata_carries_hash_rows_and_certificate_whether_or_not_another_day_is_bad(
    home: Home, instance: dg.DagsterInstance
) -> None:
    for bad in (set(), {("books", str(MARKET), DAYS[2])}):
        fake = Fake(bad=bad, salt={"books": str(len(bad))})
        run(home, fake, "raw", DAYS, instance)
        run(home, fake, "books", DAYS, instance)
        manifest = read_manifest(PartitionKey("book_snapshots", MARKET, DAYS[0], "t100ms").path(home))
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=BOOKS, asset_partitions=[f"{DAYS[0]}|{MARKET}"]), limit=1
        ).records
        metadata = records[0].asset_materialization.metadata
        assert metadata["content_sha256"].value == manifest.content_sha256
        assert metadata["dagster/row_count"].value == manifest.rows
        assert metadata["certificate_holds"].value is True
        assert metadata["certificate"].value == {"coverage": 1.0, "gaps": [], "holds": True}


def test_checks_selected_with_their_asset_are_not_logged_twice(home: Home, instance: dg.DagsterInstance) -> None:
    from lob_pipeline.assets.common import table_checks

    fake = Fake()
    run(home, fake, "raw", DAYS[:1], instance)
    part = make_partitions(home)
    key = f"{DAYS[0]}|{MARKET}"
    result = dg.materialize(
        [table_assets(part)["books"], table_checks("book_snapshots", part)],
        instance=instance,
        resources={"lake": Lake.of(home), "stages": fake.stages()},
        partition_key=key,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    shown = [
        (event.asset_check_evaluation_data.check_name, event.asset_check_evaluation_data.partition)
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert sorted(shown) == [(name, key) for name in ("certificate", "plausible", "published", "schema")]


def test_a_stage_that_raises_spoils_its_own_day_only(home: Home, instance: dg.DagsterInstance) -> None:
    fake = Fake(broken={("books", str(MARKET), DAYS[1])})
    run(home, fake, "raw", DAYS, instance)
    result = run(home, fake, "books", DAYS, instance)
    made, verdicts = logged(result, instance)
    assert not result.success
    assert sorted(made) == [f"{DAYS[0]}|{MARKET}", f"{DAYS[2]}|{MARKET}"]
    assert verdicts[f"{DAYS[1]}|{MARKET}"] is False
    assert "broken on purpose" in result.get_step_failure_events()[0].step_failure_data.user_failure_data.description


def test_the_lake_gate_holds_what_reads_a_refused_day_when_everything_is_launched_at_once(
    home: Home, instance: dg.DagsterInstance
) -> None:
    fake = Fake(bad={("books", str(MARKET), DAYS[1])})
    for layer in ("raw", "books", "profile", "features", "labels"):
        run(home, fake, layer, DAYS, instance)
    for table in ("features", "labels"):
        standing = [PartitionKey(table, MARKET, day, "t100ms").path(home).exists() for day in DAYS]
        assert standing == [True, False, True]
