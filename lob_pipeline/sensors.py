"""Sensors: what looks at runs from outside. Each answers in far less than a second."""

import datetime as dt

import dagster as dg

from lob_pipeline.alerts import WEBHOOK, send_alert
from lob_pipeline.resources import Lake


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


def _step_error(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    return f"{event.step_key}: {data.error.message if data.error else data.user_failure_data}"
