"""Schedules (UTC), stopped until someone starts them in the UI."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from lob_pipeline.alerts import send_alert_once
from lob_pipeline.core.errors import LobError
from lob_pipeline.partitions import inside, partition_key
from lob_pipeline.readiness import followed_by_nobody, readiness
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


@dg.schedule(
    name="nightly_retrain",
    cron_schedule=["0 2 * * *", "0 8-23 * * *"],
    job_name="retrain",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Retrains each market as of yesterday, once; asks again hourly from 08:00 for archives that come late.",
)
def nightly_retrain(context: dg.ScheduleEvaluationContext, lake: Lake) -> list[dg.RunRequest] | dg.SkipReason:
    """Request one run a market that is ready. The run key has the day and the market: asking again starts nothing.

    A market whose day was refused or is not there yet is a reason to skip. A market without data for two days is
    written to the alert sink, and fails the tick when no market can be retrained.
    """
    date = (context.scheduled_execution_time.astimezone(dt.UTC).date() - dt.timedelta(days=1)).isoformat()
    home = lake.home()
    found = readiness(home, date)
    silent = [r for r in found if r.state == "silent"] or followed_by_nobody(found)
    for market in silent:
        alert = {"schedule": "nightly_retrain", "as_of": date, "message": str(market)}
        send_alert_once(home.reports / "alerts.jsonl", alert)
    requests = [
        dg.RunRequest(run_key=f"retrain|{key}", partition_key=key)
        for key in (partition_key(r.market, date) for r in found if r.state == "ready" and inside(date))
    ]
    reasons = "; ".join(str(r) for r in found if r.state != "ready")
    if requests:
        context.log.info(reasons or "every market is ready")
        return requests
    if silent:
        raise LobError(f"nothing to retrain as of {date}: {reasons}")
    nothing = f"no market has a day up to {date} in {lake.root}: `lob ingest` registers recordings"
    return dg.SkipReason(reasons or nothing)
