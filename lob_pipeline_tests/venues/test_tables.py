"""Tardis files and plain tables: exact numbers, whole messages, ids that chain; what is wrong is said with its place"""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.book.sequence import FOLLOWS, MODES, REPLACES, judge_message
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, KIND_SNAPSHOT
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.venues import table_csv
from lob_pipeline.venues.block import DecodedBlock
from lob_pipeline.venues.decode import decode_file
from lob_pipeline.venues.detect import detect_file
from lob_pipeline_tests import derived

BTC = instrument(parse_market("binance-usdm.BTCUSDT"), "0.1", "0.001")
SPOT = instrument(parse_market("binance-spot.BTCUSDT"), "0.01", "0.00001")
T0 = 1_700_000_000_000_000_000


def _rows(count: int = 12) -> list[dict[str, Any]]:
    """Return level rows: a snapshot of four levels, then messages of one or two, in nanoseconds."""
    out = [
        {"ts_event_ns": T0, "side": s, "price": Decimal(p) / 10, "size": Decimal("1.5"), "is_snapshot": True}
        for s, p in (("bid", 1000), ("bid", 999), ("ask", 1001), ("ask", 1002))
    ]
    for k in range(count):
        for side, price in (("bid", 999 - k % 3), ("ask", 1001 + k % 4))[: 1 + k % 2]:
            size = Decimal(k % 5) / 1000
            level = {"side": side, "price": Decimal(price) / 10, "size": size, "is_snapshot": False}
            out.append({"ts_event_ns": T0 + (k + 1) * 10**6, **level})
    return out


def _csv(path: Path, rows: list[dict[str, Any]], names: list[str] | None = None) -> Path:
    names = names or list(rows[0])
    lines = [",".join(names), *(",".join(f"{row[n]}" for n in names) for row in rows)]
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def _told(blocks: list[DecodedBlock]) -> list[Any]:
    out = []
    for block in blocks:
        b = block.book
        for i in range(len(b)):
            lo, hi = b.level_start[i], b.level_start[i + 1]
            columns = (column[lo:hi].tolist() for column in (b.side, b.price_ticks, b.size_lots))
            levels = list(zip(*columns, strict=True))
            out.append((int(b.ts_event_ns[i]), int(b.ts_recv_ns[i]), int(b.kind[i]), levels))
    return out


def _expected(rows: list[dict[str, Any]], grid: Instrument = BTC) -> list[Any]:
    out: list[Any] = []
    for row in rows:
        head = (row["ts_event_ns"], row.get("ts_recv_ns", 0), 1 if row["is_snapshot"] else 2)
        level = (1 if row["side"] == "bid" else -1, int(row["price"] / grid.tick), int(row["size"] / grid.lot))
        if out and out[-1][:3] == head:
            out[-1][3].append(level)
        else:
            out.append((*head, [level]))
    return out


def _chain_holds(blocks: list[DecodedBlock], sequence: str) -> bool:
    """Whether every message follows under a venue's rule, by the rule that judges the lake's events."""
    state = [0, 0, 0, 0]
    for block in blocks:
        b = block.book
        for i in range(len(b)):
            kind, uid, prev, ts = (int(c[i]) for c in (b.kind, b.update_id, b.prev_update_id, b.ts_event_ns))
            verdict = judge_message(MODES[sequence], *state, kind, uid, prev, ts)
            if verdict not in (FOLLOWS, REPLACES):
                return False
            state = [1, int(kind == KIND_SNAPSHOT), uid, max(state[3], ts)]
    return True


