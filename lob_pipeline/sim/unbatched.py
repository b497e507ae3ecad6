"""The event-level feed: one book message a change of the order log, in the columns that the labels take.

A recording that hid nothing would look like this. A fill is a trade and, after it, the message with what is left of the
level; both carry the number of that message as ``seq``, which is what orders events of one microsecond. So trades and
sizes never run ahead of each other, and the queue models' bounds hold order by order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.sim.order_log import DROPPED, FILL, OrderLog
from lob_pipeline.sim.state import BID_SIDE

FIRST_ID = 1


class UnbatchedFeed:
    """Turns stretches of one day's order log into columns of ``l2_events`` and of ``trades``.

    The day's first row is stamped a snapshot of one level: what rests at its opening comes as changes, like the rest.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._trades: list[tuple[npt.NDArray[Any], ...]] = []

    def take(self, log: OrderLog, shown_lots: npt.NDArray[np.int64]) -> Columns:
        """Return the messages of a stretch; ``shown_lots`` int64 (rows,): size of the row's level after it.

        Its trades are kept for ``trades``. The arrays are new: the log may be emptied.
        """
        rows = np.flatnonzero(log.kind[: int(log.n[0])] != DROPPED)
        n = len(rows)
        number = np.arange(self._rows, self._rows + n)
        time_ns, side = log.t_us[rows] * 1000, np.where(log.side[rows] == BID_SIDE, 1, -1).astype(np.int8)
        price, lots = log.price[rows], log.lots[rows]
        kind = np.full(n, KIND_DELTA, np.int8)
        if self._rows == 0 and n:
            kind[0] = KIND_SNAPSHOT
        self._rows += n
        fills = np.flatnonzero(log.kind[rows] == FILL)
        self._trades.append((time_ns[fills], number[fills], -side[fills], price[fills], lots[fills]))
        return {
            "ts_event_ns": time_ns,
            "ts_recv_ns": np.zeros(n, np.int64),
            "update_id": FIRST_ID + number,
            "prev_update_id": np.where(kind == KIND_SNAPSHOT, -1, FIRST_ID + number - 1),
            "seq": number,
            "kind": kind,
            "side": side,
            "price_ticks": price,
            "size_lots": shown_lots[rows],
            "first_in_message": np.ones(n, np.bool_),
        }

    def trades(self) -> Columns:
        """Return the trades so far as the labels read them: ``side`` is the taker's."""
        none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), *[np.empty(0, np.int64)] * 2)
        time_ns, seq, side, price, lots = (np.concatenate(column) for column in zip(none, *self._trades, strict=True))
        return {
            "ts_event_ns": time_ns,
            "seq": seq,
            "side": side,
            "price_ticks": price,
            "size_lots": lots,
            "flags": np.zeros(len(time_ns), np.int32),
        }
