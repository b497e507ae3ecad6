"""A recording that names every order, as an order log: so probes can stand in a real queue.

LOBSTER's messages name the orders, its book file shows what lies beyond them: orders from before the recording, and
levels that come into view. What a level shows beyond its known orders stands in one order of unknown make-up, which
was there first. A level that leaves the view is forgotten: nobody knows what happens to it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lob_pipeline.sim.order_log import ADD, AMEND_DOWN, CANCEL, FILL, OrderLog
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE
from lob_pipeline.venues import lobster_view as view
from lob_pipeline.venues.lobster_kernel import DIRECTION, ORDER_ID, PRICE, SIZE, TIME_NS, TYPE

Ints = npt.NDArray[np.int64]

_UNNAMED = 1 << 40  # ids from here on are of the orders that no message named
_KINDS = (view.NEW, view.PARTIAL_CANCEL, view.DELETE, view.EXECUTE)


@dataclass
class RecordedLog:
    """Reads messages and book rows in order; ``log()`` is what they say. ``facts`` counts what had to be assumed.

    ``units``: the file's price units a tick. ``lot``: shares a lot.
    """

    units: int
    lot: int
    midnight_us: int
    facts: dict[str, int] = field(
        default_factory=lambda: {"unnamed_orders": 0, "orders_forgotten": 0, "fills_out_of_turn": 0, "not_found": 0}
    )
    _rows: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    _queues: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)
    _shown: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))

    def read(self, pieces: Iterable[tuple[Ints, Ints]]) -> None:
        """Take messages (n, ≥ 6; columns of ``lobster_kernel``) and the book rows (n, 4·levels) after each of them."""
        columns = (TIME_NS, TYPE, ORDER_ID, SIZE, PRICE, DIRECTION)
        for messages, books in pieces:
            for message, row in zip(messages[:, columns].tolist(), books.tolist(), strict=True):
                t_us = self.midnight_us + message[0] // 1000
                opening = not self._rows and not self._queues  # the first row shows the book after the first message
                if message[1] in _KINDS and not opening:
                    self._apply(t_us, *message[1:])
                self._reconcile(t_us, row)

    def _log(self, t_us: int, kind: int, order_id: int, side: int, price: int, lots: int) -> None:
        queue = self._queues.setdefault((side, price), {})
        self._rows.append((t_us, kind, order_id, side, price, lots))
        if kind == ADD:
            queue[order_id] = lots
        elif queue[order_id] == lots:
            del queue[order_id]
        else:
            queue[order_id] -= lots

    def _apply(self, t_us: int, what: int, order_id: int, size: int, price_units: int, direction: int) -> None:
        side, price, lots = BID_SIDE if direction == 1 else ASK_SIDE, price_units // self.units, size // self.lot
        queue = self._queues.setdefault((side, price), {})
        if what == view.NEW:
            self._shown[side].add(price)
            self._log(t_us, ADD, order_id, side, price, lots)
            return
        if order_id not in queue:
            order_id = next((held for held, left in queue.items() if held >= _UNNAMED and left >= lots), 0)
        if not order_id:
            self.facts["not_found"] += 1
            return
        lots = min(lots, queue[order_id])
        before = []
        if what == view.EXECUTE:
            for held, left in queue.items():
                if held == order_id:
                    break
                before.append((held, left))
            self.facts["fills_out_of_turn"] += bool(before)
            kind = FILL
        else:
            kind = CANCEL if lots == queue[order_id] else AMEND_DOWN
        for held, left in before:  # a log is first-in-first-out: who was passed over stands behind from now on
            self._log(t_us, CANCEL, held, side, price, left)
        self._log(t_us, kind, order_id, side, price, lots)
        for held, left in before:
            self._log(t_us, ADD, held, side, price, left)

    def _reconcile(self, t_us: int, row: list[int]) -> None:
        """Forget the levels that left the view, and fill up those that came into it."""
        for side, first in ((BID_SIDE, 2), (ASK_SIDE, 0)):
            now = {
                row[k + first] // self.units: row[k + first + 1] // self.lot
                for k in range(0, len(row), 4)
                if row[k + first + 1] > 0
            }
            for price in self._shown[side] - now.keys():
                left = self._queues.pop((side, price), {})
                self.facts["orders_forgotten"] += len(left)
                self._rows += [(t_us, CANCEL, held, side, price, lots) for held, lots in left.items()]
            for price in now.keys() - self._shown[side]:
                missing = now[price] - sum(self._queues.get((side, price), {}).values())
                if missing > 0:
                    self.facts["unnamed_orders"] += 1
                    self._log(t_us, ADD, _UNNAMED + self.facts["unnamed_orders"], side, price, missing)
            self._shown[side].clear()
            self._shown[side].update(now)

    def log(self) -> OrderLog:
        """Return the whole recording as one log."""
        t_us, kind, order_id, side, price, lots = np.array(self._rows, np.int64).reshape(-1, 6).T.copy()
        n = len(t_us)
        return OrderLog(
            t_us,
            kind.astype(np.int8),
            order_id,
            side.astype(np.int8),
            price,
            lots,
            np.zeros(n, np.int16),
            np.array([n], np.int64),
        )
