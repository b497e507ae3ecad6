"""Orders on their way in: both orders of a decision row, and the exit orders of fills, in order of their arrival."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.kernel import best_price
from lob_pipeline.book.state import BookState
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.exits import NO_ROOM, exit_arrives, group_for
from lob_pipeline.labels.fates import (
    ARRIVALS,
    ARRIVE_NS,
    AT_ROW,
    AT_TRADE,
    EXIT_NS,
    LIMIT,
    MODEL,
    N_EVENTS,
    Q_ARRIVE,
    QUEUE,
    ROWS,
    SIDE,
    Fates,
)
from lob_pipeline.labels.groups import find, has_room, place
from lob_pipeline.labels.late import catch_up
from lob_pipeline.labels.resting import NO_GROUP, Resting
from lob_pipeline.labels.spec import KIND_REJECTED
from lob_pipeline.labels.states import Bool, Int, Int64s, States, Tape

NEVER = np.int64(1 << 62)


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
                catch_up(resting, fates, tape, clock, m, g, si)
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
    """Let every order arrive that is due before ``bound_ns``, in order of time; return False where one has no room."""
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
            catch_up(resting, fates, tape, clock, fates.events[e, MODEL], g, (1 + fates.events[e, SIDE]) >> 1)
