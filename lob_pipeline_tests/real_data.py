"""Where the real recordings lie."""

from __future__ import annotations

import os
from pathlib import Path


def real_data_root() -> Path | None:
    """Return ``LOB_REAL_DATA`` or ``../shared/data`` beside the checkout, None where neither exists."""
    named = os.environ.get("LOB_REAL_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return root if (root / "MANIFEST.sha256").exists() else None
