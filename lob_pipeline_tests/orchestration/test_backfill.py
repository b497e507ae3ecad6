"""A four-day, two-market backfill from the daemon, with one historical bug in each of three days.

Each bad day's book is refused by a check that compares it with something else than the pipeline; nothing of that day
that reads it exists; every other day is complete; the backfill is not reported as a success.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from lob_pipeline.checks import CHECKS
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.definitions import build_defs
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import read_manifest
from lob_pipeline.project import instance_home
from lob_pipeline.resources import prepare_instance
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.stages.ingest import register
from lob_pipeline.stages.layers import TABLES, layer_of
from lob_pipeline.stages.plan import default_clock
from lob_pipeline.stages.simulate import simulate
from lob_pipeline_tests.orchestration.broken_location import BAD_INDEX
from lob_pipeline_tests.orchestration.daemon import backfill, daemon, session_processes

pytestmark = pytest.mark.slow

DAYS = ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"]
SIM, BYBIT = parse_market("sim.BTCUSDT"), parse_market("bybit-linear.BTCUSDT")
INVERTED = (str(SIM), DAYS[0])
DELTAS_AS_SNAPSHOTS = (str(BYBIT), DAYS[2])
BAD = {INVERTED, DELTAS_AS_SNAPSHOTS, BAD_INDEX}
# Checks against what the venue itself said: its trades, its closing snapshot, a book that cannot be.
INDEPENDENT = {
    "trade_touch_match",
    "closing_snapshot_match",
    "two_sided_uncrossed",
    "spread_sanity",
    "depth_kept",
}


@dataclass
class Done:
    """What the backfill left behind."""

    home: Home
    status: BulkActionStatus
    daemon_pid: int


def inverted(line: str) -> str:
    """Swap bids and asks of a snapshot message, as a decoder with the sides mixed up would read it."""
    message = json.loads(line)
    if message["type"] == "snapshot":
        message["data"]["b"], message["data"]["a"] = message["data"]["a"], message["data"]["b"]
    return json.dumps(message, separators=(",", ":"))


def deltas_as_snapshots(line: str) -> str:
    return re.sub('"type":"delta"', '"type":"snapshot"', line)


def rewrite(path: Path, change: object) -> None:
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        lines = archive.read(name).decode().splitlines()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "".join(change(line) + "\n" for line in lines))  # type: ignore[operator]


def record(folder: Path, home: Home, market: Market, seed: int) -> None:
    config = SimConfig(seed=seed, days=len(DAYS), minutes=3, first_day=DAYS[0], edge_bps=0.0)
    report = simulate(folder, config)
    for day, files in zip(DAYS, report.days, strict=True):
        for bad, change in ((INVERTED, inverted), (DELTAS_AS_SNAPSHOTS, deltas_as_snapshots)):
            if bad == (str(market), day):
                rewrite(folder / files.book, change)
    register(home, market, report.files, tick="0.1", lot="0.001")


@pytest.fixture(scope="module")
def done(memory_folder: Path) -> Iterator[Done]:
    home = Home(memory_folder / "home")
    record(memory_folder / "sim", home, SIM, 1)
    record(memory_folder / "bybit", home, BYBIT, 2)
    prepare_instance(home)
    workspace = memory_folder / "workspace.yaml"
    workspace.write_text("load_from:\n  - python_module: lob_pipeline_tests.orchestration.broken_location\n")
    environment = {"LOB_HOME": str(home.root), "DAGSTER_HOME": str(instance_home(home))}
    keys = [f"{day}|{market}" for market in (SIM, BYBIT) for day in DAYS]
    log = memory_folder / "daemon.log"
    with (
        dg.DagsterInstance.from_config(str(instance_home(home))) as instance,
        daemon(workspace, environment, log) as pid,
    ):
        status = backfill(build_defs(home=home), instance, TABLES, keys, timeout_s=1200)
    yield Done(home, status, pid)
    print(log.read_text()[-4000:])


def place(table: str, market: Market, day: str) -> PartitionKey:
    clocked = layer_of(table).clocked
    return PartitionKey(table, market, day, default_clock(market) if clocked else None)


def test_the_backfill_is_not_reported_as_a_success(done: Done) -> None:
    assert done.status == BulkActionStatus.COMPLETED_FAILED


def test_only_what_depends_on_a_bad_day_is_missing(done: Done) -> None:
    for market in (SIM, BYBIT):
        for day in DAYS:
            bad = (str(market), day) in BAD
            standing = {t for t in TABLES if place(t, market, day).path(done.home).exists()}
            assert standing >= {"l2_events", "trades", "quotes"}
            assert (standing == set(TABLES)) is not bad, (market, day, standing)
            assert not (bad and standing & {"book_snapshots", "features", "labels"})


def test_a_bad_book_is_refused_by_a_check_that_looks_outside(done: Done) -> None:
    for market, day in sorted(BAD):
        refused = newest_refusal(done.home, place("book_snapshots", parse_market(market), day))
        assert refused is not None
        names = {o.name for o in read_manifest(refused).outcomes if o.refuses}
        assert names & INDEPENDENT, (market, day, names)


def test_the_check_shows_at_its_partition(done: Done) -> None:
    key = AssetCheckKey(dg.AssetKey("book_snapshots"), "published")
    with dg.DagsterInstance.from_config(str(instance_home(done.home))) as instance:
        shown = {}
        for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=1000):
            shown[record.partition] = record.status == AssetCheckExecutionRecordStatus.SUCCEEDED
        assert shown == {f"{d}|{m}": (str(m), d) not in BAD for m in (SIM, BYBIT) for d in DAYS}
        materialised = instance.get_materialized_partitions(dg.AssetKey("labels"))
        assert materialised == {key for key, good in shown.items() if good}


def test_the_reason_is_one_click_from_the_asset(done: Done) -> None:
    with dg.DagsterInstance.from_config(str(instance_home(done.home))) as instance:
        for market in (SIM, BYBIT):
            for day in DAYS:
                key = f"{day}|{market}"
                chosen = dg.AssetRecordsFilter(asset_key=dg.AssetKey("book_snapshots"), asset_partitions=[key])
                records = instance.fetch_observations(chosen, limit=1).records
                assert bool(records) is ((str(market), day) in BAD), key
                if not records:
                    continue
                metadata = records[0].event_log_entry.asset_observation.metadata
                refused = newest_refusal(done.home, place("book_snapshots", market, day))
                names = {o.name for o in read_manifest(refused).outcomes if o.refuses}
                assert names
                assert all(f"`{name}`" in metadata["why_not"].value for name in names)
                assert metadata["certificate"].value["holds"] is False
                assert "why not?" in Path(metadata["page"].value).read_text("utf-8")


def test_the_step_failure_names_the_bad_days_only(done: Done) -> None:
    with dg.DagsterInstance.from_config(str(instance_home(done.home))) as instance:
        failed = [run for run in instance.get_runs() if run.status == dg.DagsterRunStatus.FAILURE]
        texts = []
        for run in failed:
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
                texts.append(entry.dagster_event.step_failure_data.user_failure_data.description)
    named = {(m, d) for m in (str(SIM), str(BYBIT)) for d in DAYS if f"{d}|{m}" in " ".join(texts)}
    assert named == BAD


def test_the_command_line_says_no_too(done: Done) -> None:
    from lob_pipeline.stages.build_features import build_features

    market, day = INVERTED
    with pytest.raises(RefusedError, match="refused") as error:
        build_features(done.home, parse_market(market), day)
    assert error.value.exit_code == 3


def test_every_gate_that_ran_is_known_to_the_ui(done: Done) -> None:
    for key in list_partitions(done.home):
        assert {o.name for o in read_manifest(key.path(done.home)).outcomes} <= set(CHECKS[key.table])


def test_nothing_of_the_daemon_is_left(done: Done) -> None:
    assert not session_processes(done.daemon_pid)
    with pytest.raises(ProcessLookupError):
        os.kill(done.daemon_pid, 0)
