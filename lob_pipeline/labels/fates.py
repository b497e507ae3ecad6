"""What became of each order: fill instants, kinds and lots, and one fill event for all that depends on the fill's time.

Orders of one side that fill under one queue model at the same time with the same latency share everything that follows
(markouts, extremes, the exit order): the limit price enters only in the last arithmetic. So a fill event is made once
and referred to. Order numbers: buys are 0 … rows - 1, sells rows … 2·rows - 1, exits follow as 2·rows + event.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from lob_pipeline.labels.spec import KIND_UNFILLED
from lob_pipeline.labels.states import Bool, Int, Int64s

# events: columns
T_FILL = 0
SIDE = 1  # s of the filled order; the exit is of side -s
MODEL = 2  # index among the queue models that run
LATENCY = 3
ARRIVE_NS = 4  # t_fill + H + latency: the exit order arrives
EXIT_PRICE = 5  # -1 where the side was empty at t_fill + H
EXIT_LOTS = 6  # lots the exit order filled passively
CROSS_SUM = 7  # Σ price·lots of crossing the rest, -1 where the book was too thin
NOW_SUM = 8  # Σ price·lots of crossing all q at ARRIVE_NS, -1 where the book was too thin
STATE = 9
EVENT_WIDTH = 10

WAITING = 0
LIVE = 1
DONE = 2
UNKNOWN = 3  # no price to exit at, or never resolved: no edge

# settings: the scalars of LabelConfig the kernels read
LIFE = 0
HORIZON = 1
LOTS = 2
ROWS = 3
OUTCOMES = 4
SETTINGS = 5

# cursor: where the truth clock stands
AT_TRADE = 0
AT_ROW = 1
N_EVENTS = 2
Q_ARRIVE = 3  # next fill event of the queue whose exit order has not arrived
Q_EXPIRE = 4  # next fill event of the queue whose exit order may still be live
SWEEP_NS = 5
N_STATES = 6
CURSOR = 7


class Fates(NamedTuple):
    """Orders (N = 2·rows) under M queue models, and fill events (X).

    ``fill_ns`` int64 (M, N), -1 unfilled; ``fill_kind`` int8 (M, N); ``lots`` int64 (M, N); ``event`` int32 (M, N), -1
    none; ``arrive_ns``, ``latency_ns`` int64 (rows,); ``limit_ticks`` int64 (N,); ``arrivals`` int64 (rows,) rows by
    arrival; ``events`` int64 (X, 10); ``queue`` int64 (X,) events by exit arrival; ``last`` int64 (M, 2).
    """

    fill_ns: Int64s
    fill_kind: npt.NDArray[np.int8]
    lots: Int64s
    event: npt.NDArray[np.int32]
    arrive_ns: Int64s
    latency_ns: Int64s
    limit_ticks: Int64s
    arrivals: Int64s
    events: Int64s
    queue: Int64s
    last: Int64s


def new_fates(
    models: int,
    arrive_ns: Int64s,
    latency_ns: Int64s,
    bid_ticks: Int64s,
    ask_ticks: Int64s,
    outcomes: bool,
) -> Fates:
    """Return the fates of two orders a row, none of them decided. ``events`` is memory only where it is written."""
    n = 2 * len(arrive_ns)
    room = models * n if outcomes else 0
    return Fates(
        fill_ns=np.full((models, n), -1, np.int64),
        fill_kind=np.full((models, n), KIND_UNFILLED, np.int8),
        lots=np.zeros((models, n), np.int64),
        event=np.full((models, n), -1, np.int32),
        arrive_ns=arrive_ns,
        latency_ns=latency_ns,
        limit_ticks=np.concatenate([bid_ticks, ask_ticks]),
        arrivals=np.argsort(arrive_ns, kind="stable").astype(np.int64),
        events=np.empty((room, EVENT_WIDTH), np.int64),
        queue=np.empty(room, np.int64),
        last=np.full((models, 2), -1, np.int64),
    )


@njit(cache=True)
def open_event(fates: Fates, cursor: Int64s, settings: Int64s, m: Int, si: Int, t_ns: Int, lag: Int) -> Int:
    """Return the fill event of (model, side, time, latency): the last one where it is the same, else a new one.

    A new event joins the queue of exit orders, which stays sorted by their arrival.
    """
    last = fates.last[m, si]
    if last >= 0 and fates.events[last, T_FILL] == t_ns and fates.events[last, LATENCY] == lag:
        return last
    e = cursor[N_EVENTS]
    cursor[N_EVENTS] = e + 1
    arrive = t_ns + settings[HORIZON] + lag
    fates.events[e, T_FILL] = t_ns
    fates.events[e, SIDE] = 1 - 2 * si
    fates.events[e, MODEL] = m
    fates.events[e, LATENCY] = lag
    fates.events[e, ARRIVE_NS] = arrive
    fates.events[e, EXIT_PRICE] = -1
    fates.events[e, EXIT_LOTS] = 0
    fates.events[e, CROSS_SUM] = -1
    fates.events[e, NOW_SUM] = -1
    fates.events[e, STATE] = WAITING
    at = e
    while at > cursor[Q_ARRIVE] and fates.events[fates.queue[at - 1], ARRIVE_NS] > arrive:
        fates.queue[at] = fates.queue[at - 1]
        at -= 1
    fates.queue[at] = e
    fates.last[m, si] = e
    return e


@njit(cache=True)
def take(
    fates: Fates,
    cursor: Int64s,
    settings: Int64s,
    m: Int,
    number: Int,
    lots: Int,
    t_ns: Int,
    kind: Int,
) -> Bool:
    """Fill up to ``lots`` of what order ``number`` has left at time ``t_ns``; return whether it is complete."""
    n = 2 * settings[ROWS]
    q = settings[LOTS]
    if number >= n:
        e = number - n
        fates.events[e, EXIT_LOTS] = min(q, fates.events[e, EXIT_LOTS] + lots)
        if fates.events[e, EXIT_LOTS] < q:
            return False
        fates.events[e, STATE] = DONE
        return True
    fates.lots[m, number] = min(q, fates.lots[m, number] + lots)
    if fates.lots[m, number] < q:
        return False
    fates.fill_ns[m, number] = t_ns
    fates.fill_kind[m, number] = kind
    if settings[OUTCOMES] == 1:
        si = np.int64(number >= settings[ROWS])
        lag = fates.latency_ns[number - si * settings[ROWS]]
        fates.event[m, number] = open_event(fates, cursor, settings, m, si, t_ns, lag)
    return True


@njit(cache=True)
def rest_lots(fates: Fates, settings: Int64s, m: Int, number: Int) -> Int:
    """Return the lots order ``number`` has left."""
    n = 2 * settings[ROWS]
    done = fates.events[number - n, EXIT_LOTS] if number >= n else fates.lots[m, number]
    return settings[LOTS] - done
