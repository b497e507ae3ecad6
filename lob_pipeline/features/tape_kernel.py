"""Tape features of one row (declarations: tape), from what its trades sum to (tape_rows)."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.features import state as at
from lob_pipeline.features.registry import INDEX
from lob_pipeline.features.state import Float64s, Int64s
from lob_pipeline.features.tape_rows import T_COUNT, T_LARGEST, T_LAST_NS, T_NOTIONAL, T_SIGNED, T_VOLUME

_SIGNED = tuple(INDEX[f"signed_volume_{w}_lots"] for w in ("1s", "5s", "30s"))
_COUNT_1S, _COUNT_30S = INDEX["trade_count_1s_count"], INDEX["trade_count_30s_count"]
_IMBALANCE_5S, _IMBALANCE_30S = INDEX["trade_imbalance_5s_ratio"], INDEX["trade_imbalance_30s_ratio"]
_VPIN, _KYLE = INDEX["vpin_60s_ratio"], INDEX["kyle_lambda_60s_half_ticks"]
_LARGE, _SINCE = INDEX["large_trade_1s_flag"], INDEX["time_since_trade_ms"]
_SIZE_RATIO, _VOLUME_RATIO = INDEX["trade_size_5s_vs_300s_ratio"], INDEX["volume_5s_vs_300s_ratio"]
_VWAP = INDEX["vwap_offset_5s_bps"]
_AGE_CAP_NS = 60 * NS_PER_S
_BARS = 60
_LARGE_MULTIPLE = 50


@njit(cache=True, error_model="numpy")
def add_tape(ring: Int64s, long: Int64s, mark: Int64s, tape: Int64s) -> None:
    """Take the trades of row ``mark[AT]`` of a run into the running totals.

    ``tape`` int64 (TAPE_WIDTH,). A row of which no tape was recorded (count below 0) ends every window of the tape, as
    row 0 does.
    """
    r = mark[at.AT]
    last = ring.shape[0] - 1
    now, before = r & last, (r - 1) & last
    ring[now, at.LARGEST] = 0
    if tape[T_COUNT] >= 0 and tape[T_LAST_NS] > mark[at.LAST_TRADE]:
        mark[at.LAST_TRADE] = tape[T_LAST_NS]
    if r == 0 or tape[T_COUNT] < 0:
        mark[at.TAPE_FROM] = r
        mark[at.BARS_AT] = -1
        ring[now, at.SIGNED] = ring[now, at.VOLUME] = ring[now, at.TRADES] = ring[now, at.NOTIONAL] = 0
        long[r & (long.shape[0] - 1), at.LONG_VOLUME] = long[r & (long.shape[0] - 1), at.LONG_TRADES] = 0
        return
    ring[now, at.SIGNED] = ring[before, at.SIGNED] + tape[T_SIGNED]
    ring[now, at.VOLUME] = ring[before, at.VOLUME] + tape[T_VOLUME]
    ring[now, at.TRADES] = ring[before, at.TRADES] + tape[T_COUNT]
    ring[now, at.NOTIONAL] = ring[before, at.NOTIONAL] + tape[T_NOTIONAL]
    ring[now, at.LARGEST] = tape[T_LARGEST]
    long[r & (long.shape[0] - 1), at.LONG_VOLUME] = ring[now, at.VOLUME]
    long[r & (long.shape[0] - 1), at.LONG_TRADES] = ring[now, at.TRADES]


@njit(cache=True, error_model="numpy")
def _sum_bars(ring: Int64s, r: int, from_row: int, ts_ns: int, step_ns: int, bars: Float64s) -> bool:
    """Sum the sixty one-second bars that end at the last whole second; return whether all their rows are known.

    Bar s holds the rows with s − 1 s < t <= s; its move is between the last rows at or before its two ends. Σ x·y and
    Σ x² are float64 in a fixed order (oldest bar first): squares of lots may leave 64 bits.
    """
    last = ring.shape[0] - 1
    second = ts_ns // NS_PER_S * NS_PER_S
    even = step_ns * (NS_PER_S // step_ns) == NS_PER_S  # every bar has as many rows: no division a bar
    i = r - (ts_ns - second + _BARS * NS_PER_S + step_ns - 1) // step_ns
    if i < from_row:
        return False
    net, volume = 0, 0
    xy, xx = 0.0, 0.0
    then = i & last
    for k in range(_BARS - 1, -1, -1):
        i = i + NS_PER_S // step_ns if even else r - (ts_ns - second + k * NS_PER_S + step_ns - 1) // step_ns
        now = i & last
        traded = ring[now, at.VOLUME] - ring[then, at.VOLUME]
        if traded > 0:
            x = ring[now, at.SIGNED] - ring[then, at.SIGNED]
            m2_then = ring[then, at.BEST_BID] + ring[then, at.BEST_ASK]
            y = ring[now, at.BEST_BID] + ring[now, at.BEST_ASK] - m2_then
            net += abs(x)
            volume += traded
            xy += float(x) * float(y)
            xx += float(x) * float(x)
        then = now
    bars[at.BARS_NET] = net
    bars[at.BARS_VOLUME] = volume
    bars[at.BARS_XY] = xy
    bars[at.BARS_XX] = xx
    return True


@njit(cache=True, error_model="numpy")
def _share(part: int, whole: int) -> float:
    return part / whole if whole > 0 else 0.0


@njit(cache=True, error_model="numpy")
def _write_bars(
    ring: Int64s,
    mark: Int64s,
    params: Int64s,
    bars: Float64s,
    ts_ns: int,
    out: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """Write vpin and kyle; their sums change once a second and are kept meanwhile."""
    second = ts_ns // NS_PER_S * NS_PER_S
    r = mark[at.AT]
    if mark[at.BARS_AT] != second:
        if not _sum_bars(ring, r, mark[at.TAPE_FROM], ts_ns, params[at.STEP_NS], bars):
            return
        mark[at.BARS_AT] = second
    now = r & (ring.shape[0] - 1)
    m2 = ring[now, at.BEST_BID] + ring[now, at.BEST_ASK]
    q = params[at.SMALL] if params[at.INVERSE] else (params[at.SMALL] + m2 - 1) // m2
    out[_VPIN] = bars[at.BARS_NET] / bars[at.BARS_VOLUME] if bars[at.BARS_VOLUME] > 0 else 0.0
    out[_KYLE] = q * (bars[at.BARS_XY] / bars[at.BARS_XX]) if bars[at.BARS_XX] > 0 else 0.0


@njit(cache=True, error_model="numpy")
def _write_300s(
    ring: Int64s,
    past: Int64s,
    r: int,
    params: Int64s,
    volume: int,
    count: int,
    out: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """Write what compares with the last 300 s; ``past`` is the long ring's row of then, the 5 s are given."""
    last = ring.shape[0] - 1
    now, short, long = r & last, params[at.N_5S], params[at.N_300S]
    whole = ring[now, at.VOLUME] - past[at.LONG_VOLUME]
    trades = ring[now, at.TRADES] - past[at.LONG_TRADES]
    largest = 0
    if ring[now, at.TRADES] != ring[(r - params[at.N_1S]) & last, at.TRADES]:
        for i in range(params[at.N_1S]):
            largest = max(largest, ring[(r - i) & last, at.LARGEST])
    large = whole > 0 and float(largest) * trades >= float(_LARGE_MULTIPLE) * whole
    out[_LARGE] = 1.0 if large else 0.0
    out[_SIZE_RATIO] = min(20.0, (volume / count) / (whole / trades)) if count > 0 and whole > 0 else 1.0
    out[_VOLUME_RATIO] = min(100.0, (volume / short) / (whole / long)) if whole > 0 else 1.0


