"""Folds, windows, targets and scaling the slow way, written from METHODS.md: one row at a time."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from lob_pipeline.datasets.instants import Instants

MINUTE = 60_000_000_000


def scored_rows(x: Instants) -> list[int]:
    return [i for i in range(len(x.ts_ns)) if x.segment[i] >= 0 and (x.orders.valid[i, 0] or x.orders.valid[i, 1])]


def segment_numbers(ts_ns: list[int], usable: list[bool], step_ns: int) -> list[int]:
    found, number = [], -1
    for i, ok in enumerate(usable):
        if ok and not (i > 0 and usable[i - 1] and ts_ns[i] - ts_ns[i - 1] == step_ns):
            number += 1
        found.append(number if ok else -1)
    return found


def folds(x: Instants, before: int, share: float, rolling: int) -> list[dict[str, Any]]:
    """Each fold as lists of row numbers."""
    scored = scored_rows(x)
    covered: dict[int, int] = {}
    last: dict[int, int] = {}
    for i in scored:
        block = (int(x.ts_ns[i]) - 1) // x.block_ns
        pause = int(x.ts_ns[i]) - last[block] if block in last else x.step_ns
        covered[block] = covered.get(block, 0) + min(pause, max(MINUTE, x.step_ns))
        last[block] = int(x.ts_ns[i])
    whole = sorted(b for b, ns in covered.items() if 2 * ns >= x.block_ns)
    out = []
    for block in whole[before:]:
        start, end = block * x.block_ns, (block + 1) * x.block_ns
        first = (block - rolling) * x.block_ns if rolling else -1
        stretch = [i for i in scored if first < x.ts_ns[i] <= start]
        clear = [i for i in stretch if x.t_end_ns[i] < start]
        if not clear:
            continue
        count = max(1, math.ceil(share * len(clear)))
        held = clear[len(clear) - count :]
        held_start = int(x.ts_ns[held[0]])
        train = [i for i in clear[: len(clear) - count] if x.t_end_ns[i] < held_start]
        if train:
            test = [i for i in scored if start < x.ts_ns[i] <= end]
            purged = len(stretch) - len(train) - len(held)
            out.append({"train": train, "held": held, "test": test, "held_start_ns": held_start, "purged": purged})
    return out


def dead_zone(returns: list[float]) -> float:
    """The smallest δ with at least a third of the known returns within it."""
    sizes = sorted(abs(r) for r in returns if not math.isnan(r))
    for delta in [0.0, *sizes]:
        if sizes and 3 * sum(s <= delta for s in sizes) >= len(sizes):
            return delta
    return 0.0


def uniqueness(spans: list[tuple[int, int]]) -> list[float]:
    """Mean over each span of 1 / (spans that hold the instant)."""
    edges = sorted({t for span in spans for t in span})
    out = []
    for a, b in spans:
        total = 0.0
        for low, high in pairwise(edges):
            if a <= low and high <= b:
                total += (high - low) / sum(p <= low and high <= q for p, q in spans)
        out.append(total / (b - a))
    return out


def distinct_fills(x: Instants, rows: list[int], suffix: str) -> int:
    found = set()
    for i in rows:
        for side in (0, 1):
            if x.orders.valid[i, side] and x.orders.filled[suffix][i, side]:
                t_fill = int(x.t_arrive_ns[i] + x.orders.fill_delay_ns[suffix][i, side])
                found.add((t_fill, side, int(x.orders.price_ticks[i, side])))
    return len(found)


def scaling(features: Any, rows: Any, lots: list[bool]) -> tuple[Any, Any]:
    """Mean and scale in float64, column by column."""
    columns = np.asarray(features, np.float64)[rows]
    columns = np.where(lots, np.arcsinh(columns), columns)
    deviation = columns.std(axis=0)
    constant = np.all(columns == columns[0], axis=0)
    return columns.mean(axis=0), np.where(constant, 0.0, deviation)


def scaled(features: Any, lots: list[bool], mean: Any, scale: Any) -> Any:
    """The scaled rows in float64."""
    columns = np.asarray(features, np.float64)
    columns = np.where(lots, np.arcsinh(columns), columns)
    out = np.zeros_like(columns)
    heard = np.asarray(scale) != 0
    out[:, heard] = np.clip((columns[:, heard] - np.asarray(mean)[heard]) / np.asarray(scale)[heard], -10, 10)
    return np.where(np.isnan(columns), columns, out)
