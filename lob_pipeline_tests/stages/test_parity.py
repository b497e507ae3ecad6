"""Parity holds on a stream with a gap, and says where it does not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.book.replay import replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, ROW, Table
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import new_state
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.live.engine import LiveEngine
from lob_pipeline.stages.parity import parity
from lob_pipeline_tests.features.events import random_events

DATE = "2024-05-02"
CLOCK = parse_clock("t1s")
MARKET = parse_market("bybit-linear.BTCUSDT")
MESSAGES = 1_500


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
        writer.commit(code_fingerprint="x", inputs={}, outcomes=[outcome])


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
