"""Files that must be refused: one clear sentence with file, line and byte, what was expected and what was found."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.venues.decode import decode_file, read_recv_times
from lob_pipeline.venues.detect import declared_day, detect_file
from lob_pipeline_tests.venues.compare import decode_bytes, market, rows_of
from lob_pipeline_tests.venues.samples import SAMPLES


def _refusal(path: Path, name: str, recv: np.ndarray | None = None) -> str:
    with pytest.raises(BadInputError) as caught:
        for _ in decode_file(path, market(name), recv):
            pass
    words = str(caught.value)
    assert str(path) in words
    assert "\n" not in words
    return words


def _file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "recording.ndjson"
    path.write_bytes(data)
    return path


CASES = [
    # sample, what is replaced, by what, line, what the error says
    ("bybit_book", b'"65114.10","0"', b'"65114.15","0"', 2, "multiple of the tick 0.1, found 65114.15"),
    ("bybit_book", b'"65114.30","0.750"', b'"65114.30","0.7505"', 3, "multiple of the lot 0.001, found 0.7505"),
    ("bybit_book", b'"65114.10","0"', b'"0.0","0"', 2, "a price above zero, found 0.0"),
    ("bybit_book", b'"65114.10","0"', b'"-65114.10","0"', 2, "a decimal string, found -65114.10"),
    ("bybit_book", b'"65114.10","0"', b'65114.1,0', 2, "a decimal string, found 65114.1"),
    ("bybit_book", b'"65114.10","0"', b'"99999999999999999999","0"', 2, "units, found 9999"),
    ("bybit_book", b'"u":9', b'"u":-9', 3, '"u" to be a non-negative integer, found -9'),
    ("bybit_book", b'"u":9', b'"u":9.0', 3, '"u" to be a non-negative integer'),
    ("bybit_book", b'"u":9,', b"", 3, 'a member "u"'),
    ("bybit_book", b'"u":9', b'"u":9,"u":9', 3, "each key once"),
    ("bybit_book", b'"u":9', b'"u":NaN', 3, "a JSON value, found NaN"),
    ("bybit_book", b'"cts":1733011200708', b'"cts":1733011200', 3, "milliseconds (13 digits), found 1733011200"),
    ("bybit_book", b'"type":"delta","ts":1733011200711', b'"type":"x","ts":1733011200711', 3, "or delta, found x"),
    ("bybit_book", b'50.BTCUSDT","type":"delta","ts":1733011200711', b'51.BTCUSDT","type":"delta","ts":1733011200711',
     3, "depth 50 as before"),
    ("bybit_book", b'{"s":"BTCUSDT","b":[],', b'{"s":"ETHUSDT","b":[],', 3, "symbol BTCUSDT, found ETHUSDT"),
    ("bybit_trades", b'"S":"Buy"', b'"S":"buy"', 1, "Buy or Sell, found buy"),
    ("bybit_trades", b'"i":"x"', b'"i":""', 1, '"i" to be a string'),
    ("bybit_trades", b'"BT":true', b'"BT":1', 1, '"BT" to be true or false, found 1'),
    ("bybit_trades", b'{"success":true,"ret_msg":"","conn_id"', b'{"topic":"tickers.BTCUSDT","conn_id"',
     2, "a topic orderbook.<depth>.<symbol> or publicTrade.<symbol>"),
    ("bybit_csv", b"1733011201,", b"1733011201000,", 3, "a time in seconds"),
    ("bybit_csv", b"1733011201,BTCUSDT", b"1733011201,ETHUSDT", 3, "symbol BTCUSDT, found ETHUSDT"),
    ("bybit_csv", b",781369.2", b"", 3, "10 columns as in the header, found 9"),
    ("bybit_csv", b",65114.1,", b",65114.15,", 3, "multiple of the tick 0.1"),
    ("binance_futures", b'@depth@0ms', b'@depth20@0ms', 6, "a stream <symbol>@depth"),
    ("binance_futures", b'@depth@0ms', b'@depth@109223372036854775807ms', 6, "a stream <symbol>@depth"),
    ("binance_futures", b'"t":3535186032', b'"T":3535186032', 2, "each key once"),
    ("binance_futures", b'"pu":68,', b'"pu":-1,', 6, '"pu" to be a non-negative integer'),
    ("binance_futures", b"1680652700441833 ", b"168065270044183 ", 5, "16 digits (microseconds) or 19"),
    ("binance_futures", b'btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT",'
     b'"t":3535186032', b'ethusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"ETHUSDT",'
     b'"t":3535186032', 2, "symbol BTCUSDT, found ETHUSDT"),
    ("binance_spot", b'"U":134180600', b'"pu":1,"U":134180600', 2, "this is a futures recording"),
    ("binance_wrapped", b'"type":"aggTrade"', b'"type":"kline"', 4, "a type exchangeInfo, snapshot"),
    ("binance_wrapped", b'1772137287079.0', b'17721372870.79', 4, '"ts_local" in seconds or milliseconds'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "line", "words"), CASES)
def test_wrong_message(tmp_path: Path, name: str, old: bytes, new: bytes, line: int, words: str) -> None:
    sample = SAMPLES[name]
    assert sample.data.count(old) == 1
    path = _file(tmp_path, sample.data.replace(old, new))
    refusal = _refusal(path, sample.market)
    assert words in refusal
    found = re.search(r"line (\d+), byte (\d+) of the inflated data: expected .+, found .+", refusal)
    assert found
    assert int(found[1]) == line
    start = [0, *(m.end() for m in re.finditer(b"\n", path.read_bytes()))][line - 1]
    assert start <= int(found[2]) <= start + len(path.read_bytes()[start:].split(b"\n")[0])


def test_offset_points_at_the_offending_value(tmp_path: Path) -> None:
    data = SAMPLES["bybit_book"].data.replace(b'"65120.00"', b'"65120.05"')
    assert f"byte {data.index(b'65120.05')} " in _refusal(_file(tmp_path, data), "bybit-linear.BTCUSDT")


@pytest.mark.parametrize("name", SAMPLES)
def test_text_in_the_middle(tmp_path: Path, name: str) -> None:
    lines = SAMPLES[name].data.splitlines()
    for odd in (b"<html>502</html>", b"", b"[1]", b"null", b"\xff\xfe", b"{" * 5000):
        data = b"\n".join([*lines[:2], odd, *lines[2:]]) + b"\n"
        assert "line 3, byte" in _refusal(_file(tmp_path, data), SAMPLES[name].market)


def test_another_market(tmp_path: Path) -> None:
    path = _file(tmp_path, SAMPLES["bybit_book"].data)
    assert "expected ETHUSDT" in _refusal(path, "bybit-linear.ETHUSDT")
    assert "it looks like bybit-linear.BTCUSDT" in _refusal(path, "binance-usdm.BTCUSDT")
    path = _file(tmp_path, SAMPLES["binance_futures"].data)
    assert "it looks like binance-usdm.BTCUSDT" in _refusal(path, "binance-spot.BTCUSDT")


@pytest.mark.parametrize("data", [b"hello\n", b"\x00\x01\x02", b'{"a":1}\n', b"a,b,c\n1,2,3\n", b"123 456\n"])
def test_unknown_format(tmp_path: Path, data: bytes) -> None:
    path = _file(tmp_path, data)
    with pytest.raises(BadInputError, match=r"unknown format.*expected Bybit messages"):
        detect_file(path)


def test_truncated_file_yields_whole_lines_and_then_the_error(tmp_path: Path) -> None:
    path = tmp_path / "recording.gz"
    path.write_bytes(gzip.compress(SAMPLES["bybit_book"].data * 50)[:-20])
    assert "truncated" in _refusal(path, "bybit-linear.BTCUSDT")


def test_two_trade_streams_are_the_same_trades_twice(tmp_path: Path) -> None:
    sample = SAMPLES["binance_futures"]
    extra = sample.data.splitlines()[1].replace(b"@trade", b"@aggTrade").replace(b'"e":"trade"', b'"e":"aggTrade"')
    data = sample.data + extra.replace(b'"t":3535186032', b'"a":5') + b"\n"
    assert "one trade stream a file" in _refusal(_file(tmp_path, data), sample.market)


def test_receive_times(tmp_path: Path) -> None:
    path = _file(tmp_path, SAMPLES["bybit_book"].data)
    recv = tmp_path / "recording.recv_ts.txt"
    recv.write_text("1786310819.7200031\n1786310819\n1786310820.123456789\n")
    assert detect_file(path).recv_path == recv
    times = read_recv_times(recv)
    assert times.tolist() == [1786310819720003100, 1786310819000000000, 1786310820123456789]
    blocks = list(decode_file(path, market("bybit-linear.BTCUSDT"), times))
    assert np.concatenate([b.book.ts_recv_ns for b in blocks]).tolist() == times.tolist()
    for wrong in (times[:2], np.append(times, 5)):
        assert f"3 lines but {len(wrong)} receive times" in _refusal(path, "bybit-linear.BTCUSDT", wrong).replace(
            "at least ", ""
        )


@pytest.mark.parametrize("text", ["1786310819720\n", "1786310819.\n", "x\n", "\n", "1786310819.1234567891\n", "1.5\n"])
def test_unreadable_receive_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.recv_ts.txt"
    path.write_text("1786310819.5\n" + text)
    with pytest.raises(BadInputError, match=r"byte \d+: expected a receive time"):
        read_recv_times(path)


def test_instruments_beside_the_recording(tmp_path: Path) -> None:
    path = _file(tmp_path, SAMPLES["bybit_book"].data)
    beside = tmp_path / "instruments-info.json"
    entry = {"symbol": "BTCUSDT", "priceFilter": {"tickSize": "0.10"}, "lotSizeFilter": {"qtyStep": "0.001"}}
    beside.write_text(json.dumps({"result": {"category": "linear", "list": [entry]}}))
    info = detect_file(path)
    assert info.grids == {"BTCUSDT": ("0.10", "0.001")}
    assert [str(m) for m in info.markets] == ["bybit-linear.BTCUSDT"]
    beside.write_text("{}")
    with pytest.raises(BadInputError, match="is no instruments-info answer"):
        detect_file(path)


def test_declared_days() -> None:
    assert declared_day("2024-12-01_XRPUSDT_ob500.data.zip") == "2024-12-01"
    assert declared_day("BTCUSDT2024-08-08.csv.gz") == "2024-08-08"
    assert declared_day("1000PEPEUSDT2024-08-08.csv") == "2024-08-08"
    assert declared_day("btcusdt_20230404.gz") is None
    with pytest.raises(BadInputError, match="2024-02-31"):
        declared_day("BTCUSDT2024-02-31.csv.gz")


def test_no_lines_are_lost_at_block_ends(tmp_path: Path) -> None:
    sample = SAMPLES["binance_futures"]
    many = sample._replace(data=sample.data * 40)
    whole = decode_bytes(many)
    assert len(whole.trades) == 80
    path = tmp_path / "many.gz"
    path.write_bytes(b"".join(gzip.compress(many.data[k : k + 333]) for k in range(0, len(many.data), 333)))
    with mock.patch("lob_pipeline.venues.decode.BLOCK_BYTES", 500):
        blocks = list(decode_file(path, market(sample.market)))
    assert len(blocks) > 20
    assert rows_of(blocks) == whole