@njit(cache=True, error_model="numpy")
def tape_step(
    ring: Int64s,
    long: Int64s,
    mark: Int64s,
    params: Int64s,
    bars: Float64s,
    ts_ns: int,
    out: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """Write the tape features that row ``mark[AT]`` of a run can have; the others of ``out`` stay NaN."""
    r = mark[at.AT]
    known = r - mark[at.TAPE_FROM]
    last = ring.shape[0] - 1
    now = r & last
    n = params[at.N_1S]
    if known >= n:
        then = (r - n) & last
        out[_SIGNED[0]] = ring[now, at.SIGNED] - ring[then, at.SIGNED]
        out[_COUNT_1S] = ring[now, at.TRADES] - ring[then, at.TRADES]
    n = params[at.N_5S]
    volume, count = 0, 0
    if known >= n:
        then = (r - n) & last
        signed = ring[now, at.SIGNED] - ring[then, at.SIGNED]
        volume = ring[now, at.VOLUME] - ring[then, at.VOLUME]
        count = ring[now, at.TRADES] - ring[then, at.TRADES]
        m2 = ring[now, at.BEST_BID] + ring[now, at.BEST_ASK]
        paid = ring[now, at.NOTIONAL] - ring[then, at.NOTIONAL]
        out[_SIGNED[1]] = signed
        out[_IMBALANCE_5S] = _share(signed, volume)
        out[_VWAP] = 1e4 * ((2 * paid - m2 * volume) / (float(m2) * volume)) if volume > 0 else 0.0
    n = params[at.N_30S]
    if known >= n:
        then = (r - n) & last
        signed = ring[now, at.SIGNED] - ring[then, at.SIGNED]
        out[_SIGNED[2]] = signed
        out[_COUNT_30S] = ring[now, at.TRADES] - ring[then, at.TRADES]
        out[_IMBALANCE_30S] = _share(signed, ring[now, at.VOLUME] - ring[then, at.VOLUME])
    if known >= params[at.N_60S]:
        age = _AGE_CAP_NS if mark[at.LAST_TRADE] < 0 else min(_AGE_CAP_NS, ts_ns - mark[at.LAST_TRADE])
        out[_SINCE] = age / 1e6
    _write_bars(ring, mark, params, bars, ts_ns, out)
    if known >= params[at.N_300S]:
        past = long[(r - params[at.N_300S]) & (long.shape[0] - 1)]
        _write_300s(ring, past, r, params, volume, count, out)
