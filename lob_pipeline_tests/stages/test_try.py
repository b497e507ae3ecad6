"""``lob try``: one's own recording to a page, the market told from the content, the user's lake untouched."""

from __future__ import annotations

from pathlib import Path

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.stages.first_page import try_recording
from lob_pipeline.stages.guess_market import market_of, recorded_files
from lob_pipeline.stages.simulate import simulate


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scratch homes lie in the test's own folder, and the user's lake is one that must stay absent."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    monkeypatch.setenv("LOB_HOME", str(tmp_path / "lake-of-the-user"))
    return tmp_path / "scratch"


def test_an_archive_becomes_a_page(tmp_path: Path, scratch: Path) -> None:
    report = simulate(tmp_path / "market", SimConfig(seed=2, days=1, minutes=4))
    said: list[str] = []
    shares: list[float] = []
    found = try_recording(report.files, say=said.append, progress=lambda share, _text: shares.append(share))
    assert found["market"] == "bybit-linear.BTCUSDT"
    assert said == [], "the instruments file beside the recording tells the category"
    assert found["holds"] is True
    assert Path(found["home"]).parent == scratch
    assert not (tmp_path / "lake-of-the-user").exists()
    page = Path(found["page"]).read_text("utf-8")
    assert "Simulated maker orders" in page
    assert "book certificate, 2026-01-05" in page
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_books_without_trades_still_get_a_page(tmp_path: Path) -> None:
    report = simulate(tmp_path / "market", SimConfig(seed=2, days=1, minutes=3))
    out = tmp_path / "page.html"
    found = try_recording(report.files[:1], market=parse_market("sim.BTCUSDT"), out=out)
    assert found["page"] == str(out)
    assert "trades against the touch" in out.read_text("utf-8")


@pytest.mark.real
def test_a_folder_of_two_markets_asks_which(real_data: Path) -> None:
    folder = real_data / "bybit_linear_ws"
    with pytest.raises(BadInputError, match=r"several symbols \(BTCUSDT, SOLUSDT\); choose one with --market"):
        market_of(recorded_files([folder], None), None)
    chosen = recorded_files([folder], parse_market("bybit-linear.SOLUSDT"))
    assert [p.name for p in chosen] == ["orderbook.200.SOLUSDT.ndjson", "publicTrade.SOLUSDT.ndjson"]


@pytest.mark.real
def test_the_content_tells_spot_from_futures(real_data: Path) -> None:
    for name, market in (
        ("binance_usdm/btcusdt_20240808.gz", "binance-usdm.BTCUSDT"),
        ("binance_spot/nexousdt_20240723.gz", "binance-spot.NEXOUSDT"),
        ("bybit_archive/2024-12-01_XRPUSDT_ob500.data.zip", "bybit-linear.XRPUSDT"),
    ):
        assert str(market_of([real_data / name], None)[0]) == market


def test_an_empty_folder_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="holds no recording"):
        recorded_files([tmp_path / "empty"], None)
