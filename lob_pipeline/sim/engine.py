"""The matching engine: one instrument, price-time priority, every order known. Integers only.

Orders rest in first-in-first-out lists, one a price; a bitmap finds the next best price. Prices live in a window of
``WINDOW`` ticks around an anchor and are addressed modulo its length, so the market can drift for ever. Side is an
index: ``BID_SIDE`` 0, ``ASK_SIDE`` 1. Each side's key grows away from the market, so both scan the same way.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.state import (
    ANCHOR,
    ASK_SIDE,
    BID_SIDE,
    FREE,
    GROUPS,
    NEXT_ID,
    NO_PRICE,
    REFUSALS,
    SEQ,
    WINDOW,
    MatchingState,
    Tape,
)

LIMIT, POST_ONLY, IMMEDIATE = 0, 1, 2  # rest what is left; refuse to trade; drop what is left
NOT_RESTING, REFUSED = -1, -2  # answers of submit where no order rests

_MASK = WINDOW - 1
_WORDS = WINDOW // 64
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_DEBRUIJN = np.uint64(0x03F79D71B4CB0A89)
_S58 = np.uint64(58)
_BIT_OF = np.zeros(64, np.int64)
for _i in range(64):
    _BIT_OF[((0x03F79D71B4CB0A89 << _i) & 0xFFFFFFFFFFFFFFFF) >> 58] = _i


@njit(cache=True, inline="always")
def key_of(side: int, price: int) -> int:
    """Return the level index of a price: grows away from the market on both sides."""
    return price & _MASK if side == ASK_SIDE else -price & _MASK


@njit(cache=True)
def next_price(state: MatchingState, side: int, price: int) -> int:
    """Return the first occupied price of ``side`` at ``price`` or behind it, ``NO_PRICE`` if none."""
    start = key_of(side, price)
    word = start >> 6
    bits = state.occupied[side, word] & (_ALL << np.uint64(start & 63))
    for _ in range(_WORDS + 1):
        if bits:
            lowest = bits & (~bits + _ONE)
            key = (word << 6) + _BIT_OF[np.int64((lowest * _DEBRUIJN) >> _S58)]
            away = (key - start) & _MASK
            return price + away if side == ASK_SIDE else price - away
        word = (word + 1) & (_WORDS - 1)
        bits = state.occupied[side, word]
    return NO_PRICE


@njit(cache=True)
def level_count(state: MatchingState, side: int) -> int:
    """Return the number of occupied prices of ``side``."""
    count = 0
    for word in range(_WORDS):
        bits = state.occupied[side, word]
        while bits:
            bits &= bits - _ONE
            count += 1
    return count


@njit(cache=True)
def cancel(state: MatchingState, slot: int) -> None:
    """Take the order in ``slot`` out of its queue, its group and its slot (also used when it is filled)."""
    side, price = int(state.order_side[slot]), int(state.order_price[slot])
    key = key_of(side, price)
    before, after = state.order_prev[slot], state.order_next[slot]
    if before >= 0:
        state.order_next[before] = after
    else:
        state.head[side, key] = after
    if after >= 0:
        state.order_prev[after] = before
    else:
        state.tail[side, key] = before
    state.lots[side, key] -= state.order_lots[slot]
    state.orders[side, key] -= 1
    if state.orders[side, key] == 0:
        state.occupied[side, key >> 6] &= ~(_ONE << np.uint64(key & 63))
        if state.best[side] == price:
            state.best[side] = next_price(state, side, price)
    group, place = state.order_group[slot], state.order_place[slot]
    state.member_count[group] -= 1
    last = state.members[group, state.member_count[group]]
    state.members[group, place] = last
    state.order_place[last] = place
    state.order_id[slot] = -1
    state.free[state.scalars[FREE]] = slot
    state.scalars[FREE] += 1
    state.scalars[SEQ] += 1


@njit(cache=True)
def _rest(state: MatchingState, side: int, price: int, lots: int, group: int, order_id: int) -> int:
    state.scalars[FREE] -= 1
    slot = int(state.free[state.scalars[FREE]])
    key = key_of(side, price)
    last = state.tail[side, key] if state.orders[side, key] else -1
    state.order_prev[slot], state.order_next[slot] = last, -1
    if last >= 0:
        state.order_next[last] = slot
    else:
        state.head[side, key] = slot
    state.tail[side, key] = slot
    state.order_price[slot], state.order_lots[slot], state.order_side[slot] = price, lots, side
    state.order_id[slot], state.order_group[slot] = order_id, group
    state.order_place[slot] = state.member_count[group]
    state.members[group, state.member_count[group]] = slot
    state.member_count[group] += 1
    state.lots[side, key] += lots
    state.orders[side, key] += 1
    state.occupied[side, key >> 6] |= _ONE << np.uint64(key & 63)
    best = state.best[side]
    if best == NO_PRICE or (price > best if side == BID_SIDE else price < best):
        state.best[side] = price
    return slot


@njit(cache=True)
def submit(state: MatchingState, tape: Tape, t_us: int, side: int, price: int, lots: int, group: int, mode: int) -> int:
    """Enter an order: trade with the other side while its limit allows, then rest (``LIMIT``, ``POST_ONLY``).

    Returns the slot where it rests, ``NOT_RESTING`` (all traded, or ``IMMEDIATE``), or ``REFUSED``: no lots, a price
    outside the window, no free slot, or a ``POST_ONLY`` order that would have traded. A refusal changes nothing.
    """
    scalars, other = state.scalars, 1 - side
    away = price - scalars[ANCHOR]
    crossing = state.best[other] != NO_PRICE and (
        price >= state.best[other] if side == BID_SIDE else price <= state.best[other]
    )
    full = scalars[FREE] == 0 and mode != IMMEDIATE
    if lots <= 0 or away < -(WINDOW // 2) or away >= WINDOW // 2 or full or (mode == POST_ONLY and crossing):
        scalars[REFUSALS] += 1
        return REFUSED
    order_id = scalars[NEXT_ID]
    scalars[NEXT_ID] += 1
    scalars[SEQ] += 1
    while lots > 0 and crossing:
        at = int(state.best[other])
        key = key_of(other, at)
        slot = int(state.head[other, key])
        fill = min(lots, state.order_lots[slot])
        n = tape.n[0]
        tape.t_us[n], tape.side[n], tape.price[n], tape.lots[n] = t_us, 1 if side == BID_SIDE else -1, at, fill
        tape.maker_id[n], tape.taker_id[n] = state.order_id[slot], order_id
        tape.maker_group[n] = state.order_group[slot]
        tape.n[0] = n + 1
        lots -= fill
        state.order_lots[slot] -= fill
        state.lots[other, key] -= fill
        if state.order_lots[slot] == 0:
            cancel(state, slot)
        at = state.best[other]
        crossing = at != NO_PRICE and (price >= at if side == BID_SIDE else price <= at)
    if lots == 0 or mode == IMMEDIATE:
        return NOT_RESTING
    return _rest(state, side, price, lots, group, order_id)


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
