"""Segments in the lake: what a plain recording gives, with gaps masked and what two connections both saw once."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import KIND_SNAPSHOT, L2_EVENTS, TRADES
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.reader import open_partition, read_manifest
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.verify import verify
from lob_pipeline_tests.capture.helpers import MARKET, bybit_files, lines, recording, require_sound_ledger, segments
from lob_pipeline_tests.capture.wrapped import Stamped, stamped, write

pytestmark = pytest.mark.real
TABLES = ("l2_events", "trades", "quotes")
BYBIT_DAY = "2026-08-09"


def contents(home: Home) -> dict[str, str]:
    """Return the content hash of every partition of events."""
    return {str(k): read_manifest(k.path(home)).content_sha256 for t in TABLES for k in list_partitions(home, t)}


def events(home: Home, market: str, date: str) -> dict[str, np.ndarray]:
    """Return the first level row of each message of a day."""
    rows = whole(home, PartitionKey("l2_events", parse_market(market), date))
    return {name: values[rows["first_in_message"]] for name, values in rows.items()}


def whole(home: Home, key: PartitionKey) -> dict[str, np.ndarray]:
    """Return every level row of a day."""
    with open_partition(home, key, L2_EVENTS) as partition:
        return partition.read(list(L2_EVENTS.names))


def plain(home: Home, market: str, files: list[Path]) -> dict[str, str]:
    ingest(home, parse_market(market), files)
    return contents(home)


def cuts(frames: list[Stamped], *at: int) -> list[list[Stamped]]:
    return [frames[a:b] for a, b in pairwise([0, *at, len(frames)])]


def test_segments_give_what_the_recording_gives(real_data: Path, tmp_path: Path) -> None:
    """In one call, one call a segment, and in any order: books and trades of one connection, cut in the middle."""
    files = bybit_files(real_data)
    want = plain(Home(tmp_path / "plain"), MARKET, files)
    paths = write(Home(tmp_path / "rec"), MARKET, cuts(stamped(files), 101, 102, 300))
    shuffled = [paths[i] for i in (2, 0, 3, 1)]
    for name, calls in {"one": [paths], "each": [[p] for p in paths], "shuffled": [shuffled]}.items():
        home = Home(tmp_path / name)
        for call in calls:
            ingest(home, parse_market(MARKET), call)
        assert contents(home) == want, name
    assert len(want) == 3


def test_segments_of_a_bridged_venue_cross_midnight_like_its_files(real_data: Path, tmp_path: Path) -> None:
    market = "binance-usdm.BTCUSDT"
    files = [real_data / "binance_usdm" / f"btcusdt_{day}.gz" for day in (20230404, 20230405)]
    want = plain(Home(tmp_path / "plain"), market, files)
    frames = stamped(files)
    home = Home(tmp_path / "rec")
    ingest(home, parse_market(market), write(home, market, cuts(frames, 5_000, len(frames) // 2)))
    assert contents(home) == want
    assert len(want) == 6


def test_a_gap_between_segments_is_masked(real_data: Path, tmp_path: Path) -> None:
    home, frames = Home(tmp_path), stamped(bybit_files(real_data))
    first, _, second = cuts(frames, 150, 200)
    paths = write(home, MARKET, [first, second])
    for path in paths:
        ingest(home, parse_market(MARKET), [path])
    rows = events(home, MARKET, BYBIT_DAY)
    breaks = np.flatnonzero(rows["prev_update_id"][1:] != rows["update_id"][:-1])
    assert breaks.shape[0] == 1
    build_books(home, parse_market(MARKET), BYBIT_DAY)
    certificate = verify(home, parse_market(MARKET), BYBIT_DAY)
    (gap,) = certificate["gaps"]
    assert gap["expected"] == rows["update_id"][breaks[0]]
    assert certificate["coverage"] < 0.5
    assert certificate["invalid_ns"] > 0


def test_other_recordings_may_not_join_across_a_gap(real_data: Path, tmp_path: Path) -> None:
    """The rule is the recorder's: a plain recording that does not continue the day still needs --replace."""
    home, market = Home(tmp_path), parse_market(MARKET)
    book = bybit_files(real_data)[0].read_bytes().splitlines(keepends=True)
    for name, part in (("one", book[:100]), ("two", book[200:])):
        (tmp_path / name).write_bytes(b"".join(part))
    ingest(home, market, [tmp_path / "one"])
    with pytest.raises(BadInputError, match="does not continue it"):
        ingest(home, market, [tmp_path / "two"])


