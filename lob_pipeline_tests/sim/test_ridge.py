"""The fitted market passes every data check, planted or not, and what is planted is visible to a ridge regression."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lob_pipeline.sim.presets import FITTED, configured
from lob_pipeline_tests.cli.test_cli import run
from lob_pipeline_tests.sim.ridge import recovered


@pytest.mark.parametrize("edge_bps", [0.0, 10.0])
def test_the_commands_accept_the_market(tmp_path: Path, capsys: pytest.CaptureFixture[str], edge_bps: float) -> None:
    market, home = tmp_path / "market", ["--home", str(tmp_path / "home")]
    size = ["--days", "1", "--minutes", "12", "--seed", "31"]
    code, out, _ = run(capsys, "simulate", "--out", str(market), *size, "--edge-bps", str(edge_bps), "--json")
    assert code == 0
    report = json.loads(out)
    assert report["truth"]["config"]["preset"] == FITTED
    date = report["truth"]["config"]["first_day"]
    assert bool(report["truth"]["days"][date]["signals"]) == bool(edge_bps)
    stages = [[stage, "sim.BTCUSDT", date] for stage in ("books", "features", "labels", "verify")]
    for command in (["ingest", "sim.BTCUSDT", *report["files"]], *stages):
        code, _, said = run(capsys, *command, *home)
        assert code == 0, said


def test_a_ridge_on_depth_and_queue_features_recovers_the_plant(tmp_path: Path) -> None:
    found = recovered(configured(days=1, minutes=90, seed=401, edge_bps=10.0, horizon_s=30.0), tmp_path)
    assert found.signals >= 10
    assert found.oracle_bps == pytest.approx(10.0, rel=0.2)
    assert found.by_trade >= 0.3
    assert found.in_all >= 0.3
