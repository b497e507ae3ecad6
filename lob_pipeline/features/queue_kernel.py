"""Queue features of one row (declarations: queue): differences of the ring's running totals, and ages."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import ROW
from lob_pipeline.features import state as at
from lob_pipeline.features.depth_kernel import imbalance
from lob_pipeline.features.registry import INDEX
from lob_pipeline.features.state import Int64s

_TS = ROW["ts_ns"]
_BID_DEPTH_2BPS, _ASK_DEPTH_2BPS = ROW["bid_depth_2bps_lots"], ROW["ask_depth_2bps_lots"]

_OFI_L1_100MS = INDEX["ofi_l1_100ms_lots"]
_OFI_L1_1S, _OFI_L1_5S = INDEX["ofi_l1_1s_lots"], INDEX["ofi_l1_5s_lots"]
_OFI_L1_30S = INDEX["ofi_l1_30s_lots"]
_OFI_L5_1S, _OFI_L5_5S = INDEX["ofi_l5_1s_lots"], INDEX["ofi_l5_5s_lots"]
_OFI_L10_1S = INDEX["ofi_l10_1s_lots"]
_OFI_L6_TO_L10 = INDEX["ofi_l6_to_l10_5s_lots"]
_BID_ADDS, _ASK_ADDS = INDEX["bid_adds_1s_lots"], INDEX["ask_adds_1s_lots"]
_BID_REMOVALS, _ASK_REMOVALS = INDEX["bid_removals_1s_lots"], INDEX["ask_removals_1s_lots"]
_BID_NET, _ASK_NET = INDEX["bid_net_depletion_1s_ratio"], INDEX["ask_net_depletion_1s_ratio"]
_BID_SHARE, _ASK_SHARE = INDEX["bid_removal_share_5s_ratio"], INDEX["ask_removal_share_5s_ratio"]
_BID_AGE, _ASK_AGE = INDEX["bid_since_worse_ms"], INDEX["ask_since_worse_ms"]
_UP_1S, _DOWN_1S = INDEX["mid_up_moves_1s_count"], INDEX["mid_down_moves_1s_count"]
_UP_5S, _DOWN_5S = INDEX["mid_up_moves_5s_count"], INDEX["mid_down_moves_5s_count"]
_BID_REFILL, _ASK_REFILL = INDEX["bid_refill_5s_ratio"], INDEX["ask_refill_5s_ratio"]
_BID_VACUUM, _ASK_VACUUM = INDEX["bid_depth_2bps_vs_60s_ratio"], INDEX["ask_depth_2bps_vs_60s_ratio"]
_FLOW_PER_MOVE = INDEX["flow_per_move_5s_ratio"]
_IMBALANCE_CHANGE = INDEX["queue_imbalance_l1_change_1s_ratio"]
_BID_EMPTY, _ASK_EMPTY = INDEX["bid_time_to_empty_s"], INDEX["ask_time_to_empty_s"]
_AGE_CAP_NS = 60_000_000_000


@njit(cache=True, error_model="numpy")
def _total(ring: Int64s, now: int, then: int, series: int) -> int:
    return ring[now, series] - ring[then, series]


@njit(cache=True, error_model="numpy")
def _clip10(value: float) -> float:
    return min(10.0, max(-10.0, value))


@njit(cache=True, error_model="numpy")
def _share(removed: int, added: int) -> float:
    return removed / (removed + added) if removed + added > 0 else 0.5


@njit(cache=True, error_model="numpy")
def _vacuum(depth: int, total: int, rows: int) -> float:
    return min(10.0, depth * rows / total) if total > 0 else 1.0


@njit(cache=True, error_model="numpy")
def _empty_s(lots: int, removed: int, window_s: float) -> float:
    return min(60.0, window_s * lots / removed) if removed > 0 else 60.0


@njit(cache=True, error_model="numpy")
def _write_1s(ring: Int64s, now: int, then: int, rows: int, out: np.ndarray) -> None:  # type: ignore[type-arg]
    bid_add, bid_remove = _total(ring, now, then, at.BID_ADD), _total(ring, now, then, at.BID_REMOVE)
    ask_add, ask_remove = _total(ring, now, then, at.ASK_ADD), _total(ring, now, then, at.ASK_REMOVE)
    out[_OFI_L1_1S] = _total(ring, now, then, at.OFI_L1)
    out[_OFI_L5_1S] = _total(ring, now, then, at.OFI_L5)
    out[_OFI_L10_1S] = _total(ring, now, then, at.OFI_L10)
    out[_BID_ADDS] = bid_add
    out[_ASK_ADDS] = ask_add
    out[_BID_REMOVALS] = bid_remove
    out[_ASK_REMOVALS] = ask_remove
    out[_BID_NET] = _clip10((bid_remove - bid_add) / (1.0 + _total(ring, now, then, at.BID_LOTS) / rows))
    out[_ASK_NET] = _clip10((ask_remove - ask_add) / (1.0 + _total(ring, now, then, at.ASK_LOTS) / rows))
    out[_UP_1S] = _total(ring, now, then, at.UP)
    out[_DOWN_1S] = _total(ring, now, then, at.DOWN)
    out[_IMBALANCE_CHANGE] = imbalance(ring[now, at.BEST_BID_LOTS], ring[now, at.BEST_ASK_LOTS]) - imbalance(
        ring[then, at.BEST_BID_LOTS], ring[then, at.BEST_ASK_LOTS]
    )


@njit(cache=True, error_model="numpy")
def _write_5s(ring: Int64s, now: int, then: int, rows: int, step_ns: int, out: np.ndarray) -> None:  # type: ignore[type-arg]
    bid_add, bid_remove = _total(ring, now, then, at.BID_ADD), _total(ring, now, then, at.BID_REMOVE)
    ask_add, ask_remove = _total(ring, now, then, at.ASK_ADD), _total(ring, now, then, at.ASK_REMOVE)
    ofi, ofi_l5 = _total(ring, now, then, at.OFI_L1), _total(ring, now, then, at.OFI_L5)
    out[_OFI_L1_5S] = ofi
    out[_OFI_L5_5S] = ofi_l5
    out[_OFI_L6_TO_L10] = _total(ring, now, then, at.OFI_L10) - ofi_l5
    out[_BID_SHARE] = _share(bid_remove, bid_add)
    out[_ASK_SHARE] = _share(ask_remove, ask_add)
    out[_UP_5S] = _total(ring, now, then, at.UP)
    out[_DOWN_5S] = _total(ring, now, then, at.DOWN)
    out[_BID_REFILL] = _clip10(_total(ring, now, then, at.BID_REFILLED) / (1 + _total(ring, now, then, at.BID_DRAINED)))
    out[_ASK_REFILL] = _clip10(_total(ring, now, then, at.ASK_REFILLED) / (1 + _total(ring, now, then, at.ASK_DRAINED)))
    moved = abs(ring[now, at.BEST_BID] + ring[now, at.BEST_ASK] - ring[then, at.BEST_BID] - ring[then, at.BEST_ASK])
    lots = _total(ring, now, then, at.BID_LOTS) + _total(ring, now, then, at.ASK_LOTS)
    out[_FLOW_PER_MOVE] = _clip10(ofi / ((1.0 + lots / (2 * rows)) * (1 + moved)))
    window_s = rows * step_ns / 1e9
    out[_BID_EMPTY] = _empty_s(ring[now, at.BEST_BID_LOTS], bid_remove, window_s)
    out[_ASK_EMPTY] = _empty_s(ring[now, at.BEST_ASK_LOTS], ask_remove, window_s)


@njit(cache=True, error_model="numpy")
def queue_step(ring: Int64s, mark: Int64s, params: Int64s, row: Int64s, out: np.ndarray) -> None:  # type: ignore[type-arg]
    """Write the queue features that row ``mark[AT]`` of a run can have; the others of ``out`` stay as they are (NaN).

    A window of n rows ends here and begins after row AT − n: row 0 of a run is in no window but its levels are read by
    differences, so sums and differences over n rows both appear at row n.
    """
    r = mark[at.AT]
    last = ring.shape[0] - 1
    now = r & last
    n = params[at.N_100MS]
    if r >= n:
        out[_OFI_L1_100MS] = _total(ring, now, (r - n) & last, at.OFI_L1)
    n = params[at.N_1S]
    if r >= n:
        _write_1s(ring, now, (r - n) & last, n, out)
    n = params[at.N_5S]
    if r >= n:
        _write_5s(ring, now, (r - n) & last, n, params[at.STEP_NS], out)
    n = params[at.N_30S]
    if r >= n:
        out[_OFI_L1_30S] = _total(ring, now, (r - n) & last, at.OFI_L1)
    n = params[at.N_60S]
    if r >= n:
        then = (r - n) & last
        bid, ask = row[_BID_DEPTH_2BPS], row[_ASK_DEPTH_2BPS]
        out[_BID_VACUUM] = _vacuum(bid, _total(ring, now, then, at.BID_DEPTH_2BPS), n)
        out[_ASK_VACUUM] = _vacuum(ask, _total(ring, now, then, at.ASK_DEPTH_2BPS), n)
        out[_BID_AGE] = min(_AGE_CAP_NS, row[_TS] - mark[at.BID_WORSE]) / 1e6
        out[_ASK_AGE] = min(_AGE_CAP_NS, row[_TS] - mark[at.ASK_WORSE]) / 1e6
