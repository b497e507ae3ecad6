"""Schedules (UTC), stopped until someone starts them in the UI."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from lob_pipeline.partitions import inside
from lob_pipeline.resources import Lake
from lob_pipeline.stages.plan import source_versions


@dg.schedule(
    name="nightly_data",
    cron_schedule="20 0 * * *",
    job_name="nightly",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every data layer of yesterday, for each market with a registered source of that day.",
)
def nightly_data(context: dg.ScheduleEvaluationContext, lake: Lake) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request one run a market that has sources of the day before the tick."""
    date = (context.scheduled_execution_time.astimezone(dt.UTC).date() - dt.timedelta(days=1)).isoformat()
    versions = source_versions(lake.home())
    ready = sorted((str(m), v) for (m, d), v in versions.items() if d == date and inside(d))
    for market, version in ready:
        yield dg.RunRequest(run_key=f"{date}|{market}|{version[:12]}", partition_key=f"{date}|{market}")
    if not ready:
        yield dg.SkipReason(f"no source of {date} is registered in {lake.root}: `lob ingest` registers recordings")
