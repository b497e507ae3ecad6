"""Where the orchestration tests put their homes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def memory_folder() -> Iterator[Path]:
    """A folder in memory where the system has one: Dagster's SQLite syncs after every event, which disks make slow."""
    shm = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="lob-", dir=shm if shm.is_dir() else None))
    yield root
    shutil.rmtree(root)


@pytest.fixture
def memory_home(memory_folder: Path) -> Path:
    """An empty folder of its own for one test."""
    return Path(tempfile.mkdtemp(dir=memory_folder))
