"""What one message did to the best levels: order flow imbalance, additions, removals, moves of the mid.

Definitions: FEATURES.md, "Flow columns" (after Cont, Kukanov and Stoikov 2014 at the best level, Xu, Gould and Howison
2019 at several). In key order (smaller is better, on both sides) one expression serves bids and asks, and an absent
level is simply a key worse than any price.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int
from lob_pipeline.book.state import NO_KEY, TOP, Int64Array
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import ROW

FIRST = ROW["messages"]
N_FLOW = ROW["bid_worse_ns"] - FIRST  # the columns that sum over messages
MESSAGES = 0
LEVEL_CHANGES = ROW["level_changes"] - FIRST
_OFI_L1 = ROW["ofi_l1_lots"] - FIRST
_OFI_L5 = ROW["ofi_l5_lots"] - FIRST
_OFI_L10 = ROW["ofi_l10_lots"] - FIRST
_BID_ADD = ROW["bid_add_lots"] - FIRST
_BID_REMOVE = ROW["bid_remove_lots"] - FIRST
_ASK_ADD = ROW["ask_add_lots"] - FIRST
_ASK_REMOVE = ROW["ask_remove_lots"] - FIRST
_MID_UP = ROW["mid_up_moves"] - FIRST
_MID_DOWN = ROW["mid_down_moves"] - FIRST
BID_WORSE = N_FLOW  # a flow vector ends with the two times
ASK_WORSE = N_FLOW + 1
FLOW_WIDTH = N_FLOW + 2


@njit(cache=True)
def copy_top(top: Int64Array, out: Int64Array) -> None:
    """Copy a book's top, int64 (2, 2, TOP); a plain loop, because assigning a slice costs more than the copy."""
    for s in range(2):
        for k in range(TOP):
            out[s, 0, k] = top[s, 0, k]
            out[s, 1, k] = top[s, 1, k]


@njit(cache=True)
def side_flow(old: Int64Array, new: Int64Array) -> tuple[Int, Int, Int]:
    """Return Σ_{m<=1}, Σ_{m<=5}, Σ_{m<=10} of W (bids) or V (asks); ``old``, ``new``: int64 (2, TOP) keys and lots."""
    total = np.int64(0)
    w1 = np.int64(0)
    w5 = np.int64(0)
    for m in range(TOP):
        total += new[1, m] * np.int64(new[0, m] <= old[0, m]) - old[1, m] * np.int64(old[0, m] <= new[0, m])
        if m == 0:
            w1 = total
        elif m == 4:
            w5 = total
    return w1, w5, total


@njit(cache=True)
def add_message(flow: Int64Array, old: Int64Array, new: Int64Array, ts_ns: Int, rows: Int) -> None:
    """Add one delta of ``rows`` level rows to ``flow`` (FLOW_WIDTH); ``old``, ``new``: int64 (2, 2, TOP) book tops."""
    flow[MESSAGES] += 1
    flow[LEVEL_CHANGES] += rows
    w1, w5, w10 = side_flow(old[0], new[0])
    v1, v5, v10 = side_flow(old[1], new[1])
    flow[_OFI_L1] += w1 - v1
    flow[_OFI_L5] += w5 - v5
    flow[_OFI_L10] += w10 - v10
    flow[_BID_ADD] += max(w1, 0)
    flow[_BID_REMOVE] += max(-w1, 0)
    flow[_ASK_ADD] += max(v1, 0)
    flow[_ASK_REMOVE] += max(-v1, 0)
    if old[0, 0, 0] < NO_KEY and old[1, 0, 0] < NO_KEY and new[0, 0, 0] < NO_KEY and new[1, 0, 0] < NO_KEY:
        rise = (new[1, 0, 0] - old[1, 0, 0]) - (new[0, 0, 0] - old[0, 0, 0])
        flow[_MID_UP] += np.int64(rise > 0)
        flow[_MID_DOWN] += np.int64(rise < 0)
    note_worse(flow, old, new, ts_ns)


@njit(cache=True)
def note_worse(flow: Int64Array, old: Int64Array, new: Int64Array, ts_ns: Int) -> None:
    """Set the worse time of each side whose best became worse (an empty side is worse than any price)."""
    if new[0, 0, 0] > old[0, 0, 0]:
        flow[BID_WORSE] = ts_ns
    if new[1, 0, 0] > old[1, 0, 0]:
        flow[ASK_WORSE] = ts_ns
