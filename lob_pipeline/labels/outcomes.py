"""What followed a fill: markouts, extremes, edges. Facts of a fill event first, then the columns of each order.

Prices stay integers until the last expression: an edge is one division of Σ price·lots against q·P.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fates import (
    CROSS_SUM,
    DONE,
    EVENT,
    EXIT_LOTS,
    EXIT_PRICE,
    HORIZON,
    LIMIT,
    LOTS,
    N_STATES,
    NOW_SUM,
    ROWS,
    SIDE,
    STATE,
    T_FILL,
    Fates,
)
from lob_pipeline.labels.states import Int, Int64s, States, advance_to

Float64s = npt.NDArray[np.float64]

# what ``where`` says the column of
EDGE = 0
EDGE_MID = 1
EDGE_CROSS = 2
MFE = 3
MAE = 4
EXIT_MAKER = 5
MARKOUTS = 6  # then one row a horizon; the last horizon is H
NO_PRICE = -1
NEVER = np.int64(1 << 62)


class Facts(NamedTuple):
    """Facts of fill events (X). ``m2`` int64 (X, horizons): bid + ask at t_fill + h, -1 unknown; the last is H.

    ``high``, ``low`` int64 (X,): extremes of the price at which the position could be left by crossing, -1 where that
    side was empty once; ``late_ns`` int64 (X,): 0, or the time of the first later state where none lay in the span
    (``NEVER`` where there is none at all).
    """

    m2: Int64s
    high: Int64s
    low: Int64s
    late_ns: Int64s


def new_facts(events: int, horizons: int) -> Facts:
    """Return room for the facts of ``events`` fill events."""
    return Facts(np.empty((events, horizons), np.int64), *(np.empty(events, np.int64) for _ in range(3)))


@njit(cache=True)
def m2_of(states: States, i: Int) -> Int:
    """Return bid + ask of state ``i``, -1 before the first state and where a side is empty."""
    if i < 0 or states.bid[i] < 0 or states.ask[i] < 0:
        return np.int64(-1)
    return states.bid[i] + states.ask[i]


@njit(cache=True)
def _slide(price: Int64s, sign: Int, side: Int, sides: Int64s, first: Int64s, last: Int64s, out: Int64s) -> None:
    """Write the maximum of ``sign``·price over [first, last) for the windows of ``side``; the windows only move on.

    Candidates for a later maximum wait in a queue, best first: every state enters and leaves it once.
    """
    queue = np.empty(price.size, np.int64)
    head = 0
    tail = 0
    seen = 0
    for k in range(first.size):
        if sides[k] != side or first[k] >= last[k]:
            continue
        while seen < last[k]:
            while tail > head and sign * price[queue[tail - 1]] <= sign * price[seen]:
                tail -= 1
            queue[tail] = seen
            tail += 1
            seen += 1
        while queue[head] < first[k]:
            head += 1
        out[k] = sign * price[queue[head]]


@njit(cache=True)
def event_facts(
    events: Int64s, clock: Int64s, states: States, horizons_ns: Int64s, order: Int64s, facts: Facts
) -> None:
    """Fill ``facts`` for the events in ``order`` (by time, so that every search goes forward)."""
    n_h, n = horizons_ns.size, order.size
    used = clock[N_STATES]
    at = np.full(n_h, -1, np.int64)
    fill_at: Int = np.int64(-1)
    end_at: Int = np.int64(-1)
    first, last, sides = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    high, low = np.full(n, NO_PRICE, np.int64), np.full(n, NO_PRICE, np.int64)
    for k in range(n):
        e = order[k]
        t_fill = events[e, T_FILL]
        sides[k] = events[e, SIDE]
        for h in range(n_h):
            at[h] = advance_to(states.time_ns, used, at[h], t_fill + horizons_ns[h])
            facts.m2[e, h] = m2_of(states, at[h])
        fill_at = advance_to(states.time_ns, used, fill_at, t_fill)
        end_at = advance_to(states.time_ns, used, end_at, t_fill + clock[HORIZON])
        first[k], last[k] = fill_at + 1, end_at + 1
        facts.late_ns[e] = 0
        if first[k] == last[k]:
            facts.late_ns[e] = states.time_ns[first[k]] if first[k] < used else NEVER
            last[k] = min(first[k] + 1, used)
    for side in (1, -1):
        price = states.bid[:used] if side > 0 else states.ask[:used]
        _slide(price, np.int64(1), np.int64(side), sides, first, last, high)
        _slide(price, np.int64(-1), np.int64(side), sides, first, last, low)
    for k in range(n):
        facts.low[order[k]] = -low[k]
        facts.high[order[k]] = high[k]


@njit(cache=True)
def order_outcomes(
    fates: Fates,
    clock: Int64s,
    facts: Facts,
    m: Int,
    si: Int,
    first: Int,
    t_end_ns: Int64s,
    fees: Float64s,
    where: Int64s,
    out: Float64s,
) -> None:
    """Write the outcomes of one side and model where an order was filled; ``out`` comes filled with NaN.

    Rows ``first`` … of the side; ``t_end_ns`` (n,) of those rows. ``out`` float64 (columns, 2n), sells and buys in
    turn; ``where`` int64 (MARKOUTS + horizons,): its column for each outcome, -1 where the table holds none.
    ``fees``: maker, taker in bps.
    """
    q = clock[LOTS]
    n_h = facts.m2.shape[1]
    maker, taker = fees[0], fees[1]
    share = 1.0 / q
    for j in range(t_end_ns.size):
        e = fates.fill[m, si * clock[ROWS] + first + j, EVENT]
        if e < 0:
            continue
        at = 2 * j + 1 - si
        price = fates.rows[first + j, LIMIT + si]
        scale = 1e4 * (1 - 2 * si) / price  # bps of P a tick, signed
        for h in range(n_h):
            if where[MARKOUTS + h] >= 0 and facts.m2[e, h] >= 0:
                out[where[MARKOUTS + h], at] = scale * 0.5 * (facts.m2[e, h] - 2 * price)
        got = fates.events[e, EXIT_LOTS]
        rest = q - got
        if fates.events[e, STATE] == DONE and (rest == 0 or fates.events[e, CROSS_SUM] >= 0):
            total = got * fates.events[e, EXIT_PRICE] + (fates.events[e, CROSS_SUM] if rest > 0 else 0)
            fee = maker + (got * maker + rest * taker) * share
            out[where[EDGE], at] = scale * share * (total - q * price) - fee
            out[where[EXIT_MAKER], at] = got * share
        if where[EDGE_MID] < 0:
            continue
        if facts.m2[e, n_h - 1] >= 0:
            out[where[EDGE_MID], at] = scale * 0.5 * (facts.m2[e, n_h - 1] - 2 * price) - 2 * maker
        if fates.events[e, NOW_SUM] >= 0:
            out[where[EDGE_CROSS], at] = scale * share * (fates.events[e, NOW_SUM] - q * price) - maker - taker
        if facts.late_ns[e] <= t_end_ns[j] and facts.low[e] >= 0:
            up = scale * (facts.high[e] - price)
            down = scale * (facts.low[e] - price)
            out[where[MFE], at] = max(up, down)
            out[where[MAE], at] = min(up, down)