@pytest.mark.parametrize("block_bytes", [2 << 20, 200, 64])
def test_rows_of_one_time_are_one_message_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    rows = _rows(200)
    path = _csv(tmp_path / "levels.csv", rows)
    monkeypatch.setattr("lob_pipeline.venues.table_blocks.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("lob_pipeline.venues.source._READ_BYTES", 50)
    blocks = list(decode_file(path, BTC))
    assert _told(blocks) == _expected(rows)
    assert sum(b.lines for b in blocks) == len(rows) + 1
    data = path.read_bytes()
    for block in blocks:
        for offset, price in zip(block.book.offset, block.book.price_ticks[block.book.level_start[:-1]], strict=True):
            cells = data[offset : data.index(b"\n", offset)].split(b",")
            assert Decimal(cells[2].decode()) == price * BTC.tick


@pytest.mark.parametrize("sequence", ["plus_one", "bridge", "none"])
def test_made_ids_follow_under_every_rule(tmp_path: Path, sequence: str) -> None:
    rows = _rows(20)
    again = [dict(row, ts_event_ns=row["ts_event_ns"] + 10**9) for row in _rows(20)]
    market = {"plus_one": "bybit-linear.BTCUSDT", "bridge": "binance-usdm.BTCUSDT", "none": "binance-usdm.BTCUSDT"}
    grid = instrument(parse_market(market[sequence]), "0.1", "0.001")
    blocks = list(decode_file(_csv(tmp_path / "levels.csv", rows + again), grid))
    assert _chain_holds(blocks, sequence)
    ids = np.concatenate([b.book.update_id for b in blocks])
    assert (np.diff(ids) == 1 + (np.arange(1, 42) == 21)).all(), "a snapshot in mid-stream jumps by two"
    assert ids[0] == T0 // 1000


def test_a_snapshot_in_mid_stream_replaces_the_book_of_a_bridged_market(tmp_path: Path) -> None:
    rows = _rows(20) + [dict(r, ts_event_ns=r["ts_event_ns"] + 10**9, price=r["price"] + 5) for r in _rows(20)]
    home = Home(tmp_path / "home")
    report = ingest(home, BTC.market, [_csv(tmp_path / "levels.csv", rows)])
    assert not any(p.refused for p in report.partitions)
    build_books(home, BTC.market, "2023-11-14")
    with open_partition(home, PartitionKey("book_snapshots", BTC.market, "2023-11-14", "t100ms"), BOOK_SNAPSHOTS) as p:
        books = p.read()
    assert books["bid_ticks_1"].min() == 1000
    assert books["ts_ns"].shape[0] >= 10


def test_own_ids_are_kept_and_a_missing_previous_one_is_the_last(tmp_path: Path) -> None:
    rows = _rows(6)
    for row in rows:
        row["update_id"] = 50 + 3 * ((row["ts_event_ns"] - T0) // 10**6)
    books = [b.book for b in decode_file(_csv(tmp_path / "a.csv", rows), BTC)]
    ids = np.concatenate([b.update_id for b in books])
    prev = np.concatenate([b.prev_update_id for b in books])
    assert ids.tolist() == [50, 53, 56, 59, 62, 65, 68]
    assert prev.tolist() == [-1, 50, 53, 56, 59, 62, 65]
    for row in rows:
        row["prev_update_id"] = "" if row["is_snapshot"] else row["update_id"] - 2
    blocks = list(decode_file(_csv(tmp_path / "b.csv", rows), BTC))
    assert np.concatenate([b.book.prev_update_id for b in blocks]).tolist() == [-1, 51, 54, 57, 60, 63, 66]


def test_trades_with_marks_and_units(tmp_path: Path) -> None:
    names = "timestamp,symbol,side,price,size,trade_id,flags"
    data = f"{names}\n1700000000000,BTCUSDT,buy,100.1,0.5,a-1,0\n1700000000000001,btcusdt,Sell,1.001e2,5e-1,b,4\r\n"
    path = tmp_path / "trades.csv"
    path.write_text(data, newline="")
    assert detect_file(path).streams == ("trades",)
    t = next(decode_file(path, BTC)).trades
    assert t.ts_event_ns.tolist() == [T0, T0 + 1000]
    assert t.trade_id.to_pylist() == ["a-1", "b"]
    assert (t.side.tolist(), t.price_ticks.tolist(), t.size_lots.tolist()) == ([1, -1], [1001, 1001], [500, 500])
    assert t.flags.tolist() == [0, 4]


_price = st.integers(1, 10**7).map(lambda n: Decimal(n) / 10)
_size = st.integers(0, 10**9).map(lambda n: Decimal(n) / 1000)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), _price, _size, st.booleans()), min_size=1, max_size=30),
    st.sampled_from(["text", "float", "decimal"]),
    st.sampled_from(["ns", "us", "ms", "timestamp"]),
)
def test_csv_and_parquet_of_any_type_agree(
    tmp_path_factory: pytest.TempPathFactory, made: list[Any], numbers: str, times: str
) -> None:
    folder, ts, rows = tmp_path_factory.mktemp("table"), T0, []
    for step, bid, price, size, snapshot in made:
        ts += step * 10**6
        side = "bid" if bid else "ask"
        rows.append({"timestamp": ts, "side": side, "price": price, "size": size, "is_snapshot": snapshot})
    one = list(decode_file(_csv(folder / "levels.csv", rows), BTC))
    as_type = {"text": str, "float": float, "decimal": lambda d: d}[numbers]
    scale = {"ns": 1, "us": 1000, "ms": 10**6, "timestamp": 1}[times]
    stamps: Any = pa.array([r["timestamp"] // scale for r in rows], pa.int64())
    columns = {
        "timestamp": stamps.cast(pa.timestamp("ns", "UTC")) if times == "timestamp" else stamps,
        "side": pa.array([r["side"] for r in rows]).dictionary_encode(),
        "price": pa.array([as_type(r["price"]) for r in rows]),
        "size": pa.array([as_type(r["size"]) for r in rows]),
        "is_snapshot": [r["is_snapshot"] for r in rows],
    }
    pq.write_table(pa.table(columns), folder / "levels.parquet")
    two = list(decode_file(folder / "levels.parquet", BTC))
    assert _told(one) == _told(two) == _expected([dict(r, ts_event_ns=r["timestamp"]) for r in rows])
    for name in ("update_id", "prev_update_id"):
        assert np.array_equal(*(np.concatenate([getattr(b.book, name) for b in bs]) for bs in (one, two)))


def test_scanner_and_complete_reader_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _csv(tmp_path / "levels.csv", _rows(50))
    read: list[bytes] = []
    real = table_csv.read_line
    monkeypatch.setattr(table_csv, "read_line", lambda line, *rest: (read.append(line), real(line, *rest))[1])
    fast = _told(list(decode_file(path, BTC)))
    assert len(read) == 1, "the header alone is left to the reader"
    monkeypatch.setattr("lob_pipeline.venues.table_blocks.scan_block", lambda _b, start, _e, _j: start)
    assert _told(list(decode_file(path, BTC))) == fast
    assert len(read) == 2 + len(_rows(50))


GOOD = "1700000000000,bid,100.1,0.5,true"


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("170000000000,bid,100.1,0.5,true", r"byte 71 .*13 \(ms\), 16 \(µs\) or 19 digits"),
        ("1700000000000,middle,100.1,0.5,true", "byte 85 .*side bid or ask"),
        ("1700000000000,bid,100.15,0.5,true", "byte 89 .*multiple of the tick 0.1"),
        ("1700000000000,bid,0,0.5,true", "a price above zero"),
        ("1700000000000,bid,-1,0.5,true", "a decimal string"),
        ("1700000000000,bid,100.1,0.0005,true", "byte 95 .*multiple of the lot 0.001"),
        ("1700000000000,bid,100.1,nan,true", "a decimal string"),
        ("1700000000000,bid,100.1,0.5,maybe", "is_snapshot true or false"),
        ("1700000000000,bid,100.1,0.5", "expected 5 columns as in the header, found 4"),
        ("1700000000000,bid,100.1,0.5,true,x", "expected 5 columns"),
        ("1700000000000,bid,100.1,\x00,true", "printable ASCII"),
        (",bid,100.1,0.5,true", "a time"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, match: str) -> None:
    path = tmp_path / "levels.csv"
    path.write_text(f"timestamp,side,price,size,is_snapshot\n{GOOD}\n{line}\n")
    with pytest.raises(BadInputError, match=match) as error:
        list(decode_file(path, BTC))
    assert "line 3, byte" in str(error.value)
    assert "\n" not in str(error.value)


def test_headers(tmp_path: Path) -> None:
    path = tmp_path / "levels.csv"
    twice = ("timestamp,side,price,amount,size,is_snapshot", "ts,timestamp,side,price,size,id")
    for header in ("timestamp,side,price,size", *twice):
        path.write_text(f"{header}\n")
        with pytest.raises(BadInputError, match=r"unknown format|one column of each meaning"):
            detect_file(path)
    path.write_text("ts_event_ns,side,price,size,is_snapshot\n1700000000000,bid,100.1,0.5,true\n")
    with pytest.raises(BadInputError, match=r"nanoseconds \(19 digits\)"):
        list(decode_file(path, BTC))
    path.write_text("timestamp,symbol,side,price,size,is_snapshot\n1700000000000,ETHUSDT,bid,100.1,0.5,true\n")
    with pytest.raises(BadInputError, match="holds ETHUSDT: expected BTCUSDT"):
        list(decode_file(path, BTC))
    path.write_text(f"timestamp,side,price,size,is_snapshot,update_id\n{GOOD},5\n{GOOD},\n")
    with pytest.raises(BadInputError, match=r"line 3, byte 83 .*without one"):
        list(decode_file(path, BTC))


def test_spot_sizes_off_the_grid_are_rounded_down_and_counted(tmp_path: Path) -> None:
    rows = [{"timestamp": T0, "side": "bid", "price": "100.01", "size": "0.000019", "is_snapshot": True}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "levels.parquet")
    for path in (_csv(tmp_path / "levels.csv", rows), tmp_path / "levels.parquet"):
        blocks = list(decode_file(path, SPOT))
        assert sum(b.off_grid_lots for b in blocks) == 1
        assert _told(blocks)[0][3] == [(1, 10001, 1)]


@pytest.mark.parametrize(
    ("name", "values", "match"),
    [
        ("price", [100.1, 100.15], r"row 2, column price: expected a multiple of 0\.1, found '100.15'"),
        ("price", [100.1, None], "row 2, column price: expected a number"),
        ("price", [0.0, 1.0], "row 1, column price: expected a price above zero"),
        ("price", [float("inf"), 1.0], "row 1, column price: expected a number"),
        ("price", ["1e5", "x"], "row 2, column price: expected a number"),
        ("price", [100.1, np.float32(100.2).item()], "row 2, column price: expected a multiple"),
        ("side", ["bid", "middle"], "row 2, column side"),
        ("side", [1, 2], "row 2, column side: expected 1"),
        ("side", ["bid", None], "row 2, column side"),
        ("is_snapshot", [True, None], "row 2, column is_snapshot: expected a value"),
        ("is_snapshot", ["true", "false"], "column is_snapshot: expected numbers"),
        ("timestamp", [T0, 12], "row 2, column timestamp: expected a time"),
        ("timestamp", [T0, None], "row 2, column timestamp: expected a time"),
        ("timestamp", ["a", "b"], "column timestamp: expected a timestamp"),
        ("symbol", ["BTCUSDT", "ETHUSDT"], "row 2, column symbol: expected symbol BTCUSDT"),
        ("update_id", [7, None], "row 2, column update_id"),
        ("update_id", [-7, 1], "row 1, column update_id: expected a non-negative id"),
        ("update_id", [1.5, 1.0], "column update_id: expected integer ids"),
    ],
)
def test_a_wrong_parquet_row_is_named(tmp_path: Path, name: str, values: list[Any], match: str) -> None:
    columns = {"timestamp": [T0, T0], "side": ["bid", "ask"], "price": [100.1, 100.2], "size": [0.5, 1.0]}
    table = {**columns, "is_snapshot": [True, True], name: values}
    pq.write_table(pa.table(table), tmp_path / "levels.parquet")
    with pytest.raises(BadInputError, match=match):
        list(decode_file(tmp_path / "levels.parquet", BTC))


def test_parquet_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "levels.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(BadInputError, match=r"has the columns a: expected ts_event_ns"):
        detect_file(path)
    data = path.read_bytes()
    for cut in (6, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(BadInputError, match="is no whole Parquet file"):
            detect_file(path)


@pytest.mark.real
def test_the_tardis_form_of_a_recording_gives_the_same_books(real_data: Path, tmp_path: Path) -> None:
    source = derived.original(real_data, tmp_path / "source")
    paths = derived.tardis(source, tmp_path / "files")
    assert detect_file(paths[0]).declared_day == derived.DATES[0]
    home = Home(tmp_path / "home")
    assert not any(p.refused for p in ingest(home, derived.USDM, paths).partitions)
    for date in derived.DATES:
        books = []
        for where in (source, home):
            assert not build_books(where, derived.USDM, date).refused
            key = PartitionKey("book_snapshots", derived.USDM, date, "t100ms")
            with open_partition(where, key, BOOK_SNAPSHOTS) as partition:
                books.append(partition.read())
        one, two = books
        rows = two["ts_ns"].shape[0]
        assert one["ts_ns"].shape[0] - 1 <= rows > 900  # the closing mark's row is the recording's alone
        for name in BOOK_SNAPSHOTS.names:
            assert np.array_equal(one[name][:rows], two[name]), (date, name)


def test_two_days_of_made_ids_do_not_continue_each_other(tmp_path: Path) -> None:
    """A day file whose ids would start again at the same number must not be taken for the next one's continuation."""
    home, day_ns = Home(tmp_path / "home"), 86_400 * 10**9
    first = _csv(tmp_path / "one.csv", _rows(400))
    second = _csv(tmp_path / "two.csv", [dict(r, ts_event_ns=r["ts_event_ns"] + day_ns) for r in _rows(800)])
    for path in (first, second):
        assert not any(p.refused for p in ingest(home, BTC.market, [path]).partitions)
    for date in ("2023-11-14", "2023-11-15"):
        extra = read_manifest(PartitionKey("l2_events", BTC.market, date).path(home)).extra
        assert (extra["carried"], extra["closing_mark"]) == (False, False)
