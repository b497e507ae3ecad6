"""Where a model comes from: the commit, the versions of what computed it, the settings of its instrument."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.lake.fingerprint import STAGES

_PACKAGES = ("lob-pipeline", "numpy", "numba", "torch", "pytorch-lightning", "safetensors", "scikit-learn")


def git_sha(folder: Path | None = None) -> str:
    """Return the commit of the checkout that ``folder`` (default: this package) lies in, ``-dirty`` after changes.

    ``unknown`` where there is no checkout or no git: an installed package is not wrong.
    """
    place = folder or Path(__file__).resolve().parent
    head = _git(place, "rev-parse", "HEAD")
    if not head:
        return "unknown"
    changed = _git(place, "status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *words: str) -> str:
    try:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""  # no git, no checkout, or not ours to read: the commit is unknown
    return done.stdout.strip()


def dependency_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that computed the model; ``absent`` where not installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def instrument_json(instrument: Instrument) -> dict[str, Any]:
    """Return the settings that enter a feature's value, as text: a bundle says what its inputs were computed with."""
    return {name: str(getattr(instrument, name)) for name in STAGES["features"].settings}
