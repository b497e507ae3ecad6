"""The live process: equal to batch, clean on every way out, silent where messages are missing, alone in its memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.features.profile import neutral_profile
from lob_pipeline.lake.home import Home
from lob_pipeline.live.opened import open_bundle, open_released
from lob_pipeline.live.run import LiveOptions, run_live
from lob_pipeline.live.session import LiveSession
from lob_pipeline.live.spool import spooled_dates
from lob_pipeline.registry.bundle import Bundle
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.faults import Fault
from lob_pipeline.stages.live_feed import LiveFeed
from lob_pipeline_tests.live.conftest import SimDay
from lob_pipeline_tests.live.days import (
    Case,
    build_days,
    first_difference,
    predict_days,
    predictions_key,
    read_predictions,
    simulated,
    usdm,
)

Predictions = dict[str, np.ndarray]


def run(home: Home, case: Case, bundle: Bundle, **options: Any) -> dict[str, Any]:
    opened = open_bundle(bundle.path, parse_market(case.market))
    said: list[str] = []
    return run_live(home, opened, LiveOptions(**options), LiveFeed, said.append) | {"said": said}


def live_rows(home: Home, case: Case, bundle: Bundle, date: str) -> Predictions:
    return read_predictions(home, predictions_key(case, bundle, date, "live"))


def batch_rows(day: SimDay) -> Predictions:
    return read_predictions(day.home, predictions_key(day.case, day.bundle, day.case.dates[0], "batch"))


def test_a_day_over_the_websocket_is_the_day_in_batch(sim_day: SimDay, tmp_path: Path) -> None:
    case, home = sim_day.case, Home(tmp_path)
    exchange = Exchange(list(case.paths))
    with serving(exchange) as url:
        report = run(home, case, sim_day.bundle, url=url, until_end=True)
    live = live_rows(home, case, sim_day.bundle, case.dates[0])
    assert first_difference(batch_rows(sim_day), live) == ""
    assert report["valid_predictions"] == int(live["valid"].sum()) // 2 > 1_000
    assert exchange.received[0]["args"] == ["orderbook.200.BTCUSDT", "publicTrade.BTCUSDT"]
    assert {said.get("op") for said in exchange.received} <= {"subscribe", "ping"}
    assert (live["ts_recv_ns"] > 0).all()
    assert (live["latency_us"][live["valid"]] > 0).all()


@pytest.mark.real
def test_two_days_of_a_bridged_venue_are_those_of_batch(real_data: Path, tmp_path: Path) -> None:
    """Deltas before their snapshot, audits inside the chain, a book carried over midnight, trades beside it."""
    case, home = usdm(real_data), Home(tmp_path / "batch")
    bundle = case.bundle(tmp_path / "bundles")
    build_days(home, case)
    predict_days(home, case, bundle)
    with serving(Exchange(list(case.paths))) as url:
        run(Home(tmp_path / "live"), case, bundle, url=url, until_end=True)
    valid = 0
    for date in case.dates:
        batch = read_predictions(home, predictions_key(case, bundle, date, "batch"))
        live = live_rows(Home(tmp_path / "live"), case, bundle, date)
        assert first_difference(batch, live) == ""
        valid += int(live["valid"].sum()) // 2
    assert valid > 1_000


def test_days_of_an_archive_are_streams_of_their_own(tmp_path: Path) -> None:
    """A closing snapshot closes its day; the hours until the next file's first message are no rows."""
    case, home = simulated(tmp_path / "files", minutes=6, days=2), Home(tmp_path / "home")
    bundle = case.bundle(tmp_path / "bundles")
    build_days(home, case)
    predict_days(home, case, bundle)
    run(Home(tmp_path / "live"), case, bundle, paths=case.paths)
    for date in case.dates:
        batch = read_predictions(home, predictions_key(case, bundle, date, "batch"))
        assert first_difference(batch, live_rows(Home(tmp_path / "live"), case, bundle, date)) == ""
        assert batch["valid"].any()


