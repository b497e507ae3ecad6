"""Shared fixtures: where the real recordings are, and an empty home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from lob_pipeline_tests.real_data import real_data_root

# The suite gives the same answer to everybody: `--hypothesis-profile=explore` looks for new examples.
settings.register_profile("fixed", derandomize=True)
settings.register_profile("explore", max_examples=1000)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; the test is skipped where they are not beside the checkout."""
    root = real_data_root()
    if root is None:
        pytest.skip("the real recordings are not at ../shared/data (or LOB_REAL_DATA)")
    return root


@pytest.fixture(autouse=True)
def _isolated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("LOB_") and n != "LOB_REAL_DATA"]:
        monkeypatch.delenv(name)
