"""The features fingerprint of a bundle: which features a model reads, and the code that computes them.

Unlike a partition's code fingerprint it leaves out the versions of numba and numpy, the stage that walks the lake and
the instrument's settings: a bundle moves between machines, and the live engine runs no stage (docs/adr/0090).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.features.registry import BUILT, INDEX
from lob_pipeline.lake.fingerprint import PACKAGE, normalised

MODULES = ("core/units.py", "core/clock.py", "core/instrument.py", "features/**/*.py")
"""Globs under the package of the code that turns book rows and trades into feature values."""
_DOCUMENTATION = ("source", "sets")  # of a registry entry: what no value depends on


def features_fingerprint(names: Sequence[str], clock_id: str) -> str:
    """Return the SHA-256 (hex) of the registry entries of ``names`` in order, the clock, and the features' code.

    Equal while every feature a model reads means the same; the code is compared without comments, layout and
    docstrings. Raises ``BadInputError`` for a name that this registry does not compute, or an unknown clock.
    """
    unknown = [name for name in names if name not in INDEX]
    if unknown or not names:
        raise BadInputError(
            f"features {unknown[:3] or '(none)'} are not computed here: `lob features-list` names those that are"
        )
    entries = [BUILT[INDEX[name]].to_json() for name in names]
    for entry in entries:
        for key in _DOCUMENTATION:
            del entry[key]
    parts = {"clock": parse_clock(clock_id).id, "features": entries, "source": code_digest(PACKAGE)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@cache
def code_digest(package: Path) -> str:
    """Return the SHA-256 of the normalised sources of ``MODULES`` under ``package``."""
    total = hashlib.sha256()
    for path in sorted({p for glob in MODULES for p in package.glob(glob)}):
        total.update(f"{path.relative_to(package).as_posix()}\n{normalised(path.read_text('utf-8'))}\n".encode())
    return total.hexdigest()
