"""Parity holds on a stream with a gap, and says where it does not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lob_pipeline.book.replay import replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import (
    BOOK_SNAPSHOTS,
    FLAG_BLOCK,
    FLAG_NOT_MARKET,
    FLAG_RPI,
    L2_EVENTS,
    ROW,
    TRADES,
    Table,
)
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE, N_BUILT
from lob_pipeline.features.state import new_state
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.live.engine import LiveEngine
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.parity import parity
from lob_pipeline_tests.features.events import random_events
from lob_pipeline_tests.lake.helpers import gates_of
from lob_pipeline_tests.naive.features import naive_features
from lob_pipeline_tests.naive.tape import Trade, rows_of_trades

DATE = "2024-05-02"
CLOCK = parse_clock("t1s")
MARKET = parse_market("bybit-linear.BTCUSDT")
MESSAGES = 2_700


@pytest.fixture(scope="module")
def events() -> Columns:
    return random_events(MESSAGES, seed=1, start_ns=day_start_ns(DATE) + 10**9, mean_gap_ns=300_000_000, gap_at=900)


@pytest.fixture(scope="module")
def rows(events: Columns) -> np.ndarray:
    return np.concatenate(list(replay([events], instrument(MARKET), CLOCK, DATE)))


def publish(home: Home, table: Table, columns: Columns) -> None:
    clock = CLOCK.id if table.clocked else None
    with PartitionWriter(home, PartitionKey(table.name, MARKET, DATE, clock), table) as writer:
        writer.write(columns)
        n = len(columns[table.names[0]])
        outcome = judge("made_for_this_test", True, examined=n, judged=n, minimum=0)
        writer.commit(code_fingerprint="x", inputs={}, outcomes=gates_of(table.name, outcome))


def book_columns(rows: np.ndarray) -> Columns:
    return {c.name: rows[:, i].astype(c.dtype) for i, c in enumerate(BOOK_SNAPSHOTS.columns)}


def test_every_value_of_every_row_is_compared(tmp_path: Path, events: Columns, rows: np.ndarray) -> None:
    home = Home(tmp_path)
    publish(home, L2_EVENTS, events)
    publish(home, BOOK_SNAPSHOTS, book_columns(rows))
    found = parity(home, MARKET, DATE, CLOCK.id)
    _, valid = run_batch(new_state(CLOCK, instrument(MARKET)), rows)
    assert (rows[:, ROW["valid"]] == 0).any()
    assert found["rows"] == len(rows) > 300
    assert found["warm_rows"] == valid.sum() > 100
    assert found["values"] == len(rows) * N_BUILT
    assert found["messages"] == MESSAGES
    assert found["stops"] >= 10


def test_parity_holds_with_trades_early_and_late(tmp_path: Path, events: Columns, rows: np.ndarray) -> None:
    """Trades between the messages, some of a later time than the open row, some that come long after theirs closed."""
    home = Home(tmp_path)
    spread = {**events, "order": events["order"] * 4}
    trades = random_trades(spread, seed=3)
    publish(home, L2_EVENTS, spread)
    publish(home, BOOK_SNAPSHOTS, book_columns(rows))
    publish_trades(home, trades)
    assert parity(home, MARKET, DATE, CLOCK.id)["rows"] == len(rows)
    build_features(home, MARKET, DATE, CLOCK.id)
    with open_partition(home, PartitionKey("features", MARKET, DATE, CLOCK.id), FEATURES_TABLE) as partition:
        found = partition.read()
        assert partition.manifest.extra["tape"] == "recorded"
    counted = naive_tape(spread, trades, rows)
    names = [f.name for f in BUILT if f.group == "tape"]
    market = instrument(MARKET)
    naive = naive_features(rows, market, CLOCK.step_ns, names, counted)
    for j, name in enumerate(names):
        ours, theirs = found[name].astype(np.float64), naive[:, j]
        assert np.array_equal(np.isnan(ours), np.isnan(theirs)), name
        assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-6 * np.nanstd(theirs), equal_nan=True), name
    assert np.nanmax(found["trade_count_1s_count"]) >= 3


def random_trades(events: Columns, seed: int) -> Columns:
    """Return the columns of TRADES: up to three after a message, their times up to 4 s off the message's."""
    rng = np.random.default_rng(seed)
    first = events["first_in_message"]
    rows = []
    for order, ts in zip(events["order"][first], events["ts_event_ns"][first], strict=True):
        for k in range(int(rng.integers(0, 4))):
            off = int(rng.choice([0, int(rng.integers(-4 * 10**9, 4 * 10**9))], p=[0.7, 0.3]))
            side, price, lots = int(rng.choice([-1, 1])), 500_000 + k, int(rng.integers(1, 900))
            flags = int(rng.choice([0, FLAG_RPI, FLAG_BLOCK, FLAG_NOT_MARKET], p=[0.7, 0.1, 0.1, 0.1]))
            rows.append((order + 1 + k, max(1, ts + off), 0, -1, side, price, lots, flags))
    table = np.array(rows, dtype=np.int64)
    columns = [c for c in TRADES.columns if c.dtype != "string"]
    return {c.name: table[:, i].astype(c.dtype) for i, c in enumerate(columns)}


