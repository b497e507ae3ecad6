"""Where simulated orders rest: groups of one side and price, in each group one list of orders a queue model.

All orders of a group see the same level, so displayed lots D and traded lots C are kept once a group, and an event is
one straight loop over the list's fronts. An order that arrived after trades at its price, before the level's next
update, has its own C: it carries an offset (C of the group when it arrived) until that update. Prices are compared as
keys ``s·price``: the higher the key, the more aggressive the order, on both sides.

Groups are found through a ring indexed by the price's low bits; the few that do not get their place in it, because a
group a multiple of the ring's size away stands there, are found by bisection.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Array
from lob_pipeline.labels.states import Int64s

# groups: columns, then HEAD, FRESH, TAIL of each model's list
KEY = 0  # s·price
SHOWN = 1  # D, displayed lots
TRADED = 2  # C, lots traded at the price since the level's last update
HEAD = 3
FRESH = 4  # orders from here on carry an offset of their own
TAIL = 5
LIST = 3  # columns a model
# tags: columns
NUMBER = 0
ARRIVE = 1
OFFSET = 2
# meta
ACTIVE = 0  # groups in the ladder of a side, two entries
FREE = 2
UNINDEXED = 3  # groups without a place in the ring
META = 4
# ladder: rows
UNUSED = 2  # stack of free groups, after the two sides

RING = 1 << 12
NO_GROUP = -1


class Resting(NamedTuple):
    """Resting orders. G groups, M queue models, room for K orders a list; side index 0 buys, 1 sells.

    ``groups`` int64 (G, 3 + 3·M); ``ladder`` int64 (3, G): group ids by ascending key of the two sides, free ids;
    ``ring`` int32 (2, RING) group ids; ``front`` float64 (M, G, K) lots ahead; ``tags`` int64 (M, G, K, 3); ``meta``
    int64 (META,).
    """

    groups: Int64s
    ladder: Int64s
    ring: npt.NDArray[np.int32]
    front: npt.NDArray[np.float64]
    tags: Int64s
    meta: Int64s


def new_resting(models: int, groups: int = 64, room: int = 512) -> Resting:
    """Return an empty state for ``models`` queue models."""
    ladder = np.zeros((3, groups), np.int64)
    ladder[UNUSED] = np.arange(groups - 1, -1, -1)
    return Resting(
        groups=np.zeros((groups, HEAD + LIST * models), np.int64),
        ladder=ladder,
        ring=np.full((2, RING), NO_GROUP, np.int32),
        front=np.empty((models, groups, room), np.float64),
        tags=np.empty((models, groups, room, 3), np.int64),
        meta=np.array([0, 0, groups, 0], np.int64),
    )


def grow_resting(old: Resting) -> Resting:
    """Return the same orders with twice the groups and twice the room a list."""
    n_models, n_groups, room = old.front.shape
    new = new_resting(n_models, 2 * n_groups, 2 * room)
    pairs: tuple[tuple[Array, Array], ...] = (
        (new.groups[:n_groups], old.groups),
        (new.ladder[:UNUSED, :n_groups], old.ladder[:UNUSED]),
        (new.ring, old.ring),
        (new.front[:, :n_groups, :room], old.front),
        (new.tags[:, :n_groups, :room], old.tags),
        (new.meta, old.meta),
    )
    for target, source in pairs:
        target[...] = source
    unused = int(old.meta[FREE])
    new.ladder[UNUSED, :n_groups] = np.arange(2 * n_groups - 1, n_groups - 1, -1)
    new.ladder[UNUSED, n_groups : n_groups + unused] = old.ladder[UNUSED, :unused]
    new.meta[FREE] = n_groups + unused
    return new
