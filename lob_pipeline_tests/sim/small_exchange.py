"""Order logs made by a handful of lines of Python: a first-in-first-out exchange for small markets of a few prices."""

from __future__ import annotations

import numpy as np

from lob_pipeline.sim.order_log import ADD, AMEND_DOWN, CANCEL, DROPPED, FILL, OrderLog
from lob_pipeline_tests.naive.probes import ASK, BID, Row

MIDDLE = 1000
Command = tuple[str, int, int, int, int]  # what, side, ticks from the middle, lots or index, µs since the last one


class SmallExchange:
    """Applies commands and writes the log. Several commands, and all rows of one, may share a microsecond."""

    def __init__(self) -> None:
        self.queues: dict[tuple[int, int], list[list[int]]] = {}
        self.rows: list[Row] = []
        self.now_us = 1_000_000
        self.next_id = 7

    def best(self, side: int) -> int | None:
        prices = [price for (s, price), queue in self.queues.items() if s == side and queue]
        return (max(prices) if side == BID else min(prices)) if prices else None

    def _enter(self, side: int, price: int, lots: int, rests: bool) -> None:
        order_id, self.next_id = self.next_id, self.next_id + 1
        other = 1 - side
        while lots:
            best = self.best(other)
            if best is None or (best > price if side == BID else best < price):
                break
            queue = self.queues[other, best]
            fill = min(lots, queue[0][1])
            self.rows.append((self.now_us, FILL, queue[0][0], other, best, fill))
            queue[0][1] -= fill
            lots -= fill
            if queue[0][1] == 0:
                del queue[0]
        if lots and rests:
            self.queues.setdefault((side, price), []).append([order_id, lots])
            self.rows.append((self.now_us, ADD, order_id, side, price, lots))
        elif lots:
            self.rows.append((self.now_us, DROPPED, order_id, other, price, lots))

    def do(self, command: Command) -> None:
        what, side, away, n, wait_us = command
        self.now_us += wait_us
        if what in ("limit", "take"):
            self._enter(side, MIDDLE + away, 1 + n % 7, what == "limit")
            return
        resting = [(at, place) for at, queue in sorted(self.queues.items()) for place in range(len(queue))]
        if not resting:
            return
        at, place = resting[n % len(resting)]
        order_id, lots = self.queues[at][place]
        if what == "amend" and lots > 1:
            self.queues[at][place][1] -= lots // 2
            self.rows.append((self.now_us, AMEND_DOWN, order_id, *at, lots // 2))
        else:
            del self.queues[at][place]
            self.rows.append((self.now_us, CANCEL, order_id, *at, lots))


def as_log(rows: list[Row]) -> OrderLog:
    """Return the rows as an order log."""
    t_us, kind, order_id, side, price, lots = np.array(rows, np.int64).reshape(-1, 6).T
    return OrderLog(
        t_us.copy(),
        kind.astype(np.int8),
        order_id.copy(),
        side.astype(np.int8),
        price.copy(),
        lots.copy(),
        np.zeros(len(rows), np.int16),
        np.array([len(rows)]),
    )


__all__ = ["ASK", "BID", "MIDDLE", "Command", "SmallExchange", "as_log"]
