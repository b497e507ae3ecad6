"""The order log: every change of every resting order, in order of execution; off where its capacity is 0.

From the log alone the book follows at any depth and with every queue in it (``replay``), and where any order stands.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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


LOG_ROW = np.dtype(
    [
        ("t_us", np.int64),
        ("order_id", np.int64),
        ("price", np.int64),
        ("lots", np.int64),
        ("kind", np.int8),
        ("side", np.int8),
        ("group", np.int16),
    ],
    align=True,
)  # how the engine keeps a row: one array is one argument of every compiled function it is handed to


def order_log(rows: npt.NDArray[np.void], n: npt.NDArray[np.int64]) -> OrderLog:
    """Return the log whose rows the engine keeps in ``rows`` (``LOG_ROW``); ``n`` int64 (1,) says how many are filled.

    Nothing is copied: what the engine logs afterwards is there too.
    """
    return OrderLog(
        rows["t_us"], rows["kind"], rows["order_id"], rows["side"], rows["price"], rows["lots"], rows["group"], n
    )


def new_order_log(capacity: int) -> OrderLog:
    """Return an empty log for ``capacity`` rows; at 0 nothing is ever logged."""
    return order_log(np.zeros(capacity, LOG_ROW), np.zeros(1, np.int64))


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
