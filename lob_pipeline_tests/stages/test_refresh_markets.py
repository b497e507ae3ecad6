"""``lob markets refresh`` on canned answers: ccxt's own market objects, no network."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from lob_pipeline.cli import app as cli
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import VENUES, parse_market
from lob_pipeline.core.market_file import read_market_file
from lob_pipeline.core.markets import instrument
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.stages import refresh_markets as module
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.refresh_markets import SOURCES, ccxt_exchange, refresh_markets
from lob_pipeline_tests.stages.ingest_streams import MIDNIGHT_MS, bybit_stream, write_lines

TODAY = "2026-11-20"


def _market(id: str, kind: str, tick: float, lot: float, **more: Any) -> dict[str, Any]:
    """Return a market as ccxt unifies it."""
    base = {"id": id, "symbol": f"{id}:{kind}", "base": "X", "quote": "Y", "active": True, "spot": kind == "spot"}
    base |= {"swap": kind != "spot", "option": False, "linear": kind == "linear", "inverse": kind == "inverse"}
    base |= {"type": "spot" if kind == "spot" else "swap", "precision": {"price": tick, "amount": lot}, "info": {}}
    return base | {"contractSize": None if kind == "spot" else 1.0, "maker": 0.0002, "taker": 0.00055} | more


ANSWERS = {
    "bybit": [
        _market("BTCUSDT", "linear", 0.1, 0.001),
        _market("NEWUSDT", "linear", 1e-07, 10.0, maker=0.0001),
        _market("BTCUSDT", "spot", 0.01, 1e-06, maker=0.001, taker=0.001),
        _market("OLDUSDT", "linear", 0.1, 1.0, active=False),
        _market("odd symbol", "linear", 0.1, 1.0),
        _market("NOSTEP", "linear", 0.1, 1.0, precision={"price": None, "amount": 1.0}),
        _market("BTCUSD", "inverse", 0.1, 1.0),
        _market("BTC-OPT", "linear", 5.0, 0.01, option=True),
    ],
    "binanceusdm": [_market("BTCUSDT", "linear", 0.1, 0.001, taker=0.0005)],
    "binancecoinm": [_market("BTCUSD_PERP", "inverse", 0.1, 1.0, contractSize=100.0, taker=0.0005)],
    "binance": [_market("NEXOUSDT", "spot", 0.001, 0.01, maker=0.001, taker=0.001)],
    "okx": [
        _market("BTC-USDT", "spot", 0.1, 1e-08, maker=0.0008, taker=0.001),
        _market("BTC-USDT-SWAP", "linear", 0.1, 0.01, contractSize=0.01, maker=0.0002, taker=0.0005),
        _market("ZZZ-USDT-SWAP", "linear", 0.1, 1.0, contractSize=25.0, maker=0.0002, taker=0.0005),
        _market("BTC-USD-SWAP", "inverse", 0.1, 0.1, contractSize=100.0, maker=0.0002, taker=0.0005),
    ],
    "kraken": [_market("XXBTZUSD", "spot", 0.1, 1e-08, info={"wsname": "XBT/USD"}, maker=0.0025, taker=0.004)],
}


def canned(name: str) -> Any:
    """Return ccxt's real class of an exchange that knows its markets already: it asks nobody."""
    exchange = ccxt_exchange(name)
    exchange.set_markets([dict(m) for m in ANSWERS[name]])
    return exchange


def test_every_venue(tmp_path: Path) -> None:
    home = Home(tmp_path)
    report = refresh_markets(home, list(SOURCES), today=TODAY, exchange_of=canned)
    refreshed = read_market_file(home.markets)["refreshed"]
    assert report.markets == len(refreshed) == 11
    assert set(SOURCES) == {name.partition(".")[0] for name in refreshed} == set(VENUES) - {"sim", "lobster"}
    assert refreshed["bybit-linear.NEWUSDT"] == {
        "tick": "0.0000001",
        "lot": "10",
        "maker_fee_bps": 1.0,
        "taker_fee_bps": 5.5,
        "fees_as_of": TODAY,
    }
    found = instrument(parse_market("bybit-linear.NEWUSDT"), user=home.markets)
    assert (found.tick, found.lot, found.fees_as_of) == (Decimal("1E-7"), 10, TODAY)
    assert report.skipped == {
        "bybit-linear.odd symbol": "its symbol is no market name here",
        "bybit-linear.NOSTEP": "no tick or lot was listed",
    }
    assert "bybit-linear.NEWUSDT" in report.added
    assert report.changed["bybit-spot.BTCUSDT"] == {"tick": ("0.1", "0.01")}
    assert "binance-spot.NEXOUSDT" not in report.changed


@pytest.mark.parametrize(
    ("name", "tick", "lot", "contract", "value"),
    [
        ("okx.BTC-USDT-SWAP", "0.1", "0.0001", "linear", "0.01"),  # 0.01 contracts of 0.01 BTC
        ("okx.ZZZ-USDT-SWAP", "0.1", "25", "linear", "25"),
        ("okx.BTC-USD-SWAP", "0.1", "0.1", "inverse", "10"),  # a lot of 0.1 contracts of 100 USD
        ("okx.BTC-USDT", "0.1", "0.00000001", "spot", "1"),
        ("binance-coinm.BTCUSD_PERP", "0.1", "1", "inverse", "100"),
        ("kraken.XBT-USD", "0.1", "0.00000001", "spot", "1"),
    ],
)
def test_contracts(tmp_path: Path, name: str, tick: str, lot: str, contract: str, value: str) -> None:
    home = Home(tmp_path)
    refresh_markets(home, ["okx", "kraken", "binance-coinm"], today=TODAY, exchange_of=canned)
    found = instrument(parse_market(name), user=home.markets)
    assert (found.tick, found.lot, found.contract) == (Decimal(tick), Decimal(lot), contract)
    assert found.contract_value == Decimal(value)


