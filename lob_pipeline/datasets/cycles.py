"""Which seasonal features training rows can speak of: those whose whole cycle they have seen.

Four hours of a Monday show an hour of day that only rises and a weekday that never changes. What a model makes of
them is a trend, and the next block lies outside of everything it saw; such columns are muted until the rows cover the
cycle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.units import NS_PER_S

PARTS = 24
"""A cycle is covered when each of so many equal parts of it holds a training row."""
_HOUR_NS = 3600 * NS_PER_S
CYCLES_NS: dict[str, int] = {"hour": 24 * _HOUR_NS, "weekday": 7 * 24 * _HOUR_NS, "funding": 8 * _HOUR_NS}
_SHAPES = ("_sin", "_cos")


def uncovered(names: tuple[str, ...], ts_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which of ``names`` (F,) are seasonal features whose cycle the instants (k,) do not cover."""
    seen = {cycle: _covers(ts_ns, length) for cycle, length in CYCLES_NS.items()}
    return np.array([not seen.get(_cycle_of(name), True) for name in names], np.bool_)


def _cycle_of(name: str) -> str:
    for shape in _SHAPES:
        if name.endswith(shape):
            return name.removesuffix(shape)
    return ""


def _covers(ts_ns: npt.NDArray[np.int64], length_ns: int) -> bool:
    parts = np.unique((ts_ns % length_ns) * PARTS // length_ns)
    return bool(parts.size == PARTS)
