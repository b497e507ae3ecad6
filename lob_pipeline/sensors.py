"""Sensors: what looks at runs, the lake and the registry from outside. Each answers in far less than a second."""

import datetime as dt
import hashlib
import json

import dagster as dg

from lob_pipeline.alerts import WEBHOOK, send_alert
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.partitions import inside, parse_key, partition_key
from lob_pipeline.resources import Lake
from lob_pipeline.shadowing import Candidate, candidates, unscored
from lob_pipeline.stages.segments import registered_hashes, waiting_days


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
    name="closed_segments",
    job_name="build_raw",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Asks for the tables of each finished day of which the recorder has closed segments that are not in.",
)
def closed_segments(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Request one run a (market, day) whose segments were never registered; the run registers and builds them.

    The cursor holds how far the recorder's ledger was read and, for days not asked for yet, the segments they wait for.
    A segment that closes after its day was asked for is asked for again.
    """
    home = lake.home()
    seen = json.loads(context.cursor or '{"offset": 0, "waiting": {}}')
    waiting, offset = waiting_days(home, seen["waiting"], seen["offset"])
    known = registered_hashes(home)
    requests, left = [], {}
    for key, hashes in sorted(waiting.items()):
        market, date = parse_key(key)
        new = sorted(h for h in hashes if (str(market), h) not in known)
        if new and not inside(date):
            left[key] = new  # the day is not over, or older than every partition
        elif new:
            digest = hashlib.sha256("".join(new).encode()).hexdigest()[:12]
            requests.append(dg.RunRequest(run_key=f"segments|{key}|{digest}", partition_key=key))
    cursor = json.dumps({"offset": offset, "waiting": left}, sort_keys=True)
    if not requests:
        open_days = f"; {len(left)} days that are not over have some" if left else ""
        return dg.SensorResult(skip_reason=f"every closed segment of finished days is in{open_days}", cursor=cursor)
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
