"""Where simulated orders rest: groups of one side and price, in each group one list of orders a queue model.

All orders of a group see the same level, so displayed lots D and traded lots C are kept once a group, and an event is
one straight loop over the list's fronts. An order that arrived after trades at its price, before the level's next
update, has its own C: it carries an offset (C of the group when it arrived) until that update. Prices are compared as
keys ``s·price``: the higher the key, the more aggressive the order, on both sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from lob_pipeline.core.columns import Array
from lob_pipeline.labels.states import Bool, Int, Int64s

# groups: columns
KEY = 0  # s·price
SHOWN = 1  # D, displayed lots
TRADED = 2  # C, lots traded at the price since the level's last update
GROUP_WIDTH = 3
# ends: columns
HEAD = 0
FRESH = 1  # orders from here on carry an offset of their own
TAIL = 2
# tags: columns
NUMBER = 0
ARRIVE = 1
OFFSET = 2
# meta
ACTIVE = 0  # groups in the ladder of a side, two entries
FREE = 2


class Resting(NamedTuple):
    """Resting orders. G groups, M queue models, room for K orders a list; side index 0 buys, 1 sells.

    ``groups`` int64 (G, 3), ``ladder`` int64 (2, G) group ids by ascending key, ``free`` int64 (G,),
    ``ends`` int64 (M, G, 3), ``front`` float64 (M, G, K) lots ahead, ``tags`` int64 (M, G, K, 3), ``meta`` int64 (3,).
    """

    groups: Int64s
    ladder: Int64s
    free: Int64s
    ends: Int64s
    front: npt.NDArray[np.float64]
    tags: Int64s
    meta: Int64s


def new_resting(models: int, groups: int = 64, room: int = 512) -> Resting:
    """Return an empty state for ``models`` queue models."""
    return Resting(
        groups=np.zeros((groups, GROUP_WIDTH), np.int64),
        ladder=np.zeros((2, groups), np.int64),
        free=np.arange(groups - 1, -1, -1, dtype=np.int64),
        ends=np.zeros((models, groups, 3), np.int64),
        front=np.empty((models, groups, room), np.float64),
        tags=np.empty((models, groups, room, 3), np.int64),
        meta=np.array([0, 0, groups], np.int64),
    )


def grow_resting(old: Resting) -> Resting:
    """Return the same orders with twice the groups and twice the room a list."""
    n_models, n_groups, room = old.front.shape
    new = new_resting(n_models, 2 * n_groups, 2 * room)
    pairs: tuple[tuple[Array, Array], ...] = (
        (new.groups[:n_groups], old.groups),
        (new.ladder[:, :n_groups], old.ladder),
        (new.ends[:, :n_groups], old.ends),
        (new.front[:, :n_groups, :room], old.front),
        (new.tags[:, :n_groups, :room], old.tags),
    )
    for target, source in pairs:
        target[...] = source
    unused = int(old.meta[FREE])
    new.free[:n_groups] = np.arange(2 * n_groups - 1, n_groups - 1, -1)
    new.free[n_groups : n_groups + unused] = old.free[:unused]
    new.meta[:] = old.meta
    new.meta[FREE] = n_groups + unused
    return new


@njit(cache=True)
def position(resting: Resting, si: Int, key: Int) -> Int:
    """Return the first place in side ``si``'s ladder whose key is not below ``key``."""
    low = 0
    high = resting.meta[ACTIVE + si]
    while low < high:
        middle = (low + high) >> 1
        if resting.groups[resting.ladder[si, middle], KEY] < key:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def find(resting: Resting, si: Int, key: Int) -> Int:
    """Return the group of ``key`` on side ``si``, -1 where no order rests there."""
    at = position(resting, si, key)
    if at < resting.meta[ACTIVE + si]:
        g = resting.ladder[si, at]
        if resting.groups[g, KEY] == key:
            return g
    return -1


@njit(cache=True)
def open_group(resting: Resting, si: Int, key: Int, shown: Int) -> Int:
    """Return a new, empty group of ``key`` with ``shown`` displayed lots, -1 where no group is free."""
    if resting.meta[FREE] == 0:
        return -1
    resting.meta[FREE] -= 1
    g = resting.free[resting.meta[FREE]]
    at = position(resting, si, key)
    n = resting.meta[ACTIVE + si]
    for i in range(n, at, -1):
        resting.ladder[si, i] = resting.ladder[si, i - 1]
    resting.ladder[si, at] = g
    resting.meta[ACTIVE + si] = n + 1
    resting.groups[g, KEY] = key
    resting.groups[g, SHOWN] = shown
    resting.groups[g, TRADED] = 0
    resting.ends[:, g, :] = 0
    return g


@njit(cache=True)
def close_if_empty(resting: Resting, si: Int, at: Int) -> Bool:
    """Give the group at place ``at`` of the ladder back when no order rests in it; return whether it was empty."""
    g = resting.ladder[si, at]
    for m in range(resting.ends.shape[0]):
        if resting.ends[m, g, HEAD] < resting.ends[m, g, TAIL]:
            return False
    n = resting.meta[ACTIVE + si]
    for i in range(at, n - 1):
        resting.ladder[si, i] = resting.ladder[si, i + 1]
    resting.meta[ACTIVE + si] = n - 1
    resting.free[resting.meta[FREE]] = g
    resting.meta[FREE] += 1
    return True


@njit(cache=True)
def has_room(resting: Resting, g: Int) -> Bool:
    """Whether one more order fits into every list of group ``g``."""
    longest = 0
    for m in range(resting.ends.shape[0]):
        longest = max(longest, resting.ends[m, g, TAIL] - resting.ends[m, g, HEAD])
    return longest < resting.front.shape[2]


@njit(cache=True)
def pack(resting: Resting, m: Int, g: Int) -> None:
    """Move a list to the start of its room."""
    head = resting.ends[m, g, HEAD]
    tail = resting.ends[m, g, TAIL]
    for i in range(head, tail):
        resting.front[m, g, i - head] = resting.front[m, g, i]
        resting.tags[m, g, i - head, NUMBER] = resting.tags[m, g, i, NUMBER]
        resting.tags[m, g, i - head, ARRIVE] = resting.tags[m, g, i, ARRIVE]
        resting.tags[m, g, i - head, OFFSET] = resting.tags[m, g, i, OFFSET]
    resting.ends[m, g, HEAD] = 0
    resting.ends[m, g, FRESH] = max(0, resting.ends[m, g, FRESH] - head)
    resting.ends[m, g, TAIL] = tail - head


@njit(cache=True)
def place(resting: Resting, m: Int, g: Int, number: Int, arrive_ns: Int) -> None:
    """Append order ``number`` to list ``m`` of group ``g``: it rests behind everything displayed there."""
    head = resting.ends[m, g, HEAD]
    tail = resting.ends[m, g, TAIL]
    if (head > 32 and head > tail - head) or tail == resting.front.shape[2]:
        pack(resting, m, g)
        tail = resting.ends[m, g, TAIL]
    traded = resting.groups[g, TRADED]
    resting.front[m, g, tail] = resting.groups[g, SHOWN]
    resting.tags[m, g, tail, NUMBER] = number
    resting.tags[m, g, tail, ARRIVE] = arrive_ns
    resting.tags[m, g, tail, OFFSET] = traded
    if traded == 0 and resting.ends[m, g, FRESH] == tail:
        resting.ends[m, g, FRESH] = tail + 1
    resting.ends[m, g, TAIL] = tail + 1
