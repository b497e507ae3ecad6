"""The truth clock: book messages and trades merged by matching-engine time, orders arriving and leaving in between.

One forward pass over a chunk of messages, resumable: trades first at equal time, or as ``seq`` says where both have it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.kernel import apply_delta, best_price, lots_at, replace_book
from lob_pipeline.book.state import BookState
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.arrivals import NEVER, NO_ROOM, arrivals, settle
from lob_pipeline.labels.exits import exits_expire, walk
from lob_pipeline.labels.fates import AT_TRADE, LIFE, LOTS, N_STATES, SWEEP_NS, Fates
from lob_pipeline.labels.fills import fill_group, level_update, on_trade
from lob_pipeline.labels.resting import ACTIVE, ARRIVE, FRESH, HEAD, KEY, TAIL, Resting, close_if_empty, find
from lob_pipeline.labels.spec import KIND_CROSSED
from lob_pipeline.labels.states import Int, Int64s, States, Tape

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
    for si in range(2):
        for at in range(resting.meta[ACTIVE + si] - 1, -1, -1):
            g = resting.ladder[si, at]
            for m in range(resting.ends.shape[0]):
                head = resting.ends[m, g, HEAD]
                tail = resting.ends[m, g, TAIL]
                while head < tail and resting.tags[m, g, head, ARRIVE] + life_ns < bound_ns:
                    head += 1
                resting.ends[m, g, HEAD] = head
                resting.ends[m, g, FRESH] = max(head, resting.ends[m, g, FRESH])
            close_if_empty(resting, si, at)


@njit(cache=True)
def _message(
    book: BookState,
    resting: Resting,
    fates: Fates,
    models: Int64s,
    cursor: Int64s,
    settings: Int64s,
    d: Messages,
    i: Int,
) -> None:
    """Apply message ``i`` to the book and to every order resting at its levels."""
    lo, hi = d.start[i], d.start[i + 1]
    n_buy, n_sell = resting.meta[ACTIVE], resting.meta[ACTIVE + 1]
    if d.action[i] == SNAPSHOT:
        replace_book(book, d.side, d.price, d.size, lo, hi)
        for si in range(2):
            for at in range(resting.meta[ACTIVE + si]):
                g = resting.ladder[si, at]
                level_update(resting, models, g, lots_at(book, si, (1 - 2 * si) * resting.groups[g, KEY]))
    else:
        low_buy = resting.groups[resting.ladder[0, 0], KEY] if n_buy else NEVER
        low_sell = resting.groups[resting.ladder[1, 0], KEY] if n_sell else NEVER
        high_buy = resting.groups[resting.ladder[0, n_buy - 1], KEY] if n_buy else -NEVER
        high_sell = resting.groups[resting.ladder[1, n_sell - 1], KEY] if n_sell else -NEVER
        for r in range(lo, hi):
            side = np.int64(d.side[r])
            key = side * d.price[r]
            if side > 0:
                if key < low_buy or key > high_buy:
                    continue
            elif key < low_sell or key > high_sell:
                continue
            g = find(resting, (1 - side) >> 1, key)
            if g >= 0:
                level_update(resting, models, g, d.size[r])
        apply_delta(book, d.side, d.price, d.size, lo, hi)
    for si in range(2):
        opposite = best_price(book, 1 - si)
        if opposite < 0:
            continue
        reach = (1 - 2 * si) * opposite
        for at in range(resting.meta[ACTIVE + si] - 1, -1, -1):
            g = resting.ladder[si, at]
            if resting.groups[g, KEY] < reach:
                break
            fill_group(resting, fates, cursor, settings, g, d.time_ns[i], d.time_ns[i], KIND_CROSSED)
            close_if_empty(resting, si, at)


@njit(cache=True)
def advance(
    book: BookState,
    resting: Resting,
    fates: Fates,
    states: States,
    models: Int64s,
    cursor: Int64s,
    settings: Int64s,
    tape: Tape,
    d: Messages,
    first: Int,
) -> tuple[Int, Int]:
    """Run the clock over messages ``first`` … of a chunk and the trades between them.

    Returns (next message, 0), or (the message it stopped before, NO_ROOM): grow ``resting`` and call again from there.
    ``states`` must have room for the chunk's messages; the book must be reserved for its rows.
    """
    n = d.time_ns.size
    n_trades = tape.time_ns.size
    i = first
    while i < n:
        b_ns = d.time_ns[i]
        k = cursor[AT_TRADE]
        if k < n_trades:
            t_ns = tape.time_ns[k]
            by_seq = tape.seq[k] >= 0 and d.seq[i] >= 0
            if (tape.seq[k] <= d.seq[i]) if by_seq else (t_ns <= b_ns):
                bound = min(t_ns, b_ns)
                if arrivals(book, resting, fates, states, tape, cursor, settings, bound) != 0:
                    return i, NO_ROOM
                on_trade(
                    resting, fates, cursor, settings, np.int64(tape.side[k]), tape.price[k], tape.lots[k], t_ns, bound
                )
                cursor[AT_TRADE] = k + 1
                continue
        again = np.bool_(True)
        while again:
            if arrivals(book, resting, fates, states, tape, cursor, settings, b_ns) != 0:
                return i, NO_ROOM
            late = k < n_trades and tape.time_ns[k] < b_ns
            again = late and settle(resting, fates, tape, cursor, settings, b_ns)
        exits_expire(book, fates, cursor, settings, b_ns)
        if b_ns >= cursor[SWEEP_NS]:
            _drop_expired(resting, settings[LIFE], b_ns)
            cursor[SWEEP_NS] = b_ns + settings[LIFE] // _SWEEPS
        if d.action[i] != SKIP:
            _message(book, resting, fates, models, cursor, settings, d, i)
            at = cursor[N_STATES]
            states.time_ns[at] = b_ns
            states.bid[at] = best_price(book, 0)
            states.ask[at] = best_price(book, 1)
            if settings[LOTS] > 1:
                states.sell_sum[at] = walk(book, 0, settings[LOTS])
                states.buy_sum[at] = walk(book, 1, settings[LOTS])
            cursor[N_STATES] = at + 1
        i += 1
    return i, 0
