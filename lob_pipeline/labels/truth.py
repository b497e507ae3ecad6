"""The truth clock: book messages and trades merged by matching-engine time, orders arriving and leaving in between.

One forward pass over a chunk of messages, resumable: trades first at equal time, or as ``seq`` says where both have it.
What happens at nearly every message is written out in ``advance``, on plain arrays; what is rarer is a call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from lob_pipeline.book.kernel import apply_delta, best_price, lots_at, replace_book
from lob_pipeline.book.state import BookState
from lob_pipeline.labels.arrivals import arrivals, next_exit_ns, next_row_ns, place_row, settle
from lob_pipeline.labels.borrow import borrowed
from lob_pipeline.labels.exits import exits_expire, walk
from lob_pipeline.labels.fates import AT_TRADE, LIFE, LOTS, N_STATES, Q_ARRIVE, Q_EXPIRE, SWEEP_NS, Fates
from lob_pipeline.labels.fills import level_update, sweep_through, trade_at
from lob_pipeline.labels.resting import (
    ACTIVE,
    ARRIVE,
    FRESH,
    HEAD,
    KEY,
    LIST,
    TAIL,
    Resting,
    close_if_empty,
    find,
    position,
)
from lob_pipeline.labels.spec import KIND_CROSSED, KIND_THROUGH
from lob_pipeline.labels.states import Bool, Int, Int64s, States, Tape

SKIP = 0  # not applied: duplicate, stale, before the first whole book, after a gap
DELTA = 1
SNAPSHOT = 2

_SWEEPS = 16  # expired orders are forgotten this often in one order life


class Messages(NamedTuple):
    """Book messages of a chunk (m) and their level rows (n).

    ``start`` int64 (m + 1,); ``time_ns`` int64 (m,) running maximum; ``seq`` int64 (m,) -1 unknown; ``action`` int8
    (m,) SKIP, DELTA or SNAPSHOT; ``side`` int8, ``price``, ``size`` int64 (n,).
    """

    start: Int64s
    time_ns: Int64s
    seq: Int64s
    action: npt.NDArray[np.int8]
    side: npt.NDArray[np.int8]
    price: Int64s
    size: Int64s


@njit(cache=True)
def _drop_expired(resting: Resting, life_ns: Int, bound_ns: Int) -> None:
    """Forget every order whose life ended before ``bound_ns``, and every group left empty."""
    groups, tags = resting.groups, resting.tags
    for si in range(2):
        for at in range(resting.meta[ACTIVE + si] - 1, -1, -1):
            g = resting.ladder[si, at]
            for m in range(tags.shape[0]):
                head = groups[g, HEAD + LIST * m]
                tail = groups[g, TAIL + LIST * m]
                while head < tail and tags[m, g, head, ARRIVE] + life_ns < bound_ns:
                    head += 1
                groups[g, HEAD + LIST * m] = head
                groups[g, FRESH + LIST * m] = max(head, groups[g, FRESH + LIST * m])
            close_if_empty(groups, resting.ladder, resting.ring, resting.meta, si, at)


@njit(cache=True)
def _replace(book: BookState, resting: Resting, clock: Int64s, d: Messages, i: Int) -> None:
    """Apply snapshot ``i``: an update of every level that an order rests at."""
    replace_book(book, d.side, d.price, d.size, d.start[i], d.start[i + 1])
    for si in range(2):
        for at in range(resting.meta[ACTIVE + si]):
            g = resting.ladder[si, at]
            now = lots_at(book, si, (1 - 2 * si) * resting.groups[g, KEY])
            level_update(resting.groups, resting.front, resting.tags, clock, g, now)


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
def _deltas(resting: Resting, clock: Int64s, d: Messages, lo: Int, hi: Int) -> None:
    """Apply the level rows [lo, hi) of a delta to the groups that rest at their prices."""
    groups, ladder, ring, front, tags = resting.groups, resting.ladder, resting.ring, resting.front, resting.tags
    meta, side, price, size = resting.meta, d.side, d.price, d.size
    n_buy, n_sell = meta[ACTIVE], meta[ACTIVE + 1]
    low_buy, high_buy, low_sell, high_sell = np.int64(1), np.int64(0), np.int64(1), np.int64(0)
    if n_buy > 0:
        low_buy, high_buy = groups[ladder[0, 0], KEY], groups[ladder[0, n_buy - 1], KEY]
    if n_sell > 0:
        low_sell, high_sell = groups[ladder[1, 0], KEY], groups[ladder[1, n_sell - 1], KEY]
    for r in range(lo, hi):
        # the sides of a message's rows are as good as random: no branch on them
        s = np.int64(side[r])
        buys = s > 0
        key = s * price[r]
        low = low_buy if buys else low_sell
        high = high_buy if buys else high_sell
        if (key >= low) & (key <= high):
            g = find(groups, ladder, ring, meta, (1 - s) >> 1, key)
            if g >= 0:
                level_update(groups, front, tags, clock, g, size[r])


@njit(cache=True, forceinline=True)
def _crossed(resting: Resting, fates: Fates, clock: Int64s, best_bid: Int, best_ask: Int, b_ns: Int) -> None:
    """Fill the orders that the opposite quote stands at or through after a message."""
    groups, ladder, meta = resting.groups, resting.ladder, resting.meta
    n_buy, n_sell = meta[ACTIVE], meta[ACTIVE + 1]
    if n_buy > 0 and best_ask >= 0 and groups[ladder[0, n_buy - 1], KEY] >= best_ask:
        sweep_through(resting, fates, clock, np.int64(0), best_ask - 1, b_ns, b_ns, KIND_CROSSED)
    if n_sell > 0 and best_bid >= 0 and groups[ladder[1, n_sell - 1], KEY] >= -best_bid:
        sweep_through(resting, fates, clock, np.int64(1), -best_bid - 1, b_ns, b_ns, KIND_CROSSED)


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
    book = BookState(borrowed(book.pages), borrowed(book.slots), borrowed(book.top), borrowed(book.meta))
    resting = Resting(
        borrowed(resting.groups),
        borrowed(resting.ladder),
        borrowed(resting.ring),
        borrowed(resting.front),
        borrowed(resting.tags),
        borrowed(resting.meta),
    )
    fates = Fates(borrowed(fates.fill), borrowed(fates.kind), borrowed(fates.rows), borrowed(fates.events))
    states = States(
        borrowed(states.time_ns),
        borrowed(states.bid),
        borrowed(states.ask),
        borrowed(states.sell_sum),
        borrowed(states.buy_sum),
    )
    tape = Tape(
        borrowed(tape.time_ns), borrowed(tape.seq), borrowed(tape.side), borrowed(tape.price), borrowed(tape.lots)
    )
    d = Messages(
        borrowed(d.start),
        borrowed(d.time_ns),
        borrowed(d.seq),
        borrowed(d.action),
        borrowed(d.side),
        borrowed(d.price),
        borrowed(d.size),
    )
    clock = borrowed(clock)
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
            _drop_expired(resting, clock[LIFE], b_ns)
            clock[SWEEP_NS] = b_ns + clock[LIFE] // _SWEEPS
        if d.action[i] != SKIP:
            if d.action[i] == SNAPSHOT:
                _replace(book, resting, clock, d, i)
            else:
                _deltas(resting, clock, d, d.start[i], d.start[i + 1])
                apply_delta(book, d.side, d.price, d.size, d.start[i], d.start[i + 1])
            best_bid, best_ask = best_price(book, np.int64(0)), best_price(book, np.int64(1))
            _crossed(resting, fates, clock, best_bid, best_ask, b_ns)
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
