"""Windows of rows for training: runs of one length that together count every target row once and cross no gap.

A window lies within one segment. Its rows before the next target row that is not counted yet are context: read, not
scored. The last window of a segment is shifted back; a segment shorter than a window starts at its first row and is
padded behind its last one. ``positions`` says of each position which row it is, whether it is one, and whether it
counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.jit import njit
from lob_pipeline.datasets.instants import Int32s, Int64s, Mask


class Positions(NamedTuple):
    """Of windows (k, length): ``row`` int64 (clipped into the data), ``real`` (not padding), ``counted``."""

    row: Int64s
    real: Mask
    counted: Mask


def windows(segment: Int32s, target: Mask, length: int, context: int = 0) -> Int64s:
    """Return the first rows of the windows int64 (k,), ascending.

    ``segment`` int32 (n,) as of ``Instants``, ``target`` bool (n,): rows that count (those outside any segment do not).
    ``context``: rows before the first counted one of each window, where the segment has so many. Raises
    ``BadInputError`` unless 0 <= context < length.
    """
    if length < 1 or not 0 <= context < length:
        raise BadInputError(f"windows of {length} rows with {context} rows of context: expected 0 <= context < length")
    starts = np.empty(int(np.count_nonzero(target)), np.int64)
    used = _place(segment, target, length, context, starts)
    return starts[:used].copy()


@njit(cache=True)
def _place(segment: Int32s, target: Mask, length: int, context: int, starts: Int64s) -> int:
    n = segment.size
    used = 0
    first = 0
    while first < n:
        end = first + 1
        while end < n and segment[end] == segment[first]:
            end += 1
        row = first
        while segment[first] >= 0 and row < end:
            if not target[row]:
                row += 1
                continue
            start = max(first, min(max(first, row - context), end - length))
            starts[used] = start
            used += 1
            row = start + length
        first = end
    return used


def positions(segment: Int32s, target: Mask, starts: Int64s, length: int) -> Positions:
    """Return what each position of the windows of ``windows`` is; every target row is counted in exactly one."""
    n = len(segment)
    row = starts[:, None] + np.arange(length)
    clipped = np.minimum(row, n - 1)
    real = (row < n) & (segment[clipped] == segment[starts][:, None])
    ends = np.concatenate([[-1], starts[:-1] + length])
    own = np.concatenate([[False], segment[starts[1:]] == segment[starts[:-1]]])
    fresh = ~own[:, None] | (row >= ends[:, None])
    return Positions(clipped, real, real & fresh & target[clipped])
