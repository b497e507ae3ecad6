"""Labels the slow way, written from LABELS.md: one order at a time, a dict for a book, a list of events."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

NS = 1_000_000_000
MODELS = ("pess", "prop", "opt")
MARKOUTS = {"100ms": NS // 10, "1s": NS, "5s": 5 * NS, "30s": 30 * NS, "60s": 60 * NS}
TAKER = {"1s": NS, "5s": 5 * NS, "30s": 30 * NS, "60s": 60 * NS}


@dataclass
class Message:
    """One applied book message. ``levels``: (side, price, size) as sent."""

    time_ns: int
    seq: int
    snapshot: bool
    levels: list[tuple[int, int, int]]
    gap_before: bool = False  # messages are missing before this one (it is then a snapshot)


@dataclass
class Trade:
    """One public trade; ``side`` is the taker's."""

    time_ns: int
    seq: int
    side: int
    price: int
    lots: int
    flags: int = 0


@dataclass
class Settings:
    """The simulated order."""

    latency_ns: int = 50_000_000
    life_ns: int = 30 * NS
    horizon_ns: int = 30 * NS
    q: int = 1
    maker_bps: float = 2.0
    taker_bps: float = 5.5
    adverse_below_bps: float = -1.0
    floor_bps: float = 0.0
    step_ns: int = 100_000_000
    whole_ns: int | None = None  # the book is whole from here on; None: from the first message
    trade_gaps_ns: list[tuple[int, int]] = field(default_factory=list)
    last_ns: int | None = None  # time of the last message of the stream; None: of the last applied one


