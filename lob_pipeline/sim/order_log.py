"""The order log: every change of every resting order, in order of execution; off where its capacity is 0.

From the log alone the book follows at any depth and with every queue in it (``replay``), and where any order stands.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit

ADD, CANCEL, FILL, AMEND_DOWN, DROPPED = 0, 1, 2, 3, 4
Queue = list[tuple[int, int]]


class OrderLog(NamedTuple):
    """One row a change; ``n[0]`` are filled.

    ``t_us`` int64: when, never falling. ``kind`` int8: ``ADD`` at the end of its queue, ``CANCEL``, ``FILL`` by a
    taker, ``AMEND_DOWN`` (smaller at its place). ``order_id`` int64, ``side`` int8 (``BID_SIDE``, ``ASK_SIDE``),
    ``price`` int64 in ticks and ``group`` int16 (who entered it) are the resting order's. ``lots`` int64, above 0:
    added by ``ADD``, removed by the others; a complete fill has no ``CANCEL``. The ``FILL`` rows are the trades of the
    tape, one for one. ``DROPPED`` changes no order: a taker (its id and group) found too little on ``side`` up to its
    limit ``price`` and dropped ``lots``.
    """

    t_us: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int8]
    order_id: npt.NDArray[np.int64]
    side: npt.NDArray[np.int8]
    price: npt.NDArray[np.int64]
    lots: npt.NDArray[np.int64]
    group: npt.NDArray[np.int16]
    n: npt.NDArray[np.int64]


def new_order_log(capacity: int) -> OrderLog:
    """Return an empty log for ``capacity`` rows; at 0 nothing is ever logged."""
    wide = [np.zeros(capacity, np.int64) for _ in range(4)]
    kind, side = np.zeros(capacity, np.int8), np.zeros(capacity, np.int8)
    return OrderLog(
        wide[0], kind, wide[1], side, wide[2], wide[3], np.zeros(capacity, np.int16), np.zeros(1, np.int64)
    )


@njit(cache=True)
def log_row(log: OrderLog, t_us: int, kind: int, order_id: int, side: int, price: int, lots: int, group: int) -> None:
    """Append one row; the caller keeps room (``order_log_is_full``)."""
    n = log.n[0]
    log.t_us[n], log.kind[n], log.order_id[n] = t_us, kind, order_id
    log.side[n], log.price[n], log.lots[n], log.group[n] = side, price, lots, group
    log.n[0] = n + 1


@njit(cache=True)
def order_log_is_full(log: OrderLog, room: int) -> bool:
    """Return whether fewer than ``room`` rows are left; never where the log is off."""
    return 0 < log.t_us.size < log.n[0] + room


def replay(log: OrderLog, book: dict[tuple[int, int], Queue], rows: slice) -> None:
    """Apply ``rows`` of the log to ``book``: (side, price in ticks) -> [(order id, lots), oldest first].

    Plain Python, the definition of what a row means (``DROPPED``: nothing to the book). Raises ``ValueError`` for a row
    that the book contradicts: a removal of an order that is not there or of more than it has, a fill of one that is
    not first in its queue.
    """
    for kind, order_id, side, price, lots in zip(
        log.kind[rows].tolist(),
        log.order_id[rows].tolist(),
        log.side[rows].tolist(),
        log.price[rows].tolist(),
        log.lots[rows].tolist(),
        strict=True,
    ):
        if kind == DROPPED:
            continue
        if kind == ADD:
            book.setdefault((side, price), []).append((order_id, lots))
            continue
        queue = book.get((side, price), [])
        place = [held for held, _ in queue].index(order_id)  # ValueError where it is not
        left = queue[place][1] - lots
        if left < 0 or (kind == FILL and place > 0) or (kind == AMEND_DOWN and left == 0) or (kind == CANCEL and left):
            raise ValueError(f"order {order_id}: row of kind {kind} takes {lots} lots of place {place}, {left} left")
        if left:
            queue[place] = (order_id, left)
        else:
            del queue[place]
        if not queue:
            del book[side, price]
