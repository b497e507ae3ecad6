"""Temporal features of one row (declarations: temporal): moves of M2, running extremes, spread and message rate."""

from __future__ import annotations

import math

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import ROW
from lob_pipeline.features import state as at
from lob_pipeline.features.profile_kernel import microprice_offset
from lob_pipeline.features.registry import INDEX
from lob_pipeline.features.state import Float64s, Int64s

_BID_TICKS, _ASK_TICKS, _MESSAGES = ROW["bid_ticks_1"], ROW["ask_ticks_1"], ROW["messages"]

_RETURNS = tuple(INDEX[f"log_return_{w}_bps"] for w in ("100ms", "500ms", "1s", "5s", "30s", "60s"))
_RETURN_ROWS = (at.N_100MS, at.N_500MS, at.N_1S, at.N_5S, at.N_30S, at.N_60S)
_VOLS = tuple(INDEX[f"realised_vol_{w}_bps"] for w in ("1s", "5s", "30s"))
_VOL_ROWS = (at.N_1S, at.N_5S, at.N_30S)
_VOL_300S = INDEX["realised_vol_300s_bps"]
_VOL_RATIO = INDEX["realised_vol_5s_vs_300s_ratio"]
_AUTOCORRELATION = INDEX["return_autocorr_lag1_30s_ratio"]
_RANGE = INDEX["mid_range_60s_bps"]
_MOMENTUM = INDEX["microprice_momentum_1s_ticks"]
_SPREAD_RATIO = INDEX["spread_vs_60s_ratio"]
_MESSAGE_RATE = INDEX["message_rate_1s_hz"]


@njit(cache=True, error_model="numpy")
def start_extremes(mark: Int64s) -> None:
    """Empty the queues of the window's extremes: a run starts, and its row 0 is in no window."""
    mark[at.MAX_HEAD] = mark[at.MAX_TAIL] = mark[at.MIN_HEAD] = mark[at.MIN_TAIL] = 0


@njit(cache=True, error_model="numpy")
def _keep_extreme(
    extremes: Int64s, mark: Int64s, head: int, tail: int, column: int, row: int, value: int, sign: int, rows: int
) -> None:
    """Take row ``row`` into the queue at ``column``: what it outdoes leaves at the tail, what is too old at the head.

    ``sign`` +1 keeps the largest value at the head, −1 the smallest.
    """
    last = extremes.shape[0] - 1
    end = mark[tail]
    while end > mark[head] and sign * extremes[(end - 1) & last, column + 1] <= sign * value:
        end -= 1
    extremes[end & last, column] = row
    extremes[end & last, column + 1] = value
    mark[tail] = end + 1
    if extremes[mark[head] & last, column] <= row - rows:
        mark[head] += 1


@njit(cache=True, error_model="numpy")
def add_temporal(ring: Int64s, long: Int64s, extremes: Int64s, mark: Int64s, params: Int64s, row: Int64s) -> None:
    """Extend the running totals and the extremes by row ``mark[AT]`` > 0 of a run."""
    r = mark[at.AT]
    last = ring.shape[0] - 1
    now, before = r & last, (r - 1) & last
    m2 = row[_BID_TICKS] + row[_ASK_TICKS]
    m2_before = ring[before, at.BEST_BID] + ring[before, at.BEST_ASK]
    moved = m2 - m2_before
    moved_before = 0
    if r > 1:
        moved_before = m2_before - ring[(r - 2) & last, at.BEST_BID] - ring[(r - 2) & last, at.BEST_ASK]
    ring[now, at.SPREAD] = ring[before, at.SPREAD] + row[_ASK_TICKS] - row[_BID_TICKS]
    ring[now, at.MESSAGES] = ring[before, at.MESSAGES] + row[_MESSAGES]
    ring[now, at.MOVED_SQUARED] = ring[before, at.MOVED_SQUARED] + moved * moved
    long[r & (long.shape[0] - 1), at.LONG_MOVED_SQUARED] = ring[now, at.MOVED_SQUARED]
    ring[now, at.MOVED_PRODUCT] = ring[before, at.MOVED_PRODUCT] + moved * moved_before
    rows = params[at.N_60S]
    _keep_extreme(extremes, mark, at.MAX_HEAD, at.MAX_TAIL, at.MAX_ROW, r, m2, 1, rows)
    _keep_extreme(extremes, mark, at.MIN_HEAD, at.MIN_TAIL, at.MIN_ROW, r, m2, -1, rows)


