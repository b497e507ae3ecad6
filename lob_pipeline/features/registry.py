"""The registry: all 103 features in schema order, and everything that derives from the order.

Nothing is declared here; the groups' files declare. ``FEATURES_TABLE`` holds the built ones only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.clock import Clock
from lob_pipeline.core.tables import Column, Table
from lob_pipeline.core.units import NS_PER_S
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
BOOK: npt.NDArray[np.bool_] = np.array([feature.group != "tape" for feature in BUILT])
"""Which built features are of the book alone: ``valid`` speaks of these."""
_AUTOCORRELATION = BUILT[INDEX["return_autocorr_lag1_30s_ratio"]]
_VPIN = BUILT[INDEX["vpin_60s_ratio"]]

FEATURES_TABLE = Table(
    "features",
    1,
    clocked=True,
    key=("ts_ns",),
    doc="one instant of the clock: book features from book_snapshots and the profile alone, tape features from trades",
    columns=(
        Column("ts_ns", doc="grid instant", minimum=0),
        Column("valid", "bool", "no book feature of the row is NaN"),
        *(Column(f.name, "float32", f.formula, nullable=True, minimum=f.minimum, maximum=f.maximum) for f in BUILT),
    ),
)

# What a reader should know before fitting a linear model: exact relations between columns, on warm rows.
LINEAR_RELATIONS = (
    "ofi_l1_1s_lots = bid_adds_1s_lots − bid_removals_1s_lots − ask_adds_1s_lots + ask_removals_1s_lots",
    "where a book has no holes (ten adjacent ticks a side) slope_l10 repeats depth_l10: "
    "ln(1 + Σ lots / 10) and ln(1 + Σ lots) of the same sum",
)


def warm_row(clock: Clock) -> int:
    """Return the index in its run of the first row of which no book feature is NaN.

    The longest window; the autocorrelation's products reach one row further back than its window does.
    """
    windows = [clock.rows(feature.window_ns) for feature in BUILT if feature.group != "tape" and feature.window]
    return max(*windows, clock.rows(_AUTOCORRELATION.window_ns) + 1)


def warmup_rows(clock: Clock) -> int:
    """Return the rows, the current one included, after which no feature is NaN where the tape was recorded.

    The bars of one second end at the last whole second, so they reach up to a second further back than their window.
    """
    return max(ring_rows(clock), max(clock.rows(feature.window_ns) for feature in BUILT if feature.window) + 1)


def ring_rows(clock: Clock) -> int:
    """Return the rows, the current one included, that windows up to a minute read, bars and products counted in."""
    bars = -(-(_VPIN.window_ns + NS_PER_S) // clock.step_ns)
    return max(clock.rows(_VPIN.window_ns), bars, clock.rows(_AUTOCORRELATION.window_ns) + 1) + 1


def features_json() -> list[dict[str, Any]]:
    """Return every entry, planned ones too, in schema order, as plain JSON types."""
    return [feature.to_json() for feature in FEATURES]


def registry_fingerprint() -> str:
    """Return the SHA-256 (hex) of the built entries: equal when schema, formulas and bounds are equal."""
    text = json.dumps([feature.to_json() for feature in BUILT], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
