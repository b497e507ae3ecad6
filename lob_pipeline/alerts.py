"""The alert sink: a JSON line in a file, on stderr, and to the webhook that the environment names."""

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

from lob_pipeline.lake.storage import storing

WEBHOOK = "LOB_ALERT_WEBHOOK"
_TIMEOUT_S = 5


def send_alert(sink: Path, alert: dict[str, Any]) -> None:
    """Append ``alert`` to ``sink`` as a JSON line, print it on stderr, post it to the webhook of the environment.

    A webhook that cannot be reached is itself written to the sink; it never loses the alert.
    """
    line = json.dumps(alert, sort_keys=True)
    print(f"ALERT {line}", file=sys.stderr, flush=True)
    _append(sink, line)
    url = os.environ.get(WEBHOOK)
    if not url:
        return
    if not url.startswith(("http://", "https://")):
        _append(sink, json.dumps({"webhook_error": f"{WEBHOOK} is not an http address"}))
        return
    request = urllib.request.Request(  # noqa: S310  (scheme checked above)
        url, data=line.encode(), headers={"content-type": "application/json"}
    )
    try:
        urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()  # noqa: S310  (scheme checked above)
    except OSError as error:
        _append(sink, json.dumps({"webhook_error": str(error), "run_id": alert.get("run_id")}))


def send_alert_once(sink: Path, alert: dict[str, Any]) -> None:
    """Send ``alert`` unless the sink holds this very line: what asks every hour must not alert every hour."""
    line = json.dumps(alert, sort_keys=True)
    if not sink.exists() or line not in sink.read_text("utf-8").splitlines():
        send_alert(sink, alert)


def _append(sink: Path, line: str) -> None:
    with storing(sink):
        sink.parent.mkdir(parents=True, exist_ok=True)
        with sink.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
