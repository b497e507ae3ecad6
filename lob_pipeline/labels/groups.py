"""Groups of resting orders: found, opened, closed, and orders appended to them (``resting`` holds the state)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.labels.resting import (
    ACTIVE,
    ARRIVE,
    FREE,
    FRESH,
    HEAD,
    KEY,
    LIST,
    NO_GROUP,
    NUMBER,
    OFFSET,
    RING,
    SHOWN,
    TAIL,
    TRADED,
    UNINDEXED,
    UNUSED,
    Resting,
)
from lob_pipeline.labels.states import Bool, Int, Int64s


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
    """Append order ``number`` to list ``m`` of group ``g``, behind all that is displayed; return whether it fits."""
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
