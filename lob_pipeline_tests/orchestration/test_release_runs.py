"""The registry from Dagster: one as-of day retrained twice is one challenger, and the two runs name each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from lob_pipeline.assets.tables import result_assets
from lob_pipeline.jobs import RETRAINED
from lob_pipeline.lake.home import Home
from lob_pipeline.partitions import make_partitions, parse_key
from lob_pipeline.registry.releases import read_releases, releases_ledger
from lob_pipeline.resources import Lake, default_stages
from lob_pipeline.results import MLFLOW_TAG, RESULT_CHECKS, recorded_result
from lob_pipeline_tests.orchestration.test_results import KEY, Reports, checks, made
from lob_pipeline_tests.registry.trained import new_home, train_sample

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = new_home(tmp_path)
    train_sample(home, verdict="DO_NOT_TRADE")
    return home


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_one_day_twice_is_one_challenger(home: Home, instance: dg.DagsterInstance) -> None:
    assets = result_assets(make_partitions(home))
    stages = Reports().stages(register_model=default_stages().register_model)

    def run() -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [assets[name] for name in RETRAINED],
            instance=instance,
            resources={"lake": Lake.of(home), "stages": stages},
            partition_key=KEY,
            run_config=QUIET,
        )

    first = run()
    ledger = releases_ledger(home).read_bytes()
    second = run()
    assert releases_ledger(home).read_bytes() == ledger
    (release,) = read_releases(home).releases
    assert release.aliases == ("challenger",)
    states = [made(r)["registered_model"]["state"] for r in (first, second)]
    assert states == ["registered", "already registered"]
    assert release.dagster_run_id == first.run_id
    tags = [instance.get_run_by_id(r.run_id).tags[MLFLOW_TAG] for r in (first, second)]
    assert tags == [release.mlflow_run_id] * 2
    with sqlite3.connect(home.root / "mlruns" / "mlflow.db") as store:
        query = "select value from tags where run_uuid = ? and key = 'dagster_run_id'"
        assert store.execute(query, [release.mlflow_run_id]).fetchall() == [(first.run_id,)]
    shown = {name: e.passed for (asset, name), e in checks(second).items() if asset == "registered_model"}
    assert shown == dict.fromkeys(RESULT_CHECKS["registered_model"], True)

    recorded = {o.name: o.status for o in recorded_result(home, "registered_model", *parse_key(KEY))}
    assert recorded == dict.fromkeys(RESULT_CHECKS["registered_model"], "passed")  # from the ledger alone
