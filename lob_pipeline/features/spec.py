"""What a feature is: the type of one registry entry. Nothing here computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lob_pipeline.core.units import NS_PER_MS, NS_PER_S

Group = Literal["depth", "queue", "temporal", "seasonality", "tape"]

ODD = "odd"
EVEN = "even"
FULL89 = "full89"
TAPE = "full89+tape"
ORDERFLOW15 = "orderflow15"
STATIC73 = "static73"


@dataclass(frozen=True)
class Feature:
    """One feature, declared once; schema, docs, tests and the fingerprint derive from it.

    ``window``: as in the formula's table (``"1 s"``, ``"cap 60 s"``), empty where the current row is all it reads.
    ``minimum``/``maximum``: hard bounds of a value that is not NaN, None where open.
    ``mirror``: what swapping bid and ask does: the partner's name, ``odd`` (negates) or ``even`` (unchanged).
    ``built``: whether the kernel computes it; the others are listed as planned and absent from the schema.
    """

    name: str
    group: Group
    unit: str
    formula: str
    source: str
    window: str
    minimum: float | None
    maximum: float | None
    mirror: str
    sets: tuple[str, ...]
    built: bool

    @property
    def window_ns(self) -> int:
        """Length of the window in nanoseconds, 0 where the feature reads the current row only."""
        if not self.window:
            return 0
        number, unit = self.window.removeprefix("cap ").split()
        return int(number) * (NS_PER_MS if unit == "ms" else NS_PER_S)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types: the entry of ``lob features-list`` and of the fingerprint."""
        return {
            "name": self.name,
            "group": self.group,
            "unit": self.unit,
            "formula": self.formula,
            "source": self.source,
            "window": self.window,
            "range": [self.minimum, self.maximum],
            "mirror": self.mirror,
            "sets": list(self.sets),
            "built": self.built,
        }


def sets_of(name: str, group: Group) -> tuple[str, ...]:
    """Return the named feature sets that hold a feature (FEATURES: full89, orderflow15, static73, full89+tape)."""
    if group == "tape":
        return (TAPE,)
    sets = [FULL89, TAPE]
    if group != "temporal":
        sets.append(STATIC73)
    if name in _ORDERFLOW15:
        sets.append(ORDERFLOW15)
    return tuple(sets)


_ORDERFLOW15 = frozenset(
    (
        "ofi_l1_100ms_lots",
        "ofi_l1_1s_lots",
        "ofi_l1_5s_lots",
        "ofi_l1_30s_lots",
        "ofi_l5_1s_lots",
        "ofi_l5_5s_lots",
        "ofi_l10_1s_lots",
        "bid_adds_1s_lots",
        "ask_adds_1s_lots",
        "bid_removals_1s_lots",
        "ask_removals_1s_lots",
        "bid_removal_share_5s_ratio",
        "ask_removal_share_5s_ratio",
        "queue_imbalance_l1_ratio",
        "queue_imbalance_l5_ratio",
    )
)


def declare(
    group: Group,
    name: str,
    unit: str,
    formula: str,
    mirror: str,
    *,
    window: str = "",
    bounds: tuple[float | None, float | None] = (None, None),
    source: str = "definition of this project",
    built: bool = True,
) -> Feature:
    """Build one registry entry; the sets follow from name and group."""
    return Feature(
        name, group, unit, formula, source, window, bounds[0], bounds[1], mirror, sets_of(name, group), built
    )
