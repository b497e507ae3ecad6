"""The matching engine against a naive one: the same orders give the same trades, queues and books."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.sim import engine as eng
from lob_pipeline.sim.publish import read_side
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, CAPACITY, NO_PRICE, WINDOW, MatchingState, new_engine, new_tape
from lob_pipeline_tests.naive.matching import NaiveMatching

ANCHOR = 600_000
SUBMIT, CANCEL = "submit", "cancel"

prices = st.one_of(
    st.integers(ANCHOR - 4, ANCHOR + 4),
    st.integers(ANCHOR - 300, ANCHOR + 300),
    st.sampled_from([ANCHOR - WINDOW // 2, ANCHOR + WINDOW // 2 - 1]),
)
submits = st.tuples(
    st.just(SUBMIT), st.integers(0, 1), prices, st.integers(0, 30), st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 3)
)
cancels = st.tuples(st.just(CANCEL), st.integers(0, 10**6))
commands = st.lists(st.one_of(submits, submits, cancels), max_size=120)


def queues(state: MatchingState) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Walk every level's list, and check what the level says of itself on the way."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for side in (BID_SIDE, ASK_SIDE):
        out_price, out_lots = np.zeros(WINDOW, np.int64), np.zeros(WINDOW, np.int64)
        n = read_side(state, side, out_price, out_lots)
        for price, lots in zip(out_price[:n].tolist(), out_lots[:n].tolist(), strict=True):
            key = eng.key_of(side, price)
            queue, slot, before = [], int(state.head[side, key]), -1
            while slot >= 0:
                assert state.order_prev[slot] == before
                queue.append((int(state.order_id[slot]), int(state.order_lots[slot])))
                before, slot = slot, int(state.order_next[slot])
            assert state.tail[side, key] == before
            assert state.orders[side, key] == len(queue)
            assert lots == sum(size for _, size in queue)
            found[side, price] = queue
        bits = int(np.bitwise_count(state.occupied[side]).sum())
        assert bits == n, "the bitmap holds exactly the levels that are found"
    return found


def check_groups(state: MatchingState) -> None:
    for group, count in enumerate(state.member_count.tolist()):
        slots = state.members[group, :count]
        assert np.array_equal(state.order_place[slots], np.arange(count))
        assert np.all(state.order_group[slots] == group)
        assert np.all(state.order_id[slots] >= 0)
    assert state.member_count.sum() + state.scalars[0] == CAPACITY


@settings(max_examples=150, deadline=None)
@given(commands)
def test_same_orders_give_the_same_trades_and_queues(script: list[tuple[object, ...]]) -> None:
    state, tape, naive = new_engine(ANCHOR), new_tape(CAPACITY), NaiveMatching()
    slot_of: dict[int, int] = {}
    entered = cancelled = 0
    for command in script:
        if command[0] == SUBMIT:
            _, side, price, lots, mode, group = command
            slot = eng.submit(state, tape, 1, side, price, lots, group, mode)
            before = len(naive.trades)
            order_id = naive.submit(side, price, lots, mode)  # type: ignore[arg-type]
            assert (slot >= 0) == (order_id is not None)
            traded = sum(t[2] for t in naive.trades[before:])
            if order_id is not None:
                slot_of[order_id] = slot
                entered += lots  # type: ignore[operator]
            else:
                entered += traded
        else:
            resting = sorted(o for queue in naive.queues().values() for o, _ in queue)
            if resting:
                order_id = resting[command[1] % len(resting)]  # type: ignore[operator]
                cancelled += naive.cancel(order_id)
                eng.cancel(state, slot_of.pop(order_id))
        best = [naive.best(side) for side in (0, 1)]
        assert state.best.tolist() == [NO_PRICE if b is None else b for b in best]
        if None not in best:
            assert best[0] < best[1], "never crossed, never locked"  # type: ignore[operator]
    n = int(tape.n[0])
    ours = zip(tape.side, tape.price, tape.lots, tape.maker_id, tape.taker_id, strict=True)
    assert [tuple(map(int, row)) for row in list(ours)[:n]] == naive.trades
    assert queues(state) == naive.queues()
    check_groups(state)
    left = sum(size for queue in naive.queues().values() for _, size in queue)
    assert entered == 2 * sum(t[2] for t in naive.trades) + cancelled + left, "no lot appears or disappears"


def test_first_come_first_served_at_one_price() -> None:
    state, tape = new_engine(ANCHOR), new_tape(CAPACITY)
    for lots in (5, 7, 9):
        eng.submit(state, tape, 1, BID_SIDE, ANCHOR, lots, 0, eng.LIMIT)
    assert eng.submit(state, tape, 2, ASK_SIDE, ANCHOR, 13, 0, eng.IMMEDIATE) == eng.NOT_RESTING
    assert tape.maker_id[:3].tolist() == [0, 1, 2]
    assert tape.lots[:3].tolist() == [5, 7, 1]


@pytest.mark.parametrize("away", [-WINDOW // 2 - 1, WINDOW // 2])
def test_prices_outside_the_window_are_refused(away: int) -> None:
    state, tape = new_engine(ANCHOR), new_tape(CAPACITY)
    assert eng.submit(state, tape, 1, BID_SIDE, ANCHOR + away, 5, 0, eng.LIMIT) == eng.REFUSED
    assert state.best.tolist() == [NO_PRICE, NO_PRICE]


def test_a_full_engine_refuses_to_rest_but_still_trades() -> None:
    state, tape = new_engine(ANCHOR), new_tape(2 * CAPACITY)
    for i in range(CAPACITY):
        assert eng.submit(state, tape, 1, BID_SIDE, ANCHOR - i % 50, 1, i % 4, eng.POST_ONLY) >= 0
    assert eng.submit(state, tape, 1, BID_SIDE, ANCHOR, 1, 0, eng.LIMIT) == eng.REFUSED
    assert eng.submit(state, tape, 1, ASK_SIDE, ANCHOR - 50, CAPACITY, 0, eng.IMMEDIATE) == eng.NOT_RESTING
    assert tape.n[0] == CAPACITY
    assert state.best.tolist() == [NO_PRICE, NO_PRICE]
    assert np.all(np.diff(tape.price[:CAPACITY]) <= 0)
    check_groups(state)


def test_recentre_cancels_what_leaves_the_window_and_keeps_the_rest() -> None:
    state, tape = new_engine(ANCHOR), new_tape(CAPACITY)
    for price in (ANCHOR - WINDOW // 2, ANCHOR - 10, ANCHOR):
        eng.submit(state, tape, 1, BID_SIDE, price, 3, 0, eng.LIMIT)
    eng.submit(state, tape, 1, ASK_SIDE, ANCHOR + 1, 4, 1, eng.LIMIT)
    assert eng.recentre(state, ANCHOR + 100) == 1
    assert queues(state) == {(0, ANCHOR): [(2, 3)], (0, ANCHOR - 10): [(1, 3)], (1, ANCHOR + 1): [(3, 4)]}
    # the keys that became free now serve prices at the other end of the window
    assert eng.submit(state, tape, 1, ASK_SIDE, ANCHOR + WINDOW // 2 + 50, 8, 1, eng.LIMIT) >= 0
    assert state.best.tolist() == [ANCHOR, ANCHOR + 1]
    check_groups(state)
