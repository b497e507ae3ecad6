"""What may be removed, what Dagster is told, and which days the sensor asks for."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from lob_pipeline.assets.raw import observations, raw_segments, raw_tables
from lob_pipeline.capture.budget import remove_old
from lob_pipeline.capture.config import RecordConfig
from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.ledger import SegmentLedger
from lob_pipeline.capture.recorder import RecordOptions, record
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import NS_PER_DAY, day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.partitions import make_partitions
from lob_pipeline.resources import Lake, default_stages
from lob_pipeline.sensors import closed_segments
from lob_pipeline.stages.days import event_inputs
from lob_pipeline.stages.ingest import build_events, ingest
from lob_pipeline.stages.segments import register_closed, waiting_segments
from lob_pipeline_tests.capture.helpers import MARKET, bybit_files, lines
from lob_pipeline_tests.capture.wrapped import stamped, write

pytestmark = pytest.mark.real
DAY = "2026-08-09"
KEY = f"{DAY}|{MARKET}"


@pytest.fixture
def recorded(real_data: Path, tmp_path: Path) -> tuple[Home, list[Path]]:
    """A home with two closed segments of a day in the past, none of them ingested."""
    home = Home(tmp_path / "home")
    frames = stamped(bybit_files(real_data))
    return home, write(home, MARKET, [frames[:200], frames[200:]], ledger=True)


def sweep(home: Home, keep_days: int | None) -> list[str]:
    ledger = SegmentLedger(home)
    try:
        return remove_old(Desk(home, RecordConfig(keep_days=keep_days), ledger, "test"), None)
    finally:
        ledger.close()


def test_nothing_goes_that_is_not_in_the_lake(recorded: tuple[Home, list[Path]]) -> None:
    home, paths = recorded
    assert sweep(home, 1) == []
    ingest(home, parse_market(MARKET), paths[:1])
    (gone,) = sweep(home, 1)
    assert [path.exists() for path in paths] == [False, True]
    (line,) = lines(home, "removed")
    assert (line["path"], line["dates"]) == (gone, [DAY])
    assert sweep(home, 1) == []


def test_a_day_that_is_not_usable_keeps_its_segments(recorded: tuple[Home, list[Path]]) -> None:
    home, paths = recorded
    ingest(home, parse_market(MARKET), paths)
    partition = PartitionKey("l2_events", parse_market(MARKET), DAY).path(home)
    hidden = partition.with_suffix(".away")
    partition.rename(hidden)
    assert sweep(home, 1) == []
    hidden.rename(partition)
    assert sweep(home, None) == []
    assert sweep(home, 100_000) == []
    assert len(sweep(home, 0)) == 2


def kept(home: Home) -> set[str]:
    return {path.name for path in (home.root / "raw").iterdir() if not path.name.endswith(".removed")}


def test_space_comes_back_when_the_days_are_over_and_whole(recorded: tuple[Home, list[Path]]) -> None:
    """While a segment of the day waits, its bytes are needed to build the day with it: they stay."""
    home, paths = recorded
    market = parse_market(MARKET)
    saved = {path: path.read_bytes() for path in paths}
    ingest(home, market, paths[:1])
    assert len(sweep(home, 1)) == 1
    assert len(kept(home)) == 1
    partition = PartitionKey("l2_events", market, DAY).path(home)
    one = read_manifest(partition).rows
    ingest(home, market, paths[1:])
    assert read_manifest(partition).rows > one > 0
    assert len(sweep(home, 1)) == 1
    assert kept(home) == set()
    assert event_inputs(home, market, DAY) == {}, "a day whose bytes went on purpose is not asked to be built again"
    with pytest.raises(BadInputError, match="removed by `lob record --keep-days`"):
        build_events(home, market, DAY)
    rows = read_manifest(partition).rows
    for path, data in saved.items():
        path.write_bytes(data)
    ingest(home, market, paths)
    assert len(kept(home)) == 2
    assert [result.refused for result in build_events(home, market, DAY)] == [False] * 3
    assert read_manifest(partition).rows == rows, "bytes that come back build the same day"


def test_a_day_that_is_not_over_keeps_its_bytes(
    recorded: tuple[Home, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, paths = recorded
    ingest(home, parse_market(MARKET), paths)
    noon_ns = day_start_ns(DAY) + NS_PER_DAY - 1
    monkeypatch.setattr("lob_pipeline.capture.budget.time.time_ns", lambda: noon_ns)
    assert len(sweep(home, 0)) == 2
    assert len(kept(home)) == 2
    monkeypatch.setattr("lob_pipeline.capture.budget.time.time_ns", lambda: noon_ns + 2)
    assert sweep(home, 0) == []
    assert kept(home) == set()


def enter(home: Home, kind: str, at_ns: int) -> None:
    """Enter a segment that holds what was received at one time."""
    ledger = SegmentLedger(home)
    about = {"path": "late.seg.zst", "market": MARKET, "lane": "main", "conn": 9}
    span = {"content_sha256": "ab" * 32, "bytes": 1, "frames": 1, "first_wall_ns": at_ns, "last_wall_ns": at_ns}
    ledger.note(kind, **about, **({} if kind == "opened" else {**span, "topics": {}}))
    ledger.close()


def test_what_comes_after_midnight_may_be_of_the_day_before(recorded: tuple[Home, list[Path]]) -> None:
    home, paths = recorded
    ingest(home, parse_market(MARKET), paths)
    enter(home, "closed", day_start_ns(DAY) + NS_PER_DAY + 10**7)
    assert len(sweep(home, 1)) == 2
    assert len(kept(home)) == 2


def test_a_segment_that_is_open_holds_the_days_near_it(
    recorded: tuple[Home, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, paths = recorded
    ingest(home, parse_market(MARKET), paths)
    monkeypatch.setattr("lob_pipeline.capture.ledger.time.time_ns", lambda: day_start_ns(DAY) + NS_PER_DAY + 10**9)
    enter(home, "opened", 0)
    opened = home.root / "segments" / "late.seg.zst.open"
    opened.touch()
    assert len(sweep(home, 0)) == 2
    assert len(kept(home)) == 2
    opened.unlink()
    assert sweep(home, 0) == []
    assert kept(home) == set()


def test_what_is_registered_and_not_built_needs_the_bytes(recorded: tuple[Home, list[Path]]) -> None:
    home, paths = recorded
    market = parse_market(MARKET)
    ingest(home, market, paths[:1])
    assert len(sweep(home, 1)) == 1
    assert register_closed(home, market, DAY) == paths[1:]
    assert sweep(home, 1) == []
    assert len(kept(home)) == 2
    build_events(home, market, DAY)
    assert len(sweep(home, 1)) == 1
    assert kept(home) == set()


def test_what_a_killed_recorder_left_needs_the_bytes(real_data: Path, tmp_path: Path) -> None:
    """A recorder that starts again finds an open segment of a day long over: no ledger line told of it before."""
    home, market = Home(tmp_path / "home"), parse_market(MARKET)
    recorded = stamped(bybit_files(real_data))
    ingest(home, market, write(home, MARKET, [recorded[:200]], ledger=True))
    (left,) = write(home, MARKET, [recorded[200:]])
    left.rename(left.with_name(f"{left.name}.open"))
    record(home, [market], RecordOptions("ws://127.0.0.1:9"), RecordConfig(keep_days=1), print, lambda: True)
    assert [line["reason"] for line in lines(home, "closed")] == ["stop", "recovered"]
    assert len(lines(home, "removed")) == 1
    one = read_manifest(PartitionKey("l2_events", market, DAY).path(home)).rows
    ingest(home, market, [left])
    assert read_manifest(PartitionKey("l2_events", market, DAY).path(home)).rows > one > 0


def look(home: Home, cursor: str | None = None) -> dg.SensorResult:
    with dg.build_sensor_context(cursor=cursor, resources={"lake": Lake.of(home)}) as context:
        result = closed_segments(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_finished_day_with_segments_is_asked_for_once(recorded: tuple[Home, list[Path]], real_data: Path) -> None:
    home, _ = recorded
    first = look(home)
    assert [request.partition_key for request in first.run_requests or []] == [KEY]
    again = look(home, first.cursor)
    assert not again.run_requests
    assert json.loads(str(first.cursor))["waiting"] == {}
    late = stamped(bybit_files(real_data))[-5:]
    write(home, MARKET, [late], ledger=True)
    (request,) = look(home, first.cursor).run_requests or []
    assert request.partition_key == KEY
    assert request.run_key != (first.run_requests or [])[0].run_key


def test_what_is_ingested_or_not_over_is_not_asked_for(recorded: tuple[Home, list[Path]]) -> None:
    home, paths = recorded
    ingest(home, parse_market(MARKET), paths)
    assert not look(home).run_requests
    ledger = SegmentLedger(home)
    today = 1_000_000_000 * 9_000_000_000  # 2255: a day that is not over
    facts = {"path": "x", "market": MARKET, "lane": "main", "content_sha256": "ab", "topics": {}}
    ledger.note("closed", **facts, first_wall_ns=today, last_wall_ns=today, frames=1, bytes=1)
    ledger.close()
    result = look(home)
    assert not result.run_requests
    assert list(json.loads(str(result.cursor))["waiting"].values()) == [["ab"]]


def test_the_run_registers_what_waits_and_then_builds(recorded: tuple[Home, list[Path]]) -> None:
    home, paths = recorded
    market = parse_market(MARKET)
    assert waiting_segments(home, market, DAY) == paths
    assert register_closed(home, market, DAY) == paths
    assert register_closed(home, market, DAY) == []
    assert [result.refused for result in build_events(home, market, DAY)] == [False] * 3
    assert waiting_segments(home, market, "2026-08-10") == []


def run(home: Home, *assets: str, key: str | None) -> dg.DagsterInstance:
    """Run assets of the raw group by themselves and return the instance that saw it."""
    part = make_partitions(home)
    defs = dg.Definitions(
        assets=[raw_segments(part), raw_tables(part)],
        jobs=[dg.define_asset_job("job", dg.AssetSelection.assets(*assets), executor_def=dg.in_process_executor)],
        resources={"lake": Lake.of(home), "stages": default_stages()},
    )
    instance = dg.DagsterInstance.ephemeral()
    assert defs.resolve_job_def("job").execute_in_process(partition_key=key, instance=instance).success
    return instance


def test_the_asset_builds_a_recorded_day(recorded: tuple[Home, list[Path]]) -> None:
    home, _ = recorded
    assert KEY in set(make_partitions(home).get_partition_keys())
    run(home, "l2_events", "trades", "quotes", key=KEY)
    assert PartitionKey("l2_events", parse_market(MARKET), DAY).path(home).exists()


def test_observations_say_how_the_recorder_is(recorded: tuple[Home, list[Path]]) -> None:
    home, _ = recorded
    ledger = SegmentLedger(home)
    ledger.note("reconnect", markets=[MARKET], conn=1, why="x")
    ledger.close()
    (home.root / "segments" / "recorder.json").write_text(
        json.dumps(
            {
                "state": "recording", "session": "s", "pid": 1, "at_ns": 0, "connections": 1, "frames": 5,
                "frames_per_s": 1.0, "lag_ms": 2.0, "gaps": 0, "reconnects": 0, "silences": 0, "unread": 0,
                "rss_mib": 1.0, "disk_free_mib": 7, "markets": [MARKET], "topics": {},
            }
        )
    )  # fmt: skip
    whole, day = observations(home, make_partitions(home))
    assert whole.metadata["recorder_alive"].value is False
    assert whole.metadata["recorder_lag_ms"].value == 2.0
    assert day.partition == KEY
    assert {name: day.metadata[name].value for name in ("segments", "frames")} == {"segments": 2, "frames": 430}


def test_the_external_asset_is_observed(recorded: tuple[Home, list[Path]]) -> None:
    home, paths = recorded
    ingest(home, parse_market(MARKET), paths)
    instance = run(home, "raw_segments", key=None)
    records = instance.fetch_observations(dg.AssetKey("raw_segments"), limit=50).records
    told = [o for r in records if (o := r.asset_observation) is not None]
    assert [o.partition for o in told if "segments" in o.metadata] == [KEY]
    assert [o.partition for o in told if o.data_version] == [KEY]
