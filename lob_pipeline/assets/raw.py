"""Group ``raw``: the registered sources, and the three tables that are decoded from them together."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from lob_pipeline.assets.common import build_keys, table_spec
from lob_pipeline.capture.heartbeat import read_heartbeat
from lob_pipeline.capture.ledger import read_lines
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import L2_EVENTS, QUOTES, TRADES
from lob_pipeline.lake.home import Home
from lob_pipeline.partitions import partition_key
from lob_pipeline.resources import KERNELS, Lake, Stages
from lob_pipeline.stages.plan import source_versions
from lob_pipeline.stages.result import StageResult
from lob_pipeline.stages.segments import recorded_figures, register_closed

POLICY = dg.BackfillPolicy.multi_run(8)


def raw_segments(part: dg.PartitionsDefinition) -> dg.SourceAsset:
    """Return the external sources: what the raw ledger and the recorder's ledger list for a market and a day.

    Each observation says how the recorder is, and for each recorded day what it holds and what it lacks.
    """

    @dg.observable_source_asset(
        partitions_def=part,
        group_name="raw",
        description="Recorded files in the raw ledger, and what the recorder says of itself and of each day.",
    )
    def raw_segments(context: dg.OpExecutionContext, lake: Lake) -> dg.DataVersionsByPartition:
        home = lake.home()
        for observation in observations(home, part):
            context.log_event(observation)
        found = source_versions(home)
        return dg.DataVersionsByPartition({partition_key(m, d): version for (m, d), version in found.items()})

    return raw_segments


def observations(home: Home, part: dg.PartitionsDefinition) -> list[dg.AssetObservation]:
    """Return what the recorder says: one observation of its heartbeat, one of each recorded day that is a partition."""
    told = []
    beat = read_heartbeat(home)
    if beat is not None:
        told.append(dg.AssetObservation("raw_segments", metadata=_heartbeat_metadata(beat)))
    keys = set(part.get_partition_keys())
    for (market, date), figures in sorted(recorded_figures(read_lines(home)[0]).items(), key=str):
        key = partition_key(market, date)
        if key in keys:
            told.append(dg.AssetObservation("raw_segments", partition=key, metadata=figures))
    return told


def _heartbeat_metadata(beat: dict[str, Any]) -> dict[str, Any]:
    names = ("state", "session", "pid", "connections", "frames", "frames_per_s", "lag_ms", "gaps", "reconnects")
    more = ("silences", "unread", "rss_mib", "disk_free_mib", "age_s")
    shown = {f"recorder_{name}": beat[name] for name in (*names, *more)}
    shown["recorder_alive"] = dg.MetadataValue.bool(beat["alive"])
    shown["recorder_markets"] = ", ".join(beat["markets"])
    shown["recorder_topics"] = dg.MetadataValue.json(beat["topics"])
    return shown


def raw_tables(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``l2_events``, ``trades`` and ``quotes``: one decode of a day's sources writes all three."""
    specs = [table_spec(table, "raw", part, ["raw_segments"]) for table in (L2_EVENTS, TRADES, QUOTES)]

    @dg.multi_asset(specs=specs, name="raw_tables", backfill_policy=POLICY, pool=KERNELS)
    def raw_tables(context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]):  # type: ignore[no-untyped-def]
        def build(home: Home, market: Market, date: str) -> StageResult | Sequence[StageResult]:
            register_closed(home, market, date)
            return stages.build_events(home, market, date)

        build_keys(context, lake.home(), build)

    return raw_tables
