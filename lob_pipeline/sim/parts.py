"""Which parts of the market act, and what the two parts with a clock of their own remember.

The parts share one market and nothing else: metaorders and informed traders draw from streams of their own, keyed by
(seed, date), and a part that is off draws nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.sim.rng import new_stream

PARENTS = 32  # metaorders that can be at work at one time; further ones are not begun
PENDING = 128  # jumps that can be known ahead at one time; further ones come unannounced
FAR_US = 1 << 62  # later than any session
ARRIVAL_US, META_NEXT_US = 0, 1  # places in Metaorders.clock
KNOWN, KNOWN_COUNT, ACT_US, INFORMED_NEXT_US = 0, 1, 2, 3  # places in Informed.clock
_METAORDER_STREAM, _INFORMED_STREAM = 16 << 40, 17 << 40


class Parts(NamedTuple):
    """The parts of the market; each is there or not.

    ``background``: limit orders, their cancels and noise traders; ``makers``: ladders that requote; ``metaorders``:
    large orders worked over minutes; ``informed``: traders who know jumps of the value ahead of time; ``arbitrage``:
    stale quotes are pulled or hit; ``season``: activity by hour; ``bursts``: sudden crowds.
    """

    background: bool = True
    makers: bool = True
    metaorders: bool = False
    informed: bool = False
    arbitrage: bool = True
    season: bool = True
    bursts: bool = True


ALL_PARTS = Parts(metaorders=True, informed=True)


class Metaorders(NamedTuple):
    """The parents at work, by ``[parent]``; a parent with nothing ``left`` (lots) is a free place.

    ``side``: ``BID_SIDE`` buys. ``mark``: lots traded in the market until its last child. ``slot``, ``order_id``,
    ``working``: its resting child and the lots that child had when last looked at. ``due_us``: next child; ``end_us``:
    when it gives up. ``clock``: next arrival, next event of any.
    """

    rng: npt.NDArray[np.uint64]
    side: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    mark: npt.NDArray[np.int64]
    slot: npt.NDArray[np.int64]
    order_id: npt.NDArray[np.int64]
    working: npt.NDArray[np.int64]
    due_us: npt.NDArray[np.int64]
    end_us: npt.NDArray[np.int64]
    clock: npt.NDArray[np.int64]


class Informed(NamedTuple):
    """The jumps of the value that are known and have not happened: a ring of ``due_us`` and ``ticks`` (signed)."""

    rng: npt.NDArray[np.uint64]
    due_us: npt.NDArray[np.int64]
    ticks: npt.NDArray[np.float64]
    clock: npt.NDArray[np.int64]


def new_metaorders(seed: int, day: int) -> Metaorders:
    """Return the metaorders of a market on day number ``day``: none at work, none due."""
    side, left, mark, slot, order_id, working, due_us, end_us = (np.zeros(PARENTS, np.int64) for _ in range(8))
    rng, clock = new_stream(seed, _METAORDER_STREAM + day), np.full(2, FAR_US, np.int64)
    return Metaorders(rng, side, left, mark, slot, order_id, working, due_us, end_us, clock)


def new_informed(seed: int, day: int) -> Informed:
    """Return informed traders who know nothing yet."""
    clock = np.array([0, 0, FAR_US, FAR_US], np.int64)
    rng = new_stream(seed, _INFORMED_STREAM + day)
    return Informed(rng, np.zeros(PENDING, np.int64), np.zeros(PENDING), clock)
