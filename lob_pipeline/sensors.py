"""Sensors: what looks at runs, the lake and the registry from outside. Each answers in far less than a second."""

import datetime as dt
import json

import dagster as dg

from lob_pipeline.alerts import WEBHOOK, send_alert
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.partitions import inside, partition_key
from lob_pipeline.resources import Lake
from lob_pipeline.shadowing import Candidate, candidates, unscored


@dg.run_failure_sensor(
    name="on_failure",
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=f"Writes each failed run to HOME/reports/alerts.jsonl and stderr; posts it to ${WEBHOOK} where set.",
)
def on_failure(context: dg.RunFailureSensorContext, lake: Lake) -> None:
    """Send one alert a failed run."""
    run = context.dagster_run
    send_alert(
        lake.home().reports / "alerts.jsonl",
        {
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "run_id": run.run_id,
            "job": run.job_name,
            "partition": run.tags.get("dagster/partition")
            or run.tags.get("dagster/asset_partition_range_start", "")
            + ".."
            + run.tags.get("dagster/asset_partition_range_end", ""),
            "message": context.failure_event.message or "",
            "steps": [_step_error(event) for event in context.get_step_failure_events()],
        },
    )


@dg.sensor(
    name="live_shadow",
    job_name="shadow_score",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Scores the newest usable day of features that champion or challenger has not predicted yet.",
)
def live_shadow(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Request one run a market; the cursor holds what was asked for last, so nothing is asked for twice."""
    asked: dict[str, str] = json.loads(context.cursor or "{}")
    todo = [u for u in unscored(lake.home()) if inside(u.date) and asked.get(str(u.market)) != u.name]
    requests = [dg.RunRequest(run_key=f"shadow|{u.name}", partition_key=partition_key(u.market, u.date)) for u in todo]
    cursor = json.dumps({**asked, **{str(u.market): u.name for u in todo}}, sort_keys=True)
    if not requests:
        reason = "no newest usable day is without predictions of a champion or challenger"
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


@dg.sensor(
    name="promotion_ready",
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Reports each challenger that waits for promotion, once. It promotes nothing: `lob promote` does.",
)
def promotion_ready(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Log one observation of ``registered_model`` a challenger."""
    told: dict[str, str] = json.loads(context.cursor or "{}")
    waiting = candidates(lake.home())
    new = [c for c in waiting if told.get(c.challenger.market) != c.challenger.bundle_sha256]
    events = [_observation(c) for c in new if inside(c.challenger.as_of)]
    cursor = json.dumps({c.challenger.market: c.challenger.bundle_sha256 for c in waiting}, sort_keys=True)
    reason = "; ".join(c.sentence for c in waiting) or "no challenger waits for promotion"
    return dg.SensorResult(skip_reason=reason, cursor=cursor, asset_events=events)


def _observation(candidate: Candidate) -> dg.AssetObservation:
    new, old = candidate.challenger, candidate.champion
    return dg.AssetObservation(
        "registered_model",
        partition=partition_key(parse_market(new.market), new.as_of),
        metadata={
            "promotion": candidate.sentence,
            "challenger": new.semver,
            "challenger_bundle_sha256": new.bundle_sha256,
            "champion": old.semver if old else "none",
            "verdict": new.verdict,
            "checks": dg.MetadataValue.json([outcome.to_json() for outcome in candidate.outcomes]),
        },
    )


def _step_error(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    return f"{event.step_key}: {data.error.message if data.error else data.user_failure_data}"
