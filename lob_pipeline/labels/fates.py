"""What became of each order: fill instants, kinds and lots, and one fill event for all that depends on the fill's time.

Orders of one side that fill under one queue model at the same time with the same latency share everything that follows
(markouts, extremes, the exit order): the limit price enters only in the last arithmetic. So a fill event is made once
and referred to. Order numbers: buys are 0 … rows - 1, sells rows … 2·rows - 1, exits follow as 2·rows + event.

Few arrays on purpose: every call into compiled code passes them all, and counts their references.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.labels.spec import KIND_UNFILLED, LabelConfig
from lob_pipeline.labels.states import Bool, Int, Int64s

# fill: columns
FILL_NS = 0  # -1 unfilled
DONE_LOTS = 1
EVENT = 2  # fill event, -1 none

# rows: columns
ARRIVE_NS = 0
LATENCY_NS = 1
LIMIT = 2  # the buy's limit price, then the sell's
ARRIVALS = 4  # not of this row: entry i is the i-th row to arrive
ROW_FIELDS = 5

# events: columns
T_FILL = 0
SIDE = 1  # s of the filled order; the exit is of side -s
MODEL = 2  # index among the queue models that run
LATENCY = 3
EXIT_NS = 4  # t_fill + H + latency: the exit order arrives
EXIT_PRICE = 5  # -1 where the side was empty at t_fill + H
EXIT_LOTS = 6  # lots the exit order filled passively
CROSS_SUM = 7  # Σ price·lots of crossing the rest, -1 where the book was too thin
NOW_SUM = 8  # Σ price·lots of crossing all q at EXIT_NS, -1 where the book was too thin
STATE = 9
QUEUE = 10  # not of this event: entry i is the i-th event by exit arrival
EVENT_WIDTH = 11

WAITING = 0
LIVE = 1
DONE = 2
UNKNOWN = 3  # no price to exit at, or never resolved: no edge

# clock: settings, where the truth clock stands, and the last fill event of each (model, side)
LIFE = 0
HORIZON = 1
LOTS = 2
ROWS = 3
OUTCOMES = 4
KINDS = 5  # the queue models that run, three entries
AT_TRADE = 8
AT_ROW = 9
N_EVENTS = 10
Q_ARRIVE = 11  # next fill event of the queue whose exit order has not arrived
Q_EXPIRE = 12  # next fill event of the queue whose exit order may still be live
SWEEP_NS = 13
N_STATES = 14
LAST = 15
CLOCK_WIDTH = LAST + 6


class Fates(NamedTuple):
    """Orders (N = 2·rows) under M queue models, and fill events (X).

    ``fill`` int64 (M, N, 3): FILL_NS, DONE_LOTS, EVENT; ``kind`` int8 (M, N); ``rows`` int64 (rows, 5); ``events``
    int64 (X, 11).
    """

    fill: Int64s
    kind: npt.NDArray[np.int8]
    rows: Int64s
    events: Int64s

    @property
    def fill_ns(self) -> Int64s:
        """Instant of the complete fill, (M, N), -1 unfilled."""
        return self.fill[:, :, FILL_NS]

    @property
    def fill_kind(self) -> npt.NDArray[np.int8]:
        """Kind of the fill, (M, N)."""
        return self.kind

    @property
    def lots(self) -> Int64s:
        """Lots filled within the order's life, (M, N)."""
        return self.fill[:, :, DONE_LOTS]

    @property
    def arrive_ns(self) -> Int64s:
        """Arrival of each row's orders, (rows,)."""
        return self.rows[:, ARRIVE_NS]


def new_fates(
    models: int, arrive_ns: Int64s, latency_ns: Int64s, bid_ticks: Int64s, ask_ticks: Int64s, outcomes: bool
) -> Fates:
    """Return the fates of two orders a row, none of them decided. ``events`` is memory only where it is written."""
    n = 2 * len(arrive_ns)
    fill = np.empty((models, n, 3), np.int64)
    fill[:] = (-1, 0, -1)
    arrivals = np.argsort(arrive_ns, kind="stable")
    return Fates(
        fill=fill,
        kind=np.full((models, n), KIND_UNFILLED, np.int8),
        rows=np.stack([arrive_ns, latency_ns, bid_ticks, ask_ticks, arrivals], axis=1).astype(np.int64),
        events=np.empty((models * n if outcomes else 0, EVENT_WIDTH), np.int64),
    )


def new_clock(config: LabelConfig, rows: int) -> Int64s:
    """Return the clock's scalars before the first message."""
    clock = np.zeros(CLOCK_WIDTH, np.int64)
    clock[LIFE], clock[HORIZON], clock[LOTS] = config.order_life_ns, config.horizon_ns, config.q_lots
    clock[ROWS], clock[OUTCOMES] = rows, config.outcomes
    clock[KINDS : KINDS + len(config.models)] = config.models
    clock[SWEEP_NS] = -1
    clock[LAST:] = -1
    return clock


@njit(cache=True)
def open_event(events: Int64s, clock: Int64s, m: Int, si: Int, t_ns: Int, lag: Int) -> Int:
    """Return the fill event of (model, side, time, latency): the last one where it is the same, else a new one.

    A new event joins the queue of exit orders, which stays sorted by their arrival.
    """
    last = clock[LAST + 2 * m + si]
    if last >= 0 and events[last, T_FILL] == t_ns and events[last, LATENCY] == lag:
        return last
    e = clock[N_EVENTS]
    clock[N_EVENTS] = e + 1
    arrive = t_ns + clock[HORIZON] + lag
    events[e, T_FILL] = t_ns
    events[e, SIDE] = 1 - 2 * si
    events[e, MODEL] = m
    events[e, LATENCY] = lag
    events[e, EXIT_NS] = arrive
    events[e, EXIT_PRICE] = -1
    events[e, EXIT_LOTS] = 0
    events[e, CROSS_SUM] = -1
    events[e, NOW_SUM] = -1
    events[e, STATE] = WAITING
    at = e
    while at > clock[Q_ARRIVE] and events[events[at - 1, QUEUE], EXIT_NS] > arrive:
        events[at, QUEUE] = events[at - 1, QUEUE]
        at -= 1
    events[at, QUEUE] = e
    clock[LAST + 2 * m + si] = e
    return e


@njit(cache=True)
def take(fates: Fates, clock: Int64s, m: Int, number: Int, lots: Int, t_ns: Int, kind: Int) -> Bool:
    """Fill up to ``lots`` of what order ``number`` has left at time ``t_ns``; return whether it is complete."""
    n = 2 * clock[ROWS]
    q = clock[LOTS]
    if number >= n:
        e = number - n
        fates.events[e, EXIT_LOTS] = min(q, fates.events[e, EXIT_LOTS] + lots)
        if fates.events[e, EXIT_LOTS] < q:
            return False
        fates.events[e, STATE] = DONE
        return True
    fates.fill[m, number, DONE_LOTS] = min(q, fates.fill[m, number, DONE_LOTS] + lots)
    if fates.fill[m, number, DONE_LOTS] < q:
        return False
    fates.fill[m, number, FILL_NS] = t_ns
    fates.kind[m, number] = kind
    if clock[OUTCOMES] == 1:
        si = np.int64(number >= clock[ROWS])
        lag = fates.rows[number - si * clock[ROWS], LATENCY_NS]
        fates.fill[m, number, EVENT] = open_event(fates.events, clock, m, si, t_ns, lag)
    return True
