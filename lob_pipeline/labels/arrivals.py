"""Orders on their way in and out: arrival at the book, and trades that ``seq`` puts on the other side of a message.

Windows stay in time even where ``seq`` decides the order of events (Bybit), so a trade may be met before or after a
message of another time. Three rules keep that exact: an order that arrives catches up on trades already met that lie in
its window; a trade does not touch orders that arrived at or after it (``fills``); before a message, orders whose life
ended are served the trades that still lie in theirs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lob_pipeline.book.kernel import best_price
from lob_pipeline.book.state import BookState
from lob_pipeline.labels.exits import NO_ROOM, exit_arrives, group_for
from lob_pipeline.labels.fates import (
    ARRIVALS,
    ARRIVE_NS,
    AT_ROW,
    AT_TRADE,
    EXIT_NS,
    LIFE,
    LIMIT,
    LOTS,
    MODEL,
    N_EVENTS,
    Q_ARRIVE,
    QUEUE,
    ROWS,
    SIDE,
    Fates,
    take,
)
from lob_pipeline.labels.fills import rest_lots
from lob_pipeline.labels.resting import (
    ACTIVE,
    ARRIVE,
    FRESH,
    HEAD,
    KEY,
    LIST,
    NO_GROUP,
    NUMBER,
    OFFSET,
    TAIL,
    Resting,
    close_if_empty,
    find,
    has_room,
    place,
)
from lob_pipeline.labels.spec import KIND_QUEUE, KIND_REJECTED, KIND_THROUGH
from lob_pipeline.labels.states import Bool, Int, Int64s, States, Tape

NEVER = np.int64(1 << 62)


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
def _catch_up(resting: Resting, fates: Fates, tape: Tape, clock: Int64s, m: Int, g: Int, si: Int) -> None:
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


@njit(cache=True)
def _rests_in(book: BookState, resting: Resting, si: Int, price: Int) -> Int:
    """Return the group where an order of side ``si`` would rest now, NO_GROUP where it is rejected, NO_ROOM."""
    side = 1 - 2 * si
    opposite = best_price(book, 1 - si)
    if opposite >= 0 and side * opposite <= side * price:
        return np.int64(NO_GROUP)
    g = group_for(book, resting, si, price)
    fits = g >= 0 and has_room(resting.groups, resting.front.shape[2], g)
    return g if fits else np.int64(NO_ROOM)


@njit(cache=True)
def _row_arrives(book: BookState, resting: Resting, fates: Fates, tape: Tape, clock: Int64s) -> Bool:
    """Let both orders of the next row arrive; return False, with nothing done, where they do not fit."""
    row = fates.rows[clock[AT_ROW], ARRIVALS]
    buy = _rests_in(book, resting, np.int64(0), fates.rows[row, LIMIT])
    sell = _rests_in(book, resting, np.int64(1), fates.rows[row, LIMIT + 1])
    if buy == NO_ROOM or sell == NO_ROOM:
        return False
    for si in range(2):
        number = si * clock[ROWS] + row
        g = sell if si == 1 else buy
        for m in range(resting.front.shape[0]):
            if g < 0:
                fates.kind[m, number] = KIND_REJECTED
            else:
                place(resting.groups, resting.front, resting.tags, m, g, number, fates.rows[row, ARRIVE_NS])
                _catch_up(resting, fates, tape, clock, m, g, si)
    clock[AT_ROW] += 1
    return True


@njit(cache=True, forceinline=True)
def place_row(resting: Resting, rows: Int64s, clock: Int64s, trade_ns: Int64s, best_bid: Int, best_ask: Int) -> Bool:
    """Let the next row's orders arrive where that is plain; return False, with nothing done, where it is not.

    Plain: neither is rejected, both join groups that stand and have room, and no trade was met ahead of its time.
    """
    groups, ladder, ring, meta = resting.groups, resting.ladder, resting.ring, resting.meta
    row = rows[clock[AT_ROW], ARRIVALS]
    arrive, bid, ask = rows[row, ARRIVE_NS], rows[row, LIMIT], rows[row, LIMIT + 1]
    met = clock[AT_TRADE]
    if best_bid < 0 or best_ask <= bid or best_bid >= ask or (met > 0 and trade_ns[met - 1] > arrive):
        return False
    buy = find(groups, ladder, ring, meta, np.int64(0), bid)
    sell = find(groups, ladder, ring, meta, np.int64(1), -ask)
    room = resting.front.shape[2]
    if buy < 0 or sell < 0 or not has_room(groups, room, buy) or not has_room(groups, room, sell):
        return False
    for m in range(resting.front.shape[0]):
        place(groups, resting.front, resting.tags, m, buy, row, arrive)
        place(groups, resting.front, resting.tags, m, sell, clock[ROWS] + row, arrive)
    clock[AT_ROW] += 1
    return True


@njit(cache=True, forceinline=True)
def next_row_ns(rows: Int64s, clock: Int64s) -> Int:
    """Return when the next row's orders arrive, NEVER where no row is left."""
    return rows[rows[clock[AT_ROW], ARRIVALS], ARRIVE_NS] if clock[AT_ROW] < clock[ROWS] else NEVER


@njit(cache=True, forceinline=True)
def next_exit_ns(events: Int64s, clock: Int64s) -> Int:
    """Return when the next exit order arrives, NEVER where none is waiting."""
    return events[events[clock[Q_ARRIVE], QUEUE], EXIT_NS] if clock[Q_ARRIVE] < clock[N_EVENTS] else NEVER


@njit(cache=True)
def arrivals(
    book: BookState, resting: Resting, fates: Fates, states: States, tape: Tape, clock: Int64s, bound_ns: Int
) -> Bool:
    """Let every order arrive whose time is before ``bound_ns``, in order of time; return False where one has no room."""
    while True:
        row_ns, exit_ns = next_row_ns(fates.rows, clock), next_exit_ns(fates.events, clock)
        if min(row_ns, exit_ns) >= bound_ns:
            return True
        if row_ns <= exit_ns:
            if not _row_arrives(book, resting, fates, tape, clock):
                return False
            continue
        e = fates.events[clock[Q_ARRIVE], QUEUE]
        g = exit_arrives(book, resting, fates.events, states, clock)
        if g == NO_ROOM:
            return False
        if g >= 0:
            _catch_up(resting, fates, tape, clock, fates.events[e, MODEL], g, (1 + fates.events[e, SIDE]) >> 1)
