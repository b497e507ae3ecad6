"""The recipe of a model and of its company: what is fitted in every fold, and the hash that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market

CHAMPION_KIND = "moe"
"""The contender that the verdict speaks of; every other one is its company."""


@dataclass(frozen=True)
class Contender:
    """One model of the table. ``kind``: ``baseline`` (its own feature set is in its name) or ``network``."""

    name: str
    kind: str
    head: str = ""
    feature_set: str = ""


CONTENDERS: dict[str, Contender] = {
    c.name: c
    for c in (
        Contender("majority", "baseline"),
        Contender("persistence", "baseline"),
        Contender("logistic", "baseline"),
        Contender("gbt_orderflow15", "baseline"),
        Contender("gbt_full89", "baseline"),
        Contender("dense", "network", head="dense"),
        Contender("signed_edge", "network", head="signed_edge"),
        Contender("moe_orderflow15", "network", head="moe", feature_set="orderflow15"),
        Contender("moe_static73", "network", head="moe", feature_set="static73"),
        Contender(CHAMPION_KIND, "network", head="moe"),
    )
}
DEFAULT_COMPANY = (
    "majority",
    "persistence",
    "logistic",
    "gbt_orderflow15",
    "gbt_full89",
    "dense",
    "signed_edge",
    CHAMPION_KIND,
)
FEATURE_SETS = ("full89", "orderflow15", "static73", "full89+tape")
PRESETS = ("demo", "full")


@dataclass(frozen=True)
class Recipe:
    """What is fitted: the network's preset and inputs, the contenders, how training grows, and the seed.

    ``rolling_blocks``: 0 expands the training stretch, n keeps its last n blocks. ``placebo_seed``: -1 for the true
    labels, else the seed by which label blocks are permuted (a run that must refuse).
    Raises ``BadInputError`` for names that do not exist.
    """

    preset: str = "full"
    feature_set: str = "full89"
    contenders: tuple[str, ...] = DEFAULT_COMPANY
    seed: int = 1
    rolling_blocks: int = 0
    placebo_seed: int = -1

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise BadInputError(f"preset {self.preset!r} is unknown: expected one of {', '.join(PRESETS)}")
        if self.feature_set not in FEATURE_SETS:
            raise BadInputError(f"feature set {self.feature_set!r} is unknown: expected {', '.join(FEATURE_SETS)}")
        unknown = [name for name in self.contenders if name not in CONTENDERS]
        if unknown:
            raise BadInputError(f"contender {unknown[0]!r} is unknown: expected some of {', '.join(CONTENDERS)}")
        if CHAMPION_KIND not in self.contenders:
            raise BadInputError(f"the contenders must include {CHAMPION_KIND}: the verdict speaks of it")
        if self.seed < 0 or self.rolling_blocks < 0 or self.placebo_seed < -1:
            raise BadInputError("seed and rolling blocks are numbers of at least 0")

    def inputs_of(self, contender: Contender) -> str:
        """Return the feature set of a network."""
        return contender.feature_set or self.feature_set

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, the networks' settings of the preset included (inputs follow from the clock)."""
        from lob_pipeline.models.config import preset

        model, train = preset(self.preset, 1, seed=self.seed)
        return {
            "preset": self.preset,
            "feature_set": self.feature_set,
            "contenders": list(self.contenders),
            "seed": self.seed,
            "rolling_blocks": self.rolling_blocks,
            "placebo_seed": self.placebo_seed,
            "model": {k: v for k, v in model.to_json().items() if k not in ("inputs", "head")},
            "training": {k: v for k, v in train.to_json().items() if k != "threads"},
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Recipe:
        """Return the recipe of ``to_json``."""
        names = ("preset", "feature_set", "seed", "rolling_blocks", "placebo_seed")
        return cls(contenders=tuple(document["contenders"]), **{name: document[name] for name in names})

    def sha256(self, contender: str = "") -> str:
        """Return the hash of the recipe; of one contender's part of it where one is named."""
        document = self.to_json()
        if contender:
            document["contenders"] = [contender]
        return digest(document)


def default_recipe(market: Market) -> Recipe:
    """Return the recipe used where none is given: the small preset on simulated markets, else the full one."""
    return Recipe(preset="demo" if market.venue == "sim" else "full")


def digest(document: Any) -> str:
    """Return the SHA-256 (hex) of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
