"""Books made of Python or Cython objects: a SortedDict a side, and nautilus_trader's OrderBook."""

from __future__ import annotations

import time
from itertools import islice, pairwise
from typing import Any

from serve import Workload, workload


def _messages(load: Workload, limit: int) -> list[list[tuple[int, int, int]]]:
    key = f"messages{limit}"
    if key not in load.cache:
        starts = load.message_starts()[: limit + 1]
        side, price, size = (load.book[n].tolist() for n in ("side", "price", "size"))
        load.cache[key] = [[(side[i], price[i], size[i]) for i in range(a, b)] for a, b in pairwise(starts)]
    return load.cache[key]


def sorted_dict(request: dict[str, Any]) -> dict[str, Any]:
    """Apply messages to two SortedDicts and read ten levels a side after each."""
    from sortedcontainers import SortedDict

    load = workload(request)
    messages = _messages(load, request["messages"])
    bids, asks = SortedDict(), SortedDict()
    seen = rows = 0
    started = time.process_time()
    for message in messages:
        for side, price, size in message:
            book, key = (bids, -price) if side > 0 else (asks, price)
            if size:
                book[key] = size
            else:
                book.pop(key, None)
        rows += len(message)
        seen += len(list(islice(bids.items(), 10))) + len(list(islice(asks.items(), 10)))
    return {"seconds": time.process_time() - started, "rows": rows, "seen": seen}


def nautilus(request: dict[str, Any]) -> dict[str, Any]:
    """Apply messages to nautilus_trader's OrderBook (prebuilt delta objects), best prices read after each."""
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
    from nautilus_trader.model.enums import BookAction, BookType, OrderSide, RecordFlag
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.model.objects import Price, Quantity

    load = workload(request)
    instrument = InstrumentId.from_str("BTCUSDT.SIM")
    key = f"nautilus{request['messages']}"
    if key not in load.cache:
        digits = max(0, len(f"{load.tick:.10f}".rstrip("0").split(".")[1]))
        lot_digits = max(0, len(f"{load.lot:.10f}".rstrip("0").split(".")[1]))
        made = []
        for n, message in enumerate(_messages(load, request["messages"])):
            deltas = []
            for i, (side, price, size) in enumerate(message):
                order = BookOrder(
                    OrderSide.BUY if side > 0 else OrderSide.SELL,
                    Price(price * load.tick, digits),
                    Quantity(size * load.lot, lot_digits),
                    0,
                )
                last = RecordFlag.F_LAST if i == len(message) - 1 else 0
                action = BookAction.UPDATE if size else BookAction.DELETE
                deltas.append(OrderBookDelta(instrument, action, order, last, n, n, n))
            made.append(OrderBookDeltas(instrument, deltas))
        load.cache[key] = made
    book = OrderBook(instrument, BookType.L2_MBP)
    rows = 0
    started = time.process_time()
    for deltas in load.cache[key]:
        book.apply_deltas(deltas)
        book.best_bid_price()
        book.best_ask_price()
    seconds = time.process_time() - started
    rows = int(load.message_starts()[: request["messages"] + 1][-1])
    return {"seconds": seconds, "rows": rows}


TASKS = {"sorted_dict": sorted_dict, "nautilus": nautilus}
