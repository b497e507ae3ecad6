"""Binance COIN-M: messages of the USDT-M recording, written here as a coin-margined contract would send them.

Derived, not recorded: prices, ids and times are those of BTCUSDT, sizes become whole contracts of 100 USD.
"""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, QUOTES, TRADES
from lob_pipeline.evaluation.costs import order_value_quote, row_costs, sizes_in_lots
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.venues.detect import detect_file
from lob_pipeline_tests.real_data import real_data_root

COINM, USDM = parse_market("binance-coinm.BTCUSD_PERP"), parse_market("binance-usdm.BTCUSDT")
DATE = "2023-04-04"
LINES = 24_000
ORDERS = (1_000, 10_000, 50_000)


def contracts(price: str, size: str) -> str:
    """Return a size in BTC as whole contracts of 100 USD, at least one where there is any."""
    return str(max(1, int(Decimal(size) * Decimal(price) / 100)) if Decimal(size) else 0)


def as_coinm(message: dict[str, Any]) -> dict[str, Any]:
    """Return a USDT-M message as its coin-margined sister would send it."""
    data = dict(message.get("data", message))
    for name in ("b", "a", "bids", "asks"):
        if isinstance(data.get(name), list):
            data[name] = [[price, contracts(price, size)] for price, size in data[name]]
    if isinstance(data.get("b"), str):
        data |= {"B": contracts(data["b"], data["B"]), "A": contracts(data["a"], data["A"])}
    if "q" in data:
        data["q"] = contracts(data["p"], data["q"])
    if "s" in data:
        data |= {"s": "BTCUSD_PERP", "ps": "BTCUSD"}
    if "lastUpdateId" in data:
        data |= {"symbol": "BTCUSD_PERP", "pair": "BTCUSD"}
    if "stream" not in message:
        return data
    return {"stream": message["stream"].replace("btcusdt", "btcusd_perp"), "data": data}


