"""The truth clock: book messages and trades merged by matching-engine time, orders arriving and leaving in between.

One forward pass over a chunk of messages, resumable: trades first at equal time, or as ``seq`` says where both have it.
Small functions are inlined into the one loop, and its arrays are borrowed: counting references was most of the time.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.kernel import apply_delta, best_price
from lob_pipeline.book.state import BookState
from lob_pipeline.core.borrow import borrowed
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.arrivals import arrivals, next_exit_ns, next_row_ns, place_row
from lob_pipeline.labels.exits import exits_expire, walk
from lob_pipeline.labels.fates import AT_TRADE, LIFE, LOTS, N_STATES, Q_ARRIVE, Q_EXPIRE, SWEEP_NS, Fates
from lob_pipeline.labels.fills import trade_at
from lob_pipeline.labels.groups import close_if_empty, find, position
from lob_pipeline.labels.late import settle
from lob_pipeline.labels.levels import delta_levels, drop_expired, fill_crossed, replace_levels, sweep_through
from lob_pipeline.labels.messages import DELTA, SKIP, SNAPSHOT, Messages
from lob_pipeline.labels.resting import ACTIVE, KEY, Resting
from lob_pipeline.labels.spec import KIND_THROUGH
from lob_pipeline.labels.states import Bool, Int, Int64s, States, Tape

__all__ = ["DELTA", "SKIP", "SNAPSHOT", "Messages", "advance"]

_SWEEPS = 16  # expired orders are forgotten this often in one order life


@njit(cache=True, forceinline=True)
def _trade(resting: Resting, fates: Fates, tape: Tape, clock: Int64s, k: Int, bound_ns: Int) -> None:
    """Apply trade ``k``: it meets the orders that rest on the side it took from."""
    groups, ladder, ring, meta = resting.groups, resting.ladder, resting.ring, resting.meta
    si = (1 + np.int64(tape.side[k])) >> 1
    key = -np.int64(tape.side[k]) * tape.price[k]
    n = meta[ACTIVE + si]
    if n == 0 or groups[ladder[si, n - 1], KEY] < key:
        return
    t_ns = tape.time_ns[k]
    sweep_through(resting, fates, clock, si, key, t_ns, bound_ns, KIND_THROUGH)
    g = find(groups, ladder, ring, meta, si, key)
    if g >= 0 and trade_at(resting, fates, clock, g, tape.lots[k], t_ns, bound_ns) > 0:
        close_if_empty(groups, ladder, ring, meta, si, position(groups, ladder, meta, si, key))


@njit(cache=True, forceinline=True)
def _let_arrive(
    book: BookState,
    resting: Resting,
    fates: Fates,
    states: States,
    tape: Tape,
    clock: Int64s,
    bound_ns: Int,
    best_bid: Int,
    best_ask: Int,
) -> Bool:
    """As ``arrivals``: plain rows on the spot, the first that is not and what follows it by the call."""
    while True:
        row_ns, exit_ns = next_row_ns(fates.rows, clock), next_exit_ns(fates.events, clock)
        if min(row_ns, exit_ns) >= bound_ns:
            return True
        if row_ns > exit_ns or not place_row(resting, fates.rows, clock, tape.time_ns, best_bid, best_ask):
            return arrivals(book, resting, fates, states, tape, clock, bound_ns)


@njit(cache=True)
def advance(
    book: BookState,
    resting: Resting,
    fates: Fates,
    states: States,
    clock: Int64s,
    tape: Tape,
    d: Messages,
    first: Int,
) -> tuple[Int, Bool]:
    """Run the clock over messages ``first`` … of a chunk and the trades between them.

    Returns (next message, True), or (the message it stopped before, False): grow ``resting`` and call again from there.
    ``states`` must have room for the chunk's messages; the book must be reserved for its rows.
    """
    book, resting, fates, states = borrowed(book), borrowed(resting), borrowed(fates), borrowed(states)
    clock, tape, d = borrowed(clock), borrowed(tape), borrowed(d)
    n_trades = tape.time_ns.size
    best_bid, best_ask = best_price(book, np.int64(0)), best_price(book, np.int64(1))
    i = first
    while i < d.time_ns.size:
        b_ns = d.time_ns[i]
        k = clock[AT_TRADE]
        if k < n_trades:
            t_ns = tape.time_ns[k]
            by_seq = tape.seq[k] >= 0 and d.seq[i] >= 0
            if (tape.seq[k] <= d.seq[i]) if by_seq else (t_ns <= b_ns):
                bound = min(t_ns, b_ns)
                if not _let_arrive(book, resting, fates, states, tape, clock, bound, best_bid, best_ask):
                    return i, False
                _trade(resting, fates, tape, clock, k, bound)
                clock[AT_TRADE] = k + 1
                continue
        if not _let_arrive(book, resting, fates, states, tape, clock, b_ns, best_bid, best_ask):
            return i, False
        while k < n_trades and tape.time_ns[k] < b_ns and settle(resting, fates, tape, clock, b_ns):
            if not arrivals(book, resting, fates, states, tape, clock, b_ns):
                return i, False
        if clock[Q_EXPIRE] < clock[Q_ARRIVE]:
            exits_expire(book, fates.events, clock, b_ns)
        if b_ns >= clock[SWEEP_NS]:
            drop_expired(resting, clock[LIFE], b_ns)
            clock[SWEEP_NS] = b_ns + clock[LIFE] // _SWEEPS
        if d.action[i] != SKIP:
            if d.action[i] == SNAPSHOT:
                replace_levels(book, resting, clock, d, i)
            else:
                delta_levels(resting, clock, d, d.start[i], d.start[i + 1])
                apply_delta(book, d.side, d.price, d.size, d.start[i], d.start[i + 1])
            best_bid, best_ask = best_price(book, np.int64(0)), best_price(book, np.int64(1))
            fill_crossed(resting, fates, clock, best_bid, best_ask, b_ns)
            at = clock[N_STATES]
            states.time_ns[at] = b_ns
            states.bid[at] = best_bid
            states.ask[at] = best_ask
            if clock[LOTS] > 1:
                states.sell_sum[at] = walk(book, np.int64(0), clock[LOTS])
                states.buy_sum[at] = walk(book, np.int64(1), clock[LOTS])
            clock[N_STATES] = at + 1
        i += 1
    return i, True
