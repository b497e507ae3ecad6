"""Book messages of a chunk, as the truth clock takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.labels.states import Int64s

SKIP = 0  # not applied: duplicate, stale, before the first whole book, after a gap
DELTA = 1
SNAPSHOT = 2


class Messages(NamedTuple):
    """Book messages of a chunk (m) and their level rows (n).

    ``start`` int64 (m + 1,); ``time_ns`` int64 (m,) running maximum; ``seq`` int64 (m,) -1 unknown; ``action`` int8
    (m,) SKIP, DELTA or SNAPSHOT; ``side`` int8, ``price``, ``size`` int64 (n,).
    """

    start: Int64s
    time_ns: Int64s
    seq: Int64s
    action: npt.NDArray[np.int8]
    side: npt.NDArray[np.int8]
    price: Int64s
    size: Int64s
