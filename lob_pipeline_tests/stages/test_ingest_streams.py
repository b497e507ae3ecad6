"""Days, merges and continuations on made streams: what a day holds does not depend on how its input came."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import L2_EVENTS, TRADES
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.stages.ingest import build_events, ingest
from lob_pipeline_tests.lake.helpers import tree
from lob_pipeline_tests.stages.ingest_streams import (
    DAY,
    MIDNIGHT_MS,
    bybit_book,
    bybit_stream,
    bybit_trade,
    contents,
    rows,
    write_lines,
)

MARKET = parse_market("bybit-linear.BTCUSDT")
NEXT = "2024-08-09"


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 59), max_size=3, unique=True), st.booleans())
def test_however_a_stream_is_cut_into_files_its_days_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], at_once: bool
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    lines = bybit_stream(60, first_ms=MIDNIGHT_MS - 3000)
    whole = Home(folder / "whole")
    ingest(whole, MARKET, [write_lines(folder / "all.ndjson", lines)])
    edges = [0, *sorted(cuts), 60]
    files = [write_lines(folder / f"{a:02d}.ndjson", lines[a:b]) for a, b in pairwise(edges)]
    parts = Home(folder / "parts")
    for paths in [files[::-1]] if at_once else [[f] for f in files]:
        ingest(parts, MARKET, paths)
    assert contents(parts, MARKET) == contents(whole, MARKET)
    assert len(contents(whole, MARKET)) == 6
    for date in (DAY, NEXT):
        build_events(parts, MARKET, date)
    assert contents(parts, MARKET) == contents(whole, MARKET)


def test_a_message_of_midnight_closes_its_day_and_the_next_carries_the_book(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lines = bybit_stream(11, first_ms=MIDNIGHT_MS - 500)  # the message 5 is stamped 24:00:00.000
    ingest(home, MARKET, [write_lines(tmp_path / "x.ndjson", lines)])
    today, tomorrow = rows(home, MARKET, L2_EVENTS), rows(home, MARKET, L2_EVENTS, NEXT)
    assert today["ts_event_ns"][today["kind"] == 2].max() == day_start_ns(NEXT)
    assert today["kind"][-1] == 3
    assert today["ts_event_ns"][-1] == day_start_ns(NEXT) + 100_000_000
    book: dict[tuple[int, int], int] = {}
    for side, price, size, kind in zip(
        *(today[n].tolist() for n in ("side", "price_ticks", "size_lots", "kind")), strict=True
    ):
        if kind != 3:
            book[side, price] = size
    carried = tomorrow["kind"] == 4
    found = zip(*(tomorrow[n][carried].tolist() for n in ("side", "price_ticks", "size_lots")), strict=True)
    assert {(s, p): n for s, p, n in found} == {k: v for k, v in book.items() if v}
    bids = tomorrow["price_ticks"][carried & (tomorrow["side"] == 1)]
    assert np.all(np.diff(bids) < 0), "best first"


def test_a_gap_at_midnight_carries_nothing_and_leaves_no_mark(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lines = bybit_stream(20, first_ms=MIDNIGHT_MS - 1000)
    del lines[11]  # the first message of the new day is lost
    report = ingest(home, MARKET, [write_lines(tmp_path / "x.ndjson", lines)])
    assert next((p.table, p.refused) for p in report.partitions if p.date == NEXT) == ("l2_events", True)
    assert not np.any(rows(home, MARKET, L2_EVENTS)["kind"] == 3)


def test_a_late_message_belongs_to_the_day_of_the_latest_time_seen(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lines = bybit_stream(8, first_ms=MIDNIGHT_MS - 300)
    lines[6] = bybit_book(MIDNIGHT_MS - 150, 16, a=[["100.50", "1.000"]])
    ingest(home, MARKET, [write_lines(tmp_path / "x.ndjson", lines)])
    late = rows(home, MARKET, L2_EVENTS, NEXT)
    assert late["ts_event_ns"][late["update_id"] == 16].tolist() == [(MIDNIGHT_MS - 150) * 1_000_000]


def test_trades_come_first_at_equal_times(tmp_path: Path) -> None:
    home = Home(tmp_path)
    start = MIDNIGHT_MS - 10_000
    book = write_lines(tmp_path / "book.ndjson", bybit_stream(5, first_ms=start))
    times = [start, start + 100, start + 150, start + 400, start + 900]
    trades = write_lines(tmp_path / "trades.ndjson", [bybit_trade(t, i) for i, t in enumerate(times)])
    ingest(home, MARKET, [book, trades])
    events = rows(home, MARKET, L2_EVENTS)
    assert events["order"][events["first_in_message"]].tolist() == [2, 4, 6, 7, 9]
    assert rows(home, MARKET, TRADES)["order"].tolist() == [1, 3, 5, 8, 10]


def test_an_archive_file_keeps_what_came_after_its_day_as_audits(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lines = bybit_stream(12, first_ms=MIDNIGHT_MS - 1000)
    lines.append(bybit_book(MIDNIGHT_MS + 200, 22, snapshot=True, b=[["99.00", "1.000"]], a=[["101.00", "1.000"]]))
    path = write_lines(tmp_path / f"{DAY}_BTCUSDT_ob500.data", lines)
    report = ingest(home, MARKET, [path])
    assert {p.date for p in report.partitions} == {DAY}, "it starts no other partition"
    events = rows(home, MARKET, L2_EVENTS)
    first = events["first_in_message"]
    assert events["kind"][first].tolist() == [1, *[2] * 10, 3, 3]
    assert events["prev_update_id"][first].tolist()[-2:] == [20, -1]
    manifest = read_manifest(PartitionKey("l2_events", MARKET, DAY).path(home))
    assert list(manifest.inputs) == [f"raw/{next(iter(manifest.inputs.values()))}"], "it depends on no other day"


def test_archive_days_given_together_are_those_given_alone(tmp_path: Path) -> None:
    files = []
    for date, first in ((DAY, MIDNIGHT_MS - 86_400_000), (NEXT, MIDNIGHT_MS)):
        lines = bybit_stream(30, first_ms=first + 50, first_u=10)
        files.append(write_lines(tmp_path / f"{date}_BTCUSDT_ob500.data", lines))
        text = ["timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"]
        text += [f"{first / 1000 + i:.1f},BTCUSDT,Buy,0.010,100.1,PlusTick,t{i},1,0.010,1.001" for i in range(3)]
        files.append(write_lines(tmp_path / f"BTCUSDT{date}.csv.gz", text))
    together, alone = Home(tmp_path / "a"), Home(tmp_path / "b")
    ingest(together, MARKET, files)
    ingest(alone, MARKET, files[2:])
    ingest(alone, MARKET, files[:1])
    ingest(alone, MARKET, files[1:2])
    assert contents(together, MARKET) == contents(alone, MARKET)
    assert rows(alone, MARKET, TRADES)["order"].shape == (3,)


def test_replace_swaps_and_keeps_the_lineage(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    old = write_lines(tmp_path / "old.ndjson", bybit_stream(20, first_ms=MIDNIGHT_MS - 9000))
    new = write_lines(tmp_path / "new.ndjson", bybit_stream(30, first_ms=MIDNIGHT_MS - 9000))
    ingest(home, MARKET, [old])
    before = tree(home.root)
    with pytest.raises(BadInputError, match=r"was ingested from old\.ndjson, and new\.ndjson does not continue it"):
        ingest(home, MARKET, [new])
    assert tree(home.root) == before
    first = contents(home, MARKET)
    ingest(home, MARKET, [new], replace=True)
    manifest = read_manifest(PartitionKey("l2_events", MARKET, DAY).path(home))
    assert manifest.extra["lineage"][0]["content_sha256"] == first[f"l2_events {DAY}"]
    assert manifest.extra["sources"] == ["new.ndjson"]
    fresh = Home(tmp_path / "fresh")
    ingest(fresh, MARKET, [new])
    assert contents(home, MARKET) == contents(fresh, MARKET)
    build_events(home, MARKET, DAY)
    assert contents(home, MARKET) == contents(fresh, MARKET), "the ledger knows that the old file is out of force"
    assert ingest(home, MARKET, [new]).partitions == []


def test_days_that_waited_for_the_one_before_are_built_when_it_comes(tmp_path: Path) -> None:
    """Three days of one stream, a file a day, only the first with a snapshot: in whatever order the files come."""
    lines = bybit_stream(300, first_ms=MIDNIGHT_MS - 3600_000, step_ms=700_000)
    by_day: dict[int, list[str]] = {}
    for line in lines:
        by_day.setdefault(json.loads(line)["cts"] // 86_400_000, []).append(line)
    paths = [write_lines(tmp_path / f"{day}.ndjson", part) for day, part in by_day.items()]
    assert len(paths) > 2
    together = Home(tmp_path / "together")
    ingest(together, MARKET, paths)
    backwards = Home(tmp_path / "backwards")
    for path in reversed(paths):
        ingest(backwards, MARKET, [path])
    assert contents(backwards, MARKET) == contents(together, MARKET)


@pytest.mark.parametrize("published", [0, 1, 2])
def test_a_replacement_that_was_cut_short_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: int
) -> None:
    home = Home(tmp_path / "home")
    old = write_lines(tmp_path / "old.ndjson", bybit_stream(20, first_ms=MIDNIGHT_MS - 9000))
    new = write_lines(tmp_path / "new.ndjson", bybit_stream(30, first_ms=MIDNIGHT_MS - 9000))
    ingest(home, MARKET, [old])
    whole = PartitionWriter.publish
    calls = iter(range(10))

    def publish(writer: PartitionWriter) -> Path:
        if next(calls) == published:
            raise KeyboardInterrupt
        return whole(writer)

    monkeypatch.setattr(PartitionWriter, "publish", publish)
    with pytest.raises(KeyboardInterrupt):
        ingest(home, MARKET, [new], replace=True)
    monkeypatch.setattr(PartitionWriter, "publish", whole)
    ingest(home, MARKET, [new], replace=True)
    fresh = Home(tmp_path / "fresh")
    ingest(fresh, MARKET, [new])
    assert contents(home, MARKET) == contents(fresh, MARKET)


def test_sources_that_are_not_kept_are_never_built_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    path = write_lines(tmp_path / "x.ndjson", bybit_stream(20, first_ms=MIDNIGHT_MS - 9000))
    ingest(home, MARKET, [path], keep=False)
    assert not home.raw.exists()
    manifest = read_manifest(PartitionKey("l2_events", MARKET, DAY).path(home))
    assert manifest.fresh("another fingerprint", manifest.inputs)
    with pytest.raises(BadInputError, match="ingested with --no-keep"):
        build_events(home, MARKET, DAY)


def test_tick_and_lot_travel_with_the_day(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    path = write_lines(tmp_path / "x.ndjson", bybit_stream(20, first_ms=MIDNIGHT_MS - 9000))
    ingest(home, MARKET, [path], tick="0.01", lot="0.0005")
    first = contents(home, MARKET)
    with pytest.raises(BadInputError, match=r"tick 0\.01 and lot 0\.0005, not 0\.1 and 0\.001: use --replace"):
        ingest(home, MARKET, [path])
    build_events(home, MARKET, DAY)
    assert contents(home, MARKET) == first
    ingest(home, MARKET, [path], replace=True)
    assert contents(home, MARKET) != first
