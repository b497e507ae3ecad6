"""Temperature scaling on held rows: one number a classifier head that divides its logits (Guo et al. 2017).

The held loss is convex in 1 / temperature, so a golden-section search over its logarithm finds the minimum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lob_pipeline.datasets.targets import Targets
from lob_pipeline.models.outputs import HEADS, TEMPERATURE_HEADS

_LOW, _HIGH = np.log(0.2), np.log(20.0)
_MINIMUM_ROWS = 50

Doubles = npt.NDArray[np.float64]
Loss = Callable[[float], float]


def fit_temperatures(
    raw: npt.NDArray[np.float32] | None, targets: Targets, held: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Return the temperature of entry, direction, adverse and fill from raw logits (k, 15) of the ``held`` rows.

    1 where fewer than 50 weighted answers are known, or without logits. Sides share one temperature.
    """
    out = dict.fromkeys(TEMPERATURE_HEADS, 1.0)
    if raw is None:
        return out
    weight = np.nan_to_num(targets.weight[held].astype(np.float64))
    for head in TEMPERATURE_HEADS:
        logits = raw[:, list(HEADS[head])].astype(np.float64)
        if head == "direction":
            loss = _direction_loss(logits, targets.direction[held], weight)
        else:
            loss = _sided_loss(logits, getattr(targets, head)[held], weight)
        if loss is not None:
            out[head] = float(np.exp(_lowest(loss)))
    return out


def _sided_loss(logits: Doubles, truth: npt.NDArray[np.float32], weight: Doubles) -> Loss | None:
    asked = ~np.isnan(truth) & (weight > 0) & np.isfinite(logits)
    if np.count_nonzero(asked) < _MINIMUM_ROWS:
        return None
    x, y, w = logits[asked], truth[asked].astype(np.float64), weight[asked]

    def loss(log_temperature: float) -> float:
        z = x * np.exp(-log_temperature)
        return float((w * (np.logaddexp(0.0, z) - y * z)).sum())

    return loss


def _direction_loss(logits: Doubles, truth: npt.NDArray[np.int64], weight: Doubles) -> Loss | None:
    both = weight.mean(axis=1)
    asked = (truth >= 0) & (both > 0) & np.isfinite(logits).all(axis=1)
    if np.count_nonzero(asked) < _MINIMUM_ROWS:
        return None
    x, y, w = logits[asked], truth[asked], both[asked]

    def loss(log_temperature: float) -> float:
        z = x * np.exp(-log_temperature)
        z -= z.max(axis=1, keepdims=True)
        return float((w * (np.log(np.exp(z).sum(axis=1)) - z[np.arange(y.size), y])).sum())

    return loss


def _lowest(loss: Loss, steps: int = 40) -> float:
    ratio = (np.sqrt(5.0) - 1) / 2
    low, high = float(_LOW), float(_HIGH)
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(steps):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = loss(b)
    return (low + high) / 2
