"""The matching engine: one instrument, price-time priority, every order known. Integers only.

What rests is in ``queues.py``; here orders come in, trade and change. ``BID_SIDE`` is 0, ``ASK_SIDE`` 1.
"""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.order_log import AMEND_DOWN, DROPPED, FILL
from lob_pipeline.sim.queues import (
    cancel,
    key_of,
    level_count,
    log_change,
    log_is_full,
    log_resting,
    next_price,
    remove,
    rest,
)
from lob_pipeline.sim.state import (
    ANCHOR,
    BID_SIDE,
    FREE,
    GROUPS,
    LOGGED,
    NEXT_ID,
    NO_PRICE,
    NOW,
    REFUSALS,
    SEQ,
    TRADED,
    WINDOW,
    MatchingState,
    Tape,
)

__all__ = [
    "IMMEDIATE",
    "LIMIT",
    "MARKET",
    "NOT_RESTING",
    "POST_ONLY",
    "REFUSED",
    "amend",
    "cancel",
    "key_of",
    "level_count",
    "log_is_full",
    "log_resting",
    "next_price",
    "recentre",
    "submit",
]

# rest what is left; refuse to trade; drop what is left; the same at whatever price
LIMIT, POST_ONLY, IMMEDIATE, MARKET = 0, 1, 2, 3
NOT_RESTING, REFUSED = -1, -2  # answers of submit where no order rests


@njit(cache=True, inline="always")
def _crosses(state: MatchingState, side: int, price: int) -> bool:
    at = state.best[1 - side]
    return at != NO_PRICE and (price >= at if side == BID_SIDE else price <= at)


@njit(cache=True)
def _refuses(state: MatchingState, side: int, price: int, lots: int, mode: int, free: int) -> bool:
    """Whether an order cannot be entered: see ``submit``. ``free``: slots there are for it."""
    away = price - state.scalars[ANCHOR]
    outside = mode != MARKET and (away < -(WINDOW // 2) or away >= WINDOW // 2)
    return (
        lots <= 0
        or outside
        or (free == 0 and mode <= POST_ONLY)
        or (mode == POST_ONLY and _crosses(state, side, price))
    )


@njit(cache=True)
def submit(state: MatchingState, tape: Tape, t_us: int, side: int, price: int, lots: int, group: int, mode: int) -> int:
    """Enter an order: trade with the other side while its limit allows, then rest (``LIMIT``, ``POST_ONLY``).

    ``MARKET`` orders trade at any price (theirs is not read), ``IMMEDIATE`` ones up to their limit; neither rests.
    Returns the slot where it rests, ``NOT_RESTING`` (all traded, or one that never rests), or ``REFUSED``: no lots, a
    price outside the window, no free slot, or a ``POST_ONLY`` order that would have traded. A refusal changes nothing.
    """
    scalars, other = state.scalars, 1 - side
    scalars[NOW] = t_us
    if _refuses(state, side, price, lots, mode, scalars[FREE]):
        scalars[REFUSALS] += 1
        return REFUSED
    if mode == MARKET:
        price = scalars[ANCHOR] + (WINDOW if side == BID_SIDE else -WINDOW)  # beyond every resting order
    order_id = scalars[NEXT_ID]
    scalars[NEXT_ID] += 1
    scalars[SEQ] += 1
    while lots > 0 and _crosses(state, side, price):
        at = int(state.best[other])
        key = key_of(other, at)
        slot = int(state.head[other, key])
        fill = min(lots, state.order_lots[slot])
        n = tape.n[0]
        tape.t_us[n], tape.side[n], tape.price[n], tape.lots[n] = t_us, 1 if side == BID_SIDE else -1, at, fill
        tape.maker_id[n], tape.taker_id[n] = state.order_id[slot], order_id
        tape.maker_group[n] = state.order_group[slot]
        tape.n[0] = n + 1
        if state.log_rows.size:
            log_change(state, FILL, slot, fill)
        lots -= fill
        scalars[TRADED] += fill
        state.order_lots[slot] -= fill
        state.lots[other, key] -= fill
        if state.order_lots[slot] == 0:
            remove(state, slot)
    if lots and mode >= IMMEDIATE and state.log_rows.size:
        row = state.log_rows[scalars[LOGGED]]
        row.t_us, row.kind, row.lots = t_us, DROPPED, lots
        row.order_id, row.group, row.price, row.side = order_id, group, price, other
        scalars[LOGGED] += 1
    if lots == 0 or mode >= IMMEDIATE:
        return NOT_RESTING
    return rest(state, side, price, lots, group, order_id)


@njit(cache=True)
def amend(state: MatchingState, tape: Tape, t_us: int, slot: int, price: int, lots: int, mode: int) -> int:
    """Give the resting order in ``slot`` another price (ticks) or another size (lots left); return as ``submit`` does.

    A smaller size at the same price keeps the place and the id. Anything else withdraws the order and enters it anew
    (``mode``: ``LIMIT`` or ``POST_ONLY``), behind all others at its price and under a new id. What ``submit`` would
    refuse is ``REFUSED`` and leaves the order as it was; no change at all returns its slot.
    """
    side, group = int(state.order_side[slot]), int(state.order_group[slot])
    state.scalars[NOW] = t_us
    if _refuses(state, side, price, lots, mode, 1):  # its own slot becomes free
        state.scalars[REFUSALS] += 1
        return REFUSED
    less = state.order_lots[slot] - lots
    if price == state.order_price[slot] and less >= 0:
        if less:
            if state.log_rows.size:
                log_change(state, AMEND_DOWN, slot, less)
            state.order_lots[slot] = lots
            state.lots[side, key_of(side, price)] -= less
            state.scalars[SEQ] += 1
        return slot
    cancel(state, slot)
    return submit(state, tape, t_us, side, price, lots, group, mode)


@njit(cache=True)
def recentre(state: MatchingState, anchor_ticks: int) -> int:
    """Move the price window to ``anchor_ticks``; cancel the orders it no longer covers and return how many."""
    cancelled = 0
    for group in range(GROUPS):
        place = 0
        while place < state.member_count[group]:
            slot = int(state.members[group, place])
            away = state.order_price[slot] - anchor_ticks
            if away < -(WINDOW // 2) or away >= WINDOW // 2:
                cancel(state, slot)  # the last member takes this place: look at it again
                cancelled += 1
            else:
                place += 1
    state.scalars[ANCHOR] = anchor_ticks
    return cancelled