class Market:
    """The day, replayed once into lists: what the book was after every message, and all events in order."""

    def __init__(self, messages: list[Message], trades: list[Trade], settings: Settings) -> None:
        self.s = settings
        self.messages = messages
        self.times: list[int] = []
        self.best: list[dict[int, int | None]] = []
        self.walkable: list[dict[int, list[tuple[int, int]]]] = []
        self.size_history: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.updates: list[dict[tuple[int, int], list[int]]] = []
        book: dict[int, dict[int, int]] = {1: {}, -1: {}}
        now = -1
        for j, message in enumerate(messages):
            now = max(now, message.time_ns)
            self.times.append(now)
            before: set[tuple[int, int]] = set()
            if message.snapshot:
                before = {(side, price) for side in book for price in book[side]}
                book = {1: {}, -1: {}}
            updates: dict[tuple[int, int], list[int]] = {}
            for side, price, size in message.levels:
                updates.setdefault((side, price), []).append(size)
                if size:
                    book[side][price] = size
                else:
                    book[side].pop(price, None)
            self.updates.append(updates)
            touched = before | set(updates) if message.snapshot else set(updates)
            for side, price in touched:
                self.size_history.setdefault((side, price), []).append((j, book[side].get(price, 0)))
            self.best.append({1: max(book[1], default=None), -1: min(book[-1], default=None)})
            self.walkable.append({side: self._first_lots(book[side], side, self.best[-1][side]) for side in book})
        self.trades = sorted((t for t in trades if t.flags == 0), key=lambda t: t.time_ns)
        self._merge()

    def _first_lots(self, levels: dict[int, int], side: int, best: int | None) -> list[tuple[int, int]]:
        """The best levels that hold q lots between them."""
        if best is None or self.s.q <= levels[best]:
            return [] if best is None else [(best, levels[best])]
        found, held = [], 0
        for price in sorted(levels, reverse=side == 1):
            found.append((price, levels[price]))
            held += levels[price]
            if held >= self.s.q:
                break
        return found

    def _merge(self) -> None:
        self.events: list[tuple[int, str, int]] = []
        j = k = 0
        while j < len(self.messages) or k < len(self.trades):
            if j == len(self.messages):
                trade_first = True
            elif k == len(self.trades):
                trade_first = False
            elif self.trades[k].seq >= 0 and self.messages[j].seq >= 0:
                trade_first = self.trades[k].seq <= self.messages[j].seq
            else:
                trade_first = self.trades[k].time_ns <= self.times[j]
            if trade_first:
                self.events.append((self.trades[k].time_ns, "trade", k))
                k += 1
            else:
                self.events.append((self.times[j], "book", j))
                j += 1
        self.highest_so_far, high = [], -1
        for time_ns, _, _ in self.events:
            high = max(high, time_ns)
            self.highest_so_far.append(high)
        self.lowest_from_here, low = [], 1 << 62
        for time_ns, _, _ in reversed(self.events):
            low = min(low, time_ns)
            self.lowest_from_here.append(low)
        self.lowest_from_here.reverse()

    def window(self, after: int, until: int) -> list[tuple[int, str, int]]:
        """Events in order with after < time <= until."""
        first = bisect_right(self.highest_so_far, after)
        last = bisect_right(self.lowest_from_here, until)
        return [e for e in self.events[first:last] if after < e[0] <= until]

    def at(self, u: int) -> int:
        """Index of the last message with time <= u, -1 before the first."""
        return bisect_right(self.times, u) - 1

    def size(self, j: int, side: int, price: int) -> int:
        history = self.size_history.get((side, price), [])
        i = bisect_right(history, (j, 1 << 62)) - 1
        return history[i][1] if i >= 0 else 0

    def mid2(self, u: int) -> int | None:
        j = self.at(u)
        if j < 0 or self.best[j][1] is None or self.best[j][-1] is None:
            return None
        return self.best[j][1] + self.best[j][-1]

    def walk(self, u: int, side: int, lots: int) -> float | None:
        """VWAP of taking ``lots`` from ``side`` of the book at u."""
        j = self.at(u)
        if j < 0:
            return None
        total, rest = 0, lots
        for price, size in self.walkable[j][side]:
            taken = min(rest, size)
            total += taken * price
            rest -= taken
            if rest == 0:
                return total / lots
        return None

    def order(self, side: int, price: int, arrive: int, model: str) -> tuple[int, int, int]:
        """(kind, t_fill or -1, lots filled) of one order."""
        j = self.at(arrive)
        opposite = self.best[j][-side] if j >= 0 else None
        if opposite is not None and side * opposite <= side * price:
            return 4, -1, 0
        Q = self.size(j, side, price)
        F, D, C, R = float(Q), Q, 0, self.s.q
        for time_ns, what, index in self.window(arrive, arrive + self.s.life_ns):
            if what == "trade":
                trade = self.trades[index]
                if trade.side != -side:
                    continue
                if side * trade.price < side * price:
                    return 1, time_ns, self.s.q
                if trade.price == price:
                    C += trade.lots
                    F -= trade.lots
                    if F < 0:
                        R -= min(R, math.floor(-F))
                        F = 0.0
                        if R == 0:
                            return 2, time_ns, self.s.q
                continue
            if self.messages[index].snapshot:
                sizes = [self.size(index, side, price)]
            else:
                sizes = self.updates[index].get((side, price), [])
            for now in sizes:
                c = max(0, D - now - C)
                if model == "prop" and D - C > 0:
                    F -= c * F / (D - C)
                if model == "opt":
                    F -= c
                F = min(max(F, 0.0), float(now))
                D, C = now, 0
            opposite = self.best[index][-side]
            if opposite is not None and side * opposite <= side * price:
                return 3, time_ns, self.s.q
        return 0, -1, self.s.q - R

    def exit_edge(self, side: int, price: int, t_fill: int, model: str) -> tuple[float | None, float | None]:
        """edge_bps, the passive exit, and the share of q that left by the resting order."""
        s = self.s
        seen = self.at(t_fill + s.horizon_ns)
        arrive = t_fill + s.horizon_ns + s.latency_ns
        exit_price = self.best[seen][-side] if seen >= 0 else None
        if exit_price is None:
            return None, None
        kind, _, got = self.order(-side, exit_price, arrive, model)
        rest = s.q - got
        cross = None
        if rest:
            cross = self.walk(arrive if kind == 4 else arrive + s.life_ns, side, rest)
            if cross is None:
                return None, None
        gain = 0.0
        for lots, x, fee in ((got, exit_price, s.maker_bps), (rest, cross, s.taker_bps)):
            if lots:
                gain += lots / s.q * (1e4 * side * (x - price) / price - s.maker_bps - fee)
        return gain, got / s.q

    def outcomes(self, side: int, price: int, t_fill: int, t_end: int, model: str) -> dict[str, Any]:
        """Everything that is null unless filled."""
        s = self.s
        out: dict[str, Any] = {}

        def markout(h: int) -> float | None:
            m2 = self.mid2(t_fill + h)
            return None if m2 is None else 1e4 * side * (m2 / 2 - price) / price

        for name, h in MARKOUTS.items():
            out[f"markout_{name}_bps"] = markout(h)
        last = markout(s.horizon_ns)
        out["edge_mid_bps"] = None if last is None else last - 2 * s.maker_bps
        cross = self.walk(t_fill + s.horizon_ns + s.latency_ns, side, s.q)
        fees = s.maker_bps + s.taker_bps
        out["edge_cross_bps"] = None if cross is None else 1e4 * side * (cross - price) / price - fees
        out["edge_bps"], out["exit_maker_ratio"] = self.exit_edge(side, price, t_fill, model)
        first, after = self.at(t_fill) + 1, self.at(t_fill + s.horizon_ns) + 1
        if first == after and first < len(self.times) and self.times[first] <= t_end:
            after = first + 1
        xs = [self.best[j][side] for j in range(first, after)]
        gone = not xs or None in xs
        moves = [] if gone else [1e4 * side * (x - price) / price for x in xs if x is not None]
        out["mfe_bps"] = max(moves) if moves else None
        out["mae_bps"] = min(moves) if moves else None
        five = out["markout_5s_bps"]
        out["adverse"] = None if five is None else five < s.adverse_below_bps
        edge = out["edge_bps"]
        out["entry"] = edge is not None and out["adverse"] is False and edge > s.floor_bps
        return out

    def valid(self, t: int, arrive: int, t_end: int) -> bool:
        s = self.s
        start = t - s.step_ns
        whole = self.times[0] if s.whole_ns is None else s.whole_ns
        last = self.times[-1] if s.last_ns is None else s.last_ns
        if start < whole or last <= t_end:
            return False
        if any(arrive <= b and a <= t_end for a, b in s.trade_gaps_ns):
            return False
        for j in range(max(self.at(start), 0), len(self.times)):
            if self.times[j] > t_end and not self.messages[j].gap_before:
                break
            # the last good message stands at its own time; after it, until this one, messages are missing
            if self.messages[j].gap_before and self.times[j] > start and self.times[j - 1] < t_end:
                return False
            bid, ask = self.best[j][1], self.best[j][-1]
            if self.times[j] <= t_end and bid is not None and ask is not None and bid >= ask:
                return False
        return True

    def label(self, t: int, close: int, bid: int, ask: int, side: int) -> dict[str, Any]:
        """One row of the labels table, None where null."""
        s = self.s
        price = bid if side == 1 else ask
        arrive = close + s.latency_ns
        t_end = arrive + s.life_ns + max(60 * NS, s.horizon_ns + s.latency_ns + s.life_ns)
        out: dict[str, Any] = {"ts_ns": t, "side": side, "t_decide_ns": close, "t_arrive_ns": arrive, "t_end_ns": t_end}
        out["valid"] = self.valid(t, arrive, t_end)
        if not out["valid"]:
            return out
        before, later = self.mid2(arrive), self.mid2(arrive + s.horizon_ns)
        known = before is not None and later is not None
        out["mid_return_bps"] = 1e4 * math.log(later / before) if known else None
        out["direction"] = (later > before) - (later < before) if known else None
        enter = self.walk(arrive, -side, s.q)
        for name, h in TAKER.items():
            leave = self.walk(arrive + h, side, s.q)
            taken = enter is not None and leave is not None
            out[f"taker_edge_{name}_bps"] = 1e4 * side * math.log(leave / enter) - 2 * s.taker_bps if taken else None
        for model in MODELS:
            kind, t_fill, lots = self.order(side, price, arrive, model)
            fate: dict[str, Any] = {"fill_kind": kind, "filled": t_fill >= 0, "filled_lots": lots, "entry": False}
            fate["fill_delay_ns"] = t_fill - arrive if t_fill >= 0 else -1
            if t_fill >= 0:
                fate |= self.outcomes(side, price, t_fill, t_end, model)
            suffix = "" if model == "prop" else f"_{model}"
            out |= {name + suffix: value for name, value in fate.items()}
        return out
