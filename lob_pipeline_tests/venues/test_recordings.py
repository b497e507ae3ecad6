"""Every real recording, every row and every column, against the reference."""

from __future__ import annotations

import gzip
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from lob_pipeline.venues.decode import decode_file, read_recv_times
from lob_pipeline.venues.detect import detect_file
from lob_pipeline_tests.naive.decode import NaiveDecoder
from lob_pipeline_tests.venues.compare import decoded, market, rows_of

pytestmark = pytest.mark.real

BYBIT = [("BTCUSDT", "0.1", "0.001", 414, 16), ("SOLUSDT", "0.01", "0.1", 383, 57)]
BINANCE = [
    ("binance_usdm/btcusdt_20230404.gz", "binance-usdm.BTCUSDT", "0.1", "0.001"),
    ("binance_usdm/btcusdt_20230405.gz", "binance-usdm.BTCUSDT", "0.1", "0.001"),
    ("binance_usdm/btcusdt_20240808.gz", "binance-usdm.BTCUSDT", "0.1", "0.001"),
    ("binance_spot/btcusdt_20240808.gz", "binance-spot.BTCUSDT", "0.01", "0.00001"),
    ("binance_spot/btcusdt_20240809.gz", "binance-spot.BTCUSDT", "0.01", "0.00001"),
    ("binance_spot/nexousdt_20240723.gz", "binance-spot.NEXOUSDT", "0.001", "0.01"),
    ("binance_spot/nexousdt_20240724.gz", "binance-spot.NEXOUSDT", "0.001", "0.01"),
    ("binance_resync/raw_1772137284.ndjson.gz", "binance-usdm.BTCUSDT", "0.1", "0.001"),
    ("binance_resync/raw_1772137284.ndjson.gz", "binance-usdm.ETHUSDT", "0.01", "0.001"),
]


@pytest.mark.parametrize(("symbol", "tick", "lot", "books", "trades"), BYBIT)
def test_bybit_websocket(real_data: Path, symbol: str, tick: str, lot: str, books: int, trades: int) -> None:
    for name, messages in (("orderbook.200", books), ("publicTrade", trades)):
        path = real_data / "bybit_linear_ws" / f"{name}.{symbol}.ndjson"
        info = detect_file(path)
        assert info.symbols == (symbol,)
        assert [str(Decimal(x).normalize()) for x in info.grids[symbol]] == [tick, lot]
        assert info.markets[0] == market(f"bybit-linear.{symbol}").market
        assert info.recv_path is not None
        blocks = list(decode_file(path, market(f"bybit-linear.{symbol}"), read_recv_times(info.recv_path)))
        recv = info.recv_path.read_text().split()
        expected = NaiveDecoder(symbol, tick, lot).bybit(path.read_bytes(), recv)
        assert rows_of(blocks) == expected
        assert sum(block.lines for block in blocks) == messages


def test_bybit_archive(real_data: Path) -> None:
    path = real_data / "bybit_archive" / "2024-12-01_XRPUSDT_ob500.data.zip"
    info = detect_file(path)
    assert (info.declared_day, info.symbols, info.streams) == ("2024-12-01", ("XRPUSDT",), ("book",))
    with zipfile.ZipFile(path) as archive:
        data = archive.read(archive.namelist()[0])
    rows = decoded(path, market("bybit-linear.XRPUSDT"))
    assert rows == NaiveDecoder("XRPUSDT", "0.0001", "0.1").bybit(data)
    assert len(rows.messages) == 50
    assert rows.messages[0][7] == 1
    assert len(rows.messages[0][8]) == 1000


@pytest.mark.parametrize(("name", "market_name", "tick", "lot"), BINANCE)
def test_binance(real_data: Path, name: str, market_name: str, tick: str, lot: str) -> None:
    path = real_data / name
    instrument = market(market_name)
    spot = "spot" in name
    info = detect_file(path)
    assert info.spot is spot
    assert instrument.market in info.markets
    naive = NaiveDecoder(instrument.market.symbol, tick, lot, spot=spot, floor=spot)
    expected = naive.binance(gzip.decompress(path.read_bytes()))
    rows = decoded(path, instrument)
    assert rows.messages == expected.messages
    assert rows.trades == expected.trades
    assert rows.quotes == expected.quotes
    assert (rows.skipped, rows.rounded) == (expected.skipped, expected.rounded)
    assert rows.messages


def test_known_facts_of_the_recordings(real_data: Path) -> None:
    futures = decoded(real_data / "binance_usdm/btcusdt_20230404.gz", market("binance-usdm.BTCUSDT"))
    insurance = [t for t in futures.trades if t[8] & 4]
    later = decoded(real_data / "binance_usdm/btcusdt_20230405.gz", market("binance-usdm.BTCUSDT"))
    insurance += [t for t in later.trades if t[8] & 4]
    assert [t[4] for t in insurance] == ["3535191080"]
    off_grid = 0
    for name in ("btcusdt_20240808.gz", "btcusdt_20240809.gz"):
        off_grid += decoded(real_data / "binance_spot" / name, market("binance-spot.BTCUSDT")).rounded
    assert off_grid == 7
    info = detect_file(real_data / "binance_resync/raw_1772137284.ndjson.gz")
    assert info.several_symbols
    assert info.grids == {"BTCUSDT": ("0.10", "0.001"), "ETHUSDT": ("0.01", "0.001")}
