"""The fate of probes, read off the order log: first in, first out, so nothing about it is assumed.

The rules are those of the labels' simulated order (LABELS.md) with the queue known instead of modelled. A probe arrives
after every row of its arrival's time. It is filled by a trade at its price with an order that came later than it (then
nobody stands before it), by a trade through its price, or by an opposite order that comes to rest at or through it.
What a taker drops fills nothing here: a probe takes nothing, and no feed shows it; that it could have is noted.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.spec import KIND_CROSSED, KIND_QUEUE, KIND_REJECTED, KIND_THROUGH
from lob_pipeline.sim.order_log import ADD, DROPPED, FILL, OrderLog
from lob_pipeline.sim.probe_book import MASK, beyond, change
from lob_pipeline.sim.probe_state import (
    AHEAD,
    ARRIVE_NS,
    DONE_LOTS,
    EDGE,
    FAULT,
    FILL_NS,
    FRONT,
    LIVE,
    NEXT,
    PRICE,
    RANK,
    REACHED_NS,
    ROWS,
    SIDE,
    SWEEP_NS,
    N,
    ProbeBook,
    Probes,
    Seen,
)
from lob_pipeline.sim.state import NO_PRICE

_SWEEP_NS = 1_000_000_000


@njit(cache=True)
def _leave(probes: Probes, at: Int) -> None:
    """Take the probe at place ``at`` of the live ones out."""
    meta, live = probes.meta, probes.live
    i = live[at]
    side = probes.given[i, SIDE]
    probes.watched[side, probes.given[i, PRICE] & MASK] -= 1
    meta[LIVE] -= 1
    live[at] = live[meta[LIVE]]
    if probes.given[i, PRICE] == meta[EDGE + side]:
        edge = np.int64(NO_PRICE)
        for k in range(meta[LIVE]):
            j = live[k]
            if probes.given[j, SIDE] == side and (edge == NO_PRICE or beyond(side, probes.given[j, PRICE], edge)):
                edge = probes.given[j, PRICE]
        meta[EDGE + side] = edge


@njit(cache=True)
def _let_arrive(book: ProbeBook, probes: Probes, before_ns: Int) -> None:
    """Let every probe arrive that is due before ``before_ns``."""
    meta = probes.meta
    while meta[NEXT] < meta[N] and probes.given[probes.turn[meta[NEXT]], ARRIVE_NS] < before_ns:
        i = probes.turn[meta[NEXT]]
        meta[NEXT] += 1
        side, price = probes.given[i, SIDE], probes.given[i, PRICE]
        opposite = book.best[1 - side]
        if opposite == price or beyond(1 - side, opposite, price):
            probes.kind[i] = KIND_REJECTED
            continue
        lots = book.lots[side, price & MASK]
        probes.fate[i, AHEAD] = probes.fate[i, FRONT] = lots
        probes.fate[i, RANK] = book.scalars[ROWS]
        probes.live[meta[LIVE]] = i
        meta[LIVE] += 1
        probes.watched[side, price & MASK] += 1
        if meta[EDGE + side] == NO_PRICE or beyond(side, price, meta[EDGE + side]):
            meta[EDGE + side] = price


@njit(cache=True)
def _expire(probes: Probes, life_ns: Int, t_ns: Int) -> None:
    for at in range(probes.meta[LIVE] - 1, -1, -1):
        if probes.given[probes.live[at], ARRIVE_NS] + life_ns < t_ns:
            _leave(probes, at)


@njit(cache=True)
def _fill_beyond(probes: Probes, side: Int, price: Int, at_too: bool, t_ns: Int, q_lots: Int, kind: Int) -> None:
    """Fill every live probe of ``side`` more aggressive than ``price``, with ``at_too`` those at it as well."""
    for at in range(probes.meta[LIVE] - 1, -1, -1):
        i = probes.live[at]
        own = probes.given[i, PRICE]
        if probes.given[i, SIDE] == side and (beyond(side, own, price) or (at_too and own == price)):
            probes.fate[i, DONE_LOTS], probes.fate[i, FILL_NS], probes.kind[i] = q_lots, t_ns, kind
            _leave(probes, at)


@njit(cache=True)
def _removed(probes: Probes, side: Int, price: Int, rank: Int, lots: Int, t_ns: Int, q_lots: Int, traded: bool) -> bool:
    """Tell the probes at a price that ``lots`` of an order left it; return False where the queue had no such order."""
    possible = True
    for at in range(probes.meta[LIVE] - 1, -1, -1):
        i = probes.live[at]
        if probes.given[i, SIDE] != side or probes.given[i, PRICE] != price:
            continue
        fate = probes.fate[i]
        if rank < fate[RANK]:
            fate[FRONT] -= lots
            possible = possible and fate[FRONT] >= 0
        elif traded:
            possible = possible and fate[FRONT] == 0
            fate[DONE_LOTS] = min(q_lots, fate[DONE_LOTS] + lots)
            if fate[DONE_LOTS] == q_lots:
                fate[FILL_NS], probes.kind[i] = t_ns, KIND_QUEUE
                _leave(probes, at)
    return possible


@njit(cache=True)
def _dropped(probes: Probes, side: Int, limit: Int, t_ns: Int) -> None:
    """Note the live probes of ``side`` that a taker with ``limit`` would have met with what it dropped."""
    for at in range(probes.meta[LIVE]):
        i = probes.live[at]
        price = probes.given[i, PRICE]
        within = price == limit or beyond(side, price, limit)
        if within and probes.given[i, SIDE] == side and probes.fate[i, REACHED_NS] < 0:
            probes.fate[i, REACHED_NS] = t_ns


@njit(cache=True)
def follow(book: ProbeBook, probes: Probes, log: OrderLog, life_ns: Int, q_lots: Int, seen: Seen) -> None:
    """Read the log's rows: the probes' fates, the size of each changed level, the best quotes.

    Stops at a row that the book contradicts, whose number (from 0, over all calls) is then in ``scalars[FAULT]``.
    """
    meta = probes.meta
    for r in range(log.n[0]):
        t_ns, kind, side = log.t_us[r] * 1000, log.kind[r], np.int64(log.side[r])
        price, lots = log.price[r], log.lots[r]
        _let_arrive(book, probes, t_ns)
        if t_ns >= meta[SWEEP_NS]:
            _expire(probes, life_ns, t_ns)
            meta[SWEEP_NS] = t_ns + _SWEEP_NS
        if kind == DROPPED:
            _expire(probes, life_ns, t_ns)
            _dropped(probes, side, price, t_ns)
            book.scalars[ROWS] += 1
            continue
        rank: Int = change(book, kind, log.order_id[r], side, price, lots)
        watched = rank >= 0 and (probes.watched[side, price & MASK] > 0)
        crosses = kind == ADD and (meta[EDGE + 1 - side] == price or beyond(1 - side, meta[EDGE + 1 - side], price))
        through = kind == FILL and beyond(side, meta[EDGE + side], price)
        if crosses or through or (watched and kind != ADD):
            _expire(probes, life_ns, t_ns)
            if through:
                _fill_beyond(probes, side, price, False, t_ns, q_lots, KIND_THROUGH)
            if crosses:
                _fill_beyond(probes, 1 - side, price, True, t_ns, q_lots, KIND_CROSSED)
            if watched and kind != ADD and not _removed(probes, side, price, rank, lots, t_ns, q_lots, kind == FILL):
                rank = np.int64(-1)
        if rank < 0:
            book.scalars[FAULT] = book.scalars[ROWS]
            return
        book.scalars[ROWS] += 1
        seen.shown[r] = book.lots[side, price & MASK]
        n = seen.n[0]
        quotes = seen.quotes
        if n == 0 or quotes[n - 1, 1] != book.best[0] or quotes[n - 1, 2] != book.best[1]:
            quotes[n, 0], quotes[n, 1], quotes[n, 2] = t_ns, book.best[0], book.best[1]
            seen.n[0] = n + 1
