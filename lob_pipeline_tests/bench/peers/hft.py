"""hftbacktest 2.4.4: applying a feed to its depths, advancing it a grid step at a time, and passive orders."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    GTX,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit
from serve import Workload, workload

FILLED = 3
_MARGIN_TICKS = 2_000


def feed(load: Workload, flags: int) -> np.ndarray:
    """The workload as hftbacktest events with ``flags`` set, trades before the book at equal time, sorted by time."""
    key = f"feed{flags}"
    if key not in load.cache:
        b, t = load.book, load.trades
        parts = []
        for columns, kinds in ((t, None), (b, b["kind"])):
            out = np.zeros(columns["ts"].size, event_dtype)
            side = np.where(columns["side"] > 0, BUY_EVENT, SELL_EVENT).astype(np.uint64)
            if kinds is None:
                what = np.full(side.size, TRADE_EVENT, np.uint64)
            else:
                what = np.where(kinds == 1, DEPTH_SNAPSHOT_EVENT, DEPTH_EVENT).astype(np.uint64)
            out["ev"] = what | side | np.uint64(flags)
            out["exch_ts"] = out["local_ts"] = columns["ts"]
            out["px"] = columns["price"] * load.tick
            out["qty"] = columns["size"] * load.lot
            parts.append(out)
        whole = np.concatenate(parts)
        load.cache[key] = whole[np.argsort(whole["exch_ts"], kind="stable")]
    return load.cache[key]


def backtest(load: Workload, flags: int, depth: str, queue: str = "risk_adverse") -> Any:
    """A backtest over the workload; the latency of an order is 50 ms."""
    prices = load.book["price"]
    asset = (
        BacktestAsset()
        .data([feed(load, flags)])
        .linear_asset(1.0)
        .constant_order_latency(50_000_000, 0)
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0002, 0.00055)
        .tick_size(load.tick)
        .lot_size(load.lot)
        .last_trades_capacity(0)
    )
    asset = asset.risk_adverse_queue_model() if queue == "risk_adverse" else asset.log_prob_queue_model2()
    if depth == "roivec":
        asset = asset.roi_lb((int(prices.min()) - _MARGIN_TICKS) * load.tick)
        asset = asset.roi_ub((int(prices.max()) + _MARGIN_TICKS) * load.tick)
        return ROIVectorMarketDepthBacktest([asset])
    return HashMapMarketDepthBacktest([asset])


@njit
def _advance(hbt: Any, step_ns: int) -> int:
    """Advance the feed a step at a time and touch the best bid, so that nothing is optimised away."""
    steps = 0
    seen = 0.0
    while hbt.elapse(step_ns) == 0:
        steps += 1
        seen += hbt.depth(0).best_bid
    return steps if seen > 0 else 0


@njit
def _advance_top10(hbt: Any, step_ns: int, out: np.ndarray) -> int:
    """Advance a step at a time and write the ten best levels of each side, as our book does after a message."""
    steps = 0
    while hbt.elapse(step_ns) == 0:
        steps += 1
        depth = hbt.depth(0)
        tick, found = depth.best_bid_tick, 0
        while found < 10 and tick > 0:
            size = depth.bid_qty_at_tick(tick)
            if size > 0:
                out[0, found], out[1, found] = tick, size
                found += 1
            tick -= 1
        tick, found = depth.best_ask_tick, 0
        stop = tick + 100_000
        while found < 10 and tick < stop:
            size = depth.ask_qty_at_tick(tick)
            if size > 0:
                out[2, found], out[3, found] = tick, size
                found += 1
            tick += 1
    return steps


@njit
def _orders(hbt: Any, step_ns: int, life_ns: int, qty: float, limit: int, filled: np.ndarray) -> int:
    """Post one buy at the best bid and one sell at the best ask every step, take back what is older than its life."""
    life = life_ns // step_ns
    n = 0
    while hbt.elapse(step_ns) == 0 and n < limit:
        depth = hbt.depth(0)
        hbt.submit_buy_order(0, 2 * n, depth.best_bid, qty, GTX, LIMIT, False)
        hbt.submit_sell_order(0, 2 * n + 1, depth.best_ask, qty, GTX, LIMIT, False)
        if n >= life:
            for side in range(2):
                old = 2 * (n - life) + side
                order = hbt.orders(0).get(old)
                if order is not None:
                    if order.status == FILLED:
                        filled[old] = 1
                    elif order.cancellable:
                        hbt.cancel(0, old, False)
        if n % 64 == 63:
            values = hbt.orders(0).values()
            while values.has_next():
                order = values.get()
                if order.status == FILLED and order.order_id < filled.shape[0]:
                    filled[order.order_id] = 1
            hbt.clear_inactive_orders(0)
        n += 1
    return 2 * n


def advance(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds to advance the whole feed by grid steps with nothing else done."""
    load = workload(request)
    hbt = backtest(load, EXCH_EVENT | LOCAL_EVENT, "roivec")
    started = time.process_time()
    steps = _advance(hbt, request["step_ns"])
    return {"seconds": time.process_time() - started, "steps": int(steps)}


def book(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds to apply the feed to one depth and read ten levels a side a step. Local events only: one depth."""
    load = workload(request)
    hbt = backtest(load, LOCAL_EVENT, request["depth"])
    out = np.zeros((4, 10))
    started = time.process_time()
    steps = _advance_top10(hbt, request["step_ns"], out)
    return {"seconds": time.process_time() - started, "steps": int(steps), "rows": int(load.book["ts"].size)}


def orders(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds for two passive orders a grid step, each alive 30 s, with one queue model and no outcomes."""
    load = workload(request)
    hbt = backtest(load, EXCH_EVENT | LOCAL_EVENT, "roivec", request.get("queue", "risk_adverse"))
    limit = int(request.get("limit", 1 << 40))
    steps = int(np.ptp(load.book["ts"]) // request["step_ns"]) + 2
    filled = np.zeros(2 * steps, np.uint8)
    started = time.process_time()
    n = _orders(hbt, request["step_ns"], request["life_ns"], load.lot, limit, filled)
    return {"seconds": time.process_time() - started, "orders": int(n), "filled": int(filled[:n].sum())}


def orders_of(load: Workload, converted: np.ndarray, step_ns: int, life_ns: int) -> int:
    """Run the order loop over events that hftbacktest converted itself; return the number of orders."""
    load.cache[f"feed{EXCH_EVENT | LOCAL_EVENT}"] = converted
    filled = np.zeros(2 * (int(np.ptp(load.book["ts"]) // step_ns) + 2), np.uint8)
    hbt = backtest(load, EXCH_EVENT | LOCAL_EVENT, "roivec")
    return int(_orders(hbt, step_ns, life_ns, load.lot, 1 << 40, filled))


TASKS = {"hft_advance": advance, "hft_book": book, "hft_orders": orders}