def _write(real_data: Path, folder: Path) -> tuple[Path, Path]:
    """Write the first lines of the recording as they are, and as COIN-M lines."""
    paths = folder / "usdm.txt", folder / "coinm.txt"
    with gzip.open(real_data / "binance_usdm/btcusdt_20230404.gz", "rt") as source:
        lines = [line for line, _ in zip(source, range(LINES), strict=False)]
    paths[0].write_text("".join(lines))
    made = []
    for line in lines:
        stamp, _, text = line.partition(" ")
        made.append(f"{stamp} {json.dumps(as_coinm(json.loads(text)), separators=(',', ':'))}\n")
    paths[1].write_text("".join(made))
    return paths


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with both markets up to labels."""
    root = real_data_root()
    if root is None:
        pytest.skip("the real recordings are not at ../shared/data (or LOB_REAL_DATA)")
    home = Home(tmp_path_factory.mktemp("coinm"))
    for market, path in zip((USDM, COINM), _write(root, home.root), strict=True):
        assert [str(m) for m in detect_file(path).markets] == [str(market)]
        report = ingest(home, market, [path])
        assert not any(p.refused for p in report.partitions)
        for stage in (build_books, build_features, build_labels):
            result = stage(home, market, DATE)
            assert not result.refused, (result.table, result.reason)
    return home


def _columns(home: Home, table: Any, market: Any, names: list[str]) -> dict[str, np.ndarray]:
    clock = "t100ms" if table.clocked else None
    with open_partition(home, PartitionKey(table.name, market, DATE, clock), table) as partition:
        found = partition.read(names)
    return {name: np.asarray(found[name]) for name in names}


@pytest.mark.real
def test_contracts_are_decoded_and_certified(lake: Home) -> None:
    it = partition_instrument(lake, COINM, DATE)
    assert (it.contract, int(it.contract_value), str(it.tick), str(it.lot)) == ("inverse", 100, "0.1", "1")
    ours = _columns(lake, L2_EVENTS, COINM, ["price_ticks", "size_lots", "update_id"])
    theirs = _columns(lake, L2_EVENTS, USDM, ["price_ticks", "size_lots", "update_id"])
    assert (ours["price_ticks"] == theirs["price_ticks"]).all()
    assert (ours["update_id"] == theirs["update_id"]).all()
    value = theirs["size_lots"] * theirs["price_ticks"] // 1_000_000  # 0.001 BTC at 0.1 USD, in contracts of 100 USD
    expected = np.where(theirs["size_lots"] > 0, np.maximum(value, 1), 0)
    assert (ours["size_lots"] == expected).all()
    for table in (TRADES, QUOTES):
        assert len(_columns(lake, table, COINM, ["order"])["order"]) == len(
            _columns(lake, table, USDM, ["order"])["order"]
        )


@pytest.mark.real
def test_the_book_is_that_of_its_sister_in_other_sizes(lake: Home) -> None:
    names = ["ts_ns", "valid", *(f"{side}_ticks_{k}" for side in ("bid", "ask") for k in range(1, 21))]
    ours, theirs = (_columns(lake, BOOK_SNAPSHOTS, market, names) for market in (COINM, USDM))
    assert ours["valid"].sum() > 100
    for name in names:
        assert (ours[name] == theirs[name]).all(), name
    with open_partition(lake, PartitionKey("book_snapshots", COINM, DATE, "t100ms"), BOOK_SNAPSHOTS) as partition:
        certificate = partition.manifest.certificate
    assert certificate is not None
    assert certificate["holds"]
    assert certificate["top_of_book_match"]["compared"] == certificate["top_of_book_match"]["equal"] > 0


@pytest.mark.real
def test_what_an_order_costs_does_not_know_of_the_price(lake: Home) -> None:
    """An order of 10,000 USD is 100 contracts at every price, and its walk through the book is counted in contracts."""
    it = partition_instrument(lake, COINM, DATE)
    rows = _columns(lake, BOOK_SNAPSHOTS, COINM, [c.name for c in BOOK_SNAPSHOTS.columns])
    costs = row_costs(rows, it, ORDERS)
    assert (sizes_in_lots(it, costs.m2, ORDERS) == [10, 100, 500]).all()
    assert (order_value_quote(costs, it, ORDERS) == [1_000, 10_000, 50_000]).all()
    row = {name: values[np.flatnonzero(rows["valid"])[0]] for name, values in rows.items()}
    left, paid, mid = 500, 0.0, (row["bid_ticks_1"] + row["ask_ticks_1"]) / 2
    for k in range(1, 21):
        taken = min(left, int(row[f"ask_lots_{k}"]))
        paid += taken * float(row[f"ask_ticks_{k}"] - row["ask_ticks_1"])
        left -= taken
    assert left == 0
    assert costs.buy_bps[0, 2] == pytest.approx(1e4 * paid / 500 / mid)


def test_gain_in_quote_is_the_price_s_return_exactly() -> None:
    """Why labels in bps hold for inverse contracts: coins gained, valued at the price of leaving, over the face."""
    face, enter, leave = Decimal(100), Decimal("28145.1"), Decimal("28251.7")
    coins = face / enter - face / leave
    assert coins * leave / face == pytest.approx((leave - enter) / enter)


def test_lots_of_part_of_a_contract_are_worth_their_part() -> None:
    tenth = instrument(parse_market("okx.BTC-USD-SWAP"), "0.1", "0.1")
    assert (tenth.contract, tenth.contract_value) == ("inverse", Decimal("10.0"))
    assert tenth.order_lots(10_000, 1) == 1_000
    assert instrument(parse_market("binance-coinm.ETHUSD_PERP")).order_lots(10_005, 7) == 1_001
    assert instrument(parse_market("binance-coinm.SOLUSD_PERP"), "0.001", "1").contract_value == 10


@pytest.mark.parametrize(
    ("name", "tick", "lot"),
    [("kraken.SC-EUR", "0.00001", "0.00000001"), ("kraken.ADA-XBT", "0.00000001", "0.00000001"),
     ("kraken.OCEAN-XBT", "0.000000001", "0.00000001"), ("bybit-linear.BTCUSDT", "0.1", "0.001")],
)  # fmt: skip
def test_orders_of_the_finest_grids_are_counted_exactly(name: str, tick: str, lot: str) -> None:
    """Twice the quote over tick times lot leaves 64 bits where a coin is quoted in another one."""
    it = instrument(parse_market(name), tick, lot)
    m2 = np.array([4_571, 8_598, 1_300_001, 3], np.int64)
    found = sizes_in_lots(it, m2, (1_000, 500_000))
    for row, twice_mid in zip(found.tolist(), m2.tolist(), strict=True):
        for lots, size in zip(row, (1_000, 500_000), strict=True):
            assert lots == min(it.order_lots(size, twice_mid), 1 << 62)


def test_a_message_of_another_contract_is_refused(tmp_path: Path) -> None:
    depth = {"e": "depthUpdate", "E": 1680652700460, "T": 1680652700458, "ps": "ETHUSD", "U": 1, "u": 2, "pu": 0}
    line = json.dumps(depth | {"s": "ETHUSD_PERP", "b": [["1800.01", "5"]], "a": []})
    path = tmp_path / "x"
    path.write_text(f"1680652700441533 {line}\n")
    with pytest.raises(BadInputError, match=r"holds ETHUSD_PERP: expected BTCUSD_PERP"):
        ingest(Home(tmp_path / "home"), COINM, [path])
    with pytest.raises(BadInputError, match="it looks like binance-coinm"):
        ingest(Home(tmp_path / "home"), parse_market("bybit-linear.BTCUSDT"), [path])
