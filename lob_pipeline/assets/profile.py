"""Group ``features``: what earlier days tell of a day, before its features are computed."""

import dagster as dg

from lob_pipeline.assets.common import build_keys, table_spec
from lob_pipeline.core.tables import SEASONAL_PROFILE
from lob_pipeline.resources import KERNELS, Lake, Stages

POLICY = dg.BackfillPolicy.multi_run(60)


def seasonal_profile(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``seasonal_profile``: usual spread and activity, and the fitted micro-price, of strictly earlier days.

    The days it reads are inputs of the manifest, never edges: in a backfill an edge to 28 days would hold back four
    weeks of profiles, and of features, for one refused day. The edge to the day's own books only sets the order.
    """
    spec = table_spec(SEASONAL_PROFILE, "features", part, ["book_snapshots"])

    @dg.multi_asset(specs=[spec], name="seasonal_profile", backfill_policy=POLICY, pool=KERNELS)
    def seasonal_profile(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]) -> None:
        build_keys(context, lake.home(), stages.build_profile)

    return seasonal_profile
