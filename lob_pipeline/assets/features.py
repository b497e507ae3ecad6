"""Group ``features``: the book and flow features of every instant."""

import dagster as dg

from lob_pipeline.assets.common import build_keys, table_spec
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.resources import KERNELS, Lake, Stages

POLICY = dg.BackfillPolicy.multi_run(14)


def features(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``features``. The day before warms it up where usable: an input of the manifest, never an edge."""
    spec = table_spec(FEATURES_TABLE, "features", part, ["book_snapshots", "l2_events", "trades", "seasonal_profile"])

    @dg.multi_asset(specs=[spec], name="features", backfill_policy=POLICY, pool=KERNELS)
    def features(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]) -> None:
        build_keys(context, lake.home(), stages.build_features, stages.judge_feature_drift)

    return features
