"""Probe truth beside a simulated market: it changes no byte of it, and scores the labels that the lake holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.cli import main
from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.probe_table import PROBES
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.probes import probes_file, read_probes, score_day, score_lines
from lob_pipeline.stages.simulate import simulate

MARKET = parse_market("sim.BTCUSDT")
CONFIG = SimConfig(seed=5, days=1, minutes=8)
INSTANTS = 300


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    root = tmp_path_factory.mktemp("probes")
    plain, probed = simulate(root / "plain", CONFIG), simulate(root / "probed", CONFIG, probes=INSTANTS)
    assert plain.days[0].sha256 == probed.days[0].sha256, "probes change no byte of the market"
    home = Home(root / "home")
    ingest(home, MARKET, probed.files)
    for build in (build_books, build_labels):
        assert not build(home, MARKET, CONFIG.first_day).refused
    return home, root / "probed" / probes_file(CONFIG.first_day, "BTCUSDT")


def test_the_truth_is_in_the_labels_schema_and_named_in_the_truth_file(scored: tuple[Home, Path]) -> None:
    _, path = scored
    truth = read_probes(path)
    assert list(truth) == list(PROBES.names)
    assert 2 * INSTANTS * 0.9 < len(truth["ts_ns"]) <= 2 * INSTANTS
    assert np.all(truth["valid"])
    filled = np.asarray(truth["filled"])
    assert 0 < filled.sum() < len(filled)
    assert np.array_equal(np.asarray(truth["fill_delay_ns"]) > 0, filled)
    assert np.array_equal(np.isfinite(np.asarray(truth["markout_5s_bps"])), filled)
    entry = json.loads((path.parent / "truth.json").read_text())["days"][CONFIG.first_day]["probes"]
    assert entry["orders"] == len(filled)
    assert entry["filled"] == filled.sum()
    assert entry["file"] == path.name


def test_the_lakes_labels_are_scored_against_it(scored: tuple[Home, Path], capsys: pytest.CaptureFixture[str]) -> None:
    home, path = scored
    report = score_day(home, MARKET, CONFIG.first_day, path)
    assert report["not_labelled"] == 0
    assert report["orders"] == len(read_probes(path)["ts_ns"])
    bracket = report["bracket"]
    assert bracket["pessimistic"] <= report["models"]["proportional"]["fill_rate"] <= bracket["optimistic"]
    assert any("proportional by third" in line for line in score_lines(report))
    arguments = ["truth", str(MARKET), CONFIG.first_day, "--probes", str(path), "--home", str(home.root), "--json"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["bracket"] == bracket


def test_what_is_no_truth_of_this_day_is_refused(scored: tuple[Home, Path], tmp_path: Path) -> None:
    home, path = scored
    with pytest.raises(BadInputError, match="cannot be read as probe truth"):
        score_day(home, MARKET, CONFIG.first_day, tmp_path / "absent.parquet")
    other = tmp_path / "other.parquet"
    other.write_bytes(b"nothing")
    with pytest.raises(BadInputError, match="cannot be read as probe truth"):
        read_probes(other)
    stranger = simulate(tmp_path / "next", SimConfig(seed=5, days=1, minutes=5, first_day="2026-01-06"), probes=20)
    with pytest.raises(RefusedError, match="no probe decides"):
        score_day(home, MARKET, CONFIG.first_day, stranger.folder / probes_file("2026-01-06", "BTCUSDT"))
    with pytest.raises(BadInputError, match="instants whose labels begin and end within the day"):
        simulate(tmp_path / "short", SimConfig(seed=5, days=1, minutes=3), probes=5000)
    assert path.exists()
