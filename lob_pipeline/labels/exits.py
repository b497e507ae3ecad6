"""Leaving a position: the passive exit order of each fill event, and the price of crossing the book."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.kernel import best_levels, best_price, lots_at
from lob_pipeline.book.state import LEVELS, BookState
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fates import (
    ARRIVE_NS,
    CROSS_SUM,
    DONE,
    EXIT_LOTS,
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
    ROWS,
    SIDE,
    STATE,
    T_FILL,
    UNKNOWN,
    Fates,
)
from lob_pipeline.labels.resting import Resting, find, has_room, open_group, place
from lob_pipeline.labels.states import Int, Int64s, States, state_at

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
    """Return the group of side ``si`` at ``price``, opened when there was none; -1 where nothing more fits."""
    key = (1 - 2 * si) * price
    g = find(resting, si, key)
    if g < 0:
        g = open_group(resting, si, key, lots_at(book, si, price))
    return g if g >= 0 and has_room(resting, g) else np.int64(-1)


@njit(cache=True)
def exit_arrives(
    book: BookState, resting: Resting, fates: Fates, states: States, cursor: Int64s, settings: Int64s
) -> Int:
    """Let the exit order of the next fill event arrive; return its group, -1 when it does not rest, -2 for no room.

    Its price is the best of its side as seen at t_fill + H. Rejected, it crosses at once.
    """
    e = fates.queue[cursor[Q_ARRIVE]]
    side = -fates.events[e, SIDE]
    si = (1 - side) >> 1
    other = 1 - si
    seen = state_at(states, cursor[N_STATES], fates.events[e, T_FILL] + settings[HORIZON])
    price = np.int64(-1)
    if seen >= 0:
        price = states.bid[seen] if si == 0 else states.ask[seen]
    opposite = best_price(book, other)
    g: Int = -1
    if price < 0:
        fates.events[e, STATE] = UNKNOWN
    elif opposite >= 0 and side * opposite <= side * price:
        fates.events[e, STATE] = DONE
    else:
        g = group_for(book, resting, si, price)
        if g < 0:
            return -2
        place(resting, fates.events[e, MODEL], g, 2 * settings[ROWS] + e, fates.events[e, ARRIVE_NS])
        fates.events[e, STATE] = LIVE
    fates.events[e, EXIT_PRICE] = price
    # Leaving a long position sells into the bids: the book side of the position itself.
    fates.events[e, NOW_SUM] = walk(book, other, settings[LOTS])
    if fates.events[e, STATE] == DONE:
        fates.events[e, CROSS_SUM] = fates.events[e, NOW_SUM]
    cursor[Q_ARRIVE] += 1
    return g


@njit(cache=True)
def exits_expire(book: BookState, fates: Fates, cursor: Int64s, settings: Int64s, b_ns: Int) -> None:
    """Cross what the exit orders that expired before ``b_ns`` have left, into the book as it stands now."""
    while cursor[Q_EXPIRE] < cursor[Q_ARRIVE]:
        e = fates.queue[cursor[Q_EXPIRE]]
        if fates.events[e, STATE] == LIVE:
            if fates.events[e, ARRIVE_NS] + settings[LIFE] >= b_ns:
                return
            other = (1 - fates.events[e, SIDE]) >> 1
            fates.events[e, CROSS_SUM] = walk(book, other, settings[LOTS] - fates.events[e, EXIT_LOTS])
            fates.events[e, STATE] = DONE
        cursor[Q_EXPIRE] += 1
