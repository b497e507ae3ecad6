"""Decision instants in memory: the features of every clock row, and beside them what became of both orders.

Rows are the clock's (all rows of the feature partitions, in time order), so that context can be taken from rows that
decided nothing. Side index: 0 = buy, 1 = sell. Queue models by label suffix: "" proportional, "_pess", "_opt".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.labels.overlap import effective_n as distinct_fills

Float64s = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Int8s = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]

SUFFIXES = ("", "_pess", "_opt")
SIDES = ("buy", "sell")


@dataclass(frozen=True)
class Orders:
    """Both orders of every row, all (n, 2). Without a valid label: ``valid`` False, numbers NaN, flags False, ns 0.

    ``fill_delay_ns`` is -1 where not filled. ``adverse`` and ``entry`` are 0, 1 or NaN; ``entry`` is NaN where the edge
    of a filled order is unknown (left out of its head). ``edge_bps`` and what follows are NaN unless filled.
    """

    valid: Mask
    price_ticks: Int64s
    filled: dict[str, Mask]
    fill_delay_ns: dict[str, Int64s]
    fill_kind: dict[str, Int8s]
    edge_bps: dict[str, Float64s]
    adverse: dict[str, Float64s]
    entry: dict[str, Float64s]
    markout_5s_bps: dict[str, Float64s]
    exit_maker_ratio: dict[str, Float64s]
    mfe_bps: Float64s
    mae_bps: Float64s


@dataclass(frozen=True)
class Instants:
    """Rows of one market and clock in time order.

    ``features`` float32 (n, F), C order; ``ts_ns`` int64 (n,); ``segment`` int32 (n,): number of the unbroken run of
    usable rows (no NaN among ``names``, exactly a step apart), -1 where not usable; ``t_arrive_ns``, ``t_end_ns`` int64
    (n,), 0 where there is no label; ``mid_return_bps`` float64 (n,), NaN where there is none.
    """

    market: str
    clock_id: str
    step_ns: int
    block_ns: int
    names: tuple[str, ...]
    features: Float32s
    ts_ns: Int64s
    segment: Int32s
    t_arrive_ns: Int64s
    t_end_ns: Int64s
    mid_return_bps: Float64s
    orders: Orders
    dates: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Return n."""
        return len(self.ts_ns)

    @property
    def scored(self) -> Mask:
        """Return which rows (n,) can be trained on or scored: usable, and at least one order has a valid label."""
        return np.asarray((self.segment >= 0) & self.orders.valid.any(axis=1))


def empty_orders(n: int) -> Orders:
    """Return the orders of ``n`` rows without any label."""

    def numbers() -> dict[str, Float64s]:
        return {s: np.full((n, 2), np.nan) for s in SUFFIXES}

    return Orders(
        valid=np.zeros((n, 2), np.bool_),
        price_ticks=np.zeros((n, 2), np.int64),
        filled={s: np.zeros((n, 2), np.bool_) for s in SUFFIXES},
        fill_delay_ns={s: np.zeros((n, 2), np.int64) for s in SUFFIXES},
        fill_kind={s: np.zeros((n, 2), np.int8) for s in SUFFIXES},
        edge_bps=numbers(),
        adverse=numbers(),
        entry=numbers(),
        markout_5s_bps=numbers(),
        exit_maker_ratio=numbers(),
        mfe_bps=np.full((n, 2), np.nan),
        mae_bps=np.full((n, 2), np.nan),
    )


def segments(ts_ns: Int64s, usable: Mask, step_ns: int) -> Int32s:
    """Return the number of the unbroken run that each row (n,) belongs to, counted from 0, -1 where not usable."""
    follows = np.zeros(len(ts_ns), np.bool_)
    follows[1:] = usable[1:] & usable[:-1] & (np.diff(ts_ns) == step_ns)
    number = np.cumsum(usable & ~follows) - 1
    return np.where(usable, number, -1).astype(np.int32)


def fill_ids(instants: Instants, suffix: str) -> Int64s:
    """Return a number for each order (n, 2): equal where (t_fill, side, price) are, -1 where not filled."""
    filled = instants.orders.filled[suffix]
    t_fill = (instants.t_arrive_ns[:, None] + instants.orders.fill_delay_ns[suffix])[filled]
    side = np.broadcast_to(np.arange(2), filled.shape)[filled]
    order = np.lexsort((side, instants.orders.price_ticks[filled], t_fill))
    keys = (t_fill[order], side[order], instants.orders.price_ticks[filled][order])
    first = np.zeros(len(order), np.bool_)
    for key in keys:
        first[1:] |= np.diff(key) != 0
    own = np.empty(len(order), np.int64)
    own[order] = np.cumsum(first)
    ids = np.full(filled.shape, -1, np.int64)
    ids[filled] = own
    return ids


def effective_n(instants: Instants, rows: Int64s | Mask, suffix: str) -> int:
    """Return the distinct (t_fill, side, price) among the filled orders of ``rows`` under the queue model ``suffix``.

    ``rows``: row numbers (k,) or a mask (n,). Raises ``BadInputError`` for an unknown suffix.
    """
    if suffix not in SUFFIXES:
        raise BadInputError(f"queue model suffix {suffix!r} is unknown: expected one of {SUFFIXES}")
    orders = instants.orders
    filled = orders.filled[suffix][rows]
    t_fill = (instants.t_arrive_ns[:, None] + orders.fill_delay_ns[suffix])[rows]
    side = np.broadcast_to(np.array([1, -1], np.int8), filled.shape)
    return distinct_fills(t_fill[filled], side[filled], orders.price_ticks[rows][filled])
