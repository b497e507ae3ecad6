"""The script of one's own orders: when to decide, what to send, how much; and room for what becomes of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.sim.config import OwnParams
from lob_pipeline.sim.parts import FAR_US
from lob_pipeline.sim.rng import new_stream
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE

TAKES, RESTS, JOINS = 0, 1, 2  # market; limit at the best that was seen, whatever the best is by then; post-only there
KINDS = ("market", "limit", "post_only")
WAITING, FLYING, RESTING, CALLED, DONE = 0, 1, 2, 3, 4
TRADED_ALL, WITHDRAWN, REFUSED_LOAD, REFUSED_CROSSING, DROPPED, UNDECIDED = 0, 1, 2, 3, 4, 5
ENDS = ("filled", "cancelled", "refused_overloaded", "refused_post_only", "rest_dropped", "open_at_the_end")
_STREAM = 4 << 40
_US = 1_000_000
LOAD_US, FIRST, NEXT = 0, 1, 2  # places in OwnOrders.at: next sample of the load, first order not done, next to decide
LAST_SEQ, FAST, SLOW = 0, 1, 2  # places in OwnOrders.load: events so far, mean events a sample, the same over minutes


class OwnOrders(NamedTuple):
    """A script (first four fields) and what became of it, all int64 (n,) but ``load`` and the stream; times in µs.

    ``price``: ticks, what was the best of its side (of the other for ``TAKES``) at the decision. ``ahead``: lots at its
    price when it came to rest. ``busy``: load at the decision, in thousandths. ``due_us``: the next thing to happen.
    """

    decide_us: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    side: npt.NDArray[np.int64]
    lots: npt.NDArray[np.int64]
    price: npt.NDArray[np.int64]
    arrive_us: npt.NDArray[np.int64]
    order_id: npt.NDArray[np.int64]
    slot: npt.NDArray[np.int64]
    ahead: npt.NDArray[np.int64]
    busy: npt.NDArray[np.int64]
    spike: npt.NDArray[np.int64]
    called_us: npt.NDArray[np.int64]
    end_us: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    state: npt.NDArray[np.int64]
    due_us: npt.NDArray[np.int64]
    rng: npt.NDArray[np.uint64]
    at: npt.NDArray[np.int64]
    load: npt.NDArray[np.float64]


def scripted(
    seed: int,
    day: int,
    decide_us: npt.NDArray[np.int64],
    kind: npt.NDArray[np.int64],
    side: npt.NDArray[np.int64],
    lots: npt.NDArray[np.int64],
) -> OwnOrders:
    """Return the orders of a script (int64 (n,); ``decide_us`` ascending), delays from the stream of (seed, day).

    Raises ``ValueError`` for a script that is not ascending or not of known kinds, sides and whole lots.
    """
    n = len(decide_us)
    fits = len(kind) == len(side) == len(lots) == n and np.isin(kind, (TAKES, RESTS, JOINS)).all()
    if not fits or np.any(np.diff(decide_us) < 0) or not np.isin(side, (BID_SIDE, ASK_SIDE)).all() or np.any(lots < 1):
        raise ValueError("a script of own orders: expected ascending instants, kinds 0 to 2, sides 0 and 1, lots")
    blank = [np.full(n, -1, np.int64) for _ in range(9)]
    price, arrive_us, order_id, slot, ahead, busy, spike, called_us, end_us = blank
    return OwnOrders(
        decide_us=np.asarray(decide_us, np.int64),
        kind=np.asarray(kind, np.int64),
        side=np.asarray(side, np.int64),
        lots=np.asarray(lots, np.int64),
        price=price,
        arrive_us=arrive_us,
        order_id=order_id,
        slot=slot,
        ahead=ahead,
        busy=busy,
        spike=spike,
        called_us=called_us,
        end_us=end_us,
        end=np.full(n, UNDECIDED, np.int64),
        state=np.zeros(n, np.int64),
        due_us=np.full(n, FAR_US, np.int64),
        rng=new_stream(seed, _STREAM + day),
        at=np.array([int(decide_us[0]) - 60 * _US if n else FAR_US, 0, 0], np.int64),
        load=np.array([-1.0, 0.0, 0.0]),
    )


def no_own_orders() -> OwnOrders:
    """Return an empty script."""
    none = np.zeros(0, np.int64)
    return scripted(0, 0, none, none, none, none)


def draw_own_orders(seed: int, day: int, from_us: int, until_us: int, params: OwnParams) -> OwnOrders:
    """Return a drawn script for the session ``[from_us, until_us)``: pauses exponential of mean ``every_s``.

    Sides are fair coins; ``market_share`` of the orders take, half of the others are post-only. The first decision is a
    minute into the session, the last early enough for its order to end within it.
    """
    if params.every_s == 0.0:
        return no_own_orders()
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, _STREAM + (1 << 32) + day], np.uint64)))
    until_us -= round((params.life_s + 30.0) * _US)
    most = 16 + int(2.0 * max(0, until_us - from_us) / (params.every_s * _US))
    decide_us = from_us + 60 * _US + np.cumsum(np.round(params.every_s * _US * rng.exponential(size=most))).astype(int)
    decide_us = decide_us[decide_us < until_us]
    drawn = rng.random((3, len(decide_us)))
    kind = np.where(drawn[0] < params.market_share, TAKES, np.where(drawn[1] < 0.5, RESTS, JOINS))
    side = np.where(drawn[2] < 0.5, BID_SIDE, ASK_SIDE)
    return scripted(seed, day, decide_us, kind, side, np.full(len(decide_us), max(1, round(params.lots))))
