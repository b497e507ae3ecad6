"""A small simulated day, built in batch and predicted with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from lob_pipeline.lake.home import Home
from lob_pipeline.registry.bundle import Bundle
from lob_pipeline_tests.live.days import Case, build_days, predict_days, simulated

MINUTES = 7
"""The features of five minutes need five minutes; what is left is warm."""


class SimDay(NamedTuple):
    """A case, its home with batch predictions, and the bundle that made them."""

    case: Case
    home: Home
    bundle: Bundle


@pytest.fixture(scope="session")
def sim_day(tmp_path_factory: pytest.TempPathFactory) -> SimDay:
    """One simulated day of seven minutes."""
    root: Path = tmp_path_factory.mktemp("live-sim")
    case, home = simulated(root / "files", MINUTES), Home(root / "home")
    bundle = case.bundle(root / "home" / "bundles")
    build_days(home, case)
    predict_days(home, case, bundle)
    return SimDay(case, home, bundle)
