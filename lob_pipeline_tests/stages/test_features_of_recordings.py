"""From recorded bytes to features: a market over midnight against an unbroken run, and parity of each day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.book.replay import replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET, KIND_AUDIT, L2_EVENTS, ROW, TRADES
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE, N_BUILT
from lob_pipeline.features.state import new_state
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.parity import parity
from lob_pipeline_tests.features.recordings import binance_events
from lob_pipeline_tests.features.trades import tape_sums
from lob_pipeline_tests.naive.tape import Trade, rows_of_trades

pytestmark = pytest.mark.real
MARKET = parse_market("binance-usdm.BTCUSDT")
CLOCK = parse_clock("t100ms")
FILES = ("binance_usdm/btcusdt_20230404.gz", "binance_usdm/btcusdt_20230405.gz")
DAYS = ("2023-04-04", "2023-04-05")


@pytest.fixture(scope="module")
def home(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    ingest(home, MARKET, [real_data / file for file in FILES])
    for day in DAYS:
        assert not build_books(home, MARKET, day).refused
        assert not build_features(home, MARKET, day).refused
    return home


def test_two_days_apart_equal_one_unbroken_run(home: Home, real_data: Path) -> None:
    """The unbroken run is of events read by a plain JSON loop, with no partition and no midnight.

    Its trades are assigned by the definition, in the order in which the partitions say that they arrived.
    """
    events = binance_events([real_data / file for file in FILES], instrument(MARKET))
    rows = np.concatenate(list(replay([events], instrument(MARKET), CLOCK, None)))
    tape = tape_sums(naive_tape(home, rows[:, ROW["ts_ns"]].tolist()))
    assert (tape[:, 2] > 0).sum() > 1_000
    expected, valid = run_batch(new_state(CLOCK, instrument(MARKET)), rows, tape)
    done = 0
    for day in DAYS:
        with open_partition(home, PartitionKey("features", MARKET, day, CLOCK.id), FEATURES_TABLE) as partition:
            columns = partition.read()
        n = len(columns["ts_ns"])
        found = np.column_stack([columns[f.name] for f in BUILT])
        assert np.array_equal(columns["ts_ns"], rows[done : done + n, ROW["ts_ns"]])
        assert np.array_equal(found.view(np.uint32), expected[done : done + n].view(np.uint32))
        assert np.array_equal(columns["valid"], valid[done : done + n])
        done += n
    assert done == len(rows) > 5_000
    assert valid.sum() > 2_000
    assert not np.isnan(expected[valid]).any()


def naive_tape(home: Home, instants: list[int]) -> list[list[Trade] | None]:
    """Say which trades each row counts; a place in the stream is (day, order)."""
    messages: list[tuple[int, int]] = []
    trades: list[tuple[int, Trade]] = []
    for i, day in enumerate(DAYS):
        with open_partition(home, PartitionKey("l2_events", MARKET, day), L2_EVENTS) as partition:
            columns = partition.read(["order", "ts_event_ns", "kind", "first_in_message"])
        first = columns["first_in_message"] & (
            (columns["kind"] != KIND_AUDIT) | (columns["ts_event_ns"] > instants[-1])
        )
        messages += zip(
            (columns["order"][first] + (i << 40)).tolist(), columns["ts_event_ns"][first].tolist(), strict=True
        )
        with open_partition(home, PartitionKey("trades", MARKET, day), TRADES) as partition:
            columns = partition.read()
        names = ("order", "ts_event_ns", "side", "size_lots", "price_ticks", "flags")
        for order, ts, side, lots, price, flags in zip(*(columns[name].tolist() for name in names), strict=True):
            if not flags & (FLAG_BLOCK | FLAG_NOT_MARKET):
                trades.append((order + (i << 40), Trade(ts, side * lots, price)))
    closes, at = [], 0
    for t in instants:
        while messages[at][1] <= t:
            at += 1
        closes.append((t, messages[at][0]))
    found, _ = rows_of_trades(closes, trades)
    return list(found)


@pytest.mark.parametrize("day", DAYS)
def test_batch_live_and_resumed_agree(home: Home, day: str) -> None:
    found = parity(home, MARKET, day)
    assert found["rows"] > 900
    assert found["warm_rows"] > 300 if day == DAYS[1] else found["warm_rows"] == 0  # the first lasts less than 300 s
    assert found["values"] == found["rows"] * N_BUILT
