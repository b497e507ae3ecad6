"""Leaving a position: the passive exit order of each fill event, and the price of crossing the book."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.kernel import best_levels, best_price, lots_at
from lob_pipeline.book.state import LEVELS, BookState
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fates import (
    CROSS_SUM,
    DONE,
    EXIT_LOTS,
    EXIT_NS,
    EXIT_PRICE,
    HORIZON,
    LIFE,
    LIVE,
    LOTS,
    MODEL,
    N_STATES,
    NOW_SUM,
    Q_ARRIVE,
    Q_EXPIRE,
    QUEUE,
    ROWS,
    SIDE,
    STATE,
    T_FILL,
    UNKNOWN,
)
from lob_pipeline.labels.groups import find, open_group, place
from lob_pipeline.labels.resting import NO_GROUP, Resting
from lob_pipeline.labels.states import Int, Int64s, States, state_at

NO_ROOM = -2
_FIRST_LOOK = 10  # levels a walk reads before it reads the whole side


@njit(cache=True)
def walk(book: BookState, s: Int, lots: Int) -> Int:
    """Return Σ price·lots of taking ``lots`` (> 0) from side ``s`` (0 bid, 1 ask), -1 where the side is too thin."""
    if lots == 1:
        return best_price(book, s)
    levels = book.meta[LEVELS + s]
    n = min(levels, _FIRST_LOOK)
    while True:
        prices = np.empty(n, np.int64)
        sizes = np.empty(n, np.int64)
        best_levels(book, s, n, prices, sizes)
        rest = lots
        total = np.int64(0)
        for i in range(n):
            taken = min(rest, sizes[i])
            total += taken * prices[i]
            rest -= taken
            if rest == 0:
                return total
        if n == levels:
            return np.int64(-1)
        n = levels


@njit(cache=True)
def group_for(book: BookState, resting: Resting, si: Int, price: Int) -> Int:
    """Return the group of side ``si`` at ``price``, opened when there was none; NO_GROUP where no more fit."""
    key = (1 - 2 * si) * price
    g = find(resting.groups, resting.ladder, resting.ring, resting.meta, si, key)
    return g if g >= 0 else open_group(resting, si, key, lots_at(book, si, price))


@njit(cache=True)
def exit_arrives(book: BookState, resting: Resting, events: Int64s, states: States, clock: Int64s) -> Int:
    """Let the exit order of the next fill event arrive; return its group, NO_GROUP when it does not rest, NO_ROOM.

    Its price is the best of its side as seen at t_fill + H. Rejected, it crosses at once.
    """
    e = events[clock[Q_ARRIVE], QUEUE]
    side = -events[e, SIDE]
    si = (1 - side) >> 1
    other = 1 - si
    seen = state_at(states.time_ns, clock[N_STATES], events[e, T_FILL] + clock[HORIZON])
    price = np.int64(-1)
    if seen >= 0:
        price = states.bid[seen] if si == 0 else states.ask[seen]
    opposite = best_price(book, other)
    g: Int = np.int64(NO_GROUP)
    state = LIVE
    if price < 0:
        state = UNKNOWN
    elif opposite >= 0 and side * opposite <= side * price:
        state = DONE
    else:
        g = group_for(book, resting, si, price)
        if g < 0:
            return np.int64(NO_ROOM)
        number = 2 * clock[ROWS] + e
        if not place(resting.groups, resting.front, resting.tags, events[e, MODEL], g, number, events[e, EXIT_NS]):
            return np.int64(NO_ROOM)
    events[e, STATE] = state
    events[e, EXIT_PRICE] = price
    # Leaving a long position sells into the bids: the book side of the position itself.
    events[e, NOW_SUM] = walk(book, other, clock[LOTS])
    if state == DONE:
        events[e, CROSS_SUM] = events[e, NOW_SUM]
    clock[Q_ARRIVE] += 1
    return g


@njit(cache=True)
def exits_expire(book: BookState, events: Int64s, clock: Int64s, b_ns: Int) -> None:
    """Cross what the exit orders that expired before ``b_ns`` have left, into the book as it stands now."""
    while clock[Q_EXPIRE] < clock[Q_ARRIVE]:
        e = events[clock[Q_EXPIRE], QUEUE]
        if events[e, STATE] == LIVE:
            if events[e, EXIT_NS] + clock[LIFE] >= b_ns:
                return
            other = (1 - events[e, SIDE]) >> 1
            events[e, CROSS_SUM] = walk(book, other, clock[LOTS] - events[e, EXIT_LOTS])
            events[e, STATE] = DONE
        clock[Q_EXPIRE] += 1
