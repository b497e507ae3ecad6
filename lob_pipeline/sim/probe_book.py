"""A book read off the order log: levels, best prices, and the row that entered each order. Integers only."""

from __future__ import annotations

from lob_pipeline.book.bits import Int
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.states import Bool
from lob_pipeline.sim.order_log import ADD
from lob_pipeline.sim.probe_state import NO_ORDER, ROWS, TABLE, Ints, ProbeBook
from lob_pipeline.sim.state import ASK_SIDE, NO_PRICE, WINDOW

MASK = WINDOW - 1
_PLACES = TABLE - 1


@njit(cache=True)
def _find(ids: Ints, order_id: Int) -> Int:
    """Return the place of ``order_id``, or the free place where it would go."""
    at = order_id & _PLACES
    while ids[at] != NO_ORDER and ids[at] != order_id:
        at = (at + 1) & _PLACES
    return at


@njit(cache=True)
def _forget(book: ProbeBook, at: Int) -> None:
    """Free place ``at`` and move up what had to stand behind it (Knuth, TAOCP 6.4, algorithm R)."""
    ids = book.ids
    ids[at] = NO_ORDER
    after = (at + 1) & _PLACES
    while ids[after] != NO_ORDER:
        if (after - (ids[after] & _PLACES)) & _PLACES >= (after - at) & _PLACES:
            ids[at], book.rank[at], book.left[at] = ids[after], book.rank[after], book.left[after]
            ids[after] = NO_ORDER
            at = after
        after = (after + 1) & _PLACES


@njit(cache=True)
def beyond(side: Int, price: Int, other: Int) -> Bool:
    """Return whether ``price`` is strictly more aggressive on ``side`` than ``other``; never where there is none."""
    if price == NO_PRICE:
        return False
    return price < other if side == ASK_SIDE else price > other


@njit(cache=True)
def change(book: ProbeBook, kind: Int, order_id: Int, side: Int, price: Int, lots: Int) -> Int:
    """Apply one row to the book; return the row that entered its order, -1 where the book contradicts it."""
    at = _find(book.ids, order_id)
    key = price & MASK
    if kind == ADD:
        if book.ids[at] != NO_ORDER:
            return -1
        book.ids[at], book.rank[at], book.left[at] = order_id, book.scalars[ROWS], lots
        book.lots[side, key] += lots
        if book.best[side] == NO_PRICE or beyond(side, price, book.best[side]):
            book.best[side] = price
        return book.rank[at]
    if book.ids[at] == NO_ORDER or book.left[at] < lots or book.lots[side, key] < lots:
        return -1
    rank = book.rank[at]
    book.left[at] -= lots
    if book.left[at] == 0:
        _forget(book, at)
    book.lots[side, key] -= lots
    if book.lots[side, key] == 0 and book.best[side] == price:
        step = 1 if side == ASK_SIDE else -1
        book.best[side] = NO_PRICE
        for away in range(1, WINDOW):
            if book.lots[side, (price + step * away) & MASK] > 0:
                book.best[side] = price + step * away
                break
    return rank