def publish_trades(home: Home, trades: Columns) -> None:
    n = len(trades["order"])
    with PartitionWriter(home, PartitionKey("trades", MARKET, DATE), TRADES) as writer:
        writer.write(trades, {"trade_id": pa.array([str(i) for i in range(n)])})
        writer.commit(code_fingerprint="x", inputs={}, outcomes=gates_of("trades"))


def naive_tape(events: Columns, trades: Columns, rows: np.ndarray) -> list[list[Trade] | None]:
    """Say by the definition which trades each row counts: the first message later than a row closes it."""
    first = events["first_in_message"]
    messages = list(zip(events["order"][first].tolist(), events["ts_event_ns"][first].tolist(), strict=True))
    closes, at = [], 0
    for t in rows[:, ROW["ts_ns"]].tolist():
        while messages[at][1] <= t:
            at += 1
        closes.append((t, messages[at][0]))
    kept = [
        (int(order), Trade(int(ts), int(side) * int(lots), int(price)))
        for order, ts, side, lots, price, flags in zip(
            *(trades[n] for n in ("order", "ts_event_ns", "side", "size_lots", "price_ticks", "flags")), strict=True
        )
        if not flags & (FLAG_BLOCK | FLAG_NOT_MARKET)
    ]
    found, waiting = rows_of_trades(closes, kept)
    assert waiting
    return list(found)


def test_a_difference_is_named_by_row_and_column(tmp_path: Path, events: Columns, rows: np.ndarray) -> None:
    home = Home(tmp_path)
    publish(home, L2_EVENTS, events)
    changed = rows.copy()
    changed[200, ROW["bid_add_lots"]] += 1
    publish(home, BOOK_SNAPSHOTS, book_columns(changed))
    with pytest.raises(RefusedError, match=r"batch and live differ at row 200 .*column bid_add_lots"):
        parity(home, MARKET, DATE, CLOCK.id)
    publish(home, BOOK_SNAPSHOTS, book_columns(rows[:-1]))
    with pytest.raises(RefusedError, match="live goes on"):
        parity(home, MARKET, DATE, CLOCK.id)


def test_no_row_compared_is_a_refusal(tmp_path: Path, events: Columns, rows: np.ndarray) -> None:
    home = Home(tmp_path)
    publish(home, L2_EVENTS, {name: values[:60] for name, values in events.items()})
    publish(home, BOOK_SNAPSHOTS, book_columns(rows[:0]))
    with pytest.raises(RefusedError, match="no row was compared"):
        parity(home, MARKET, DATE, CLOCK.id)


def test_without_books_parity_says_what_to_run(tmp_path: Path, events: Columns) -> None:
    home = Home(tmp_path)
    publish(home, L2_EVENTS, events)
    with pytest.raises(RefusedError, match="lob books"):
        parity(home, MARKET, DATE, CLOCK.id)


def test_a_copied_engine_goes_its_own_way(events: Columns) -> None:
    engine = LiveEngine(instrument(MARKET), CLOCK, DATE)
    starts = np.flatnonzero(events["first_in_message"])
    messages = [{n: v[a:b] for n, v in events.items()} for a, b in pairwise(starts)]
    for message in messages[:700]:
        engine.push(message)
    saved, twin = engine.to_bytes(), engine.copy()
    for message in messages[700:800]:
        twin.push(message)
    assert engine.to_bytes() == saved
    assert twin.to_bytes() != saved
