"""Seasonality features of one row (declarations: seasonality): phases of day, week, funding; ratios to the season."""

from __future__ import annotations

import math

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline.features import state as at
from lob_pipeline.features.profile_kernel import QUARTER_NS, QUARTERS
from lob_pipeline.features.registry import INDEX
from lob_pipeline.features.state import Float64s, Int64s

_HOUR = (INDEX["hour_sin"], INDEX["hour_cos"])
_WEEKDAY = (INDEX["weekday_sin"], INDEX["weekday_cos"])
_FUNDING = (INDEX["funding_sin"], INDEX["funding_cos"])
_SPREAD = INDEX["spread_vs_season_log"]
_ACTIVITY = INDEX["activity_vs_season_log"]
_MONDAY_NS = 4 * NS_PER_DAY
"""1970-01-05 was a Monday."""


@njit(cache=True, error_model="numpy")
def _write_phase(columns: tuple, ns: int, period_ns: int, out: np.ndarray) -> None:  # type: ignore[type-arg]
    phase = 2.0 * math.pi * ((ns % period_ns) / period_ns)
    out[columns[0]] = math.sin(phase)
    out[columns[1]] = math.cos(phase)


@njit(cache=True, error_model="numpy")
def _log_ratio(value: float, usual: float) -> float:
    """Return ln(value/usual) within ±5; 0 where the season does not know what is usual (NaN)."""
    if math.isnan(usual):
        return 0.0
    return min(5.0, max(-5.0, math.log(value / usual)))


@njit(cache=True, error_model="numpy")
def seasonality_step(ring: Int64s, mark: Int64s, params: Int64s, season: Float64s, ts_ns: int, out: np.ndarray) -> None:  # type: ignore[type-arg]
    """Write the seasonality features that row ``mark[AT]`` of a run can have; the others of ``out`` stay NaN."""
    _write_phase(_HOUR, ts_ns, NS_PER_DAY, out)
    _write_phase(_WEEKDAY, ts_ns - _MONDAY_NS, 7 * NS_PER_DAY, out)
    if params[at.FUNDING_NS] > 0:
        _write_phase(_FUNDING, ts_ns, params[at.FUNDING_NS], out)
    else:
        out[_FUNDING[0]] = 0.0
        out[_FUNDING[1]] = 1.0
    r, n = mark[at.AT], params[at.N_60S]
    if r >= n:
        last = ring.shape[0] - 1
        now, then = r & last, (r - n) & last
        quarter = (ts_ns // QUARTER_NS) % QUARTERS
        spread = (ring[now, at.SPREAD] - ring[then, at.SPREAD]) / n
        messages = ring[now, at.MESSAGES] - ring[then, at.MESSAGES]
        out[_SPREAD] = _log_ratio(spread, season[quarter, 0])
        out[_ACTIVITY] = _log_ratio(1.0 + messages, 1.0 + season[quarter, 1])
