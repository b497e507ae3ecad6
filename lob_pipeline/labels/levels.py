"""What a book message does to resting orders: updates of their levels, and an opposite quote at or through them."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.kernel import lots_at, replace_book
from lob_pipeline.book.state import BookState
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fates import Fates
from lob_pipeline.labels.fills import fill_group, level_update
from lob_pipeline.labels.groups import close_if_empty, find
from lob_pipeline.labels.messages import Messages
from lob_pipeline.labels.resting import ACTIVE, ARRIVE, FRESH, HEAD, KEY, LIST, TAIL, Resting
from lob_pipeline.labels.spec import KIND_CROSSED
from lob_pipeline.labels.states import Int, Int64s


@njit(cache=True)
def sweep_through(
    resting: Resting, fates: Fates, clock: Int64s, si: Int, key: Int, t_ns: Int, bound_ns: Int, kind: Int
) -> None:
    """Fill every group of side ``si`` that is more aggressive than ``key``."""
    groups, ladder, ring, meta = resting.groups, resting.ladder, resting.ring, resting.meta
    for at in range(meta[ACTIVE + si] - 1, -1, -1):
        g = ladder[si, at]
        if groups[g, KEY] <= key:
            return
        fill_group(resting, fates, clock, g, t_ns, bound_ns, kind)
        close_if_empty(groups, ladder, ring, meta, si, at)


@njit(cache=True)
def drop_expired(resting: Resting, life_ns: Int, bound_ns: Int) -> None:
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
def replace_levels(book: BookState, resting: Resting, clock: Int64s, d: Messages, i: Int) -> None:
    """Apply snapshot ``i``: an update of every level that an order rests at."""
    replace_book(book, d.side, d.price, d.size, d.start[i], d.start[i + 1])
    for si in range(2):
        for at in range(resting.meta[ACTIVE + si]):
            g = resting.ladder[si, at]
            now = lots_at(book, si, (1 - 2 * si) * resting.groups[g, KEY])
            level_update(resting.groups, resting.front, resting.tags, clock, g, now)


@njit(cache=True, forceinline=True)
def delta_levels(resting: Resting, clock: Int64s, d: Messages, lo: Int, hi: Int) -> None:
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
def fill_crossed(resting: Resting, fates: Fates, clock: Int64s, best_bid: Int, best_ask: Int, b_ns: Int) -> None:
    """Fill the orders that the opposite quote stands at or through after a message."""
    groups, ladder, meta = resting.groups, resting.ladder, resting.meta
    n_buy, n_sell = meta[ACTIVE], meta[ACTIVE + 1]
    if n_buy > 0 and best_ask >= 0 and groups[ladder[0, n_buy - 1], KEY] >= best_ask:
        sweep_through(resting, fates, clock, np.int64(0), best_ask - 1, b_ns, b_ns, KIND_CROSSED)
    if n_sell > 0 and best_bid >= 0 and groups[ladder[1, n_sell - 1], KEY] >= -best_bid:
        sweep_through(resting, fates, clock, np.int64(1), -best_bid - 1, b_ns, b_ns, KIND_CROSSED)
