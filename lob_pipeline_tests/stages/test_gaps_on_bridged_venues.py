"""Lost updates on a venue with REST snapshots, from raw lines to rows: found, masked, and over with the snapshot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline_tests.stages.ingest_streams import DAY, MIDNIGHT_MS, write_lines

MARKET = parse_market("binance-usdm.BTCUSDT")
NEXT_DAY = "2024-08-09"
START_MS = MIDNIGHT_MS - 60_000


def _delta(ts_ms: int, update_id: int, follows: int, lots: int, recv_ms: int = 0) -> str:
    data = {"e": "depthUpdate", "E": ts_ms, "T": ts_ms, "s": "BTCUSDT", "U": follows + 1, "u": update_id, "pu": follows}
    payload = {**data, "b": [["60000.00", f"{lots / 1000:.3f}"]], "a": []}
    return f"{(recv_ms or ts_ms + 1) * 1_000_000} {json.dumps({'stream': 'btcusdt@depth@0ms', 'data': payload})}"


def _snapshot(ts_ms: int, update_id: int, lots: int, recv_ms: int = 0) -> str:
    bids, asks = [["60000.00", f"{lots / 1000:.3f}"]], [["60000.10", "0.005"]]
    data = {"lastUpdateId": update_id, "E": ts_ms, "T": ts_ms, "bids": bids, "asks": asks}
    return f"{(recv_ms or ts_ms + 1) * 1_000_000} {json.dumps(data)}"


def _chain(first_ms: int, last_id: int, count: int) -> list[str]:
    """Deltas 50 ms apart; the best bid always shows the update id as its lots."""
    return [_delta(first_ms + 50 * i, last_id + 1 + i, last_id + i, last_id + 1 + i) for i in range(count)]


def _rows(home: Home, date: str = DAY) -> dict[str, np.ndarray]:
    with open_partition(home, PartitionKey("book_snapshots", MARKET, date, "t100ms"), BOOK_SNAPSHOTS) as partition:
        return partition.read(["ts_ns", "valid", "bid_lots_1", "run_start"])


@pytest.mark.parametrize("first_after", ["snapshot", "delta"])
def test_a_snapshot_beside_the_delta_that_shows_the_gap_mends_it(tmp_path: Path, first_after: str) -> None:
    """The recorder reconnects after two seconds: either its snapshot or its first delta is written first."""
    before = [_snapshot(START_MS, 100, 100), *_chain(START_MS + 50, 100, 20)]  # ends with 120, one second in
    gap_ms = START_MS + 3_000
    snapshot = _snapshot(gap_ms, 500, 500, recv_ms=gap_ms + 30)
    after = _chain(gap_ms + 50, 500, 20)
    if first_after == "delta":  # the one delta so far is the one that the snapshot bridges
        after = [_delta(gap_ms + 10, 501, 499, 501), *_chain(gap_ms + 60, 501, 20)]
        lines = [*before, after[0], snapshot, *after[1:]]
    else:
        lines = [*before, snapshot, *after]
    home = Home(tmp_path / "home")
    ingest(home, MARKET, [write_lines(tmp_path / "x.ndjson", lines)])
    result = build_books(home, MARKET, DAY)
    assert not result.refused, result.reason
    certificate = result.manifest.certificate or {}
    assert [(g["expected"], g["got"]) for g in certificate["gaps"]] == [(120, 500)]
    rows = _rows(home)
    seconds = (rows["ts_ns"] // 1_000_000 - START_MS) / 1000
    invalid = seconds[~rows["valid"]]
    assert np.array_equal(invalid, seconds[(seconds > 1.0) & (seconds < 3.0 + 0.001 * (first_after == "delta"))])
    assert certificate["invalid_ns"] == len(invalid) * 100_000_000
    assert (rows["bid_lots_1"][seconds > 3.0] >= 500).all()
    assert seconds[rows["run_start"]].tolist() == [float(invalid[-1]) + 0.1]


def test_a_book_that_waits_for_its_first_event_is_carried_over_midnight(tmp_path: Path) -> None:
    old = _chain(MIDNIGHT_MS - 2_000, 80, 10)  # 81 … 90: older than the snapshot
    snapshot = _snapshot(MIDNIGHT_MS - 500, 92, 92)
    bridged = _delta(MIDNIGHT_MS + 20, 95, 90, 95)  # 91 … 95: the first event, it bridges 92
    home = Home(tmp_path / "home")
    ingest(
        home,
        MARKET,
        [write_lines(tmp_path / "x.ndjson", [*old, snapshot, bridged, *_chain(MIDNIGHT_MS + 70, 95, 10)])],
    )
    for date in (DAY, NEXT_DAY):
        result = build_books(home, MARKET, date)
        assert not result.refused, result.reason
        certificate = result.manifest.certificate or {}
        assert certificate["gaps"] == []
        assert certificate["coverage"] == 1.0
    assert _rows(home)["ts_ns"][-1] == MIDNIGHT_MS * 1_000_000
    assert _rows(home, NEXT_DAY)["bid_lots_1"].tolist()[0] == 96
