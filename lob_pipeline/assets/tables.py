"""The assets by layer and room: what the code location holds of them all, and `lob run` one layer at a time."""

import dagster as dg

from lob_pipeline.assets.books import book_snapshots
from lob_pipeline.assets.evaluation import feasibility_report, verdict, walk_forward_report
from lob_pipeline.assets.features import features
from lob_pipeline.assets.labels import labels
from lob_pipeline.assets.live import predictions, shadow_report
from lob_pipeline.assets.profile import seasonal_profile
from lob_pipeline.assets.raw import raw_tables
from lob_pipeline.assets.release import registered_model
from lob_pipeline.assets.training import lob_moe, training_set


def table_assets(part: dg.PartitionsDefinition) -> dict[str, dg.AssetsDefinition]:
    """Return layer name -> asset."""
    return {
        "raw": raw_tables(part),
        "books": book_snapshots(part),
        "profile": seasonal_profile(part),
        "features": features(part),
        "labels": labels(part),
    }


def result_assets(part: dg.PartitionsDefinition) -> dict[str, dg.AssetsDefinition]:
    """Return name -> asset of everything after the tables: training, evaluation, release, shadow."""
    return {
        "training_set": training_set(part),
        "feasibility_report": feasibility_report(part),
        "walk_forward_report": walk_forward_report(part),
        "verdict": verdict(part),
        "lob_moe": lob_moe(part),
        "registered_model": registered_model(part),
        "predictions": predictions(part),
        "shadow_report": shadow_report(part),
    }