def test_the_owner_s_text_and_other_markets_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    own = "# my account\n[venue.bybit-linear]\nmaker_fee_bps = 0.0   # rebate tier\n"
    home.markets.write_text(own)
    refresh_markets(home, ["bybit-linear", "okx"], today=TODAY, exchange_of=canned)
    monkeypatch.setitem(ANSWERS, "bybit", [m for m in ANSWERS["bybit"] if m["id"] != "NEWUSDT"])
    report = refresh_markets(home, ["bybit-linear"], today="2026-11-21", exchange_of=canned)
    assert home.markets.read_text().startswith(own)
    assert report.gone == ["bybit-linear.NEWUSDT"]
    refreshed = read_market_file(home.markets)["refreshed"]
    assert {"bybit-linear.NEWUSDT", "okx.BTC-USDT"} <= set(refreshed)
    assert refreshed["bybit-linear.BTCUSDT"]["fees_as_of"] == "2026-11-21"
    assert report.changed == {}
    assert instrument(parse_market("bybit-linear.BTCUSDT"), user=home.markets).maker_fee_bps == 0.0


def test_a_refreshed_market_is_ingested_without_saying_its_grid(tmp_path: Path) -> None:
    home, market = Home(tmp_path / "home"), parse_market("bybit-linear.NEWUSDT")
    lines = [line.replace("BTCUSDT", "NEWUSDT") for line in bybit_stream(40, first_ms=MIDNIGHT_MS - 10_000)]
    path = write_lines(tmp_path / "new.ndjson", lines)
    with pytest.raises(BadInputError, match="run `lob markets refresh`"):
        ingest(home, market, [path])
    entry = _market("NEWUSDT", "linear", 0.1, 0.001)
    report = refresh_markets(home, ["bybit-linear"], today=TODAY, exchange_of=lambda _name: _Lists([entry]))
    assert report.added == ["bybit-linear.NEWUSDT"]
    assert not any(part.refused for part in ingest(home, market, [path]).partitions)
    assert build_books(home, market, "2024-08-08").manifest.rows > 10
    known = partition_instrument(home, market, "2024-08-08")
    assert (known.taker_fee_bps, known.fees_as_of) == (5.5, TODAY)


class _Lists:
    precisionMode = ccxt.TICK_SIZE  # noqa: N815  ccxt's own name

    def __init__(self, markets: list[dict[str, Any]]) -> None:
        self.markets = markets

    def load_markets(self) -> dict[str, Any]:
        return {m["symbol"]: m for m in self.markets}


class _Fails:
    precisionMode = ccxt.TICK_SIZE  # noqa: N815  ccxt's own name

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load_markets(self) -> dict[str, Any]:
        raise self.error


def test_a_venue_that_does_not_answer_leaves_the_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    refresh_markets(home, ["okx"], today=TODAY, exchange_of=canned)
    before = home.markets.read_bytes()
    for error in (ccxt.NetworkError("timed out"), ccxt.ExchangeNotAvailable("503"), ConnectionResetError(104, "reset")):
        with pytest.raises(LobError, match=r"okx did not answer \("):
            refresh_markets(home, ["okx"], today=TODAY, exchange_of=lambda _name, e=error: _Fails(e))
    with pytest.raises(TypeError):  # a defect is no answer of the venue
        refresh_markets(home, ["okx"], today=TODAY, exchange_of=lambda _name: _Fails(TypeError("x")))
    assert home.markets.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["markets.toml"]


def test_what_cannot_be_read_again_is_not_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.markets.write_text("# mine\n")
    monkeypatch.setattr(module, "file_text", lambda own, _refreshed: own + "[refreshed\n")
    with pytest.raises(BadInputError, match="is no TOML"):
        refresh_markets(home, ["okx"], today=TODAY, exchange_of=canned)
    assert home.markets.read_text() == "# mine\n"
    assert [p.name for p in tmp_path.iterdir()] == ["markets.toml"]


def test_bad_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="venue 'sim' is not refreshed through ccxt: expected one of bybit-linear"):
        refresh_markets(Home(tmp_path), ["sim"], today=TODAY, exchange_of=canned)
    monkeypatch.setitem(ANSWERS, "kraken", [_market("XXBTZUSD", "spot", 0.1, 1e-08, active=False)])
    with pytest.raises(LobError, match="no active market was listed"):
        refresh_markets(Home(tmp_path), ["kraken"], today=TODAY, exchange_of=canned)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module.refresh_markets, "__kwdefaults__", {"exchange_of": canned})
    words = ["markets", "refresh", "--venue", "okx", "--venue", "kraken", "--home", str(tmp_path)]
    with pytest.raises(SystemExit) as done:
        cli.main([*words, "--json"])
    assert done.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert report["markets"] == 5
    assert "okx.ZZZ-USDT-SWAP" in report["added"]
    with pytest.raises(SystemExit) as done:
        cli.main(words)
    out = capsys.readouterr().out
    assert "5 markets, 0 new, 0 changed" in out
    with pytest.raises(SystemExit) as done:
        cli.main(["markets", "refresh", "--venue", "sim", "--home", str(tmp_path)])
    assert done.value.code == 2
