"""The queues of the matching engine: orders rest first in, first out, one list a price; a bitmap finds the next price.

Prices live in a window of ``WINDOW`` ticks around an anchor and are addressed modulo its length, so the market can
drift for ever. Side is an index: ``BID_SIDE`` 0, ``ASK_SIDE`` 1. Each side's key grows away from the market, so both
scan the same way.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.order_log import ADD, CANCEL
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, FREE, LOGGED, NO_PRICE, NOW, SEQ, WINDOW, MatchingState

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
def log_change(state: MatchingState, kind: int, slot: int, lots: int) -> None:
    """Log a change of the order in ``slot``, at the time of the event in hand; the caller keeps room."""
    row = state.log_rows[state.scalars[LOGGED]]
    row.t_us, row.kind, row.lots = state.scalars[NOW], kind, lots
    row.order_id, row.group = state.order_id[slot], state.order_group[slot]
    row.price, row.side = state.order_price[slot], state.order_side[slot]
    state.scalars[LOGGED] += 1


@njit(cache=True)
def log_is_full(state: MatchingState, room: int) -> bool:
    """Return whether the log has fewer than ``room`` rows left; never where it is off."""
    return 0 < state.log_rows.size < state.scalars[LOGGED] + room


@njit(cache=True)
def cancel(state: MatchingState, slot: int) -> None:
    """Withdraw the order in ``slot`` with all the lots it has left."""
    if state.log_rows.size:
        log_change(state, CANCEL, slot, state.order_lots[slot])
    remove(state, slot)


@njit(cache=True)
def remove(state: MatchingState, slot: int) -> None:
    """Take the order in ``slot`` out of its queue, its group and its slot."""
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
def rest(state: MatchingState, side: int, price: int, lots: int, group: int, order_id: int) -> int:
    """Put an order at the end of its queue and return its slot; there is a free one and it crosses nothing."""
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
    if state.log_rows.size:
        log_change(state, ADD, slot, lots)
    return slot


@njit(cache=True)
def log_resting(state: MatchingState) -> None:
    """Log every resting order as an ``ADD``, best level first and oldest order first: what a log can begin with."""
    if not state.log_rows.size:
        return
    for side in range(2):
        best = price = state.best[side]
        while price != NO_PRICE and abs(price - best) < WINDOW:  # the scan is circular: it meets the best again
            slot = int(state.head[side, key_of(side, price)])
            while slot >= 0:
                log_change(state, ADD, slot, state.order_lots[slot])
                slot = int(state.order_next[slot])
            price = next_price(state, side, price + (1 if side == ASK_SIDE else -1))
