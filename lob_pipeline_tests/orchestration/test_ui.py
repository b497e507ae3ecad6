"""``make ui``: the webserver answers on loopback, and a SIGTERM ends everything that was started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def children(pid: int) -> set[int]:
    """Return the process and all of its descendants, by their parents in /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_the_ui_answers_on_loopback_and_ends_whole(memory_home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k not in ("LOB_HOME", "DAGSTER_HOME")}
    ui = subprocess.Popen(
        [sys.executable, "-m", "lob_pipeline.ui", "--home", str(memory_home), "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 180
        answer = None
        while answer is None and ui.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as response:
                    answer = json.load(response)
            except OSError:
                time.sleep(0.5)
        assert answer is not None
        assert "dagster_webserver_version" in answer
        started = children(ui.pid)
        assert len(started) >= 3  # itself, the webserver, the daemon
    finally:
        ui.send_signal(signal.SIGTERM)
        code = ui.wait(timeout=90)
    assert code == 0
    for _ in range(100):
        left = {pid for pid in started if Path(f"/proc/{pid}").exists()}
        if not left:
            break
        time.sleep(0.2)
    assert not left
    assert (memory_home / ".dagster" / "dagster.yaml").exists()
