"""The seasonal profile and the fitted micro-price once more: dictionaries of states, fractions, sums by iteration."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from fractions import Fraction
from typing import NamedTuple

QUARTER = 900_000_000_000
State = tuple[int, int]


class BookRow(NamedTuple):
    """What a profile reads of one row, in the order of ``features.profile.COLUMNS``."""

    ts: int
    valid: int
    run_start: int
    bid: int
    ask: int
    bid_lots: int
    ask_lots: int
    messages: int


def states_of(row: BookRow) -> list[tuple[State, Fraction]]:
    """The states of a row with their shares: two halves where the queues are equal."""
    share = Fraction(row.bid_lots, row.bid_lots + row.ask_lots)
    s = min(row.ask - row.bid, 3)
    if share == Fraction(1, 2):
        return [((4, s), Fraction(1, 2)), ((5, s), Fraction(1, 2))]
    i = math.floor(10 * share) if share < Fraction(1, 2) else math.ceil(10 * share) - 1
    return [((i, s), Fraction(1))]


def transitions(rows: list[BookRow], step: int, sample: int) -> list[tuple[BookRow, BookRow]]:
    """Pairs of sampled rows one sample apart, with every row between them valid and of one run."""
    found = []
    last: BookRow | None = None
    for row in rows:
        if not row.valid or row.run_start:
            last = None
        if not row.valid or row.ts % sample >= step:
            continue
        if last is not None and row.ts - last.ts == max(step, sample):
            found.append((last, row))
        last = row
    return found


def microprice(days: list[list[BookRow]], step: int, sample: int) -> dict[State, float]:
    """G* = Σ_{j=0..5} B^j G_1 by iterating the definition: each G is the expected mid move until the next jump.

    (1 − Q)⁻¹ x is summed as x + Qx + Q²x + … until nothing changes.
    """
    stay: dict[State, dict[State, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    jump: dict[State, dict[State, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    drift: dict[State, Fraction] = defaultdict(Fraction)
    total: dict[State, Fraction] = defaultdict(Fraction)
    for a, b in (pair for rows in days for pair in transitions(rows, step, sample)):
        moved = b.bid + b.ask - a.bid - a.ask
        for sign in (1, -1):
            for (i, s), w in states_of(a):
                here = (i if sign > 0 else 9 - i, s)
                total[here] += w
                drift[here] += sign * moved * w
                for (j, u), v in states_of(b):
                    (jump if moved else stay)[here][(j if sign > 0 else 9 - j, u)] += w * v
    states = [(i, s) for i in range(10) for s in (1, 2, 3)]

    def applied(chain: dict[State, dict[State, Fraction]], x: dict[State, float]) -> dict[State, float]:
        return {a: sum(float(n / total[a]) * x[b] for b, n in chain[a].items()) for a in states}

    def until_jump(x: dict[State, float]) -> dict[State, float]:
        found, term = dict(x), x
        for _ in range(20_000):
            term = applied(stay, term)
            found = {a: found[a] + term[a] for a in states}
            if max(abs(v) for v in term.values()) < 1e-15:
                break
        return found

    term = until_jump({a: float(drift[a] / total[a]) / 2 if total[a] else 0.0 for a in states})
    found = dict(term)
    for _ in range(5):
        term = until_jump(applied(jump, term))
        found = {a: found[a] + term[a] for a in states}
    return found


def seasons(days: list[list[BookRow]], rows_60s: int) -> tuple[list[float | None], list[float | None]]:
    """Median over days of the mean spread and of the messages in 60 s, by quarter-hour; None below three days."""
    spreads: list[list[Fraction]] = [[] for _ in range(96)]
    messages: list[list[Fraction]] = [[] for _ in range(96)]
    for rows in days:
        for quarter in range(96):
            inside = [r for r in rows if r.valid and r.ts // QUARTER % 96 == quarter]
            if len(inside) >= rows_60s:
                spreads[quarter].append(Fraction(sum(r.ask - r.bid for r in inside), len(inside)))
                messages[quarter].append(Fraction(sum(r.messages for r in inside) * rows_60s, len(inside)))
    return tuple(  # type: ignore[return-value]
        [float(statistics.median(values)) if len(values) >= 3 else None for values in kind]
        for kind in (spreads, messages)
    )
