"""Price-time matching as the textbook has it: a list of orders a price, looked at from the front."""

from __future__ import annotations

from dataclasses import dataclass, field

BID, ASK = 0, 1
LIMIT, POST_ONLY, IMMEDIATE, MARKET = 0, 1, 2, 3


@dataclass
class Order:
    """A resting order."""

    order_id: int
    lots: int


@dataclass
class NaiveMatching:
    """``book[side][price]`` is the queue, oldest first. ``trades``: (taker side ±1, price, lots, maker, taker id)."""

    book: tuple[dict[int, list[Order]], dict[int, list[Order]]] = field(default_factory=lambda: ({}, {}))
    trades: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    next_id: int = 0

    def best(self, side: int) -> int | None:
        """Return the best price of a side."""
        prices = self.book[side]
        return None if not prices else (max(prices) if side == BID else min(prices))

    def submit(self, side: int, price: int, lots: int, mode: int) -> int | None:
        """Return the id under which the order rests, None when it does not; a refused order takes no id."""

        def crosses() -> bool:
            best = self.best(1 - side)
            return best is not None and (mode == MARKET or (price >= best if side == BID else price <= best))

        if lots <= 0 or (mode == POST_ONLY and crosses()):
            return None
        order_id, self.next_id = self.next_id, self.next_id + 1
        while lots > 0 and crosses():
            at = self.best(1 - side)
            assert at is not None
            queue = self.book[1 - side][at]
            fill = min(lots, queue[0].lots)
            self.trades.append((1 if side == BID else -1, at, fill, queue[0].order_id, order_id))
            lots -= fill
            queue[0].lots -= fill
            if queue[0].lots == 0:
                queue.pop(0)
            if not queue:
                del self.book[1 - side][at]
        if lots == 0 or mode in (IMMEDIATE, MARKET):
            return None
        self.book[side].setdefault(price, []).append(Order(order_id, lots))
        return order_id

    def cancel(self, order_id: int) -> int:
        """Take an order out and return the lots it still had."""
        for prices in self.book:
            for price, queue in prices.items():
                for order in queue:
                    if order.order_id == order_id:
                        queue.remove(order)
                        if not queue:
                            del prices[price]
                        return order.lots
        raise KeyError(order_id)

    def amend(self, order_id: int, price: int, lots: int, mode: int) -> int | None:
        """Return the id under which the order rests afterwards, None when it all traded; a refusal changes nothing."""
        side, at, order = next(
            (side, at, order)
            for side in (BID, ASK)
            for at, queue in self.book[side].items()
            for order in queue
            if order.order_id == order_id
        )
        other = self.best(1 - side)
        crosses = other is not None and (price >= other if side == BID else price <= other)
        if lots <= 0 or (mode == POST_ONLY and crosses):
            return order_id
        if price == at and lots <= order.lots:
            order.lots = lots
            return order_id
        self.cancel(order_id)
        return self.submit(side, price, lots, mode)

    def queues(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """Return every queue as (side, price) -> [(id, lots), oldest first]."""
        return {
            (side, price): [(o.order_id, o.lots) for o in queue]
            for side in (BID, ASK)
            for price, queue in self.book[side].items()
        }
