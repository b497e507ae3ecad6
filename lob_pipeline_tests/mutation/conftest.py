"""Small clean recordings for mutants, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.mutation.bases import Base, Venue, usdm_2023, usdm_midnight
from lob_pipeline.mutation.derived import derived
from lob_pipeline.mutation.recordings import bybit_ws
from lob_pipeline_tests.real_data import real_data_root


@pytest.fixture(scope="session")
def root() -> Path:
    found = real_data_root()
    if found is None:
        pytest.skip("the real recordings are absent (../shared/data or LOB_REAL_DATA)")
    return found


@pytest.fixture(scope="session")
def small(root: Path) -> dict[str, Venue]:
    """Bybit and Binance with cuts of seconds: the venues of a reduced score."""
    source = usdm_midnight(usdm_2023(root), before_s=8, after_s=12)
    bybit = [
        Base(bybit_ws(root, "BTCUSDT")),
        Base(derived(source, "archive", 200), ("midnight",)),
    ]
    usdm = [Base(source, ("midnight",))]
    return {"bybit": Venue(lambda _root, _rng: bybit), "binance-usdm": Venue(lambda _root, _rng: usdm)}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
