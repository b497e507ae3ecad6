"""What a model reads: a named feature set, without the features that a coarse clock makes copies of longer ones."""

from __future__ import annotations

from collections import defaultdict

from lob_pipeline.core.clock import Clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.features.registry import BUILT
from lob_pipeline.features.spec import FULL89, ORDERFLOW15, STATIC73, TAPE, Feature

FEATURE_SETS = (FULL89, ORDERFLOW15, STATIC73, TAPE)


def model_inputs(feature_set: str, clock: Clock) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return (names kept in registry order, (name left out, its twin) pairs) of a feature set on a clock.

    A twin is the same formula over a longer window that holds as many rows on this clock: on ``t1s`` the order flow of
    100 ms and of 1 s are one row each. The longest of them stays. Raises ``BadInputError`` for an unknown set.
    """
    if feature_set not in FEATURE_SETS:
        raise BadInputError(f"feature set {feature_set!r} is unknown: expected one of {', '.join(FEATURE_SETS)}")
    chosen = [f for f in BUILT if feature_set in f.sets]
    families: dict[tuple[str, int], list[Feature]] = defaultdict(list)
    for feature in chosen:
        families[_family(feature), clock.rows(feature.window_ns)].append(feature)
    twin = {}
    for members in families.values():
        longest = max(members, key=lambda f: f.window_ns)
        twin.update({f.name: longest.name for f in members if f is not longest})
    kept = tuple(f.name for f in chosen if f.name not in twin)
    return kept, tuple((f.name, twin[f.name]) for f in chosen if f.name in twin)


def _family(feature: Feature) -> str:
    """Return the name with its window left out: what features of one formula share."""
    if not feature.window_ns:
        return feature.name
    token = f"_{feature.window.removeprefix('cap ').replace(' ', '')}_"
    return feature.name.replace(token, "_*_", 1)
