"""Trades that ``seq`` puts on the other side of a book message than their time does (Bybit).

Windows stay in time even where ``seq`` decides the order of events, so a trade may be met before or after a message of
another time. Three rules keep that exact: an order that arrives catches up on trades already met that lie in its
window; a trade does not touch orders that arrived at or after it (``fills``); before a message, orders whose life ended
are served the trades that still lie in theirs.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fates import AT_TRADE, LIFE, LOTS, N_EVENTS, Fates, take
from lob_pipeline.labels.fills import rest_lots
from lob_pipeline.labels.groups import close_if_empty
from lob_pipeline.labels.resting import ACTIVE, ARRIVE, FRESH, HEAD, KEY, LIST, NUMBER, OFFSET, TAIL, Resting
from lob_pipeline.labels.spec import KIND_QUEUE, KIND_THROUGH
from lob_pipeline.labels.states import Bool, Int, Int64s, Tape


@njit(cache=True)
def _meet(resting: Resting, fates: Fates, tape: Tape, clock: Int64s, m: Int, g: Int, i: Int, k: Int) -> Bool:
    """Let order ``i`` of list ``m`` alone meet trade ``k`` at its side; return whether that completes it."""
    trade_key = -np.int64(tape.side[k]) * tape.price[k]
    key = resting.groups[g, KEY]
    number = resting.tags[m, g, i, NUMBER]
    if trade_key < key:
        return take(fates, clock, m, number, clock[LOTS], tape.time_ns[k], KIND_THROUGH)
    if trade_key > key:
        return False
    resting.tags[m, g, i, OFFSET] -= tape.lots[k]
    front = resting.front[m, g, i] - np.float64(tape.lots[k])
    resting.front[m, g, i] = max(front, 0.0)
    if front >= 0.0:
        return False
    lots = np.int64(min(np.float64(rest_lots(fates, clock, m, number)), np.floor(-front)))
    return lots > 0 and take(fates, clock, m, number, lots, tape.time_ns[k], KIND_QUEUE)


@njit(cache=True)
def catch_up(resting: Resting, fates: Fates, tape: Tape, clock: Int64s, m: Int, g: Int, si: Int) -> None:
    """Let the order that has just arrived at the end of list ``m`` meet the trades already met in its window."""
    groups = resting.groups
    i = groups[g, TAIL + LIST * m] - 1
    arrive = resting.tags[m, g, i, ARRIVE]
    first = clock[AT_TRADE]
    while first > 0 and tape.time_ns[first - 1] > arrive:
        first -= 1
    if first == clock[AT_TRADE]:
        return
    groups[g, FRESH + LIST * m] = min(i, groups[g, FRESH + LIST * m])
    for k in range(first, clock[AT_TRADE]):
        if tape.time_ns[k] <= arrive + clock[LIFE] and (1 + np.int64(tape.side[k])) >> 1 == si:
            if _meet(resting, fates, tape, clock, m, g, i, k):
                groups[g, TAIL + LIST * m] = i
                return


@njit(cache=True)
def settle(resting: Resting, fates: Fates, tape: Tape, clock: Int64s, b_ns: Int) -> Bool:
    """Serve orders whose life ends before ``b_ns`` the trades of their life that are still to come; forget them.

    Only where ``seq`` puts a message before a trade of earlier time. Returns whether fill events were added.
    """
    groups, tags = resting.groups, resting.tags
    events = clock[N_EVENTS]
    for si in range(2):
        for at in range(resting.meta[ACTIVE + si] - 1, -1, -1):
            g = resting.ladder[si, at]
            for m in range(tags.shape[0]):
                i = groups[g, HEAD + LIST * m]
                while i < groups[g, TAIL + LIST * m] and tags[m, g, i, ARRIVE] + clock[LIFE] < b_ns:
                    k = clock[AT_TRADE]
                    while k < tape.time_ns.size and tape.time_ns[k] <= tags[m, g, i, ARRIVE] + clock[LIFE]:
                        own_side = (1 + np.int64(tape.side[k])) >> 1 == si
                        if own_side and tape.time_ns[k] > tags[m, g, i, ARRIVE]:
                            if _meet(resting, fates, tape, clock, m, g, i, k):
                                break
                        k += 1
                    i += 1
                groups[g, HEAD + LIST * m] = i
                groups[g, FRESH + LIST * m] = max(i, groups[g, FRESH + LIST * m])
            close_if_empty(groups, resting.ladder, resting.ring, resting.meta, si, at)
    return clock[N_EVENTS] > events
