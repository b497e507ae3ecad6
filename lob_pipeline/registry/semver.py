"""The version of a bundle: MAJOR.MINOR.PATCH (METHODS.md, Release and live)."""

from __future__ import annotations

import re

from lob_pipeline.core.errors import BadInputError

_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\Z")
Version = tuple[int, int, int]


def parse_version(text: str) -> Version:
    """Return (major, minor, patch). Raises ``BadInputError`` for anything but three plain numbers."""
    found = _VERSION.match(text)
    if not found:
        raise BadInputError(f"version {text!r} is not MAJOR.MINOR.PATCH, for example 1.2.0")
    return int(found[1]), int(found[2]), int(found[3])
