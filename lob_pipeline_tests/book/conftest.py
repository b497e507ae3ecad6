"""The real recordings, read once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from lob_pipeline_tests.naive.recordings import Recording, recordings


@pytest.fixture(scope="session")
def recorded(real_data: Path) -> dict[str, Recording]:
    """Every recording of a supported venue, by a short name."""
    return recordings(real_data)
