"""How much the taker earns by how far the value drifts: one line a horizon, fitted to measured drifts.

What he earns rises with the drift in a straight line: the price follows the value with a delay, so a share of the drift
is missed at both ends alike (the slope), and the spread is paid whatever the drift (the cost). The line is fitted by
least squares with equal weights, so every trade of every drift counts; ``misfit`` says how far the worst drift's mean
is from it, in its own standard errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.earned import Earned, Floats

DRIFTS_BPS = (4.0, 16.0, 48.0)


@dataclass(frozen=True)
class Line:
    """Edge = ``slope``·drift − ``cost_bps`` at one horizon; ``slope_error``: standard; ``misfit``: see above."""

    slope: float
    cost_bps: float
    slope_error: float
    misfit: float


def fit_line(drift_bps: Floats, edge_bps: Sequence[Floats]) -> Line:
    """Return the line through the trades of each drift (float64 (k,), and k arrays of edges; NaN: no trade).

    Raises ``ValueError`` for fewer than three drifts or a drift with fewer than two trades.
    """
    kept = [edges[np.isfinite(edges)] for edges in edge_bps]
    if len(kept) < 3 or len(kept) != len(drift_bps) or min(map(len, kept)) < 2:
        raise ValueError(f"{[len(k) for k in kept]} trades at drifts {drift_bps.tolist()}: expected 3 drifts, 2 each")
    x, y = np.repeat(drift_bps, [len(k) for k in kept]), np.concatenate(kept)
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    cost = float(slope * x.mean() - y.mean())
    left = y - slope * x + cost
    error = float(np.sqrt(left @ left / (len(y) - 2) / (away @ away)))
    off = [
        abs(k.mean() - slope * d + cost) / (k.std(ddof=1) / np.sqrt(len(k)))
        for d, k in zip(drift_bps, kept, strict=True)
    ]
    return Line(slope, cost, error, float(max(off)))


def calibrate(
    config: SimConfig, seeds: Iterable[int], horizons_s: Iterable[float], earned: Callable[[SimConfig], Earned]
) -> Iterator[str]:
    """Yield one printable line a measured drift and one a fitted horizon; ``earned`` runs one market and trades it."""
    seeds = list(seeds)
    for horizon_s in horizons_s:
        found = []
        for drift in DRIFTS_BPS:
            shape = config.shape._replace(drift_bps=drift)
            one = replace(config, edge_bps=1.0, horizon_s=horizon_s, shape=shape)
            edges = np.concatenate([earned(replace(one, seed=seed)).edge_bps for seed in seeds])
            found.append(edges)
            kept = edges[np.isfinite(edges)]
            error = kept.std(ddof=1) / np.sqrt(len(kept))
            mean = f"{kept.mean():.3f} ± {error:.3f} ({len(kept)} trades)"
            yield f"  horizon {horizon_s:g} s, drift {drift:g} bps: {mean}"
        line = fit_line(np.array(DRIFTS_BPS), found)
        yield (
            f"horizon {horizon_s:g} s: slope {line.slope:.4f} ± {line.slope_error:.4f}, cost {line.cost_bps:.3f} bps, "
            f"misfit {line.misfit:.1f} standard errors"
        )
