"""The table assets by layer: what the code location holds of them all, and `lob run` one at a time."""

import dagster as dg

from lob_pipeline.assets.books import book_snapshots
from lob_pipeline.assets.features import features
from lob_pipeline.assets.labels import labels
from lob_pipeline.assets.profile import seasonal_profile
from lob_pipeline.assets.raw import raw_tables


def table_assets(part: dg.PartitionsDefinition) -> dict[str, dg.AssetsDefinition]:
    """Return layer name -> asset."""
    return {
        "raw": raw_tables(part),
        "books": book_snapshots(part),
        "profile": seasonal_profile(part),
        "features": features(part),
        "labels": labels(part),
    }
