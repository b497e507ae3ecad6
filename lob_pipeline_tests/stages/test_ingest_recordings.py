"""The real recordings through ingest, row by row against readers that know nothing but json."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.tables import FLAG_NOT_MARKET, L2_EVENTS, QUOTES, TRADES
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.stages.days import days_with_events, event_inputs, ledger_days
from lob_pipeline.stages.ingest import IngestReport, build_events, ingest, register
from lob_pipeline_tests.naive import recordings
from lob_pipeline_tests.naive.book import Message
from lob_pipeline_tests.stages.ingest_streams import contents, rows

pytestmark = pytest.mark.real

USDM = parse_market("binance-usdm.BTCUSDT")
SPOT = parse_market("binance-spot.BTCUSDT")
NEXO = parse_market("binance-spot.NEXOUSDT")
BYBIT = parse_market("bybit-linear.BTCUSDT")

PAIRS = {
    "usdm": (USDM, "binance_usdm", ["btcusdt_20230404.gz", "btcusdt_20230405.gz"]),
    "spot": (SPOT, "binance_spot", ["btcusdt_20240808.gz", "btcusdt_20240809.gz"]),
    "nexo": (NEXO, "binance_spot", ["nexousdt_20240723.gz", "nexousdt_20240724.gz"]),
    "usdm-2024": (USDM, "binance_usdm", ["btcusdt_20240808.gz"]),
}


def _paths(real_data: Path, name: str) -> list[Path]:
    _, folder, names = PAIRS[name]
    return [real_data / folder / n for n in names]


def _messages(events: Columns) -> list[Message]:
    """Return the stored messages of a day, levels in stored order (those of a carried book sorted)."""
    starts = np.flatnonzero(events["first_in_message"])
    ends = np.append(starts[1:], events["order"].shape[0])
    names = ("ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id", "kind")
    heads = np.stack([events[n][starts].astype(np.int64) for n in names], axis=1).tolist()
    levels = np.stack([events[n].astype(np.int64) for n in ("side", "price_ticks", "size_lots")], axis=1).tolist()
    out = []
    for head, lo, hi in zip(heads, starts.tolist(), ends.tolist(), strict=True):
        held = [tuple(x) for x in levels[lo:hi]]
        out.append(Message(*head, sorted(held) if head[4] == 4 else held))
    return out


def _best_quotes(paths: list[Path], recording: recordings.Recording) -> list[tuple[int, ...]]:
    """Return (update id, bid, lots, ask, lots) of every bookTicker; spot's have no event type."""
    out = []
    for path in paths:
        with gzip.open(path, "rt") as handle:
            for line in handle:
                data = json.loads(line.partition(" ")[2])
                d = data.get("data", data)
                if "B" in d and "A" in d:
                    bid, ask = (recording.ticks(d["b"]), recording.lots(d["B"])), recording.ticks(d["a"])
                    out.append((d["u"], *bid, ask, recording.lots(d["A"])))
    return out


def _sorted_carried(messages: list[Message]) -> list[Message]:
    return [m._replace(levels=sorted(m.levels)) if m.kind == 4 else m for m in messages]


def _same(home: Home, market: Market, recording: recordings.Recording) -> None:
    for date, expected in recording.days().items():
        found = _messages(rows(home, market, L2_EVENTS, date))
        assert len(found) == len(expected)
        for i, (one, two) in enumerate(zip(found, _sorted_carried(expected), strict=True)):
            same = two._replace(recv=two.recv or one.recv)  # the naive reader knows no receive times beside a file
            assert one == same, (date, i, one._replace(levels=[]), same._replace(levels=[]))


