"""The code location: its graph, policies, mappings, jobs, and what loading it must not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from lob_pipeline.definitions import build_defs
from lob_pipeline.lake.home import Home
from lob_pipeline.partitions import FIRST_DAY, inside, make_partitions, parse_key, partition_key, ranges
from lob_pipeline.stages.layers import LAYERS, TABLES, layer_of
from lob_pipeline_tests.orchestration.fake_stages import register_days

MARTS = {
    "stg_book_snapshots",
    "stg_trades",
    "stg_labels",
    "market_quality_daily",
    "slippage_by_size_daily",
    "label_base_rates_daily",
    "fill_age_daily",
}
RESULTS = {
    "training_set": "training",
    "lob_moe": "training",
    "feasibility_report": "evaluation",
    "walk_forward_report": "evaluation",
    "verdict": "evaluation",
    "registered_model": "release",
    "predictions": "live",
    "shadow_report": "live",
}
HEAVY = ("torch", "lightning", "pytorch_lightning", "mlflow", "great_expectations", "ccxt", "statsmodels", "sklearn")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def defs(home: Home) -> dg.Definitions:
    return build_defs(home=home)


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions) -> AssetGraph:
    return defs.resolve_asset_graph()


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name)


def test_every_asset_and_what_it_reads(graph: AssetGraph) -> None:
    edges = {k.path[-1]: sorted(p.path[-1] for p in graph.get(k).parent_keys) for k in graph.get_all_asset_keys()}
    assert edges == {
        "raw_segments": [],
        "l2_events": ["raw_segments"],
        "trades": ["raw_segments"],
        "quotes": ["raw_segments"],
        "book_snapshots": ["l2_events", "quotes", "trades"],
        "seasonal_profile": ["book_snapshots"],
        "features": ["book_snapshots", "l2_events", "seasonal_profile", "trades"],
        "labels": ["book_snapshots", "l2_events", "trades"],
        "stg_book_snapshots": ["book_snapshots"],
        "stg_trades": ["trades"],
        "market_quality_daily": ["stg_book_snapshots", "stg_trades"],
        "slippage_by_size_daily": ["stg_book_snapshots"],
        "stg_labels": ["labels"],
        "label_base_rates_daily": ["stg_labels"],
        "fill_age_daily": ["stg_labels"],
        "training_set": ["features", "labels"],
        "feasibility_report": ["book_snapshots", "labels", "training_set"],
        "walk_forward_report": ["book_snapshots", "labels", "training_set"],
        "verdict": ["training_set", "walk_forward_report"],
        "lob_moe": ["feasibility_report", "training_set", "verdict"],
        "registered_model": ["feasibility_report", "lob_moe", "training_set", "verdict"],
        "predictions": ["features"],
        "shadow_report": ["labels", "predictions"],
    }


def test_the_location_loads_as_the_daemon_loads_it(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)
    assert defs.get_repository_def().get_all_jobs()


def test_the_edges_are_the_same_day_sources_that_the_planner_knows(graph: AssetGraph) -> None:
    for table in TABLES:
        declared = {s.table for s in layer_of(table).sources if s.required}
        assert {p.path[-1] for p in graph.get(key(table)).parent_keys} - {"raw_segments"} == declared


def test_groups_and_one_partitions_definition(graph: AssetGraph) -> None:
    groups = {k.path[-1]: graph.get(k).group_name for k in graph.get_all_asset_keys()}
    assert {groups[t] for t in ("raw_segments", "l2_events", "trades", "quotes")} == {"raw"}
    assert (groups["book_snapshots"], groups["features"], groups["labels"]) == ("books", "features", "labels")
    assert {name for name, group in groups.items() if group == "marts"} == MARTS
    assert {name: group for name, group in groups.items() if name in RESULTS} == RESULTS
    assert len({graph.get(key(t)).partitions_def for t in (*TABLES, *RESULTS, "raw_segments")}) == 1
    assert all(graph.get(key(m)).partitions_def is None for m in MARTS)


def test_no_partitioned_asset_reads_an_unpartitioned_one(graph: AssetGraph) -> None:
    for k in graph.get_all_asset_keys():
        node = graph.get(k)
        if node.is_partitioned:
            assert all(graph.get(parent).is_partitioned for parent in node.parent_keys)


def test_layers_have_different_backfill_policies(graph: AssetGraph) -> None:
    policies = {layer.name: {graph.get(key(t)).backfill_policy for t in layer.tables} for layer in LAYERS}
    assert {name: [p.max_partitions_per_run for p in found if p] for name, found in policies.items()} == {
        "raw": [8],
        "books": [16],
        "profile": [60],
        "features": [14],
        "labels": [13],
    }


def test_results_run_one_as_of_day_at_a_time_in_the_pools_that_they_fill(graph: AssetGraph) -> None:
    assert {graph.get(key(name)).backfill_policy for name in RESULTS} == {None}
    pools = {name: graph.get(key(name)).pools for name in RESULTS}
    assert (pools["lob_moe"], pools["walk_forward_report"]) == ({"train"}, {"train"})
    assert (pools["registered_model"], pools["predictions"]) == ({"registry"}, {"kernels"})
    assert pools["verdict"] == pools["training_set"] == set()
    assert graph.get(key("market_quality_daily")).pools == {"dbt"}


def test_the_instance_has_the_pools_slots(memory_home: Path) -> None:
    from lob_pipeline.resources import open_instance

    with open_instance(Home(memory_home)) as instance:
        limits = {p.name: p.limit for p in instance.event_log_storage.get_pool_limits()}
    assert limits == {"kernels": os.cpu_count(), "train": 1, "registry": 1, "dbt": 1}


def test_mappings_look_back_only(graph: AssetGraph) -> None:
    day = "2026-01-06|sim.BTCUSDT"
    for table in (*TABLES, *RESULTS):
        for parent in graph.get(key(table)).parent_keys:
            mapping = graph.get_partition_mapping(key(table), parent)
            part = graph.get(key(table)).partitions_def
            with dg.DagsterInstance.ephemeral() as instance:
                mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(
                    part.subset_with_partition_keys([day]), part, part, dynamic_partitions_store=instance
                )
            assert {str(k) for k in mapped.partitions_subset.get_partition_keys()} == {day}


def test_jobs_run_in_one_process_and_schedules_and_sensors_start_stopped(defs: dg.Definitions) -> None:
    layers = (f"build_{layer.name}" for layer in LAYERS)
    for name in ("nightly", "backfill_market", "dbt_marts", "retrain", "evaluate", "shadow_score", *layers):
        assert defs.resolve_job_def(name).executor_def is dg.in_process_executor
    nightly = defs.resolve_job_def("nightly").asset_layer.executable_asset_keys
    assert {k.path[-1] for k in nightly} == set(TABLES)
    assert {k.path[-1] for k in defs.resolve_job_def("retrain").asset_layer.executable_asset_keys} == {
        name for name, group in RESULTS.items() if group != "live"
    }
    for schedule in ("nightly_data", "nightly_retrain"):
        assert defs.resolve_schedule_def(schedule).default_status == dg.DefaultScheduleStatus.STOPPED
    assert defs.resolve_schedule_def("nightly_retrain").cron_schedule == ["0 2 * * *", "0 8-23 * * *"]
    for sensor in ("on_failure", "closed_segments", "live_shadow", "promotion_ready"):
        assert defs.resolve_sensor_def(sensor).default_status == dg.DefaultSensorStatus.STOPPED


def test_partition_keys_have_the_contracts_form(home: Home) -> None:
    part = make_partitions(home)
    keys = part.get_partition_keys()
    assert "2026-11-18|bybit-linear.BTCUSDT" in {str(k) for k in keys}
    market, date = parse_key("2026-11-18|bybit-linear.BTCUSDT")
    assert partition_key(market, date) == "2026-11-18|bybit-linear.BTCUSDT"
    assert str(keys[0]).startswith(FIRST_DAY)


def test_an_ingested_market_is_a_partition_and_the_open_day_is_not(tmp_path: Path) -> None:
    import datetime as dt

    home = Home(tmp_path)
    market, _ = parse_key("2026-01-06|binance-spot.NEXOUSDT")
    register_days(home, market, ["2026-01-06"])
    assert str(market) in make_partitions(home).get_partitions_def_for_dimension("market").get_partition_keys()
    today = dt.datetime.now(dt.UTC).date()
    assert not inside(today.isoformat())
    assert inside((today - dt.timedelta(days=1)).isoformat())
    assert not inside("2022-12-31")


def test_ranges_are_unbroken_and_of_one_market() -> None:
    a, _ = parse_key("2026-01-01|sim.A")
    b, _ = parse_key("2026-01-01|sim.B")
    days = [(b, "2026-01-03"), (a, "2026-01-01"), (a, "2026-01-02"), (a, "2026-01-04"), (a, "2026-01-02")]
    assert ranges(days) == [
        (a, "2026-01-01", "2026-01-02"),
        (a, "2026-01-04", "2026-01-04"),
        (b, "2026-01-03", "2026-01-03"),
    ]


def test_loading_the_definitions_imports_nothing_heavy(home: Home) -> None:
    code = (
        "import sys, lob_pipeline.definitions as d; d.defs;"
        f"print([m for m in {HEAVY!r} if m in sys.modules], 'dagster_dbt' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(home), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] True"


def test_the_planner_and_the_runner_load_without_dagster(home: Home) -> None:
    code = "import sys, lob_pipeline.runner, lob_pipeline.stages.plan; print('dagster' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(home), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def _environment(home: Home) -> dict[str, str]:
    return {**os.environ, "LOB_HOME": str(home.root), "DAGSTER_HOME": str(home.root / ".dagster")}
