"""The version of a bundle, MAJOR.MINOR.PATCH (METHODS.md, Release and live).

Major: feature list, label definition or clock changed. Minor: retrained, or other hyper-parameters. Patch: calibration
or packaging. The step follows from what differs, key by key; a step that a user names must be that one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.outcome import CheckOutcome, judge

FIRST = "1.0.0"
MAJOR = ("features", "features_fingerprint", "label", "clock", "instrument")
"""What a forecast means: its inputs (which features, how computed, with which tick and lot), its answer, its rows."""
MINOR = ("model", "training", "preset", "data", "folds", "profile", "scaling", "masked_heads", "arrays_sha256")
"""What training made of it. Every other key is calibration or packaging: patch."""
RECIPE = (*MAJOR, "market", "model", "training", "preset")
"""What a refresh may not change: everything but the data and what was learnt from it."""
_SAME = ("name", "market")  # versions count within one of these
_NO_STEP = ("semver",)
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\Z")
Version = tuple[int, int, int]
Info = Mapping[str, Any]


def parse_version(text: str) -> Version:
    """Return (major, minor, patch). Raises ``BadInputError`` for anything but three plain numbers."""
    found = _VERSION.match(text)
    if not found:
        raise BadInputError(f"version {text!r} is not MAJOR.MINOR.PATCH, for example 1.2.0")
    return int(found[1]), int(found[2]), int(found[3])


def differences(previous: Info, new: Info) -> tuple[str, ...]:
    """Return the keys whose values differ, sorted; the version itself is none of them."""
    keys = previous.keys() | new.keys()
    return tuple(sorted(k for k in keys if k not in _NO_STEP and previous.get(k) != new.get(k)))


def recipe_differences(previous: Info, new: Info) -> tuple[str, ...]:
    """Return the parts of the recipe that differ: empty for a refresh (same recipe, newer data)."""
    return tuple(key for key in RECIPE if previous.get(key) != new.get(key))


def next_version(previous: Info | None, new: Info) -> tuple[str, str]:
    """Return the version that ``new`` must carry after ``previous``, and why.

    Both are ``bundle.json`` contents; None: nothing of this market was registered before. Equal contents keep the
    version. Raises ``BadInputError`` when the two are of different markets or models.
    """
    if previous is None:
        return FIRST, "the first registered for this market"
    for key in _SAME:
        if previous[key] != new[key]:
            raise BadInputError(f"versions of {previous[key]} and {new[key]} have no order: each counts by itself")
    major, minor, patch = parse_version(previous["semver"])
    changed = differences(previous, new)
    for keys, version, step in (
        (MAJOR, f"{major + 1}.0.0", "major"),
        (MINOR, f"{major}.{minor + 1}.0", "minor"),
        (changed, f"{major}.{minor}.{patch + 1}", "patch"),
    ):
        found = [key for key in changed if key in keys]
        if found:
            return version, f"{step}: {', '.join(found)} changed since {previous['semver']}"
    return str(previous["semver"]), f"nothing changed since {previous['semver']}"


def judge_step(previous: Info | None, new: Info, version: str) -> CheckOutcome:
    """Return whether ``version`` is the step that the contents demand; a wrong one is refused, saying the right one.

    Raises ``BadInputError`` when ``version`` is no version at all.
    """
    parse_version(version)
    right, why = next_version(previous, new)
    return judge(
        "version_step",
        version == right,
        examined=1,
        judged=1,
        message="" if version == right else f"version {version} is not the next one: {right} is ({why})",
        facts={"version": version, "next": right, "why": why},
    )
