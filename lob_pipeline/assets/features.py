"""Group ``features``: the book and flow features of every instant."""

import dagster as dg

from lob_pipeline.assets.common import table_spec
from lob_pipeline.checks import attempt, settle, with_drift
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.resources import KERNELS, Lake, Stages

POLICY = dg.BackfillPolicy.multi_run(14)


def features(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``features``. The day before warms it up where usable: an input of the manifest, never an edge."""
    spec = table_spec(FEATURES_TABLE, "features", part, ["book_snapshots", "l2_events", "trades", "seasonal_profile"])

    @dg.multi_asset(specs=[spec], name="features", backfill_policy=POLICY, pool=KERNELS)
    def features(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]) -> None:
        home = lake.home()
        build = stages.build_features
        outcomes = [attempt(context, key, lambda m, d: build(home, m, d)) for key in context.partition_keys]
        settle(context, [with_drift(context, outcome, home, stages.judge_feature_drift) for outcome in outcomes])

    return features
