"""The layers of the data: which stage builds which tables from which, in the order in which they are built.

The planner, the assets and their tests read this one declaration. Edges point to the same or an earlier day.
"""

from __future__ import annotations

from dataclasses import dataclass

from lob_pipeline.core.tables import PROFILE_DAYS


@dataclass(frozen=True)
class Source:
    """A table that a stage reads: of its own day, or ``days_back`` days before it."""

    table: str
    days_back: int = 0
    required: bool = True


@dataclass(frozen=True)
class Layer:
    """A stage: ``stage`` names its code fingerprint, ``function`` is ``module:name`` with ``(home, market, date)``."""

    name: str
    stage: str
    function: str
    tables: tuple[str, ...]
    clocked: bool
    sources: tuple[Source, ...] = ()


RAW = Layer(
    "raw",
    "events",
    "lob_pipeline.stages.ingest:build_events",
    ("l2_events", "trades", "quotes"),
    clocked=False,
    sources=(Source("l2_events", days_back=1, required=False),),  # a stream that crosses midnight carries its book over
)
BOOKS = Layer(
    "books",
    "books",
    "lob_pipeline.stages.build_books:build_books",
    ("book_snapshots",),
    clocked=True,
    sources=(
        Source("l2_events"),
        Source("trades"),
        Source("quotes"),
        Source("book_snapshots", days_back=1, required=False),
    ),
)
PROFILE = Layer(
    "profile",
    "profile",
    "lob_pipeline.stages.build_profile:build_profile",
    ("seasonal_profile",),
    clocked=True,
    sources=(
        Source("book_snapshots"),  # of no use to it, but then the days before were tried too
        *(Source("book_snapshots", days_back=n, required=False) for n in range(1, PROFILE_DAYS + 1)),
    ),
)
FEATURES = Layer(
    "features",
    "features",
    "lob_pipeline.stages.build_features:build_features",
    ("features",),
    clocked=True,
    sources=(
        Source("book_snapshots"),
        Source("l2_events"),
        Source("trades"),
        Source("seasonal_profile"),
        *(Source(table, days_back=1, required=False) for table in ("book_snapshots", "l2_events", "trades")),
    ),
)
LABELS = Layer(
    "labels",
    "labels",
    "lob_pipeline.stages.build_labels:build_labels",
    ("labels",),
    clocked=True,
    sources=(Source("book_snapshots"), Source("l2_events"), Source("trades")),
)
LAYERS = (RAW, BOOKS, PROFILE, FEATURES, LABELS)
TABLES = tuple(table for layer in LAYERS for table in layer.tables)


def layer_of(table: str) -> Layer:
    """Return the layer that builds ``table``."""
    return next(layer for layer in LAYERS if table in layer.tables)
