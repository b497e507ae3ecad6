"""The matching engine against a naive one: the same orders give the same trades, queues and books."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.sim import engine as eng
from lob_pipeline.sim.order_log import ADD, AMEND_DOWN, DROPPED, FILL, OrderLog, replay
from lob_pipeline.sim.order_log import CANCEL as LOG_CANCEL
from lob_pipeline.sim.publish import read_side
from lob_pipeline.sim.state import (
    ASK_SIDE,
    BID_SIDE,
    CAPACITY,
    NO_PRICE,
    TRADED,
    WINDOW,
    MatchingState,
    Tape,
    log_of,
    new_engine,
    new_tape,
)
from lob_pipeline_tests.naive.matching import NaiveMatching

ANCHOR = 600_000
SUBMIT, CANCEL, AMEND = "submit", "cancel", "amend"
LOG_ROWS = 8 * CAPACITY

prices = st.one_of(
    st.integers(ANCHOR - 4, ANCHOR + 4),
    st.integers(ANCHOR - 300, ANCHOR + 300),
    st.sampled_from([ANCHOR - WINDOW // 2, ANCHOR + WINDOW // 2 - 1]),
)
submits = st.tuples(
    st.just(SUBMIT),
    st.integers(0, 1),
    prices,
    st.integers(0, 30),
    st.sampled_from([0, 0, 0, 1, 2, 3]),
    st.integers(0, 3),
)
cancels = st.tuples(st.just(CANCEL), st.integers(0, 10**6))
amends = st.tuples(
    st.just(AMEND), st.integers(0, 10**6), st.none() | prices, st.integers(0, 30), st.sampled_from([0, 1])
)
commands = st.lists(st.one_of(submits, submits, cancels, amends), max_size=120)


def trades_of(tape: Tape) -> list[tuple[int, ...]]:
    n = int(tape.n[0])
    columns = (tape.side, tape.price, tape.lots, tape.maker_id, tape.taker_id)
    return [tuple(map(int, row)) for row in zip(*(c[:n] for c in columns), strict=True)]


def logged_fills(log: OrderLog) -> list[tuple[int, ...]]:
    rows = np.flatnonzero(log.kind[: log.n[0]] == FILL)
    taker = np.where(log.side[rows] == ASK_SIDE, 1, -1)
    columns = (taker, log.price[rows], log.lots[rows], log.order_id[rows])
    return [tuple(map(int, row)) for row in zip(*columns, strict=True)]


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


@settings(max_examples=200, deadline=None)
@given(commands)
def test_same_orders_give_the_same_trades_and_queues(script: list[tuple[Any, ...]]) -> None:
    state, tape, naive = new_engine(ANCHOR, LOG_ROWS), new_tape(CAPACITY), NaiveMatching()
    slot_of: dict[int, int] = {}
    logged: dict[tuple[int, int], list[tuple[int, int]]] = {}
    entered = withdrawn = rows = 0
    for t_us, command in enumerate(script):
        resting = {o: lots for queue in naive.queues().values() for o, lots in queue}
        before = len(naive.trades)
        if command[0] == SUBMIT:
            _, side, price, lots, mode, group = command
            order_id = naive.submit(side, price, lots, mode)
            slot = eng.submit(state, tape, t_us, side, price, lots, group, mode)
            taken = sum(trade[2] for trade in naive.trades[before:])
            entered += taken + (lots - taken if order_id is not None else 0)
        elif not resting:
            continue
        else:
            old = sorted(resting)[command[1] % len(resting)]
            slot = slot_of.pop(old)
            if command[0] == CANCEL:
                order_id = None
                withdrawn += naive.cancel(old)
                eng.cancel(state, slot)
                slot = eng.NOT_RESTING
            else:
                _, _, price, lots, mode = command
                price = int(state.order_price[slot]) if price is None else price
                order_id = naive.amend(old, price, lots, mode)
                new = eng.amend(state, tape, t_us, slot, price, lots, mode)
                slot = slot if new == eng.REFUSED else new
                taken = sum(trade[2] for trade in naive.trades[before:])
                if order_id != old:
                    withdrawn += resting[old]
                    entered += taken + (lots - taken if order_id is not None else 0)
                elif new != eng.REFUSED:
                    withdrawn += resting[old] - lots
        assert (slot >= 0) == (order_id is not None)
        if order_id is not None:
            assert state.order_id[slot] == order_id
            slot_of[order_id] = slot
        best = [naive.best(side) for side in (0, 1)]
        assert state.best.tolist() == [NO_PRICE if b is None else b for b in best]
        if None not in best:
            assert best[0] < best[1], "never crossed, never locked"  # type: ignore[operator]
        replay(log_of(state), logged, slice(rows, int(log_of(state).n[0])))
        rows = int(log_of(state).n[0])
        assert logged == naive.queues(), "the log alone gives every queue, after every command"
    assert trades_of(tape) == naive.trades
    assert logged_fills(log_of(state)) == [trade[:4] for trade in naive.trades]
    assert queues(state) == naive.queues()
    check_groups(state)
    left = sum(size for queue in naive.queues().values() for _, size in queue)
    traded = sum(trade[2] for trade in naive.trades)
    assert entered == 2 * traded + withdrawn + left, "no lot appears or disappears"
    assert state.scalars[TRADED] == traded


@settings(max_examples=60, deadline=None)
@given(commands)
def test_who_trades_first_came_first(script: list[tuple[Any, ...]]) -> None:
    state, tape = new_engine(ANCHOR, LOG_ROWS), new_tape(CAPACITY)
    for t_us, command in enumerate(script):
        live = np.flatnonzero(state.order_id >= 0)
        if command[0] == SUBMIT:
            _, side, price, lots, mode, group = command
            eng.submit(state, tape, t_us, side, price, lots, group, mode)
        elif len(live) and command[0] == CANCEL:
            eng.cancel(state, int(live[command[1] % len(live)]))
        elif len(live):
            slot = int(live[command[1] % len(live)])
            price = int(state.order_price[slot]) if command[2] is None else command[2]
            eng.amend(state, tape, t_us, slot, price, command[3], command[4])
    # an id says when an order joined its queue: at one price none trades before an earlier one that still rests
    log, waiting = log_of(state), dict[tuple[int, int], dict[int, int]]()
    for kind, order_id, side, price, lots in zip(
        *(column[: log.n[0]].tolist() for column in (log.kind, log.order_id, log.side, log.price, log.lots)),
        strict=True,
    ):
        queue = waiting.setdefault((side, price), {})
        if kind == ADD:
            assert order_id not in queue
            queue[order_id] = lots
        elif kind != DROPPED:
            assert kind != FILL or order_id == min(queue)
            queue[order_id] -= lots
            assert queue[order_id] >= 0
            if queue[order_id] == 0:
                del queue[order_id]


def test_a_market_order_takes_what_there_is_at_any_price_and_drops_the_rest() -> None:
    state, tape = new_engine(ANCHOR, LOG_ROWS), new_tape(CAPACITY)
    for price in (ANCHOR + WINDOW // 2 - 1, ANCHOR + 3):
        eng.submit(state, tape, 1, ASK_SIDE, price, 4, 0, eng.LIMIT)
    assert eng.submit(state, tape, 2, BID_SIDE, 0, 10, 0, eng.MARKET) == eng.NOT_RESTING
    assert tape.price[: tape.n[0]].tolist() == [ANCHOR + 3, ANCHOR + WINDOW // 2 - 1]
    assert state.best.tolist() == [NO_PRICE, NO_PRICE]
    assert log_of(state).kind[:5].tolist() == [ADD, ADD, FILL, FILL, DROPPED]
    assert (log_of(state).lots[4], log_of(state).side[4], log_of(state).order_id[4]) == (2, ASK_SIDE, 2)


def test_a_smaller_order_keeps_its_place_and_a_larger_one_goes_to_the_end() -> None:
    state, tape = new_engine(ANCHOR, LOG_ROWS), new_tape(CAPACITY)
    slots = [eng.submit(state, tape, 1, BID_SIDE, ANCHOR, lots, 0, eng.LIMIT) for lots in (5, 7, 9)]
    assert eng.amend(state, tape, 2, slots[0], ANCHOR, 2, eng.POST_ONLY) == slots[0]
    eng.amend(state, tape, 3, slots[1], ANCHOR, 8, eng.POST_ONLY)
    assert queues(state) == {(BID_SIDE, ANCHOR): [(0, 2), (2, 9), (3, 8)]}
    assert log_of(state).kind[3:6].tolist() == [AMEND_DOWN, LOG_CANCEL, ADD]
    assert log_of(state).t_us[3:6].tolist() == [2, 3, 3]
    eng.submit(state, tape, 4, ASK_SIDE, ANCHOR + 2, 1, 0, eng.LIMIT)
    rows = int(log_of(state).n[0])
    assert eng.amend(state, tape, 5, slots[2], ANCHOR + 2, 9, eng.POST_ONLY) == eng.REFUSED
    assert eng.amend(state, tape, 5, slots[2], ANCHOR, 0, eng.LIMIT) == eng.REFUSED
    assert eng.amend(state, tape, 5, slots[2], ANCHOR, 9, eng.LIMIT) == slots[2]
    assert log_of(state).n[0] == rows
    assert queues(state)[BID_SIDE, ANCHOR] == [(0, 2), (2, 9), (3, 8)]


def test_without_room_nothing_is_logged() -> None:
    state, tape = new_engine(ANCHOR), new_tape(CAPACITY)
    slot = eng.submit(state, tape, 1, BID_SIDE, ANCHOR, 5, 0, eng.LIMIT)
    eng.submit(state, tape, 1, ASK_SIDE, ANCHOR, 2, 0, eng.LIMIT)
    eng.cancel(state, eng.amend(state, tape, 2, slot, ANCHOR, 1, eng.LIMIT))
    assert log_of(state).n[0] == 0
    assert tape.n[0] == 1


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
