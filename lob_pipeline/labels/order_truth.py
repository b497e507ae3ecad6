"""What became of real orders: the truth that queue models are held against, where a recording names every order.

The columns are those of a simulated order's fate (``labels.spec``) as far as they make sense of a real one; the order
was displayed and had its own size, so nothing here is simulated and no queue model is involved.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import Column, Table
from lob_pipeline.labels.spec import KIND_QUEUE, KIND_UNFILLED

Int64s = npt.NDArray[np.int64]

IMPROVES, JOINS, BEHIND = 1, 0, -1

ORDER_TRUTH = Table(
    "order_truth",
    1,
    clocked=False,
    key=("seq",),
    doc="one real order of a recording that names every order",
    columns=(
        Column("seq", doc="number of the message that placed it, from 0"),
        Column("order_id"),
        Column("t_arrive_ns", doc="when it was placed", minimum=0),
        Column("side", "int8", "+1 buy, -1 sell", minimum=-1, maximum=1),
        Column("price_ticks", minimum=1),
        Column("size_lots", minimum=1),
        Column("placement", "int8", "1 improves the best price of its side, 0 joins it, -1 behind it", False, -1, 1),
        Column("queue_ahead_lots", doc="displayed at its price when it came; -1 out of the recording's view"),
        Column("executed", "bool", "at least one lot of it traded"),
        Column("filled", "bool", "all of it traded"),
        Column("filled_lots", minimum=0),
        Column("cancelled_lots", minimum=0),
        Column("first_fill_delay_ns", doc="arrival to its first execution, -1 without"),
        Column("fill_delay_ns", doc="arrival to the execution that completed it, -1 without"),
        Column("fill_kind", "int8", "2 its turn came in the queue, 0 not completely filled", False, 0, 4),
        Column("end_ns", doc="when its last lot traded or was cancelled; -1: not seen, or still resting at the end"),
    ),
)


class OrderMessages(NamedTuple):
    """Messages that name their order, in order of time. ``place`` etc. are masks by what the message does.

    ``queue_ahead_lots`` and ``placement`` matter on placing messages alone; ``known``: the book before the message is.
    """

    seq: Int64s
    ts_ns: Int64s
    order_id: Int64s
    size_lots: Int64s
    price_ticks: Int64s
    side: npt.NDArray[np.int8]
    places: npt.NDArray[np.bool_]
    cancels: npt.NDArray[np.bool_]
    executes: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    placement: npt.NDArray[np.int8]
    queue_ahead_lots: Int64s


def order_truth(m: OrderMessages) -> Columns:
    """Return ``ORDER_TRUTH``: one row an order that was placed while the book before it was known.

    An id that is placed twice names two orders; what follows belongs to the later one.
    """
    placed = np.flatnonzero(m.places)
    by_id = placed[np.lexsort((placed, m.order_id[placed]))]
    ids = m.order_id[by_id]
    out = {n: np.zeros(placed.shape[0], np.int64) for n in ("filled_lots", "cancelled_lots")}
    first = np.full(placed.shape[0], np.iinfo(np.int64).max)
    last = np.full(placed.shape[0], -1, np.int64)
    last_fill = np.full(placed.shape[0], -1, np.int64)
    for name, mask in (("filled_lots", m.executes), ("cancelled_lots", m.cancels)):
        at = np.flatnonzero(mask)
        # The latest placing of the same id before the message: sorted by (id, place), so one search finds it.
        order = _latest(ids, by_id, m.order_id[at], at)
        own = order >= 0
        at, order = at[own], order[own]
        np.add.at(out[name], order, m.size_lots[at])
        np.maximum.at(last, order, m.ts_ns[at])
        if name == "filled_lots":
            np.minimum.at(first, order, m.ts_ns[at])
            np.maximum.at(last_fill, order, m.ts_ns[at])
    back = np.argsort(by_id, kind="stable")  # from order of ids to order of time
    filled_lots, cancelled = out["filled_lots"][back], out["cancelled_lots"][back]
    first, last, last_fill = first[back], last[back], last_fill[back]
    size, ts = m.size_lots[placed], m.ts_ns[placed]
    executed, filled = filled_lots > 0, filled_lots >= size
    columns: Columns = {
        "seq": m.seq[placed],
        "order_id": m.order_id[placed],
        "t_arrive_ns": ts,
        "side": m.side[placed],
        "price_ticks": m.price_ticks[placed],
        "size_lots": size,
        "placement": m.placement[placed],
        "queue_ahead_lots": m.queue_ahead_lots[placed],
        "executed": executed,
        "filled": filled,
        "filled_lots": filled_lots,
        "cancelled_lots": cancelled,
        "first_fill_delay_ns": np.where(executed, first - ts, -1),
        "fill_delay_ns": np.where(filled, last_fill - ts, -1),
        "fill_kind": np.where(filled, KIND_QUEUE, KIND_UNFILLED).astype(np.int8),
        "end_ns": np.where(filled_lots + cancelled >= size, last, -1),
    }
    known = m.known[placed]
    return {name: columns[name][known] for name in ORDER_TRUTH.names}


def _latest(ids: Int64s, placed: Int64s, wanted: Int64s, at: Int64s) -> Int64s:
    """Return for each message the index into ``ids`` of its order, -1 where none was placed before it.

    ``ids`` and ``placed`` are sorted by (id, place).
    """
    if not ids.shape[0]:
        return np.full(wanted.shape[0], -1)
    found = np.searchsorted(ids, wanted, side="right") - 1
    while True:  # an id that is placed again later: step back to the placing before the message
        later = (found >= 0) & (ids[found] == wanted) & (placed[found] > at)
        if not later.any():
            break
        found = np.where(later, found - 1, found)
    return np.where((found >= 0) & (ids[np.maximum(found, 0)] == wanted), found, -1)


def summary(orders: Columns) -> dict[str, Any]:
    """Return what became of the orders by where they were placed: counts of orders."""
    out: dict[str, Any] = {}
    for name, placement in (("improve", IMPROVES), ("join", JOINS), ("behind", BEHIND)):
        mine = orders["placement"] == placement
        filled = np.asarray(orders["filled"], np.bool_)
        ended = np.asarray(orders["end_ns"], np.int64) >= 0
        out[name] = {
            "orders": int(mine.sum()),
            "executed": int((mine & orders["executed"]).sum()),
            "filled": int((mine & filled).sum()),
            "cancelled": int((mine & ended & ~filled).sum()),
            "end_not_seen": int((mine & ~ended).sum()),
        }
    return out
