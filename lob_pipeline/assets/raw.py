"""Group ``raw``: the registered sources, and the three tables that are decoded from them together."""

import dagster as dg

from lob_pipeline.assets.common import build_keys, table_spec
from lob_pipeline.core.tables import L2_EVENTS, QUOTES, TRADES
from lob_pipeline.partitions import partition_key
from lob_pipeline.resources import KERNELS, Lake, Stages
from lob_pipeline.stages.plan import source_versions

POLICY = dg.BackfillPolicy.multi_run(8)


def raw_segments(part: dg.PartitionsDefinition) -> dg.SourceAsset:
    """Return the external sources: recordings that the raw ledger lists for a market and a day."""

    @dg.observable_source_asset(partitions_def=part, group_name="raw", description="Recorded files in the raw ledger.")
    def raw_segments(lake: Lake) -> dg.DataVersionsByPartition:
        found = source_versions(lake.home())
        return dg.DataVersionsByPartition({partition_key(m, d): version for (m, d), version in found.items()})

    return raw_segments


def raw_tables(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``l2_events``, ``trades`` and ``quotes``: one decode of a day's sources writes all three."""
    specs = [table_spec(table, "raw", part, ["raw_segments"]) for table in (L2_EVENTS, TRADES, QUOTES)]

    @dg.multi_asset(specs=specs, name="raw_tables", backfill_policy=POLICY, pool=KERNELS)
    def raw_tables(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]):  # type: ignore[no-untyped-def]
        build_keys(context, lake.home(), stages.build_events)

    return raw_tables
