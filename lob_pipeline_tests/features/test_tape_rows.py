"""Trades find their rows as the definition says, whatever the chunks, and wait across copies and bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET, FLAG_RPI, KIND_AUDIT, KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.features.closers import find_closers
from lob_pipeline.features.tape_rows import (
    T_LAST_NS,
    TAPE_WIDTH,
    TapeState,
    add_trades,
    copy_tape,
    market_trades,
    new_tape,
    take_row,
    take_rows,
    tape_from_bytes,
    tape_to_bytes,
    with_room,
)
from lob_pipeline_tests.features.trades import tape_sums
from lob_pipeline_tests.naive.tape import Trade, rows_of_trades

Int64s = npt.NDArray[np.int64]
STEP = 10


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Compile once, outside the examples."""
    assign([(10, 5)], [(1, Trade(3, 1, 1))], [1])


def assign(rows: list[tuple[int, int]], trades: list[tuple[int, Trade]], cuts: list[int]) -> tuple[Int64s, TapeState]:
    """Assign in chunks of rows that end at ``cuts``; every chunk is handed the trades before its last row closes."""
    state, parts = new_tape(1), []
    numbers = np.array([tuple(t) for _, t in trades], np.int64).reshape(-1, 3)
    order = np.array([place for place, _ in trades], np.int64)
    done = start = 0
    for end in [*sorted(set(cuts)), len(rows)]:
        if end <= start:
            continue
        instants = np.array([t for t, _ in rows[start:end]], np.int64)
        closed_at = np.array([place for _, place in rows[start:end]], np.int64)
        state = with_room(state, len(order) - done)
        tape = np.empty((end - start, TAPE_WIDTH), np.int64)
        done += take_rows(state, instants, closed_at, numbers[done:], order[done:], tape)
        state = tape_from_bytes(tape_to_bytes(copy_tape(state)))
        parts.append(tape)
        start = end
    state = with_room(state, len(order) - done)
    add_trades(state, numbers[done:])
    return np.concatenate(parts), state


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_rows_take_the_trades_that_the_definition_gives_them(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    gaps = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    rows = [(STEP * (i + 1), 2 * place) for i, place in enumerate(np.cumsum(gaps).tolist())]
    places = sorted(data.draw(st.lists(st.integers(0, 40), max_size=30)))
    trades = [
        (2 * place + 1, Trade(data.draw(st.integers(0, STEP * (n + 2))), data.draw(st.integers(-9, 9)), place))
        for place in places
    ]
    found, state = assign(rows, trades, data.draw(st.lists(st.integers(0, n), max_size=3)))
    expected, waiting = rows_of_trades(rows, trades)
    assert np.array_equal(found, tape_sums(list(expected)))
    rest = np.empty(TAPE_WIDTH, np.int64)
    take_row(state, 10**9, rest)
    assert np.array_equal(rest, tape_sums([waiting])[0])
    assert all(last <= t for (t, _), last in zip(rows, found[:, T_LAST_NS].tolist(), strict=True))


def test_block_trades_and_trades_of_no_market_do_not_count() -> None:
    flags = [0, FLAG_RPI, FLAG_BLOCK, FLAG_NOT_MARKET, FLAG_RPI | FLAG_BLOCK]
    n = len(flags)
    columns = {
        "order": np.arange(n),
        "ts_event_ns": 100 + np.arange(n),
        "side": np.array([1, -1, 1, 1, 1], np.int8),
        "price_ticks": 50 + np.arange(n),
        "size_lots": 7 + np.arange(n),
        "flags": np.array(flags, np.int8),
    }
    trades, order = market_trades(columns)
    assert trades.tolist() == [[100, 7, 50], [101, -8, 51]]
    assert order.tolist() == [0, 1]


def test_a_cut_or_foreign_tape_is_refused() -> None:
    state = new_tape()
    add_trades(state, np.array([[5, 1, 1]], np.int64))
    data = tape_to_bytes(state)
    for bad in (data[:-1], b"x" + data[1:], b"", data + b"x"):
        with pytest.raises(BadInputError, match="no saved tape"):
            tape_from_bytes(bad)


def closers(close_ns: list[int], messages: list[tuple[int, int, int, int]], bridge: bool) -> list[int]:
    """``messages``: (order, time, receive time, kind)."""
    found, mark = np.full(len(close_ns), -1, np.int64), np.zeros(2, np.int64)
    for half in np.array_split(np.array(messages, np.int64), 2):
        order, ts, recv, kind = (np.ascontiguousarray(half[:, i]) for i in range(4))
        find_closers(np.array(close_ns), found, mark, order, ts, recv, kind.astype(np.int8), bridge, 1_000)
    return found.tolist()


def test_a_row_closes_at_the_first_message_of_its_closing_time() -> None:
    messages = [
        (1, 95, 500, KIND_SNAPSHOT),
        (2, 125, 480, KIND_DELTA),  # received before the snapshot that it follows
        (3, 105, 510, KIND_DELTA),
        (4, 103, 511, KIND_DELTA),  # late
        (5, 125, 512, KIND_AUDIT),
        (6, 125, 513, KIND_DELTA),
        (7, 125, 514, KIND_DELTA),
        (8, 1_100, 0, KIND_AUDIT),  # the mark after the day's end
    ]
    assert closers([105, 125, 125, 1_100], messages, bridge=True) == [3, 6, 6, 8]
    assert closers([105, 125, 125, 1_100], messages, bridge=False) == [3, 6, 6, 8]
    assert closers([125, 777], messages, bridge=False) == [2, -1]
