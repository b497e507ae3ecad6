"""What the heads learn in one fold: numbers with NaN where a head is not asked, classes, and weights of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.instants import SIDES, Float32s, Float64s, Instants, Int64s
from lob_pipeline.labels.overlap import uniqueness

MINIMUM_POSITIVES = 50
CLASSES = ("down", "flat", "up")
MASKED_CLASS = -1
SIDED_HEADS = ("entry", "edge", "mfe", "mae", "adverse", "fill")


@dataclass(frozen=True)
class Targets:
    """Float32 (n, 2) by side with NaN where masked; ``direction`` int64 (n,): 0 down, 1 flat, 2 up, -1 masked.

    ``weight`` float32 (n, 2): uniqueness of a row among the rows of its own part of the fold (train, held or test), 0
    outside. ``masked_heads``: heads with fewer than 50 positives among the training rows; their targets are NaN or -1.
    """

    entry: Float32s
    edge: Float32s
    mfe: Float32s
    mae: Float32s
    adverse: Float32s
    fill: Float32s
    direction: Int64s
    dead_zone_bps: float
    weight: Float32s
    masked_heads: tuple[str, ...]


def dead_zone_bps(mid_return_bps: Float64s) -> float:
    """Return δ: the smallest value that at least a third of the known returns (n,) do not exceed in size.

    0 where a third are exactly 0, and where none is known.
    """
    size = np.abs(mid_return_bps[~np.isnan(mid_return_bps)])
    if not len(size):
        return 0.0
    at = -(-len(size) // 3) - 1
    return float(np.partition(size, at)[at])


def class_counts(mid_return_bps: Float64s, delta_bps: float) -> tuple[int, int, int]:
    """Return how many known returns (n,) are down, flat and up around the dead zone."""
    found = np.bincount(_direction(mid_return_bps, delta_bps) + 1, minlength=4)
    return int(found[1]), int(found[2]), int(found[3])


def head_values(instants: Instants) -> dict[str, Float64s]:
    """Return the raw target of each sided head, float64 (n, 2), NaN where the row says nothing of it.

    Of the proportional queue model. Edge, MFE, MAE and adverse are known of filled orders only.
    """
    orders = instants.orders
    fill = np.where(orders.valid, orders.filled[""].astype(np.float64), np.nan)
    return {
        "entry": orders.entry[""],
        "edge": orders.edge_bps[""],
        "mfe": orders.mfe_bps,
        "mae": orders.mae_bps,
        "adverse": orders.adverse[""],
        "fill": fill,
    }


def masked_heads(instants: Instants, train: Int64s, delta_bps: float) -> tuple[str, ...]:
    """Return the heads with fewer than 50 positives among the training rows, such as ``entry_buy``.

    A positive is a row that is true; of edge, MFE and MAE one that has a value; of direction one of the rarer of down
    and up.
    """
    found = []
    for head, values in head_values(instants).items():
        for side, name in enumerate(SIDES):
            own = values[train, side]
            positive = own > 0 if head in ("entry", "adverse", "fill") else ~np.isnan(own)
            if np.count_nonzero(positive) < MINIMUM_POSITIVES:
                found.append(f"{head}_{name}")
    down, _, up = class_counts(instants.mid_return_bps[train], delta_bps)
    if min(down, up) < MINIMUM_POSITIVES:
        found.append("direction")
    return tuple(found)


def targets(instants: Instants, fold: Fold) -> Targets:
    """Return the targets of every row (n,), with dead zone and masked heads from the training rows of ``fold``."""
    delta = dead_zone_bps(instants.mid_return_bps[fold.train])
    masked = masked_heads(instants, fold.train, delta)
    columns = {}
    for head, values in head_values(instants).items():
        columns[head] = values.astype(np.float32)
        for side, name in enumerate(SIDES):
            if f"{head}_{name}" in masked:
                columns[head][:, side] = np.nan
    direction = _direction(instants.mid_return_bps, delta)
    if "direction" in masked:
        direction[:] = MASKED_CLASS
    return Targets(
        **columns,
        direction=direction,
        dead_zone_bps=delta,
        weight=_weights(instants, fold),
        masked_heads=masked,
    )


def _direction(mid_return_bps: Float64s, delta_bps: float) -> Int64s:
    known = ~np.isnan(mid_return_bps)
    found = np.full(len(mid_return_bps), MASKED_CLASS, np.int64)
    found[known] = 1 + (mid_return_bps[known] > delta_bps) - (mid_return_bps[known] < -delta_bps).astype(np.int64)
    return found


def _weights(instants: Instants, fold: Fold) -> Float32s:
    weight = np.zeros((instants.rows, 2), np.float32)
    for part in (fold.train, fold.held, fold.test):
        for side in range(2):
            rows = part[instants.orders.valid[part, side]]
            if side == 1 and np.array_equal(rows, part[instants.orders.valid[part, 0]]):
                weight[rows, 1] = weight[rows, 0]
            elif len(rows):
                weight[rows, side] = uniqueness(instants.t_arrive_ns[rows], instants.t_end_ns[rows])
    return weight
