"""The book and its rows, slow and declarative: sorted lists, and for every instant a look at the whole stream.

Written from CONTRACT.md (grid rule), FEATURES.md (conventions, runs, flow columns) and ADR 0020. First a message gets
its verdict, then the stretches in which the book is not whole are listed, then each row is looked up on its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import NS_PER_DAY, day_start_ns


class Message(NamedTuple):
    """One book message; ``levels`` are (side, price, size)."""

    ts: int
    recv: int
    update_id: int
    prev_id: int
    kind: int
    levels: list[tuple[int, int, int]]


@dataclass
class Book:
    """Prices in sorted lists, sizes in dictionaries."""

    prices: dict[int, list[int]] = field(default_factory=lambda: {1: [], -1: []})
    sizes: dict[int, dict[int, int]] = field(default_factory=lambda: {1: {}, -1: {}})

    def apply(self, levels: list[tuple[int, int, int]]) -> None:
        for side, price, size in levels:
            if size == 0:
                if self.sizes[side].pop(price, None) is not None:
                    prices = self.prices[side]
                    del prices[bisect_left(prices, price)]
            else:
                if price not in self.sizes[side]:
                    insort(self.prices[side], price)
                self.sizes[side][price] = size

    def replace(self, levels: list[tuple[int, int, int]]) -> bool:
        old = self.sizes
        self.prices, self.sizes = {1: [], -1: []}, {1: {}, -1: {}}
        self.apply(levels)
        return old != self.sizes

    def best(self, side: int, n: int) -> list[tuple[int, int]]:
        prices = self.prices[side][-n:][::-1] if side > 0 else self.prices[side][:n]
        return [(p, self.sizes[side][p]) for p in prices]


@dataclass
class Verdicts:
    """What happens to each message: ``applied`` (None, "delta", "buffered", "snapshot"), whether it ``closes`` rows."""

    applied: list[str | None] = field(default_factory=list)
    closes: list[bool] = field(default_factory=list)
    gaps: list[tuple[int, int, int]] = field(default_factory=list)  # (message, last good time, mended after message)
    whole: list[tuple[int, int]] = field(default_factory=list)  # (message of a snapshot, time it is whole from)
    useless: set[int] = field(default_factory=set)  # snapshots that no event bridges
    holding: set[int] = field(default_factory=set)  # snapshots with buffered deltas behind them


def _verdicts(messages: list[Message], sequence: str, day_end: int) -> Verdicts:
    out = Verdicts()
    snapshot, last_id, good = -1, -1, 0  # snapshot: index of the one the book stands on, -1: not whole
    waiting = False  # for the event that bridges it
    hold, hold_end = 0, 0
    for i, m in enumerate(messages):
        buffered = hold > 0 and m.kind == 2 and 0 < m.recv <= hold
        closes = (m.kind != 3 or m.ts > day_end) and not buffered
        if hold and closes:
            out.whole.append((snapshot, hold_end))
            hold = 0
        applied: str | None = None
        if m.kind in (1, 4):
            if waiting:  # replaced before any event joined it
                out.useless.add(snapshot)
            elif sequence == "bridge" and m.kind == 1 and snapshot >= 0:  # in an unbroken chain it is an audit
                out.gaps.append((i, good, i - 1))
            elif sequence == "plus_one" and m.kind == 1 and snapshot >= 0 and m.update_id - last_id not in (0, 1):
                out.gaps.append((i, good, i - 1))  # what lay between the two was never seen
            applied, snapshot, last_id = "snapshot", i, m.update_id
            waiting = sequence == "bridge" and m.kind == 1
            if waiting and m.recv > 0:
                hold, hold_end, good = m.recv, m.ts, m.ts
                out.holding.add(i)
            else:
                out.whole.append((i, m.ts))
                good = max(good, m.ts)
        elif m.kind == 2 and snapshot >= 0:
            stale = sequence != "none" and m.update_id < last_id and waiting
            old = not waiting and m.update_id <= last_id and sequence != "none"
            if sequence == "none":
                follows = True
            elif waiting:
                follows = m.prev_id <= last_id <= m.update_id
            else:
                follows = m.prev_id == last_id and not old
            if follows:
                applied = "buffered" if buffered else "delta"
                last_id, waiting = m.update_id, False
                good = max(good, m.ts)
                hold_end = max(hold_end, m.ts)
            elif not stale and not (old and m.ts <= good):
                if waiting or buffered:
                    out.useless.add(snapshot)
                else:
                    out.gaps.append((i, good, i))
                snapshot, hold, waiting = -1, 0, False
        out.applied.append(applied)
        out.closes.append(closes)
    return out


class _Flow(NamedTuple):
    """What one delta adds to the flow columns, in table order from ``messages`` on."""

    values: list[int]
    bid_worse: bool
    ask_worse: bool


def _side_flow(side: int, old: list[tuple[int, int]], new: list[tuple[int, int]]) -> list[int]:
    """Return W (bids) or V (asks) at each of ten levels."""
    out = []
    for m in range(10):
        p0, s0 = old[m] if m < len(old) else (None, 0)
        p1, s1 = new[m] if m < len(new) else (None, 0)
        if p0 == p1:
            out.append(s1 - s0)
        elif p0 is None or (p1 is not None and side * p1 > side * p0):
            out.append(s1)
        else:
            out.append(-s0)
    return out


def _flow(old: dict[int, list[tuple[int, int]]], new: dict[int, list[tuple[int, int]]], rows: int) -> _Flow:
    W, V = _side_flow(1, old[1], new[1]), _side_flow(-1, old[-1], new[-1])
    e = [w - v for w, v in zip(W, V, strict=True)]
    up = down = 0
    if all(book[side] for book in (old, new) for side in (1, -1)):
        rise = new[1][0][0] + new[-1][0][0] - old[1][0][0] - old[-1][0][0]
        up, down = int(rise > 0), int(rise < 0)
    worse = {s: bool(old[s]) and (not new[s] or s * new[s][0][0] < s * old[s][0][0]) for s in (1, -1)}
    adds = [max(W[0], 0), max(-W[0], 0), max(V[0], 0), max(-V[0], 0)]
    return _Flow([1, rows, e[0], sum(e[:5]), sum(e), *adds, up, down], worse[1], worse[-1])


def _levels_and_depths(book: Book, depth_limit: int) -> dict[str, int]:
    row: dict[str, int] = {}
    for name, side in (("bid", 1), ("ask", -1)):
        best = book.best(side, min(20, depth_limit))
        for k in range(20):
            price, size = best[k] if k < len(best) else (-1, 0)
            row[f"{name}_ticks_{k + 1}"], row[f"{name}_lots_{k + 1}"] = price, size
    bids, asks = book.best(1, depth_limit), book.best(-1, depth_limit)
    both = bool(bids and asks)
    row["truncated"] = 0
    for name, levels in (("bid", bids), ("ask", asks)):
        for n in (1, 2, 4):
            depth = 0
            if both:
                reach = max(n, math.floor(n * (bids[0][0] + asks[0][0]) / 20000))
                depth = sum(size for price, size in levels if abs(price - levels[0][0]) <= reach)
                if n == 4 and abs(levels[-1][0] - levels[0][0]) <= reach:
                    row["truncated"] = 1
            row[f"{name}_depth_{n}bps_lots"] = depth
    row["valid"] = int(both and bids[0][0] < asks[0][0])
    return row


def naive_rows(messages: list[Message], sequence: str, step: int, depth_limit: int, date: str | None) -> np.ndarray:
    """Return every row, int64 (n, ROW_WIDTH)."""
    day_start = day_start_ns(date) if date else 0
    day_end = day_start + NS_PER_DAY if date else 1 << 62
    verdicts = _verdicts(messages, sequence, day_end)
    good = [(s, t) for s, t in verdicts.whole if s not in verdicts.useless]
    if not good:
        return np.empty((0, len(BOOK_SNAPSHOTS.columns)), np.int64)
    opening, opening_ns = good[0]
    t = (max(opening_ns, day_start) // step + 1) * step
    flow_names = BOOK_SNAPSHOTS.names[BOOK_SNAPSHOTS.index["messages"] :][:11]

    book, rows = Book(), []
    flow, worse = [0] * 11, [0, 0]
    levels: dict[str, int] | None = None
    new_run = bad_rows = False
    for i, m in enumerate(messages):
        last = min(m.ts - 1, day_end)
        while i > opening and verdicts.closes[i] and t <= last:
            levels = levels or _levels_and_depths(book, depth_limit)
            whole = _is_whole(verdicts, good, i, t)
            start = int(whole and bool(rows) and (new_run or bad_rows))
            row = {**levels, "ts_ns": t, "close_ns": m.ts, "decidable": int(t + step > last), "run_start": start}
            row["valid"] = int(whole and levels["valid"])
            row.update(zip(flow_names, flow if whole else [0] * 11, strict=True))
            row["bid_worse_ns"], row["ask_worse_ns"] = worse
            rows.append([row[c] for c in BOOK_SNAPSHOTS.names])
            flow, bad_rows, new_run = [0] * 11, not whole, new_run and not whole
            t += step
        if verdicts.applied[i] is None:
            continue
        levels = None
        if verdicts.applied[i] == "snapshot":
            differs = book.replace(m.levels)
            if i <= opening or differs or bad_rows:
                worse = [m.ts, m.ts]
            new_run = new_run or (differs and bool(rows))
            continue
        old = {s: book.best(s, 10) for s in (1, -1)}
        book.apply(m.levels)
        change = _flow(old, {s: book.best(s, 10) for s in (1, -1)}, len(m.levels))
        worse = [m.ts if change.bid_worse else worse[0], m.ts if change.ask_worse else worse[1]]
        if verdicts.applied[i] == "delta" and i > opening:
            flow = [a + b for a, b in zip(flow, change.values, strict=True)]
    return np.array(rows, np.int64).reshape(-1, len(BOOK_SNAPSHOTS.columns))


def _is_whole(verdicts: Verdicts, good: list[tuple[int, int]], i: int, t: int) -> bool:
    """Whether row ``t``, closed by message ``i``, shows a whole book: it is not in a stretch after a gap or a snapshot
    that came to nothing, before the next good snapshot has been applied and is whole."""
    broken = [after for gap, last_good, after in verdicts.gaps if gap <= i and t > last_good]
    broken += [s - 1 for s in verdicts.useless | verdicts.holding if s < i]
    for since in broken:
        back = next(((s, w) for s, w in good if s > since), None)
        if back is None or i <= back[0] or t < back[1]:
            return False
    return True