def test_comparison_sees_one_changed_bit(sim_day: SimDay) -> None:
    rows = batch_rows(sim_day)
    other = {name: values.copy() for name, values in rows.items()}
    other["p_fill"][-1] = np.nextafter(other["p_fill"][-1], 2)
    assert first_difference(rows, other).startswith("p_fill")


@pytest.mark.real
def test_a_short_recording_says_that_nothing_became_warm(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "bybit_linear_ws" / "orderbook.200.BTCUSDT.ndjson"
    case = Case("short", "bybit-linear.BTCUSDT", "t100ms", (path,), ())
    report = run(Home(tmp_path), case, case.bundle(tmp_path / "bundles"), paths=(path,))
    assert report["rows"] > 0
    assert report["valid_predictions"] == 0
    assert "nothing became warm" in report["warning"]
    assert "valid_predictions" in report["partitions"][0]["not_judged"]
    assert not report["partitions"][0]["refused"]


def test_a_lost_connection_resumes_from_a_fresh_snapshot(sim_day: SimDay, tmp_path: Path) -> None:
    """Nothing is predicted from the last message before the drop until the features are warm again."""
    case, home = sim_day.case, Home(tmp_path)
    exchange = Exchange(list(case.paths), drop_after=3_600, miss=30)
    with serving(exchange) as url:
        report = run(home, case, sim_day.bundle, url=url, until_end=True)
    assert exchange.connections == 2
    assert report["times_track_was_lost"] == 1
    batch, live = batch_rows(sim_day), live_rows(home, case, sim_day.bundle, case.dates[0])
    assert len(live["ts_ns"]) == len(batch["ts_ns"])
    ready = live["valid"]
    assert 0 < ready.sum() < batch["valid"].sum()
    assert not ready[2 * 3_700 :].any()
    differs = live["p_fill"][ready] != batch["p_fill"][ready]
    assert not differs.any()


def test_missing_messages_make_it_connect_again(sim_day: SimDay, tmp_path: Path) -> None:
    """The stream goes on after a hole: only a new subscription brings a snapshot."""
    exchange = Exchange(list(sim_day.case.paths), faults=[Fault(401, "drop")])
    with serving(exchange) as url:
        report = run(Home(tmp_path), sim_day.case, sim_day.bundle, url=url, until_end=True)
    assert exchange.connections == 2
    assert report["times_track_was_lost"] == 1
    assert any("messages are missing" in line for line in report["said"])


def test_an_address_without_a_server_and_no_address(sim_day: SimDay, tmp_path: Path) -> None:
    with pytest.raises(LobError, match="cannot be reached") as error:
        run(Home(tmp_path), sim_day.case, sim_day.bundle, url="ws://127.0.0.1:9")
    assert error.value.exit_code == 1
    with pytest.raises(BadInputError, match="no websocket address"):
        run(Home(tmp_path), sim_day.case, sim_day.bundle, url="http://127.0.0.1:9")


def test_retries_are_bounded(sim_day: SimDay, tmp_path: Path) -> None:
    exchange = Exchange(list(sim_day.case.paths), drop_after=50)
    with pytest.raises(LobError, match="gave up after 0 attempts"), serving(exchange) as url:
        run(Home(tmp_path), sim_day.case, sim_day.bundle, url=url, max_retries=0)
    assert spooled_dates(Home(tmp_path), open_bundle(sim_day.bundle.path).identity) == []


def test_a_bundle_of_another_market_or_name_is_refused(sim_day: SimDay, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="not on bybit-linear"):
        open_bundle(sim_day.bundle.path, parse_market("bybit-linear.BTCUSDT"))
    for words in ("lob-moe", "lob-moe@", "lob-moe@champion"):
        with pytest.raises(BadInputError):
            open_released(Home(tmp_path), parse_market("sim.BTCUSDT"), words)


def test_a_second_start_adds_to_the_day(sim_day: SimDay, tmp_path: Path) -> None:
    """The first is stopped early; the second sees the whole day again and changes nothing that was published."""
    case, home = sim_day.case, Home(tmp_path)
    exchange = Exchange(list(case.paths), drop_after=3_600)
    with pytest.raises(LobError), serving(exchange) as url:
        run(home, case, sim_day.bundle, url=url, max_retries=0)
    first = live_rows(home, case, sim_day.bundle, case.dates[0])
    run(home, case, sim_day.bundle, paths=case.paths)
    both = live_rows(home, case, sim_day.bundle, case.dates[0])
    assert 0 < len(first["ts_ns"]) < len(both["ts_ns"])
    assert (both["ts_recv_ns"][: len(first["ts_ns"])] == first["ts_recv_ns"]).all()
    assert first_difference(batch_rows(sim_day), both) == ""


def _start(home: Path, day: SimDay, url: str, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "lob_pipeline.cli", "live", day.case.market, "--bundle", str(day.bundle.path)]
    words += ["--url", url, "--home", str(home), "--json", "--status-s", "0.2", *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_was_spooled_is_published(sim_day: SimDay, tmp_path: Path, number: signal.Signals) -> None:
    """A stop publishes at once; what a kill left behind is published by the next start."""
    with serving(Exchange(list(sim_day.case.paths), speed=100)) as url:
        process = _start(tmp_path, sim_day, url)
        assert process.stderr is not None
        rows = 0
        for line in process.stderr:
            rows = int(line.split("rows ")[1].split()[0].replace(",", "")) if "rows " in line else rows
            if rows > 300:
                process.send_signal(number)
                break
        out, _ = process.communicate(timeout=60)
    home, identity = Home(tmp_path), open_bundle(sim_day.bundle.path).identity
    if number == signal.SIGKILL:
        assert spooled_dates(home, identity) == list(sim_day.case.dates)
        with pytest.raises(LobError):
            run(home, sim_day.case, sim_day.bundle, url="ws://127.0.0.1:9")
    else:
        assert process.returncode == 0
        assert json.loads(out)["rows"] >= rows
    live = live_rows(home, sim_day.case, sim_day.bundle, sim_day.case.dates[0])
    batch = batch_rows(sim_day)
    assert len(live["ts_ns"]) > 2 * (0 if number == signal.SIGKILL else 300)
    assert (live["ts_ns"] == batch["ts_ns"][: len(live["ts_ns"])]).all()
    assert spooled_dates(home, identity) == []


def test_the_process_imports_nothing_of_training_or_orchestration(sim_day: SimDay, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom lob_pipeline.cli.app import app\n"
        "try:\n    app(sys.argv[1:], standalone_mode=False)\nfinally:\n"
        "    heavy = {'torch', 'lightning', 'pytorch_lightning', 'mlflow', 'dagster', 'sklearn'} & set(sys.modules)\n"
        "    print('heavy', sorted(heavy), file=sys.stderr)\n"
    )
    words = ["live", sim_day.case.market, "--bundle", str(sim_day.bundle.path), "--home", str(tmp_path)]
    words += ["--path", str(sim_day.case.paths[0])]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert "heavy []" in done.stderr
    assert "published" in done.stdout


def test_two_sessions_of_one_bundle_do_not_run_at_once(sim_day: SimDay, tmp_path: Path) -> None:
    opened = open_bundle(sim_day.bundle.path)
    first = LiveSession(
        Home(tmp_path), opened, opened.instrument, recorded=False, profile_of=lambda _date: neutral_profile()
    )
    with pytest.raises(BadInputError, match="another process writes live predictions"):
        run(Home(tmp_path), sim_day.case, sim_day.bundle, paths=sim_day.case.paths)
    first.close()
    assert run(Home(tmp_path), sim_day.case, sim_day.bundle, paths=sim_day.case.paths)["rows"] > 0


def test_a_run_in_a_thread_leaves_signals_alone(sim_day: SimDay, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[dict[str, Any]] = []
    thread = threading.Thread(
        target=lambda: found.append(run(Home(tmp_path), sim_day.case, sim_day.bundle, paths=sim_day.case.paths))
    )
    thread.start()
    thread.join(60)
    assert found[0]["rows"] > 0
    assert signal.getsignal(signal.SIGTERM) == before
