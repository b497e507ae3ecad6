"""One probe at a time in plain Python: the queue it stands in is a list, and the probe is an entry of that list."""

from __future__ import annotations

from dataclasses import dataclass

from lob_pipeline.sim.order_log import ADD, DROPPED, FILL

BID, ASK = 0, 1
PROBE = "probe"
UNFILLED, THROUGH, QUEUE, CROSSED, REJECTED = 0, 1, 2, 3, 4
Row = tuple[int, int, int, int, int, int]  # t_us, kind, order_id, side, price, lots


@dataclass
class Fate:
    """What became of a probe."""

    kind: int = UNFILLED
    ahead: int = -1
    fill_ns: int = -1
    lots: int = 0
    reached_ns: int = -1


def _remove(queue: list[list[object]], order_id: int, lots: int) -> int:
    """Take lots off an order of a queue; return its place."""
    place = [held for held, _ in queue].index(order_id)
    left = int(queue[place][1]) - lots  # type: ignore[call-overload]
    assert left >= 0
    if left:
        queue[place][1] = left
    else:
        del queue[place]
    return place


def probe_fate(rows: list[Row], arrive_ns: int, side: int, price: int, life_ns: int, q_lots: int = 1) -> Fate:
    """Return what becomes of a probe of ``side`` at ``price`` that arrives after every row of time ``arrive_ns``."""
    book: dict[tuple[int, int], list[list[object]]] = {}
    fate = Fate()
    arrived = False
    for t_us, kind, order_id, row_side, row_price, lots in rows:
        t_ns = t_us * 1000
        if not arrived and t_ns > arrive_ns:
            arrived = True
            others = [p for (s, p), queue in book.items() if s != side and queue]
            if others and (min(others) <= price if side == BID else max(others) >= price):
                return Fate(REJECTED)
            queue = book.setdefault((side, price), [])
            fate.ahead = sum(int(size) for _, size in queue)  # type: ignore[call-overload]
            queue.append([PROBE, 0])
        if arrived and t_ns > arrive_ns + life_ns:
            return fate
        if kind == DROPPED:
            within = row_price <= price if side == BID else row_price >= price
            if arrived and row_side == side and within and fate.reached_ns < 0:
                fate.reached_ns = t_ns
            continue
        queue = book.setdefault((row_side, row_price), [])
        if kind == ADD:
            queue.append([order_id, lots])
            meets = row_side != side and (row_price <= price if side == BID else row_price >= price)
        else:
            place = _remove(queue, order_id, lots)
            own_side = row_side == side
            meets = kind == FILL and own_side and (row_price < price if side == BID else row_price > price)
            if arrived and kind == FILL and own_side and row_price == price:
                before = [held for held, _ in queue[:place]]
                if PROBE in before:
                    assert before == [PROBE], "only the probe may stand before an order that trades"
                    fate.lots = min(q_lots, fate.lots + lots)
                    if fate.lots == q_lots:
                        fate.kind, fate.fill_ns = QUEUE, t_ns
                        return fate
        if arrived and meets:
            return Fate(CROSSED if kind == ADD else THROUGH, fate.ahead, t_ns, q_lots, fate.reached_ns)
    return fate
