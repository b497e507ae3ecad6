"""The code fingerprint of predictions: what turns feature rows into stored forecasts, comments aside."""

from __future__ import annotations

import hashlib
from functools import cache

import numba
import numpy as np

from lob_pipeline.lake.fingerprint import PACKAGE, normalised

MODULES = (
    "datasets/normalise*.py",
    "models/answers.py",
    "models/outputs.py",
    "models/stream*.py",
    "live/forecast.py",
    "live/rows.py",
    "live/gates.py",
)


@cache
def prediction_code() -> str:
    """Return the SHA-256 of the normalised sources of ``MODULES`` and the versions of numba and numpy."""
    total = hashlib.sha256(f"{numba.__version__} {np.__version__}\n".encode())
    for path in sorted({p for glob in MODULES for p in PACKAGE.glob(glob)}):
        total.update(f"{path.relative_to(PACKAGE).as_posix()}\n{normalised(path.read_text('utf-8'))}\n".encode())
    return total.hexdigest()