@pytest.mark.parametrize("name", list(PAIRS))
def test_binance_events_are_those_of_a_naive_reader(real_data: Path, tmp_path: Path, name: str) -> None:
    market, _, names = PAIRS[name]
    home = Home(tmp_path)
    report = ingest(home, market, _paths(real_data, name))
    assert not any(p.refused for p in report.partitions)
    recording = recordings.binance(real_data, str(market), names)
    _same(home, market, recording)
    for date in recording.days():
        trades = rows(home, market, TRADES, date)
        kept = trades["flags"] & FLAG_NOT_MARKET == 0
        expected = sorted(t[:3] for t in recording.day_trades(date))
        names_ = ("ts_event_ns", "side", "price_ticks")
        assert sorted(zip(*(trades[n][kept].tolist() for n in names_), strict=True)) == expected
    quotes = [rows(home, market, QUOTES, date) for date in recording.days()]
    columns = ("update_id", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    found = [t for q in quotes for t in zip(*(q[n].tolist() for n in columns), strict=True)]
    assert found == _best_quotes(_paths(real_data, name), recording)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_the_first_snapshot_that_does_not_bridge_stays_and_the_second_is_used(
    real_data: Path, tmp_path: Path, symbol: str
) -> None:
    market = parse_market(f"binance-usdm.{symbol}")
    home = Home(tmp_path)
    report = ingest(home, market, [real_data / "binance_resync" / "raw_1772137284.ndjson.gz"])
    assert report.to_json()["skipped_lines"]["other_symbol"] > 0
    events = _messages(rows(home, market, L2_EVENTS, "2026-02-26"))
    snapshots = [i for i, m in enumerate(events) if m.kind == 1]
    assert len(snapshots) == 2
    one, two = (events[i] for i in snapshots)
    assert events[snapshots[0] + 1].prev_id > one.update_id, "the first snapshot is older than every delta"
    alive = next(m for m in events[snapshots[1] + 1 :] if m.update_id >= two.update_id)
    assert alive.prev_id <= two.update_id
    assert alive.ts == two.ts, "a REST snapshot has no time of its own"
    assert all(m.update_id < two.update_id for m in events[: snapshots[1]] if m.kind == 2)


def test_the_orders_of_the_three_tables_are_one_arrival_order(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path)
    path = real_data / "binance_usdm" / "btcusdt_20240808.gz"
    ingest(home, USDM, [path])
    orders: dict[str, list[int]] = {"depthUpdate": [], "trade": [], "bookTicker": [], "snapshot": []}
    lines = []
    with gzip.open(path, "rt") as handle:
        for line in handle:
            data = json.loads(line.partition(" ")[2])
            lines.append(data.get("data", data))
    snapshot = next(i for i, d in enumerate(lines) if "lastUpdateId" in d)
    alive = [i for i, d in enumerate(lines[:snapshot]) if d.get("u", 0) >= lines[snapshot]["lastUpdateId"]]
    moved = [i for i in alive if lines[i].get("e") == "depthUpdate"]
    midnight = next(i for i, d in enumerate(lines) if d.get("e") == "depthUpdate" and d["T"] > 1723161600000)
    for i, data in enumerate(lines[:midnight]):
        name = data.get("e", "snapshot")
        if i not in moved and (name != "bookTicker" or data["T"] <= 1723161600000):
            orders[name].append(i + 1 + (len(moved) if i > snapshot else 0))
    events = rows(home, USDM, L2_EVENTS)
    first, kind = events["first_in_message"], events["kind"]
    stored = events["order"][first & (kind == 2)].tolist()
    assert sorted(set(stored) - set(range(snapshot + 2, snapshot + 2 + len(moved)))) == orders["depthUpdate"]
    assert events["order"][first & (kind == 1)].tolist() == orders["snapshot"]
    assert rows(home, USDM, TRADES)["order"].tolist() == orders["trade"]
    assert rows(home, USDM, QUOTES)["order"].tolist()[: len(orders["bookTicker"])] == orders["bookTicker"]


def _rebuild_stale(home: Home) -> int:
    """Do what `lob run` does for this layer: build the days whose inputs are not what their manifests say."""
    built = 0
    for market, date in ledger_days(home):
        path = PartitionKey("l2_events", market, date).path(home)
        if not path.exists() or read_manifest(path).inputs != event_inputs(home, market, date):
            build_events(home, market, date)
            built += 1
    return built


@pytest.mark.parametrize("name", ["usdm", "spot", "nexo"])
def test_the_order_of_ingests_does_not_show(real_data: Path, tmp_path: Path, name: str) -> None:
    market = PAIRS[name][0]
    one, two = _paths(real_data, name)
    homes = {n: Home(tmp_path / n) for n in ("together", "swapped", "forward", "reversed", "registered")}
    ingest(homes["together"], market, [one, two])
    ingest(homes["swapped"], market, [two, one])
    ingest(homes["forward"], market, [one])
    ingest(homes["forward"], market, [two])
    refused = ingest(homes["reversed"], market, [two])
    assert all(p.refused for p in refused.partitions if p.table == "l2_events"), "no snapshot, nothing carried"
    assert "unverifiable start" in refused.partitions[0].reason
    ingest(homes["reversed"], market, [one])
    register(homes["registered"], market, [two])
    register(homes["registered"], market, [one])
    while _rebuild_stale(homes["reversed"]):
        pass
    while _rebuild_stale(homes["registered"]):
        pass
    expected = contents(homes["together"], market)
    assert len(expected) == 6
    for label, home in homes.items():
        assert contents(home, market) == expected, label
        assert _rebuild_stale(home) == 0, label


def test_a_day_that_goes_on_closes_with_a_mark_and_opens_with_the_book(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path)
    one, two = _paths(real_data, "usdm")
    ingest(home, USDM, [one])
    before = rows(home, USDM, L2_EVENTS, "2023-04-04")
    assert not np.any(before["kind"] == 3), "nothing is known of the next day yet"
    report = ingest(home, USDM, [two])
    assert {p.date for p in report.partitions} == {"2023-04-04", "2023-04-05"}
    after = rows(home, USDM, L2_EVENTS, "2023-04-04")
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][:-1], values)
    next_day = rows(home, USDM, L2_EVENTS, "2023-04-05")
    delta = int(np.flatnonzero(next_day["kind"] == 2)[0])
    assert after["kind"][-1] == 3
    assert after["size_lots"][-1] == 0
    for name in ("ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id"):
        assert after[name][-1] == next_day[name][delta]
    carried = next_day["kind"] == 4
    assert np.all(carried[:delta])
    assert np.all(next_day["ts_event_ns"][carried] == day_start_ns("2023-04-05"))
    assert np.all(next_day["order"][carried] == 0)
    assert next_day["prev_update_id"][delta] == next_day["update_id"][0] == before["update_id"][-1]


