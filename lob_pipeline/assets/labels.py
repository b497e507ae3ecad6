"""Group ``labels``: the outcomes of simulated maker orders."""

import dagster as dg

from lob_pipeline.assets.common import table_spec
from lob_pipeline.checks import attempt, settle, with_drift
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.resources import KERNELS, Lake, Stages

POLICY = dg.BackfillPolicy.multi_run(13)


def labels(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``labels``. It reads its own day and never the next."""
    spec = table_spec(LABELS_TABLE, "labels", part, ["book_snapshots", "l2_events", "trades"])

    @dg.multi_asset(specs=[spec], name="labels", backfill_policy=POLICY, pool=KERNELS)
    def labels(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]) -> None:
        home = lake.home()
        build = stages.build_labels
        outcomes = [attempt(context, key, lambda m, d: build(home, m, d)) for key in context.partition_keys]
        settle(context, [with_drift(context, outcome, home, stages.judge_label_drift) for outcome in outcomes])

    return labels
