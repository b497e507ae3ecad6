"""Random but consistent book rows: a small book lives through messages, and its rows are written by the definitions.

Dictionaries and sorted lists only, nothing of the pipeline but the column names: flow columns, worse times and depths
follow FEATURES (conventions, flow columns) from the levels before and after each message.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.tables import LEVELS, ROW, ROW_WIDTH

Levels = list[tuple[int, int]]
FLOWS = ("messages", "level_changes", "ofi_l1_lots", "ofi_l5_lots", "ofi_l10_lots", "bid_add_lots", "bid_remove_lots")
FLOWS += ("ask_add_lots", "ask_remove_lots", "mid_up_moves", "mid_down_moves")


@dataclass(frozen=True)
class RowPlan:
    """How many rows, how deep and how wild. ``centre``: first mid in ticks. ``holes``: chance of an empty level."""

    rows: int
    seed: int = 0
    step_ns: int = 100_000_000
    centre: int = 500_000
    depth: int = 25
    lots: int = 5_000
    holes: float = 0.2
    messages: float = 2.0
    moves: float = 0.3
    invalid: float = 0.0
    snapshots: float = 0.0
    start_ns: int = 1_700_000_000_000_000_000


def flow(before: Levels, after: Levels, m: int, better: int) -> int:
    """W of level m (1-based): ``better`` is +1 where a higher price is better (bids), -1 for asks."""
    old = before[m - 1] if len(before) >= m else None
    new = after[m - 1] if len(after) >= m else None
    if old is None and new is None:
        return 0
    if old is None or (new is not None and better * (new[0] - old[0]) > 0):
        assert new is not None
        return new[1]
    if new is None or new[0] != old[0]:
        return -old[1]
    return new[1] - old[1]


class _Book:
    def __init__(self, plan: RowPlan, rng: np.random.Generator) -> None:
        self.plan, self.rng = plan, rng
        self.fair = plan.centre
        self.fresh()

    def fresh(self) -> None:
        depth = int(self.rng.integers(1, self.plan.depth + 1))
        self.bids, self.asks = self._ladder(-1, depth), self._ladder(+1, depth)

    def _ladder(self, way: int, depth: int) -> Levels:
        price, levels = self.fair + (way if way > 0 else 0), []
        for _ in range(depth):
            while self.rng.random() < self.plan.holes:
                price += way * int(self.rng.choice([1, 1, 2, 7, 1500], p=[0.6, 0.2, 0.1, 0.09, 0.01]))
            levels.append((price, int(self.rng.integers(1, self.plan.lots))))
            price += way
        return levels

    def message(self) -> int:
        """Change some levels; return how many. The book stays two-sided and uncrossed."""
        if self.rng.random() < self.plan.moves:
            self.fair += int(self.rng.choice([-2, -1, 1, 2]))
        changes = int(self.rng.integers(1, 4))
        for _ in range(changes):
            way = int(self.rng.choice([-1, 1]))
            side = dict(self.bids if way < 0 else self.asks)
            offset = int(self.rng.geometric(0.4)) - 1
            price = self.fair + (way if way > 0 else 0) + way * offset
            size = 0 if self.rng.random() < 0.35 else int(self.rng.integers(1, self.plan.lots))
            side[price] = size
            levels = sorted(((p, s) for p, s in side.items() if s), reverse=way < 0)
            if way < 0:
                self.bids = levels or self.bids
            else:
                self.asks = levels or self.asks
        self.bids = [x for x in self.bids if x[0] <= self.fair] or [(self.fair, 1 + changes)]
        self.asks = [x for x in self.asks if x[0] > self.fair] or [(self.fair + 1, 1 + changes)]
        return changes


def random_rows(plan: RowPlan) -> npt.NDArray[np.int64]:
    """Return int64 (rows, ROW_WIDTH): consecutive grid rows of one partition."""
    rng = np.random.default_rng(plan.seed)
    book = _Book(plan, rng)
    out = np.zeros((plan.rows, ROW_WIDTH), dtype=np.int64)
    worse = [plan.start_ns, plan.start_ns]
    differs = False
    for i in range(plan.rows):
        t = plan.start_ns + (i + 1) * plan.step_ns
        sums = dict.fromkeys(FLOWS, 0)
        times = np.sort(rng.integers(t - plan.step_ns + 1, t + 1, rng.poisson(plan.messages)))
        for at in times.tolist():
            before = (book.bids, book.asks)
            if rng.random() < plan.snapshots:
                book.fresh()
                differs = differs or before != (book.bids, book.asks)
                worse = [at, at]
                continue
            sums["messages"] += 1
            sums["level_changes"] += book.message()
            _add_flows(sums, before, (book.bids, book.asks))
            worse[0] = at if book.bids[0][0] < before[0][0][0] else worse[0]
            worse[1] = at if book.asks[0][0] > before[1][0][0] else worse[1]
        valid = rng.random() >= plan.invalid
        out[i, ROW["ts_ns"]], out[i, ROW["close_ns"]] = t, t + 1
        out[i, ROW["valid"]], out[i, ROW["decidable"]] = valid, 1
        out[i, ROW["run_start"]] = differs and valid
        differs = differs and not valid
        for name, value in sums.items():
            out[i, ROW[name]] = value
        out[i, ROW["bid_worse_ns"]], out[i, ROW["ask_worse_ns"]] = worse
        _write_levels(out[i], book.bids, book.asks)
    return out


def _add_flows(sums: dict[str, int], before: tuple[Levels, Levels], after: tuple[Levels, Levels]) -> None:
    bid = [flow(before[0], after[0], m, +1) for m in range(1, 11)]
    ask = [flow(before[1], after[1], m, -1) for m in range(1, 11)]
    for k in (1, 5, 10):
        sums[f"ofi_l{k}_lots"] += sum(bid[:k]) - sum(ask[:k])
    for side, change in (("bid", bid[0]), ("ask", ask[0])):
        sums[f"{side}_add_lots"] += max(change, 0)
        sums[f"{side}_remove_lots"] += max(-change, 0)
    moved = sum(side[0][0] for side in after) - sum(side[0][0] for side in before)
    sums["mid_up_moves"] += moved > 0
    sums["mid_down_moves"] += moved < 0


def _write_levels(row: npt.NDArray[np.int64], bids: Levels, asks: Levels) -> None:
    m2 = bids[0][0] + asks[0][0]
    for side, levels in (("bid", bids), ("ask", asks)):
        for k in range(LEVELS):
            price, lots = levels[k] if k < len(levels) else (-1, 0)
            row[ROW[f"{side}_ticks_{k + 1}"]], row[ROW[f"{side}_lots_{k + 1}"]] = price, lots
        for n in (1, 2, 4):
            reach = max(n, n * m2 // 20_000)
            row[ROW[f"{side}_depth_{n}bps_lots"]] = sum(s for p, s in levels if abs(p - levels[0][0]) <= reach)
