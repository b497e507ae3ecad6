"""A simulated market served by the local exchange, recorded and ingested is the market its archive files give."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, KIND_AUDIT, KIND_DELTA, L2_EVENTS, TRADES
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.live_form import live_lines, main
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import SimReport, simulate
from lob_pipeline.stages.verify import verify
from lob_pipeline_tests.capture.helpers import recorded as recorded_lines
from lob_pipeline_tests.capture.helpers import recording, segments

MARKET = parse_market("bybit-linear.BTCUSDT")  # the venue whose protocol the simulated market speaks
CONFIG = SimConfig(seed=12, days=1, minutes=3, edge_bps=8.0)
DATE = CONFIG.first_day


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimReport:
    return simulate(tmp_path_factory.mktemp("made"), CONFIG)


def columns(home: Home, table: Any, name: str, clock: str = "") -> dict[str, np.ndarray]:
    key = PartitionKey(name, MARKET, DATE, clock) if clock else PartitionKey(name, MARKET, DATE)
    with open_partition(home, key, table) as part:
        names = [n for n in table.names if n != "trade_id"]
        return {n: np.asarray(v) for n, v in part.read(names).items()}


def test_the_recorded_websocket_gives_the_archives_market(made: SimReport, tmp_path: Path) -> None:
    stream = tmp_path / "market.ndjson"
    assert main([str(stream), *map(str, made.files)]) == 0
    sent = stream.read_bytes().splitlines()
    archive, live = Home(tmp_path / "archive"), Home(tmp_path / "live")
    with serving(Exchange([stream])) as url, recording(live, url, first_wait_s=30.0) as recorder:
        recorder.frames(len(sent) + 1)
    ingest(archive, MARKET, made.files)
    ingest(live, MARKET, segments(live))

    one, two = (columns(home, L2_EVENTS, "l2_events") for home in (archive, live))
    kept = one["kind"] != KIND_AUDIT  # the closing snapshot is the archive's alone
    # the exchange answers every later subscription with the book as it stands, a snapshot of its own
    heard = (two["kind"] == KIND_DELTA) | (two["update_id"] == two["update_id"][0])
    assert np.isin(two["update_id"][~heard], two["update_id"][heard]).all()
    assert kept.sum() == heard.sum() > 10_000
    for name in ("ts_event_ns", "update_id", "prev_update_id", "seq", "kind", "side", "price_ticks", "size_lots"):
        np.testing.assert_array_equal(one[name][kept], two[name][heard], err_msg=name)
    assert (two["ts_recv_ns"] > 0).all()

    one, two = (columns(home, TRADES, "trades") for home in (archive, live))
    assert len(one["side"]) - 2 <= len(two["side"]) <= len(one["side"])  # none behind the last book message
    n = len(two["side"])
    assert n > 100
    for name in ("side", "price_ticks", "size_lots", "flags"):
        np.testing.assert_array_equal(one[name][:n], two[name], err_msg=name)
    late = two["ts_event_ns"] - one["ts_event_ns"][:n]
    assert np.all((late >= 0) & (late < 10**6))

    # served faster than it happened, its receive times are no clock: the book is built from the same lines without them
    wanted = set(sent)
    assert [line.frame for line in recorded_lines(live) if line.frame in wanted] == sent
    live = Home(tmp_path / "untimed")
    ingest(live, MARKET, [stream])
    for home in (archive, live):
        built = build_books(home, MARKET, DATE)
        assert [(o.name, o.message) for o in built.manifest.outcomes if o.refuses] == []
        assert verify(home, MARKET, DATE, None)["holds"]
    one, two = (columns(home, BOOK_SNAPSHOTS, "book_snapshots", "t100ms") for home in (archive, live))
    n = len(two["ts_ns"])
    assert len(one["ts_ns"]) - 2 <= n <= len(one["ts_ns"])  # the closing snapshot closes the last row
    assert n > 1700
    for name in two:
        np.testing.assert_array_equal(one[name][:n], two[name], err_msg=name)


def test_a_trade_stands_before_the_book_that_shows_it(made: SimReport) -> None:
    last_ms, waiting = 0, []
    books = trades = 0
    for line in live_lines(*made.files):
        said = json.loads(line)
        if said["topic"].startswith("publicTrade"):
            times = {trade["T"] for trade in said["data"]}
            assert len(times) == 1
            assert min(times) > last_ms
            waiting += [(trade["T"], trade["seq"]) for trade in said["data"]]
            trades += len(said["data"])
        else:
            assert all(ms <= said["cts"] and seq == said["data"]["seq"] for ms, seq in waiting)
            last_ms, waiting, books = said["cts"], [], books + 1
    assert books == made.days[0].statistics["messages"] - 1
    assert trades > 100


def test_other_files_are_refused(made: SimReport, tmp_path: Path) -> None:
    headless = tmp_path / "other.csv.gz"
    headless.write_bytes(gzip.compress(b"1,2,3\n"))
    with pytest.raises(BadInputError, match="expected the archive files"):
        list(live_lines(made.files[0], headless))
