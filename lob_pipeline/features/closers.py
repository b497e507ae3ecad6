"""Where in the stream each row closed: what puts trades and rows in one order (grid rule: book/advance)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import KIND_AUDIT, KIND_DELTA, KIND_SNAPSHOT

Int64s = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]

HOLD, ROW = range(2)


@njit(cache=True)
def find_closers(
    close_ns: Int64s,
    found: Int64s,
    mark: Int64s,
    order: Int64s,
    ts_ns: Int64s,
    recv_ns: Int64s,
    kind: Int8s,
    bridge: bool,
    day_end_ns: int,
) -> None:
    """Go on through messages and note where each row closes.

    close_ns  int64 (rows,)      event time of the message that closed the row
    found     int64 (rows,)      is written: that message's place in the stream
    mark      int64 (2,)         receive time of a bridging snapshot while its buffered deltas follow; the next row
    order …   (messages,)        of each message's first level row
    ``bridge``: whether the venue's snapshots come by REST, so that deltas received before one follow it and close none.
    The rows that one message closes have its time and later rows a later one: the first message of that time is it.
    """
    i = mark[ROW]
    for j in range(len(order)):
        if i == len(close_ns):
            break
        if kind[j] == KIND_AUDIT and ts_ns[j] <= day_end_ns:
            continue
        buffered = kind[j] == KIND_DELTA and 0 < recv_ns[j] <= mark[HOLD]
        if not buffered:
            mark[HOLD] = recv_ns[j] if bridge and kind[j] == KIND_SNAPSHOT else 0
            while i < len(close_ns) and close_ns[i] == ts_ns[j]:
                found[i] = order[j]
                i += 1
    mark[ROW] = i
