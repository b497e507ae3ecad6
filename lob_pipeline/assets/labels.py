"""Group ``labels``: the outcomes of simulated maker orders."""

import dagster as dg

from lob_pipeline.assets.common import build_keys, table_spec
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.resources import KERNELS, Lake, Stages

POLICY = dg.BackfillPolicy.multi_run(13)


def labels(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``labels``. It reads its own day and never the next."""
    spec = table_spec(LABELS_TABLE, "labels", part, ["book_snapshots", "l2_events", "trades"])

    @dg.multi_asset(specs=[spec], name="labels", backfill_policy=POLICY, pool=KERNELS)
    def labels(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]) -> None:
        build_keys(context, lake.home(), stages.build_labels, stages.judge_label_drift)

    return labels
