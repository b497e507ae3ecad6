"""nightly_retrain asks once a day and market, says why not, and is loud after two days without data."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.readiness import readiness
from lob_pipeline.resources import Lake
from lob_pipeline.schedules import nightly_retrain
from lob_pipeline.stages.layers import LAYERS
from lob_pipeline_tests.orchestration.fake_stages import Fake, register_days

SIM, BYBIT = parse_market("sim.BTCUSDT"), parse_market("bybit-linear.BTCUSDT")


def build(home: Home, market: Market, days: Sequence[str], fake: Fake | None = None) -> None:
    """Register and build every layer of these days with the fake stages; what is refused or blocked stays so."""
    register_days(home, market, list(days))
    stages = (fake or Fake()).stages()
    for layer in LAYERS:
        for day in days:
            try:
                getattr(stages, layer.function.partition(":")[2])(home, market, day)
            except LobError:
                continue


def tick(home: Home, day: int, hour: int = 2) -> list[dg.RunRequest] | dg.SkipReason:
    at = dt.datetime(2026, 1, day, hour, tzinfo=dt.UTC)
    context = dg.build_schedule_context(scheduled_execution_time=at, resources={"lake": Lake.of(home)})
    return nightly_retrain(context)


def alerts(home: Home) -> list[dict[str, str]]:
    sink = home.reports / "alerts.jsonl"
    return [json.loads(line) for line in sink.read_text("utf-8").splitlines()] if sink.exists() else []


def test_each_ready_market_is_asked_for_once_however_often_it_asks(memory_home: Path) -> None:
    home = Home(memory_home)
    build(home, SIM, ["2026-01-06"])
    build(home, BYBIT, ["2026-01-06"])
    keys = {f"2026-01-06|{market}" for market in (BYBIT, SIM)}
    for hour in (2, 8, 9, 23):
        requests = tick(home, 7, hour)
        assert isinstance(requests, list)
        assert {r.partition_key for r in requests} == keys
        assert {r.run_key for r in requests} == {f"retrain|{key}" for key in keys}
    assert alerts(home) == []


def test_a_refused_day_is_skipped_with_the_check_that_refused_it(memory_home: Path) -> None:
    home = Home(memory_home)
    build(home, SIM, ["2026-01-06"], Fake(bad={("books", str(SIM), "2026-01-06")}))
    skip = tick(home, 7)
    assert isinstance(skip, dg.SkipReason)
    assert "2026-01-06" in str(skip.skip_message)
    assert "plausible: bad on purpose" in str(skip.skip_message)
    register_days(home, BYBIT, ["2026-01-06"])
    build(home, BYBIT, ["2026-01-06"])
    requests = tick(home, 7)  # the other market is not held back
    assert isinstance(requests, list)
    assert [r.partition_key for r in requests] == [f"2026-01-06|{BYBIT}"]


def test_refused_labels_alone_hold_the_day_back(memory_home: Path) -> None:
    home = Home(memory_home)
    build(home, SIM, ["2026-01-06"], Fake(bad={("labels", str(SIM), "2026-01-06")}))
    (found,) = readiness(home, "2026-01-06")
    assert found.state == "refused"
    assert "labels of 2026-01-06" in found.why


def test_a_late_archive_is_waited_for_and_then_asked_for(memory_home: Path) -> None:
    home = Home(memory_home)
    build(home, SIM, ["2026-01-05"])
    skip = tick(home, 7)
    assert isinstance(skip, dg.SkipReason)
    assert "no source of 2026-01-06 is registered" in str(skip.skip_message)
    register_days(home, SIM, ["2026-01-06"])
    skip = tick(home, 7, 8)
    assert isinstance(skip, dg.SkipReason)
    assert "features of 2026-01-06 is absent" in str(skip.skip_message)
    build(home, SIM, ["2026-01-06"])
    assert isinstance(tick(home, 7, 9), list)


def test_two_days_without_data_fail_the_tick_and_alert_once(memory_home: Path) -> None:
    home = Home(memory_home)
    build(home, SIM, ["2026-01-05"])
    for hour in (2, 8, 9):
        with pytest.raises(LobError, match=r"2 days without data, 2026-01-06 and 2026-01-07"):
            tick(home, 8, hour)
    assert [a["as_of"] for a in alerts(home)] == ["2026-01-07"]
    build(home, BYBIT, ["2026-01-07"])
    assert isinstance(tick(home, 8, 10), list)  # a market that has its data is not held back by one that has not
    assert len(alerts(home)) == 1


def test_days_that_are_registered_and_never_built_are_days_without_data(memory_home: Path) -> None:
    home = Home(memory_home)
    build(home, SIM, ["2026-01-05"])
    register_days(home, SIM, ["2026-01-06", "2026-01-07"])
    with pytest.raises(LobError, match="features of 2026-01-07 is absent"):
        tick(home, 8)


def test_a_new_market_is_waited_for_and_an_old_one_is_not_followed(memory_home: Path) -> None:
    home = Home(memory_home)
    register_days(home, SIM, ["2026-01-06"])
    assert isinstance(tick(home, 7), dg.SkipReason)  # its first day, not built yet
    assert readiness(home, "2026-01-05") == []  # and before it there was nothing to follow
    (old,) = readiness(home, "2026-02-20")
    assert old.state == "retired"
    with pytest.raises(LobError, match="45 days before"):
        nightly_retrain(
            dg.build_schedule_context(
                scheduled_execution_time=dt.datetime(2026, 2, 21, 2, tzinfo=dt.UTC), resources={"lake": Lake.of(home)}
            )
        )


def test_an_empty_home_is_a_reason_to_skip(tmp_path: Path) -> None:
    for home in (Home(tmp_path), Home(tmp_path / "absent")):
        skip = tick(home, 7)
        assert isinstance(skip, dg.SkipReason)
        assert "lob ingest" in str(skip.skip_message)
