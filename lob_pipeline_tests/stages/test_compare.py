"""``lob simulate --compare``: the table, its page, and the real recordings in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.cli import main
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.presets import BY_HAND, FITTED, configured
from lob_pipeline.sim.realism import STATISTICS
from lob_pipeline.sim.realism_source import recorded_view
from lob_pipeline.sim.realism_table import ENOUGH, measure, table
from lob_pipeline.sim.realism_view import ASK, BID
from lob_pipeline.stages.compare import compare, compare_lines
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import simulate
from lob_pipeline_tests.derived import DATES, USDM, archive, original

CONFIG = SimConfig(seed=21, days=1, minutes=3)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home whose recording is a simulated market itself."""
    root = tmp_path_factory.mktemp("compare")
    found = Home(root / "home")
    ingest(found, parse_market(CONFIG.market), simulate(root / "market", CONFIG).files)
    return found


def test_the_table_has_twelve_rows_and_a_page(home: Home, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "realism.html"
    seen: list[float] = []
    market = parse_market(CONFIG.market)
    report = compare(home, market, CONFIG.dates, CONFIG, 2, out=page, progress=lambda share, _: seen.append(share))
    assert [row["statistic"] for row in report["statistics"]] == [s.name for s in STATISTICS]
    assert len(report["statistics"]) == 12
    assert report["held"] == sum(row["holds"] for row in report["statistics"])
    assert report["enough"] == (report["held"] >= ENOUGH)
    assert seen == [0.5, 1.0]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    text = page.read_text("utf-8")
    for statistic in STATISTICS:
        assert statistic.name in text
    assert text.count('class="plot"') >= 10
    lines = "\n".join(compare_lines(report))
    assert "of 12 within 2 times" in lines


def test_seeds_are_those_that_were_asked_for(home: Home, tmp_path: Path) -> None:
    market, out = parse_market(CONFIG.market), tmp_path / "page.html"
    found = [compare(home, market, CONFIG.dates, replace(CONFIG, seed=s), 1, out=out) for s in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0]["statistics"] != found[2]["statistics"]
    assert found[2]["seeds"] == [2, 2]


def _exit_code(words: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code or 0


def test_the_command_prints_the_table_and_writes_no_market(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "--compare", CONFIG.market, CONFIG.first_day, "--seeds", "1", "--preset", BY_HAND]
    assert _exit_code([*words, "--home", str(home.root), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["preset"] == BY_HAND
    assert Path(report["page"]).is_relative_to(home.reports)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--out"),
        (["--preset", "nowhere", "--out", "x"], "nowhere"),
        (["--compare", "sim.BTCUSDT", "2026-31-01"], "2026-31-01"),
        (["--compare", "sim.BTCUSDT", "2026-01-05", "--probes", "3"], "--probes"),
        (["--compare", "sim.BTCUSDT", "2026-01-05", "--symbols", "BTCUSDT,ETHUSDT"], "--symbols"),
        (["--compare", "sim.BTCUSDT", "2026-01-05", "--faults", "all"], "--faults"),
    ],
)
def test_bad_words_are_told(words: list[str], said: str, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code(["simulate", *words, "--home", str(home.root)]) == 2
    assert said in capsys.readouterr().err


def test_a_day_that_is_not_there_is_refused(home: Home) -> None:
    with pytest.raises(RefusedError, match="lob ingest"):
        compare(home, parse_market(CONFIG.market), ["2026-02-01"], CONFIG, 1)


@pytest.mark.real
@pytest.mark.slow
def test_the_fitted_market_is_nearer_to_its_recording_than_the_one_set_by_hand(real_data: Path, tmp_path: Path) -> None:
    home, seed = original(real_data, tmp_path / "home"), int(np.random.default_rng().integers(2_000, 900_000))
    away = {}
    for preset in (FITTED, BY_HAND):
        report = compare(home, USDM, DATES, configured(preset, seed=seed), 3, out=tmp_path / "page.html")
        away[preset] = np.mean([np.log(row["ratio"]) for row in report["statistics"]])
    assert away[FITTED] < away[BY_HAND], f"seeds from {seed}"


@pytest.mark.real
def test_a_recording_looks_the_same_in_another_venues_form(real_data: Path, tmp_path: Path) -> None:
    home = original(real_data, tmp_path / "home")
    derived = archive(home, tmp_path / "bybit")
    other = Home(tmp_path / "other")
    ingest(other, derived.market, derived.paths(500))
    mine, theirs = recorded_view(home, USDM, DATES), recorded_view(other, derived.market, DATES)
    assert mine.seconds > 500
    assert np.array_equal(mine.time_ms, theirs.time_ms)
    assert np.array_equal(mine.rows, theirs.rows)
    assert len(theirs.trades) - len(mine.trades) == 1  # the insurance trade: the derived form cannot flag it
    wide = mine._replace(rows=mine.rows + 3 * (np.arange(mine.rows.shape[1]) == ASK))
    assert (mine.rows[:, ASK] > mine.rows[:, BID]).all()
    rows = {row.name: row for row in table(measure(mine), [measure(wide)])}
    assert not rows["spread"].holds
    assert rows["trade sizes"].holds
