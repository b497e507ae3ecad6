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
    NOW_SUM,
    ROWS,
    SIDE,
    STATE,
    T_FILL,
    Fates,
)
from lob_pipeline.labels.states import Bool, Float, Int, Int64s, States, advance_to

Float64s = npt.NDArray[np.float64]

# rows of the float block of one order and model
EDGE = 0
EDGE_MID = 1
EDGE_CROSS = 2
MFE = 3
MAE = 4
MARKOUTS = 5  # then one row a horizon; the last horizon is H
NO_PRICE = -1


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
def event_facts(
    fates: Fates, clock: Int64s, states: States, used: Int, horizons_ns: Int64s, order: Int64s, facts: Facts
) -> None:
    """Fill ``facts`` for the events in ``order`` (by time, so that every search goes forward)."""
    n_h = horizons_ns.size
    at = np.full(n_h, -1, np.int64)
    fill_at = np.int64(-1)
    end_at = np.int64(-1)
    for k in range(order.size):
        e = order[k]
        t_fill = fates.events[e, T_FILL]
        for h in range(n_h):
            at[h] = advance_to(states.time_ns, used, at[h], t_fill + horizons_ns[h])
            facts.m2[e, h] = m2_of(states, at[h])
        fill_at = advance_to(states.time_ns, used, fill_at, t_fill)
        end_at = advance_to(states.time_ns, used, end_at, t_fill + clock[HORIZON])
        first, last = fill_at + 1, end_at + 1
        facts.late_ns[e] = 0
        if first == last:
            if first == used:
                facts.late_ns[e] = np.int64(1 << 62)
                continue
            facts.late_ns[e] = states.time_ns[first]
            last = first + 1
        price = states.bid if fates.events[e, SIDE] > 0 else states.ask
        high = price[first]
        low = price[first]
        for x in price[first:last]:
            high = max(high, x)
            low = min(low, x)
        facts.high[e] = high if low >= 0 else NO_PRICE
        facts.low[e] = low


@njit(cache=True)
def _bps(side: Float, total: Float, paid: Float) -> Float:
    """Return 1e4·s·(x - P)/P where both prices carry the same factor (2, or q lots)."""
    return 1e4 * side * (total - paid) / paid


@njit(cache=True)
def order_outcomes(
    fates: Fates,
    clock: Int64s,
    facts: Facts,
    m: Int,
    si: Int,
    first: Int,
    t_end_ns: Int64s,
    maker_bps: Float,
    taker_bps: Float,
    whole: Bool,
    out: Float64s,
) -> None:
    """Write the outcome block of one side and model: ``out`` float64 (MARKOUTS + horizons, n), NaN where null.

    Rows ``first`` … of the side; ``t_end_ns`` (n,) of those rows. ``whole`` False leaves all but edge and markouts NaN.
    """
    side = np.float64(1 - 2 * si)
    q = clock[LOTS]
    n_h = facts.m2.shape[1]
    for j in range(t_end_ns.size):
        out[:, j] = np.nan
        number = si * clock[ROWS] + first + j
        e = np.int64(fates.fill[m, number, EVENT])
        if e < 0:
            continue
        price = fates.rows[first + j, LIMIT + si]
        for h in range(n_h):
            if facts.m2[e, h] >= 0:
                out[MARKOUTS + h, j] = _bps(side, facts.m2[e, h], 2 * price)
        got = fates.events[e, EXIT_LOTS]
        rest = q - got
        if fates.events[e, STATE] == DONE and (rest == 0 or fates.events[e, CROSS_SUM] >= 0):
            total = got * fates.events[e, EXIT_PRICE] + (fates.events[e, CROSS_SUM] if rest > 0 else 0)
            fee = maker_bps + (got * maker_bps + rest * taker_bps) / q
            out[EDGE, j] = _bps(side, total, q * price) - fee
        if not whole:
            continue
        out[EDGE_MID, j] = out[MARKOUTS + n_h - 1, j] - 2 * maker_bps
        if fates.events[e, NOW_SUM] >= 0:
            out[EDGE_CROSS, j] = _bps(side, fates.events[e, NOW_SUM], q * price) - maker_bps - taker_bps
        if facts.late_ns[e] <= t_end_ns[j] and facts.low[e] >= 0:
            up = _bps(side, facts.high[e], price)
            down = _bps(side, facts.low[e], price)
            out[MFE, j] = max(up, down)
            out[MAE, j] = min(up, down)


@njit(cache=True)
def instant_outcomes(
    states: States,
    used: Int,
    hints: Int64s,
    t_arrive_ns: Int64s,
    horizon_ns: Int,
    taker_ns: Int64s,
    taker_bps: Float,
    mid_return: Float64s,
    direction: npt.NDArray[np.int8],
    taker: Float64s,
) -> None:
    """Write what does not depend on a fill, for rows (n,): mid return and direction, and the taker's edges.

    ``hints`` int64 (2 + horizons,): states found for the row before, kept between calls. ``mid_return`` (n,) NaN and
    ``direction`` (n,) -2 where null; ``taker`` (2, horizons, n) buys then sells, NaN where null.
    """
    for j in range(t_arrive_ns.size):
        t = t_arrive_ns[j]
        hints[0] = advance_to(states.time_ns, used, hints[0], t)
        hints[1] = advance_to(states.time_ns, used, hints[1], t + horizon_ns)
        before = m2_of(states, hints[0])
        after = m2_of(states, hints[1])
        mid_return[j] = np.nan
        direction[j] = -2
        if before > 0 and after > 0:
            mid_return[j] = 1e4 * np.log(after / before)
            direction[j] = np.sign(after - before)
        for h in range(taker_ns.size):
            hints[2 + h] = advance_to(states.time_ns, used, hints[2 + h], t + taker_ns[h])
            leave = hints[2 + h]
            taker[0, h, j] = np.nan
            taker[1, h, j] = np.nan
            if hints[0] < 0:
                continue
            buy_in, sell_out = states.buy_sum[hints[0]], states.sell_sum[leave]
            if buy_in > 0 and sell_out > 0:
                taker[0, h, j] = 1e4 * np.log(sell_out / buy_in) - 2 * taker_bps
            sell_in, buy_out = states.sell_sum[hints[0]], states.buy_sum[leave]
            if sell_in > 0 and buy_out > 0:
                taker[1, h, j] = -1e4 * np.log(buy_out / sell_in) - 2 * taker_bps
