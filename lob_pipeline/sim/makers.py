"""Market makers: each keeps a ladder of post-only orders a side around the value it sees, and moves it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.engine import POST_ONLY, cancel, submit
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, NO_PRICE, MatchingState, Tape

MAKERS = 4
LAYERS = 8
FIRST_GROUP = 2  # engine groups of the makers' orders; 0 and 1 are the quick and the patient background
# ticks behind the first quote: each maker has its own spacing, so their layers rarely share a price
OFFSETS = np.array(
    [[round(spacing * layer**1.5) for layer in range(LAYERS)] for spacing in (2.0, 3.1, 4.7, 6.4)], np.int64
)
SIZE_SHARE = np.array([0.25, 0.5, 1.0, 1.6])


class Makers(NamedTuple):
    """Orders by ``[maker, side, layer]`` (slot and id: a slot is only theirs while the id agrees), inventory, value."""

    slot: npt.NDArray[np.int64]
    order_id: npt.NDArray[np.int64]
    inventory_lots: npt.NDArray[np.int64]
    quoted_value: npt.NDArray[np.float64]


def new_makers() -> Makers:
    """Return makers without orders and without inventory."""
    shape = (MAKERS, 2, LAYERS)
    return Makers(
        np.full(shape, -1, np.int64), np.full(shape, -1, np.int64), np.zeros(MAKERS, np.int64), np.zeros(MAKERS)
    )


@njit(cache=True)
def settle_inventory(makers: Makers, tape: Tape, first_trade: int) -> None:
    """Book the trades from ``first_trade`` on into the inventories of the makers they hit."""
    for i in range(first_trade, tape.n[0]):
        maker = tape.maker_group[i] - FIRST_GROUP
        if 0 <= maker < MAKERS:
            makers.inventory_lots[maker] -= tape.side[i] * tape.lots[i]


@njit(cache=True)
def requote(
    engine: MatchingState, tape: Tape, makers: Makers, params: FlowParams, maker: int, value: float, t_us: int
) -> None:
    """Bring one maker's ladder to where it wants it: post-only, skewed against its inventory, stale layers first.

    A layer within a quarter of its distance stays where it is and keeps its place in the queue.
    """
    load = makers.inventory_lots[maker] / params.maker_inventory_lots
    reference = value - params.maker_skew_ticks * max(-1.0, min(1.0, load))
    for side in range(2):
        step = 1 if side == ASK_SIDE else -1
        first = np.int64(math.floor(reference)) + (1 if side == ASK_SIDE else 0)
        opposite = engine.best[1 - side]
        if opposite != NO_PRICE and (first - opposite) * step <= 0:
            first = opposite + step
        heavy = load > 1.0 if side == BID_SIDE else load < -1.0
        for layer in range(LAYERS):
            behind = int(params.maker_spacing * OFFSETS[maker, layer])
            wanted = int(first + step * behind)
            slot = makers.slot[maker, side, layer]
            if slot >= 0 and engine.order_id[slot] == makers.order_id[maker, side, layer]:
                if abs(engine.order_price[slot] - wanted) * 4 <= behind and not (heavy and layer == 0):
                    continue
                cancel(engine, slot)
            makers.slot[maker, side, layer] = -1
            if heavy and layer == 0:
                continue
            lots = int(max(1.0, params.maker_lots * SIZE_SHARE[maker] * (0.5 if layer == 0 else 1.0)))
            slot = submit(engine, tape, t_us, side, wanted, lots, FIRST_GROUP + maker, POST_ONLY)
            if slot >= 0:
                makers.slot[maker, side, layer] = slot
                makers.order_id[maker, side, layer] = engine.order_id[slot]
    makers.quoted_value[maker] = value
