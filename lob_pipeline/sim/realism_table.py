"""How far simulated markets are from a recording, beside how far the recording is from itself (docs/adr/0164).

The recording is cut into eight blocks of equal length, and these in every way into two halves of four (35 ways): the
*real-to-real* distance of a statistic is the mean over those cuts, its interval their 2.5 and 97.5 % quantiles. A
simulated stretch of the recording's length is cut the same way, and the *simulated-to-real* distance is the mean over
seeds and halves of the distance between a simulated half and a recorded one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lob_pipeline.sim.realism import STATISTICS, Floats, Pieces, distance
from lob_pipeline.sim.realism_view import MarketView

BLOCKS = 8
RESOLUTION = 0.01
"""Distances below it (one percent, 0.01 of a correlation) count as it: what nobody could tell apart is no scale."""
LARGEST_RATIO = 2.0
ENOUGH = 9
_ENDS = (2.5, 97.5)

CUTS = [(0, *rest) for rest in combinations(range(1, BLOCKS), BLOCKS // 2 - 1)]
"""Blocks of the half that holds the first block; the other half is what is left."""
HALVES = [half for cut in CUTS for half in (cut, tuple(k for k in range(BLOCKS) if k not in cut))]
"""All halves: that of cut k and its complement stand at 2 k and 2 k + 1."""


@dataclass(frozen=True)
class Measured:
    """One market: the vectors of every statistic, ``halves`` float64 (70, m) each and ``whole`` float64 (m,)."""

    halves: list[Floats]
    whole: list[Floats]


@dataclass(frozen=True)
class Row:
    """One statistic of the table. Distances are None where the recording or a simulated stretch cannot tell it.

    ``real``: (mean, low, high) of the real-to-real distance; ``simulated``: the same over seeds and halves;
    ``in_time``: the recording's first half against its second.
    """

    name: str
    real: tuple[float, float, float] | None
    in_time: float | None
    simulated: tuple[float, float, float] | None

    @property
    def ratio(self) -> float | None:
        """Return simulated-to-real by real-to-real, the latter at least the resolution."""
        if self.real is None or self.simulated is None:
            return None
        return self.simulated[0] / max(self.real[0], RESOLUTION)

    @property
    def ratio_interval(self) -> tuple[float, float] | None:
        """Return the ratio at the two ends of the real-to-real interval."""
        if self.real is None or self.simulated is None:
            return None
        low, high = (self.simulated[0] / max(end, RESOLUTION) for end in (self.real[2], self.real[1]))
        return low, high

    @property
    def holds(self) -> bool:
        """Whether the ratio is known and at most two."""
        return self.ratio is not None and self.ratio <= LARGEST_RATIO

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain JSON types."""
        return {
            "statistic": self.name,
            "real_to_real": _told(self.real),
            "first_half_to_second": None if self.in_time is None else round(self.in_time, 5),
            "simulated_to_real": _told(self.simulated),
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "ratio_interval": None if self.ratio_interval is None else [round(v, 3) for v in self.ratio_interval],
            "at_resolution": self.real is not None and self.real[0] < RESOLUTION,
            "holds": self.holds,
        }


def _told(found: tuple[float, float, float] | None) -> dict[str, Any] | None:
    return None if found is None else {"mean": round(found[0], 5), "interval": [round(v, 5) for v in found[1:]]}


def blocks(view: MarketView) -> list[tuple[int, int]]:
    """Return the rows [first, last) of the eight blocks; rows left over at the end are not used."""
    length = len(view.time_ms) // BLOCKS
    return [(k * length, (k + 1) * length) for k in range(BLOCKS)]


def pieces(view: MarketView, half: tuple[int, ...]) -> Pieces:
    """Return the blocks of ``half`` as pieces; neighbouring blocks are one piece."""
    at, found, k = blocks(view), [], 0
    while k < len(half):
        end = k
        while end + 1 < len(half) and half[end + 1] == half[end] + 1:
            end += 1
        found.append(view.cut(at[half[k]][0], at[half[end]][1]))
        k = end + 1
    return found


def measure(view: MarketView) -> Measured:
    """Return every statistic of the whole view and of each of its halves."""
    cuts = [pieces(view, half) for half in HALVES]
    whole = pieces(view, tuple(range(BLOCKS)))
    return Measured(
        [np.array([s.measure(cut) for cut in cuts]) for s in STATISTICS], [s.measure(whole) for s in STATISTICS]
    )


def _summary(distances: Floats) -> tuple[float, float, float] | None:
    if not len(distances) or not np.isfinite(distances).all():
        return None
    low, high = np.percentile(distances, _ENDS)
    return float(distances.mean()), float(low), float(high)


def table(real: Measured, simulated: list[Measured]) -> list[Row]:
    """Return the twelve rows. ``simulated``: stretches of the recording's length, one a seed."""
    rows = []
    for k, statistic in enumerate(STATISTICS):
        mine = real.halves[k]
        itself = np.array([distance(mine[2 * c], mine[2 * c + 1]) for c in range(len(CUTS))])
        others = np.array([distance(other.halves[k][h], mine[h]) for other in simulated for h in range(len(HALVES))])
        found = _summary(itself)
        rows.append(Row(statistic.name, found, float(itself[0]) if found else None, _summary(others)))
    return rows
