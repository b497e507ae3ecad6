"""A seasonal feature speaks once the training rows have seen its whole cycle."""

from __future__ import annotations

import numpy as np
import pytest

from lob_pipeline.core.units import NS_PER_S, day_start_ns
from lob_pipeline.datasets.cycles import CYCLES_NS, uncovered
from lob_pipeline.features.registry import BUILT

NAMES = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "funding_sin", "funding_cos", "spread_ticks")
HOUR = 3600 * NS_PER_S


@pytest.mark.parametrize(
    ("hours", "silent"),
    [
        (4, ("hour", "weekday", "funding")),
        (8, ("hour", "weekday")),
        (23, ("hour", "weekday")),
        (24, ("weekday",)),
        (6 * 24, ("weekday",)),
        (7 * 24, ()),
    ],
)
def test_a_cycle_is_covered_when_every_part_of_it_was_seen(hours: int, silent: tuple[str, ...]) -> None:
    ts_ns = day_start_ns("2026-01-05") + 16 * HOUR + np.arange(0, hours * HOUR, 60 * NS_PER_S)
    expected = [name.rpartition("_")[0] in silent for name in NAMES]
    assert uncovered(NAMES, ts_ns).tolist() == expected


def test_every_seasonal_sine_of_the_registry_has_a_cycle() -> None:
    sines = [f.name for f in BUILT if f.group == "seasonality" and f.name.endswith(("_sin", "_cos"))]
    shapes = {name.rpartition("_")[0] for name in sines}
    assert shapes == set(CYCLES_NS)


def test_holes_in_every_day_leave_the_hour_silent() -> None:
    days = np.arange(10) * CYCLES_NS["hour"]
    evening = 16 * HOUR + np.arange(0, 8 * HOUR, 60 * NS_PER_S)
    assert uncovered(("hour_sin", "weekday_sin"), (days[:, None] + evening).ravel()).tolist() == [True, True]
