"""What the Dagster instance knows of the lake: partitions that `lob` built without it are reported to it.

A record beside the instance says which contents were seen there, so that a run with nothing to do does not have to open
the instance.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest, read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.storage import storing
from lob_pipeline.stages.plan import PlanStep

if TYPE_CHECKING:
    import dagster as dg


def report(home: Home, fresh: list[PlanStep], instance: Callable[[], dg.DagsterInstance]) -> int:
    """Log a materialisation and the gates' evaluations of each fresh partition that the instance has not seen.

    Return how many were reported. ``instance`` is called only when some content is not in the record.
    """
    from lob_pipeline.project import instance_home

    record = instance_home(home) / "known_partitions.json"
    known = _read(record)
    seen: dict[str, str] = {}
    reported = 0
    for step in fresh:
        place = PartitionKey(step.table, step.market, step.date, step.clock)
        manifest = read_manifest(place.path(home))
        name = f"{step.table}|{step.date}|{step.market}"
        seen[name] = manifest.content_sha256
        if known.get(name) != manifest.content_sha256:
            reported += _report_one(instance(), place, manifest, str(place.path(home)))
    if seen.items() - known.items():
        with storing(record):
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps({**known, **seen}, sort_keys=True), "utf-8")
    return reported


def _report_one(instance: dg.DagsterInstance, place: PartitionKey, manifest: Manifest, path: str) -> bool:
    import dagster as dg

    from lob_pipeline.checks import evaluations, metadata_of
    from lob_pipeline.partitions import inside, partition_key

    if not inside(place.date):
        return False
    asset, key = dg.AssetKey(place.table), partition_key(place.market, place.date)
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[key]), limit=1
    ).records
    if records and _content(records[0]) == manifest.content_sha256:
        return False
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset, partition=key, metadata=metadata_of(manifest, path))
    )
    for event in evaluations(asset, key, manifest.outcomes):
        instance.report_runless_asset_event(event)
    return True


def _content(record: Any) -> str:
    metadata = record.asset_materialization.metadata if record.asset_materialization else {}
    return str(metadata["content_sha256"].value) if "content_sha256" in metadata else ""


def _read(path: Any) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError):
        return {}  # no record, or a torn one: the instance is asked again
