"""How large a drift plants which edge.

The planted edge E of a market is what a taker who knows every signal earns on average, net of the spread and before
fees (``sim/taker.py``): he crosses when a move starts and crosses again when it ends. What a maker with the same
knowledge earns stands beside it in the truth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.units import parse_date
from lob_pipeline.sim.config import DAY_US, SimConfig, day_start_us, session_start_us
from lob_pipeline.sim.signals import Signals, draw_signals, no_signals

HORIZON_S = np.array([10.0, 20.0, 30.0, 60.0])
MAX_DRIFT_BPS = 50.0  # a little above the largest drift that was measured


class DriftLines(NamedTuple):
    """What the taker earns by horizon (``HORIZON_S``, linear between them): slope·drift − cost, float64 (4,)."""

    slope: npt.NDArray[np.float64]
    cost_bps: npt.NDArray[np.float64]


# by preset, measured by python -m lob_pipeline.sim.oracle --calibrate --preset P --first-seed 101 --seeds 2, for the
# fitted one with --minutes 120: slopes to 0.01, costs to 0.2 bps (by-hand: to 0.004 and 0.1); its 30 s, the labels' own
# horizon, with --horizon-s 30 --first-seed 103 --seeds 8: to 0.003 and 0.1
DRIFT_LINES = {
    "btcusdt-2023": DriftLines(np.array([0.993, 0.999, 0.995, 1.003]), np.array([-0.06, 0.01, -0.24, 0.04])),
    "by-hand": DriftLines(np.array([0.993, 0.992, 0.997, 1.012]), np.array([-0.17, -0.40, -0.55, -0.75])),
}


def drift_bps(edge_bps: float, horizon_s: float, preset: str) -> float:
    """Return how far the value must drift in a signal, in bps, for a planted edge of ``edge_bps``; 0 for 0.

    The measured line of the preset and the horizon turned round. Raises ``BadInputError`` for an edge beyond what was
    measured, or a preset for which nothing was.
    """
    if edge_bps == 0:
        return 0.0
    if preset not in DRIFT_LINES:
        raise BadInputError(
            f"--edge-bps {edge_bps:g}: no drift was measured for preset {preset!r}, only for {', '.join(DRIFT_LINES)}"
        )
    lines = DRIFT_LINES[preset]
    slope, cost = (float(np.interp(horizon_s, HORIZON_S, line)) for line in lines)
    drift = (edge_bps + cost) / slope
    if not 0 <= drift <= MAX_DRIFT_BPS:
        raise BadInputError(
            f"--edge-bps {edge_bps:g}: expected 0 (a market without signals), or {max(0.0, -cost):.2f} to "
            f"{slope * MAX_DRIFT_BPS - cost:.0f} at this horizon"
        )
    return drift


def drawn_signals(config: SimConfig, date: str) -> Signals:
    """Return the day's signals as drawn, also for a market without an edge: there they are times nothing happens at."""
    start_us, end_us = session_start_us(config, date), day_start_us(date) + DAY_US
    shape = config.shape._replace(move_s=config.horizon_s)
    drift = shape.drift_bps or drift_bps(config.edge_bps, config.horizon_s, config.preset)
    return draw_signals(config.market_seed, parse_date(date).toordinal(), start_us, end_us, drift, shape)


def day_signals(config: SimConfig, date: str) -> Signals:
    """Return the signals that act in the market of ``date``: none without an edge."""
    return drawn_signals(config, date) if config.edge_bps > 0 else no_signals()


def signals_to_json(signals: Signals, config: SimConfig) -> list[dict[str, Any]]:
    """Return each signal as plain JSON types: when it starts, when its move starts and ends, direction, drift."""
    lead_ns, move_ns = round(config.shape.lead_s * 1e9), round(config.horizon_s * 1e9)
    return [
        {
            "start_ns": start * 1000,
            "move_ns": start * 1000 + lead_ns,
            "end_ns": start * 1000 + lead_ns + move_ns,
            "direction": direction,
            "drift_bps": drift,
        }
        for start, direction, drift in zip(
            signals.start_us.tolist(), signals.direction.tolist(), signals.drift_bps.tolist(), strict=True
        )
    ]
