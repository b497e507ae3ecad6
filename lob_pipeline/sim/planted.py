"""How large a drift plants which edge.

The planted edge E of a market is the mean, over filled trades, of what an oracle earns in bps before fees: it knows
every signal's start and direction, nothing else, and at each start sends the simulated maker order of the labels on
the signalled side (proportional queue model): join the best, wait up to 30 s, hold 30 s, leave passively. So spread
and adverse selection are paid for, fees are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.units import parse_date
from lob_pipeline.sim.config import DAY_US, SimConfig, day_start_us, session_start_us
from lob_pipeline.sim.signals import Signals, draw_signals, no_signals

# The oracle's mean edge (bps, proportional queue model) by drift (bps), one row a horizon, measured by
# python -m lob_pipeline.sim.oracle --calibrate --horizon-s H --first-seed 101 --seeds 8 --minutes 120
# (H = 20; the other rows: 4 seeds, drifts 3, 13 and 45, linear between them)
DRIFT_BPS = np.array([0.0, 3.0, 7.0, 13.0, 20.0, 28.0, 45.0])
HORIZON_S = np.array([10.0, 20.0, 30.0, 60.0])
ORACLE_EDGE_BPS = np.array(
    [
        [-0.6, 2.39, 6.44, 12.52, 19.34, 27.14, 43.72],
        [-0.6, 2.43, 5.12, 9.75, 14.89, 21.13, 33.93],
        [-0.6, 1.73, 3.90, 7.15, 11.15, 15.73, 25.45],
        [-0.6, 0.76, 2.00, 3.85, 5.69, 7.79, 12.24],
    ]
)


def drift_bps(edge_bps: float, horizon_s: float) -> float:
    """Return how far the value must drift in a signal, in bps, for a planted edge of ``edge_bps``; 0 for 0.

    Linear between the measured drifts and between the measured horizons. Raises ``BadInputError`` for an edge
    beyond what was measured.
    """
    if edge_bps == 0:
        return 0.0
    edges = np.array([np.interp(horizon_s, HORIZON_S, column) for column in ORACLE_EDGE_BPS.T])
    if not 0 <= edge_bps <= edges[-1]:
        raise BadInputError(
            f"--edge-bps {edge_bps:g}: expected 0 (a market without signals) to {edges[-1]:.0f} at this horizon"
        )
    return float(np.interp(edge_bps, edges, DRIFT_BPS))


def drawn_signals(config: SimConfig, date: str) -> Signals:
    """Return the day's signals as drawn, also for a market without an edge: there they are times nothing happens at."""
    start_us, end_us = session_start_us(config, date), day_start_us(date) + DAY_US
    shape = config.shape._replace(move_s=config.horizon_s)
    drift = shape.drift_bps or drift_bps(config.edge_bps, config.horizon_s)
    return draw_signals(config.seed, parse_date(date).toordinal(), start_us, end_us, drift, shape)


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
