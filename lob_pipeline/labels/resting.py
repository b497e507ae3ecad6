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
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.states import Bool, Int, Int64s

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
    ``ring`` int32 (2, RING) group ids; ``front`` float64 (M, G, K) lots ahead; ``tags`` int64 (M, G, K, 3); ``meta`` int64.
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


@njit(cache=True, forceinline=True)
def position(groups: Int64s, ladder: Int64s, meta: Int64s, si: Int, key: Int) -> Int:
    """Return the first place in side ``si``'s ladder whose key is not below ``key``."""
    low = np.int64(0)
    high = meta[ACTIVE + si]
    while low < high:
        middle = (low + high) >> 1
        if groups[ladder[si, middle], KEY] < key:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, forceinline=True)
def find(groups: Int64s, ladder: Int64s, ring: npt.NDArray[np.int32], meta: Int64s, si: Int, key: Int) -> Int:
    """Return the group of ``key`` on side ``si``, NO_GROUP where no order rests there."""
    g = np.int64(ring[si, key & (RING - 1)])
    if g >= 0 and groups[g, KEY] == key:
        return g
    if meta[UNINDEXED] > 0:
        at = position(groups, ladder, meta, si, key)
        if at < meta[ACTIVE + si] and groups[ladder[si, at], KEY] == key:
            return ladder[si, at]
    return np.int64(NO_GROUP)


@njit(cache=True)
def open_group(resting: Resting, si: Int, key: Int, shown: Int) -> Int:
    """Return a new, empty group of ``key`` with ``shown`` displayed lots, NO_GROUP where none is free."""
    groups, ladder, ring, meta = resting.groups, resting.ladder, resting.ring, resting.meta
    if meta[FREE] == 0:
        return np.int64(NO_GROUP)
    meta[FREE] -= 1
    g = ladder[UNUSED, meta[FREE]]
    at = position(groups, ladder, meta, si, key)
    n = meta[ACTIVE + si]
    for i in range(n, at, -1):
        ladder[si, i] = ladder[si, i - 1]
    ladder[si, at] = g
    meta[ACTIVE + si] = n + 1
    for c in range(groups.shape[1]):
        groups[g, c] = 0
    groups[g, KEY] = key
    groups[g, SHOWN] = shown
    if ring[si, key & (RING - 1)] < 0:
        ring[si, key & (RING - 1)] = g
    else:
        meta[UNINDEXED] += 1
    return g


@njit(cache=True)
def close_if_empty(groups: Int64s, ladder: Int64s, ring: npt.NDArray[np.int32], meta: Int64s, si: Int, at: Int) -> None:
    """Give the group at place ``at`` of side ``si``'s ladder back when no order rests in it."""
    g = ladder[si, at]
    for c in range(HEAD, groups.shape[1], LIST):
        if groups[g, c] < groups[g, c + TAIL - HEAD]:
            return
    n = meta[ACTIVE + si]
    for i in range(at, n - 1):
        ladder[si, i] = ladder[si, i + 1]
    meta[ACTIVE + si] = n - 1
    ladder[UNUSED, meta[FREE]] = g
    meta[FREE] += 1
    place_in_ring = groups[g, KEY] & (RING - 1)
    if ring[si, place_in_ring] == g:
        ring[si, place_in_ring] = NO_GROUP
    else:
        meta[UNINDEXED] -= 1


@njit(cache=True)
def pack(groups: Int64s, front: npt.NDArray[np.float64], tags: Int64s, m: Int, g: Int) -> None:
    """Move list ``m`` of group ``g`` to the start of its room."""
    head = groups[g, HEAD + LIST * m]
    tail = groups[g, TAIL + LIST * m]
    for i in range(head, tail):
        front[m, g, i - head] = front[m, g, i]
        for c in range(3):
            tags[m, g, i - head, c] = tags[m, g, i, c]
    groups[g, HEAD + LIST * m] = 0
    groups[g, FRESH + LIST * m] -= head
    groups[g, TAIL + LIST * m] = tail - head


@njit(cache=True, forceinline=True)
def place(
    groups: Int64s, front: npt.NDArray[np.float64], tags: Int64s, m: Int, g: Int, number: Int, arrive_ns: Int
) -> Bool:
    """Append order ``number`` to list ``m`` of group ``g``, behind everything displayed there; return whether it fits."""
    head = groups[g, HEAD + LIST * m]
    tail = groups[g, TAIL + LIST * m]
    if (head > 32 and head > tail - head) or (tail == front.shape[2] and head > 0):
        pack(groups, front, tags, m, g)
        tail = groups[g, TAIL + LIST * m]
    if tail == front.shape[2]:
        return False
    traded = groups[g, TRADED]
    front[m, g, tail] = np.float64(groups[g, SHOWN])
    tags[m, g, tail, NUMBER] = number
    tags[m, g, tail, ARRIVE] = arrive_ns
    tags[m, g, tail, OFFSET] = traded
    if traded == 0 and groups[g, FRESH + LIST * m] == tail:
        groups[g, FRESH + LIST * m] = tail + 1
    groups[g, TAIL + LIST * m] = tail + 1
    return True


@njit(cache=True, forceinline=True)
def has_room(groups: Int64s, room: Int, g: Int) -> Bool:
    """Whether one more order fits into every list of group ``g``; ``room`` orders fit into a list."""
    longest = np.int64(0)
    for c in range(HEAD, groups.shape[1], LIST):
        longest = max(longest, groups[g, c + TAIL - HEAD] - groups[g, c])
    return longest < room
