"""Group ``books``: the book at every instant of the clock, with its certificate."""

import dagster as dg

from lob_pipeline.assets.common import build_keys, table_spec
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.resources import KERNELS, Lake, Stages

POLICY = dg.BackfillPolicy.multi_run(16)


def book_snapshots(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``book_snapshots``. The closing book of the day before is an input of the manifest, never an edge."""
    spec = table_spec(BOOK_SNAPSHOTS, "books", part, ["l2_events", "trades", "quotes"])

    @dg.multi_asset(specs=[spec], name="book_snapshots", backfill_policy=POLICY, pool=KERNELS)
    def book_snapshots(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]) -> None:
        build_keys(context, lake.home(), stages.build_books, stages.judge_drift)

    return book_snapshots
