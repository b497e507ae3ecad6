"""Alerts reach the file, stderr and the webhook; the schedule asks for yesterday's markets, or says why for none."""

from __future__ import annotations

import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest

from lob_pipeline.alerts import WEBHOOK, send_alert
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.resources import Lake
from lob_pipeline.schedules import nightly_data
from lob_pipeline_tests.orchestration.fake_stages import register_days

ALERT = {"run_id": "r1", "steps": ["book_snapshots: bad day"]}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_an_alert_is_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = tmp_path / "reports" / "alerts.jsonl"
    send_alert(sink, ALERT)
    send_alert(sink, ALERT)
    assert lines(sink) == [ALERT, ALERT]
    assert capsys.readouterr().err.count("ALERT") == 2


def test_an_alert_is_posted_to_the_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:{server.server_port}/")
    send_alert(tmp_path / "alerts.jsonl", ALERT)
    thread.join(10)
    server.server_close()
    assert [json.loads(body) for body in received] == [ALERT]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "file:///etc/hostname"])
def test_a_webhook_that_fails_never_loses_the_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(WEBHOOK, url)
    sink = tmp_path / "alerts.jsonl"
    send_alert(sink, ALERT)
    first, second = lines(sink)
    assert first == ALERT
    assert "webhook_error" in second


def test_the_schedule_asks_for_each_market_that_has_a_source_of_yesterday(memory_home: Path) -> None:
    home = Home(memory_home)
    sim, bybit = parse_market("sim.BTCUSDT"), parse_market("bybit-linear.BTCUSDT")
    register_days(home, sim, ["2026-01-05", "2026-01-06"])
    register_days(home, bybit, ["2026-01-06"])

    def tick(day: int) -> list[dg.RunRequest | dg.SkipReason]:
        at = dt.datetime(2026, 1, day, 0, 20, tzinfo=dt.UTC)
        context = dg.build_schedule_context(scheduled_execution_time=at, resources={"lake": Lake.of(home)})
        return list(nightly_data(context))

    requests = tick(7)
    assert [r.partition_key for r in requests] == ["2026-01-06|bybit-linear.BTCUSDT", "2026-01-06|sim.BTCUSDT"]
    assert [r.run_key for r in tick(7)] == [r.run_key for r in requests]  # the same sources are asked for once
    register_days(home, sim, ["2026-01-06"], "a late archive")
    assert len({r.run_key for r in tick(7)} - {r.run_key for r in requests}) == 1
    (skip,) = tick(20)
    assert isinstance(skip, dg.SkipReason)
    assert "2026-01-19" in str(skip.skip_message)