def test_bybit_streams_are_merged_by_receive_time(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "bybit_linear_ws"
    home = Home(tmp_path)
    names = ["orderbook.200.BTCUSDT", "publicTrade.BTCUSDT"]
    report = ingest(home, BYBIT, [folder / f"{n}.ndjson" for n in names])
    assert [(p.table, p.refused) for p in report.partitions] == [(t, False) for t in ("l2_events", "trades", "quotes")]
    recv = {n: [float(x) for x in (folder / f"{n}.recv_ts.txt").read_text().split()] for n in names}
    counts = [len(json.loads(x)["data"]) for x in (folder / f"{names[1]}.ndjson").read_text().splitlines()]
    items = [(t, 1, "book") for t in recv[names[0]]]
    items += [(t, 0, "trade") for t, n in zip(recv[names[1]], counts, strict=True) for _ in range(n)]
    merged = [name for _, _, name in sorted(items, key=lambda x: x[:2])]
    events, trades = rows(home, BYBIT, L2_EVENTS, "2026-08-09"), rows(home, BYBIT, TRADES, "2026-08-09")
    assert events["order"][events["first_in_message"]].tolist() == [i + 1 for i, n in enumerate(merged) if n == "book"]
    assert trades["order"].tolist() == [i + 1 for i, n in enumerate(merged) if n == "trade"]
    assert read_manifest(PartitionKey("l2_events", BYBIT, "2026-08-09").path(home)).extra["tick"] == "0.1"
    _same(home, BYBIT, recordings.bybit(real_data, "BTCUSDT"))


def test_an_archive_slice_belongs_to_the_day_of_its_name(real_data: Path, tmp_path: Path) -> None:
    market = parse_market("bybit-linear.XRPUSDT")
    home = Home(tmp_path)
    report = ingest(home, market, [real_data / "bybit_archive" / "2024-12-01_XRPUSDT_ob500.data.zip"])
    assert [p.date for p in report.partitions] == ["2024-12-01"] * 3
    assert report.partitions[0].manifest.extra["messages"] == 50
    trades = report.partitions[1].manifest
    assert trades.usable
    assert not trades.trainable, "a day without trades is published and kept from training"
    assert days_with_events(home, market, ["2024-11-30", "2024-12-01"]) == ["2024-12-01"]


def test_the_same_bytes_again_are_no_work(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path)
    paths = _paths(real_data, "usdm")
    first: IngestReport = ingest(home, USDM, paths)
    stamps = {p.path: p.path.stat().st_mtime_ns for p in first.partitions}
    ledger = (home.ledgers / "raw.jsonl").read_bytes()
    assert ingest(home, USDM, paths[::-1]).partitions == []
    assert ingest(home, USDM, paths[:1]).partitions == []
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert (home.ledgers / "raw.jsonl").read_bytes() == ledger
    key = PartitionKey("l2_events", USDM, "2023-04-05")
    key.path(home).unlink()
    again = ingest(home, USDM, paths)
    assert [p.date for p in again.partitions] == ["2023-04-05"] * 3, "an interrupted ingest is finished"
    assert contents(home, USDM)["l2_events 2023-04-05"] == first.partitions[3].manifest.content_sha256