@njit(cache=True, error_model="numpy")
def _offset(ring: Int64s, microprice: Float64s, i: int) -> float:
    spread = ring[i, at.BEST_ASK] - ring[i, at.BEST_BID]
    return microprice_offset(microprice, ring[i, at.BEST_BID_LOTS], ring[i, at.BEST_ASK_LOTS], spread)


@njit(cache=True, error_model="numpy")
def _write_60s(
    ring: Int64s,
    extremes: Int64s,
    mark: Int64s,
    now: int,
    rows: int,
    m2: int,
    out: np.ndarray,  # type: ignore[type-arg]
) -> None:
    then = (mark[at.AT] - rows) & (ring.shape[0] - 1)
    last = extremes.shape[0] - 1
    highest = extremes[mark[at.MAX_HEAD] & last, at.MAX_M2]
    lowest = extremes[mark[at.MIN_HEAD] & last, at.MIN_M2]
    out[_RANGE] = 1e4 * ((highest - lowest) / m2)
    spread = ring[now, at.BEST_ASK] - ring[now, at.BEST_BID]
    out[_SPREAD_RATIO] = min(20.0, spread * rows / (ring[now, at.SPREAD] - ring[then, at.SPREAD]))


@njit(cache=True, error_model="numpy")
def temporal_step(
    ring: Int64s,
    long: Int64s,
    extremes: Int64s,
    mark: Int64s,
    params: Int64s,
    microprice: Float64s,
    out: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """Write the temporal features that row ``mark[AT]`` of a run can have; the others of ``out`` stay NaN."""
    r = mark[at.AT]
    last = ring.shape[0] - 1
    now = r & last
    m2 = ring[now, at.BEST_BID] + ring[now, at.BEST_ASK]
    for i in range(6):
        n = params[_RETURN_ROWS[i]]
        if r >= n:
            then = (r - n) & last
            m2_then = ring[then, at.BEST_BID] + ring[then, at.BEST_ASK]
            out[_RETURNS[i]] = 1e4 * math.log(m2 / m2_then) if m2 != m2_then else 0.0
    squares = ring[now, at.MOVED_SQUARED]
    for i in range(3):
        n = params[_VOL_ROWS[i]]
        if r >= n:
            out[_VOLS[i]] = 1e4 * math.sqrt(squares - ring[(r - n) & last, at.MOVED_SQUARED]) / m2
    n, short = params[at.N_300S], params[at.N_5S]
    if r >= n:
        whole = squares - long[(r - n) & (long.shape[0] - 1), at.LONG_MOVED_SQUARED]
        out[_VOL_300S] = 1e4 * math.sqrt(whole) / m2
        part = squares - ring[(r - short) & last, at.MOVED_SQUARED]
        out[_VOL_RATIO] = math.sqrt((part / short) / (whole / n)) if whole > 0 else 1.0
    n = params[at.N_30S]
    if r > n:
        then = (r - n) & last
        whole = squares - ring[then, at.MOVED_SQUARED]
        products = ring[now, at.MOVED_PRODUCT] - ring[then, at.MOVED_PRODUCT]
        out[_AUTOCORRELATION] = min(1.0, max(-1.0, products / whole)) if whole > 0 else 0.0
    n = params[at.N_1S]
    if r >= n:
        then = (r - n) & last
        out[_MOMENTUM] = _offset(ring, microprice, now) - _offset(ring, microprice, then)
        out[_MESSAGE_RATE] = (ring[now, at.MESSAGES] - ring[then, at.MESSAGES]) / (n * params[at.STEP_NS] / 1e9)
    n = params[at.N_60S]
    if r >= n:
        _write_60s(ring, extremes, mark, now, n, m2, out)
