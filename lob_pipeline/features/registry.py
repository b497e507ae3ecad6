"""The registry: all 103 features in schema order, and everything that derives from the order.

Nothing is declared here; the groups' files declare. ``FEATURES_TABLE`` holds the built ones only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lob_pipeline.core.clock import Clock
from lob_pipeline.core.tables import Column, Table
from lob_pipeline.features.depth import DEPTH
from lob_pipeline.features.queue import QUEUE
from lob_pipeline.features.seasonality import SEASONALITY
from lob_pipeline.features.spec import Feature
from lob_pipeline.features.tape import TAPE_FEATURES
from lob_pipeline.features.temporal import TEMPORAL

FEATURES: tuple[Feature, ...] = DEPTH + QUEUE + TEMPORAL + SEASONALITY + TAPE_FEATURES
BUILT: tuple[Feature, ...] = tuple(feature for feature in FEATURES if feature.built)
N_BUILT = len(BUILT)
INDEX: dict[str, int] = {feature.name: i for i, feature in enumerate(BUILT)}
"""Position of a built feature in the kernel's output vector and among the table's feature columns."""

FEATURES_TABLE = Table(
    "features",
    1,
    clocked=True,
    key=("ts_ns",),
    doc="one instant of the clock, a function of book_snapshots alone",
    columns=(
        Column("ts_ns", doc="grid instant", minimum=0),
        Column("valid", "bool", "no feature of the row is NaN"),
        *(Column(f.name, "float32", f.formula, nullable=True, minimum=f.minimum, maximum=f.maximum) for f in BUILT),
    ),
)

# What a reader should know before fitting a linear model: exact relations between columns, on warm rows.
LINEAR_RELATIONS = (
    "ofi_l1_1s_lots = bid_adds_1s_lots − bid_removals_1s_lots − ask_adds_1s_lots + ask_removals_1s_lots",
    "where a book has no holes (ten adjacent ticks a side) slope_l10 repeats depth_l10: "
    "ln(1 + Σ lots / 10) and ln(1 + Σ lots) of the same sum",
)


def warmup_rows(clock: Clock) -> int:
    """Return the rows, the current one included, after which no built feature is NaN: the longest window + 1."""
    return max(clock.rows(feature.window_ns) for feature in BUILT if feature.window) + 1


def features_json() -> list[dict[str, Any]]:
    """Return every entry, planned ones too, in schema order, as plain JSON types."""
    return [feature.to_json() for feature in FEATURES]


def registry_fingerprint() -> str:
    """Return the SHA-256 (hex) of the built entries: equal when schema, formulas and bounds are equal."""
    text = json.dumps([feature.to_json() for feature in BUILT], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
