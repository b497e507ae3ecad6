"""What a trader earned on the signals of a day, signal by signal, and its mean with an interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_Z95 = 1.96
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Earned:
    """What one trader earned, signals in order, fees left out.

    ``edge_bps`` float64 (n,): on the signalled side, NaN where no trade came about; ``against_bps``: the same trader at
    the same instants with every direction turned round. Only signals that the day's book can judge count.
    """

    edge_bps: Floats
    against_bps: Floats

    def __add__(self, other: Earned) -> Earned:
        """Return the signals of two days or seeds together."""
        return Earned(
            np.concatenate([self.edge_bps, other.edge_bps]), np.concatenate([self.against_bps, other.against_bps])
        )

    def to_json(self) -> dict[str, Any]:
        """Return counts, share traded, mean edge in bps before fees and its 95 % interval (signals do not overlap)."""
        low, mean, high = interval(self.edge_bps)
        against = interval(self.against_bps)
        worth = interval(self.edge_bps - self.against_bps)
        traded = int(np.isfinite(self.edge_bps).sum())
        return {
            "signals": len(self.edge_bps),
            "trades": traded,
            "traded_share": round(traded / max(1, len(self.edge_bps)), 4),
            "mean_edge_bps": mean,
            "interval_95_bps": [low, high],
            "other_side_mean_edge_bps": against[1],
            "direction_worth_bps": worth[1],
            "direction_worth_interval_95_bps": [worth[0], worth[2]],
        }


def interval(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Return (low, mean, high) of the finite values' mean, 95 %, by the normal law; None where fewer than two are."""
    found = values[np.isfinite(values)]
    if len(found) < 2:
        return None, None, None
    mean, half = found.mean(), _Z95 * found.std(ddof=1) / np.sqrt(len(found))
    return round(float(mean - half), 4), round(float(mean), 4), round(float(mean + half), 4)


def together(days: Iterable[dict[str, Earned]]) -> dict[str, Earned]:
    """Return the traders of several days or seeds as one; every day names the same traders."""
    total: dict[str, Earned] = {}
    for day in days:
        total = {name: total[name] + day[name] if total else day[name] for name in day}
    return total


def told(traders: dict[str, Earned]) -> dict[str, Any]:
    """Return ``Earned.to_json`` of each trader."""
    return {name: found.to_json() for name, found in traders.items()}