def overlapping(frames: list[Stamped], start: int, end: int, lose: int | None = None) -> list[list[Stamped]]:
    """Return what two connections saw: the first until ``end``, the second from a snapshot at ``start`` on."""
    opening = json.loads(frames[0].frame)
    held = [json.loads(f.frame)["data"] for f in frames[:start]]
    opening["data"]["u"] = max(data["u"] for data in held if isinstance(data, dict))
    snapshot = Stamped(frames[start].wall_ns, json.dumps(opening, separators=(",", ":")).encode())
    first = [f for i, f in enumerate(frames[:end]) if i != lose]
    return [first, [snapshot, *frames[start:]]]


def test_what_two_connections_saw_is_kept_once(real_data: Path, tmp_path: Path) -> None:
    """The overlap ends in the middle of the second segment: chain, trades and order are those of one connection."""
    files = bybit_files(real_data)
    want = plain(Home(tmp_path / "plain"), MARKET, files)
    home = Home(tmp_path / "rec")
    ingest(home, parse_market(MARKET), write(home, MARKET, overlapping(stamped(files), 180, 260)))
    assert contents(home) == want


def test_a_first_connection_that_ended_in_a_gap_gives_way_to_the_second(real_data: Path, tmp_path: Path) -> None:
    """Its chain is broken from the loss on, so the second one's snapshot stays: it makes the book whole."""
    files = bybit_files(real_data)
    home = Home(tmp_path)
    ingest(home, parse_market(MARKET), write(home, MARKET, overlapping(stamped(files), 180, 260, lose=220)))
    rows = events(home, MARKET, BYBIT_DAY)
    snapshots = np.flatnonzero(rows["kind"] == KIND_SNAPSHOT)
    assert snapshots.shape[0] == 2
    after = slice(snapshots[1] + 1, None)
    assert (rows["prev_update_id"][after] == rows["update_id"][snapshots[1] : -1]).all()
    with open_partition(home, PartitionKey("trades", parse_market(MARKET), BYBIT_DAY), TRADES) as trades:
        ids = trades.strings("trade_id").to_pylist()
    assert len(set(ids)) == len(ids) > 20


def test_an_overlap_on_a_bridged_venue_keeps_quotes_and_trades_once(real_data: Path, tmp_path: Path) -> None:
    market, files = "binance-usdm.BTCUSDT", [real_data / "binance_usdm" / "btcusdt_20230404.gz"]
    want = plain(Home(tmp_path / "plain"), market, files)
    frames, home = stamped(files), Home(tmp_path / "rec")
    ingest(home, parse_market(market), write(home, market, [frames[:6_000], frames[5_000:]]))
    assert contents(home) == want


def test_a_venue_with_checksums_is_recorded_and_verified_like_its_recording(real_data: Path, tmp_path: Path) -> None:
    market, files = "okx.BTC-USDT", [real_data / "checksum_venues" / "OKX.jsonl.zst"]
    plain(Home(tmp_path / "plain"), market, files)
    home = Home(tmp_path / "rec")
    with serving(Exchange(files)) as url, recording(home, url, market, first_wait_s=30.0) as live:
        live.saw("closed")
    ingest(home, parse_market(market), segments(home))
    (key,) = list_partitions(home, "l2_events")
    one, two = (whole(place, key) for place in (home, Home(tmp_path / "plain")))
    names = ("update_id", "side", "price_ticks", "size_lots", "kind")
    assert all(np.array_equal(one[name], two[name]) for name in names)
    assert one["side"].shape[0] > 1_000
    checksums = read_manifest(key.path(home)).extra["checksums"]
    assert checksums["compared"] == checksums["equal"] > 50


def test_a_live_recording_with_rollovers_and_breaks_is_ingested_while_it_goes_on(
    real_data: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    exchange = Exchange(bybit_files(real_data), loop=True, rate=400.0, log=tmp_path / "log")
    market = parse_market(MARKET)
    with serving(exchange) as url, recording(home, url, roll_s=0.4) as live:
        live.saw("closed", 2)
        closed = [p for p in segments(home) if p.suffix == ".zst"]
        ingest(home, market, closed)
        live.saw("closed", 3)
    report = ingest(home, market, segments(home))
    assert not any(part.refused for part in report.partitions)
    require_sound_ledger(home)
    assert lines(home, "gap", "unknown") == []
    (key,) = list_partitions(home, "trades")
    rows = events(home, MARKET, key.date)
    assert (rows["kind"] == KIND_SNAPSHOT).sum() == 1
    assert (np.diff(rows["update_id"]) == 1).all()
    assert rows["update_id"].shape[0] > 300
