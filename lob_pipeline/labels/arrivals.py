"""Orders on their way in and out: arrival at the book, and trades that ``seq`` puts on the other side of a message.

Windows stay in time even where ``seq`` decides the order of events (Bybit), so a trade may be met before or after a
message of another time. Three rules keep that exact: an order that arrives catches up on trades already met that lie in
its window; a trade does not touch orders that arrived at or after it (``fills``); before a message, orders whose life
ended are served the trades that still lie in theirs.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.kernel import best_price
from lob_pipeline.book.state import BookState
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.exits import exit_arrives, group_for
from lob_pipeline.labels.fates import (
    ARRIVE_NS,
    AT_ROW,
    AT_TRADE,
    LIFE,
    LOTS,
    MODEL,
    N_EVENTS,
    Q_ARRIVE,
    ROWS,
    SIDE,
    Fates,
    rest_lots,
    take,
)
from lob_pipeline.labels.resting import (
    ACTIVE,
    ARRIVE,
    FRESH,
    HEAD,
    KEY,
    NUMBER,
    OFFSET,
    TAIL,
    Resting,
    close_if_empty,
    place,
)
from lob_pipeline.labels.spec import KIND_QUEUE, KIND_REJECTED, KIND_THROUGH
from lob_pipeline.labels.states import Bool, Int, Int64s, States, Tape

NEVER = np.int64(1 << 62)
NO_ROOM = 1


@njit(cache=True)
def _meet(
    resting: Resting,
    fates: Fates,
    tape: Tape,
    cursor: Int64s,
    settings: Int64s,
    m: Int,
    g: Int,
    i: Int,
    key: Int,
    k: Int,
) -> Bool:
    """Let order ``i`` of list ``m`` alone meet trade ``k`` at its side; return whether that completes it."""
    trade_key = -np.int64(tape.side[k]) * tape.price[k]
    number = resting.tags[m, g, i, NUMBER]
    if trade_key < key:
        return take(fates, cursor, settings, m, number, settings[LOTS], tape.time_ns[k], KIND_THROUGH)
    if trade_key > key:
        return False
    resting.tags[m, g, i, OFFSET] -= tape.lots[k]
    front = resting.front[m, g, i] - np.float64(tape.lots[k])
    resting.front[m, g, i] = max(front, 0.0)
    if front >= 0.0:
        return False
    lots = np.int64(min(np.float64(rest_lots(fates, settings, m, number)), np.floor(-front)))
    return lots > 0 and take(fates, cursor, settings, m, number, lots, tape.time_ns[k], KIND_QUEUE)


@njit(cache=True)
def _catch_up(
    resting: Resting, fates: Fates, tape: Tape, cursor: Int64s, settings: Int64s, m: Int, g: Int, si: Int
) -> None:
    """Let the order that has just arrived at the end of list ``m`` meet the trades already met in its window."""
    i = resting.ends[m, g, TAIL] - 1
    arrive = resting.tags[m, g, i, ARRIVE]
    first = cursor[AT_TRADE]
    while first > 0 and tape.time_ns[first - 1] > arrive:
        first -= 1
    if first == cursor[AT_TRADE]:
        return
    if i < resting.ends[m, g, FRESH]:
        resting.ends[m, g, FRESH] = i
    for k in range(first, cursor[AT_TRADE]):
        if tape.time_ns[k] <= arrive + settings[LIFE] and (1 + tape.side[k]) >> 1 == si:
            if _meet(resting, fates, tape, cursor, settings, m, g, i, resting.groups[g, KEY], k):
                resting.ends[m, g, TAIL] = i
                return


@njit(cache=True)
def settle(resting: Resting, fates: Fates, tape: Tape, cursor: Int64s, settings: Int64s, b_ns: Int) -> Bool:
    """Serve orders whose life ends before ``b_ns`` the trades of their life that are still to come; forget them.

    Only where ``seq`` puts a message before a trade of earlier time. Returns whether fill events were added.
    """
    events = cursor[N_EVENTS]
    for si in range(2):
        for at in range(resting.meta[ACTIVE + si] - 1, -1, -1):
            g = resting.ladder[si, at]
            for m in range(resting.ends.shape[0]):
                i = resting.ends[m, g, HEAD]
                while i < resting.ends[m, g, TAIL] and resting.tags[m, g, i, ARRIVE] + settings[LIFE] < b_ns:
                    k = cursor[AT_TRADE]
                    while k < tape.time_ns.size and tape.time_ns[k] <= resting.tags[m, g, i, ARRIVE] + settings[LIFE]:
                        meets = (1 + tape.side[k]) >> 1 == si and tape.time_ns[k] > resting.tags[m, g, i, ARRIVE]
                        if meets and _meet(resting, fates, tape, cursor, settings, m, g, i, resting.groups[g, KEY], k):
                            break
                        k += 1
                    i += 1
                resting.ends[m, g, HEAD] = i
                resting.ends[m, g, FRESH] = max(i, resting.ends[m, g, FRESH])
            close_if_empty(resting, si, at)
    return cursor[N_EVENTS] > events


@njit(cache=True)
def _row_arrives(book: BookState, resting: Resting, fates: Fates, tape: Tape, cursor: Int64s, settings: Int64s) -> Bool:
    """Let both orders of the next row arrive; return False, with nothing done, where they do not fit."""
    row = fates.arrivals[cursor[AT_ROW]]
    bid = fates.limit_ticks[row]
    ask = fates.limit_ticks[settings[ROWS] + row]
    best_bid = best_price(book, 0)
    best_ask = best_price(book, 1)
    buys = best_ask < 0 or best_ask > bid
    sells = best_bid < 0 or best_bid < ask
    groups = (
        group_for(book, resting, 0, bid) if buys else np.int64(-1),
        group_for(book, resting, 1, ask) if sells else np.int64(-1),
    )
    if (buys and groups[0] < 0) or (sells and groups[1] < 0):
        return False
    for si in range(2):
        number = si * settings[ROWS] + row
        g = groups[si]
        for m in range(resting.ends.shape[0]):
            if g < 0:
                fates.fill_kind[m, number] = KIND_REJECTED
            else:
                place(resting, m, g, number, fates.arrive_ns[row])
                _catch_up(resting, fates, tape, cursor, settings, m, g, si)
    cursor[AT_ROW] += 1
    return True


@njit(cache=True)
def arrivals(
    book: BookState,
    resting: Resting,
    fates: Fates,
    states: States,
    tape: Tape,
    cursor: Int64s,
    settings: Int64s,
    bound_ns: Int,
) -> Int:
    """Let every order arrive whose time is before ``bound_ns``, in order of time; return 0 or NO_ROOM."""
    while True:
        row_ns = NEVER
        if cursor[AT_ROW] < settings[ROWS]:
            row_ns = fates.arrive_ns[fates.arrivals[cursor[AT_ROW]]]
        exit_ns = NEVER
        if cursor[Q_ARRIVE] < cursor[N_EVENTS]:
            exit_ns = fates.events[fates.queue[cursor[Q_ARRIVE]], ARRIVE_NS]
        if min(row_ns, exit_ns) >= bound_ns:
            return 0
        if row_ns <= exit_ns:
            if not _row_arrives(book, resting, fates, tape, cursor, settings):
                return NO_ROOM
            continue
        g = exit_arrives(book, resting, fates, states, cursor, settings)
        if g == -2:
            return NO_ROOM
        if g >= 0:
            e = fates.queue[cursor[Q_ARRIVE] - 1]
            _catch_up(
                resting, fates, tape, cursor, settings, fates.events[e, MODEL], g, (1 + fates.events[e, SIDE]) >> 1
            )
