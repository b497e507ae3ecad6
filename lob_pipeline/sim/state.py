"""What the matching engine holds: levels, orders, groups of orders, and the tape it writes. Integers only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.sim.order_log import LOG_ROW, OrderLog, order_log

WINDOW = 1 << 14  # ticks that can hold orders at one time, a power of two
CAPACITY = 1 << 15  # orders that can rest at one time
GROUPS = 10  # dense lists of live orders, by who entered them: 0 to 6 see flow.py, makers.py, signals.py
METAORDER_GROUP, INFORMED_GROUP, OWN_GROUP = 7, 8, 9
BID_SIDE = 0
ASK_SIDE = 1
NO_PRICE = -1

# places in MatchingState.scalars; NOW is the event time in µs, TRADED all lots that ever traded, LOGGED rows of the log
FREE, ANCHOR, SEQ, NEXT_ID, REFUSALS, NOW, TRADED, LOGGED = 0, 1, 2, 3, 4, 5, 6, 7


class MatchingState(NamedTuple):
    """The whole engine. Levels are ``[side, key]`` (lots, orders, first, last); orders are ``[slot]``.

    ``log_rows`` are the rows of the order log (``LOG_ROW``), none where it is off.
    """

    lots: npt.NDArray[np.int64]
    orders: npt.NDArray[np.int32]
    head: npt.NDArray[np.int32]
    tail: npt.NDArray[np.int32]
    occupied: npt.NDArray[np.uint64]
    best: npt.NDArray[np.int64]
    order_price: npt.NDArray[np.int64]
    order_lots: npt.NDArray[np.int64]
    order_side: npt.NDArray[np.int8]
    order_next: npt.NDArray[np.int32]
    order_prev: npt.NDArray[np.int32]
    order_id: npt.NDArray[np.int64]
    order_group: npt.NDArray[np.int16]
    order_place: npt.NDArray[np.int32]
    members: npt.NDArray[np.int32]
    member_count: npt.NDArray[np.int64]
    free: npt.NDArray[np.int32]
    scalars: npt.NDArray[np.int64]
    log_rows: npt.NDArray[np.void]


class Tape(NamedTuple):
    """Trades in order of execution, one an order hit. ``side`` +1 where the taker bought; ``n[0]`` are filled."""

    t_us: npt.NDArray[np.int64]
    side: npt.NDArray[np.int8]
    price: npt.NDArray[np.int64]
    lots: npt.NDArray[np.int64]
    maker_id: npt.NDArray[np.int64]
    taker_id: npt.NDArray[np.int64]
    maker_group: npt.NDArray[np.int16]
    n: npt.NDArray[np.int64]


def new_engine(anchor_ticks: int, log_rows: int = 0) -> MatchingState:
    """Return an empty engine whose price window is centred at ``anchor_ticks``, with room for ``log_rows`` of a log."""
    level32 = [np.full((2, WINDOW), -1, np.int32) for _ in range(2)]
    scalars = np.zeros(8, np.int64)
    scalars[FREE], scalars[ANCHOR] = CAPACITY, anchor_ticks
    return MatchingState(
        lots=np.zeros((2, WINDOW), np.int64),
        orders=np.zeros((2, WINDOW), np.int32),
        head=level32[0],
        tail=level32[1],
        occupied=np.zeros((2, WINDOW // 64), np.uint64),
        best=np.full(2, NO_PRICE, np.int64),
        order_price=np.zeros(CAPACITY, np.int64),
        order_lots=np.zeros(CAPACITY, np.int64),
        order_side=np.zeros(CAPACITY, np.int8),
        order_next=np.full(CAPACITY, -1, np.int32),
        order_prev=np.full(CAPACITY, -1, np.int32),
        order_id=np.full(CAPACITY, -1, np.int64),
        order_group=np.zeros(CAPACITY, np.int16),
        order_place=np.zeros(CAPACITY, np.int32),
        members=np.zeros((GROUPS, CAPACITY), np.int32),
        member_count=np.zeros(GROUPS, np.int64),
        free=np.arange(CAPACITY, dtype=np.int32)[::-1].copy(),
        scalars=scalars,
        log_rows=np.zeros(log_rows, LOG_ROW),
    )


def log_of(state: MatchingState) -> OrderLog:
    """Return the engine's order log; ``n[0] = 0`` empties it."""
    return order_log(state.log_rows, state.scalars[LOGGED : LOGGED + 1])


def new_tape(capacity: int) -> Tape:
    """Return an empty tape for ``capacity`` trades; one command writes at most ``CAPACITY`` of them."""
    wide = [np.zeros(capacity, np.int64) for _ in range(5)]
    side, group = np.zeros(capacity, np.int8), np.zeros(capacity, np.int16)
    return Tape(wide[0], side, wide[1], wide[2], wide[3], wide[4], group, np.zeros(1, np.int64))
