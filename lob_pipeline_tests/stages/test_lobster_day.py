"""A LOBSTER day in the lake: refused where the book file disagrees, rebuilt from kept bytes, orders' fates told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.cli import app as cli
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import L2_EVENTS, QUOTES, TRADES
from lob_pipeline.labels.order_truth import ORDER_TRUTH, OrderMessages, order_truth, summary
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.stages.ingest import build_events, ingest
from lob_pipeline.stages.order_truth import truth_of_day, write_truth
from lob_pipeline_tests.stages.ingest_streams import contents, rows
from lob_pipeline_tests.venues.test_lobster import _day, _write

GOOG = parse_market("lobster.GOOG")
DATE = "2012-06-21"


def test_two_files_are_one_source_and_are_kept(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    path = _write(tmp_path, *_day(300))
    book = path.with_name(path.name.replace("message", "orderbook"))
    report = ingest(home, GOOG, [book, path])
    assert [(p.table, p.date, p.refused) for p in report.partitions] == [
        (t.name, DATE, False) for t in (L2_EVENTS, TRADES, QUOTES)
    ]
    facts = report.to_json()["decoder_facts"]
    assert facts["book_rows_compared"] == facts["book_rows_equal"] == 299
    manifest = read_manifest(PartitionKey("l2_events", GOOG, DATE).path(home))
    assert manifest.extra["decoder_facts"] == facts
    assert sum(name.startswith("raw/") for name in manifest.inputs) == 2
    before = contents(home, GOOG)
    path.unlink()
    book.unlink()
    build_events(home, GOOG, DATE)
    assert contents(home, GOOG) == before
    events, trades = rows(home, GOOG, L2_EVENTS, DATE), rows(home, GOOG, TRADES, DATE)
    both = np.intersect1d(events["seq"], trades["seq"])
    assert both.shape[0] > 10
    for seq in both[:50]:
        assert trades["order"][trades["seq"] == seq][0] < events["order"][events["seq"] == seq][0]


def test_a_book_that_disagrees_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    messages, books = _day(300)
    at = next(k for k in range(150, 300) if books[k].split(",")[3] != "0")
    cells = books[at].split(",")
    cells[3] = str(int(cells[3]) + 1)
    books[at] = ",".join(cells)
    results = {p.table: p for p in ingest(home, GOOG, [_write(tmp_path, messages, books)]).partitions}
    assert results["l2_events"].refused
    assert "checksum" in str(results["l2_events"].reason)


_event = st.tuples(st.sampled_from([1, 1, 2, 3, 4, 5]), st.integers(0, 5), st.integers(1, 20))


def _messages(events: list[tuple[int, int, int]]) -> OrderMessages:
    n = len(events)
    kind, ids, size = (np.array([e[k] for e in events], np.int64) for k in range(3))
    seq = np.arange(n)
    side = np.where(ids % 2 == 0, 1, -1).astype(np.int8)
    placement = (ids % 3 - 1).astype(np.int8)
    masks = (kind == 1, (kind == 2) | (kind == 3), kind == 4, seq > 0)
    return OrderMessages(seq, seq * 10, ids, size, ids + 100, side, *masks, placement, ids * 2)


@settings(max_examples=300, deadline=None)
@given(st.lists(_event, max_size=40))
def test_fates_against_a_dictionary(events: list[tuple[int, int, int]]) -> None:
    live: dict[int, dict[str, int]] = {}
    told: list[dict[str, int]] = []
    for seq, (kind, number, size) in enumerate(events):
        if kind == 1:
            live[number] = {"seq": seq, "size": size, "filled": 0, "cancelled": 0, "first": -1, "fill": -1, "last": -1}
            told.append(live[number])
        elif number in live and kind in (2, 3, 4):
            order = live[number]
            order["last"] = seq * 10
            if kind == 4:
                order["filled"] += size
                order["first"] = seq * 10 if order["first"] < 0 else order["first"]
                order["fill"] = seq * 10
            else:
                order["cancelled"] += size
    found = order_truth(_messages(events))
    expected = [o for o in told if o["seq"] > 0]
    assert found["seq"].tolist() == [o["seq"] for o in expected]
    assert found["filled_lots"].tolist() == [o["filled"] for o in expected]
    assert found["cancelled_lots"].tolist() == [o["cancelled"] for o in expected]
    for at, o in enumerate(expected):
        t = o["seq"] * 10
        filled = o["filled"] >= o["size"]
        assert found["first_fill_delay_ns"][at] == (o["first"] - t if o["filled"] else -1)
        assert found["fill_delay_ns"][at] == (o["fill"] - t if filled else -1)
        assert found["end_ns"][at] == (o["last"] if o["filled"] + o["cancelled"] >= o["size"] else -1)
        assert bool(found["filled"][at]) == filled
        assert found["fill_kind"][at] == (2 if filled else 0)


def test_queue_ahead_and_placement(tmp_path: Path) -> None:
    messages = [
        "34200,1,1,5,5000000,1",
        "34201,1,2,7,5000000,1",  # joins 5 lots
        "34202,1,3,9,5000100,1",  # improves
        "34203,1,4,2,5000000,1",  # behind the best, 12 displayed
        "34204,4,3,9,5000100,1",
        "34205,4,2,3,5000000,1",
        "34206,3,2,4,5000000,1",
    ]
    sizes = [[(5000000, 5)], [(5000000, 12)], [(5000100, 9), (5000000, 12)], [(5000100, 9), (5000000, 14)]]
    sizes += [[(5000000, 14)], [(5000000, 11)], [(5000000, 7)]]
    books = []
    for bids in sizes:
        cells = []
        for k in range(2):
            ask = (5000300, 40) if k == 0 else (9999999999, 0)
            bid = bids[k] if k < len(bids) else (-9999999999, 0)
            cells += [*ask, *bid]
        books.append(",".join(map(str, cells)))
    home = Home(tmp_path / "home")
    ingest(home, GOOG, [_write(tmp_path, messages, books)])
    orders = truth_of_day(home, GOOG, DATE)
    assert orders["order_id"].tolist() == [2, 3, 4]
    assert orders["placement"].tolist() == [0, 1, -1]
    assert orders["queue_ahead_lots"].tolist() == [5, 0, 12]
    assert orders["filled_lots"].tolist() == [3, 9, 0]
    assert orders["cancelled_lots"].tolist() == [4, 0, 0]
    assert orders["fill_delay_ns"].tolist() == [-1, 2_000_000_000, -1]
    assert orders["executed"].tolist() == [True, True, False]
    report = write_truth(home, GOOG, DATE)
    assert pq.read_table(report["path"]).column_names == list(ORDER_TRUTH.names)
    assert report["orders"]["join"] == {"orders": 1, "executed": 1, "filled": 0, "cancelled": 1, "end_not_seen": 0}


def test_the_command_tells_the_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home")
    ingest(home, GOOG, [_write(tmp_path, *_day(200))])
    out = tmp_path / "orders.parquet"
    with pytest.raises(SystemExit) as done:
        cli.main(["truth", "lobster.GOOG", DATE, "--home", str(home.root), "--out", str(out), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert done.value.code == 0
    assert report["rows"] == pq.read_table(out).num_rows == sum(c["orders"] for c in report["orders"].values()) > 10
    with pytest.raises(SystemExit) as done:
        cli.main(["truth", "okx.BTC-USDT", DATE, "--home", str(home.root)])
    assert done.value.code == 2


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "symbol", "join", "executed"),
    [("GOOG_2012-06-21_10", "GOOG", 11_491, 1_585), ("AAPL_2012-06-21_1", "AAPL", 20_538, 4_230)],
)
def test_orders_that_join_the_best(
    real_data: Path, tmp_path: Path, name: str, symbol: str, join: int, executed: int
) -> None:
    market = parse_market(f"lobster.{symbol}")
    home = Home(tmp_path)
    report = ingest(home, market, [real_data / "lobster" / f"LOBSTER_SampleFile_{name}.zip"])
    assert not any(p.refused for p in report.partitions)
    orders: Columns = truth_of_day(home, market, DATE)
    counts = summary(orders)["join"]
    assert (counts["orders"], counts["executed"]) == (join, executed)
    joined = orders["placement"] == 0
    assert (orders["queue_ahead_lots"][joined] > 0).all()
    assert (orders["filled_lots"] + orders["cancelled_lots"] <= orders["size_lots"]).mean() > 0.999


def test_what_has_no_orders(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="known from LOBSTER recordings alone"):
        truth_of_day(Home(tmp_path), parse_market("okx.BTC-USDT"), DATE)
    with pytest.raises(BadInputError, match=r"no source of lobster\.GOOG on 2012-06-21 is registered"):
        truth_of_day(Home(tmp_path), GOOG, DATE)
