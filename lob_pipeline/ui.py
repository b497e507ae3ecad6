"""``make ui``: the Dagster webserver and daemon of a home, on loopback, ended together.

``dagster dev`` ignores SIGTERM when a script starts it, so the two processes are started and ended here.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.home import find_home
from lob_pipeline.pages import REPORTS_FOLDER, REPORTS_URL
from lob_pipeline.project import find_project
from lob_pipeline.resources import prepare_instance

_GRACE_S = 20


def main(arguments: list[str] | None = None) -> int:
    """Run both until Ctrl-C or SIGTERM, or until one of them ends. Exit code 0 when asked to stop, else 1."""
    parser = argparse.ArgumentParser(prog="make ui", description=__doc__)
    parser.add_argument("--home", default=None, help="the home to show (default LOB_HOME, else data/)")
    parser.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1")
    options = parser.parse_args(arguments)
    home = find_home(options.home)
    environment = {**os.environ, "DAGSTER_HOME": str(prepare_instance(home)), "DAGSTER_DISABLE_TELEMETRY": "1"}
    if home.given:
        environment["LOB_HOME"] = str(home.root)
    pages = _serve(home.reports)
    environment[REPORTS_URL] = f"http://127.0.0.1:{pages.server_port}"
    environment[REPORTS_FOLDER] = str(home.reports)
    workspace = ["-w", str(find_project() / "workspace.yaml")]
    commands = [
        [_beside("dagster-webserver"), "-h", "127.0.0.1", "-p", str(options.port), *workspace],
        [_beside("dagster-daemon"), "run", *workspace],
    ]
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Sessions of their own: a Ctrl-C reaches this process only, which then ends them in order.
    processes = [subprocess.Popen(c, env=environment, cwd=find_project(), start_new_session=True) for c in commands]
    print(f"open http://127.0.0.1:{options.port} (Ctrl-C stops webserver and daemon)", flush=True)
    print(f"reports of {home.root} are at {environment[REPORTS_URL]}", flush=True)
    try:
        while not stopping and all(p.poll() is None for p in processes):
            time.sleep(0.2)
    finally:
        _end(processes)
        pages.shutdown()
        pages.server_close()
    return 0 if stopping else 1


class _Pages(SimpleHTTPRequestHandler):
    """Serves the pages of a home's reports, in silence."""

    def log_message(self, format: str, *args: Any) -> None:  # the name is http.server's
        """Say nothing: every page view would be a line between those of webserver and daemon."""


def _serve(reports: Path) -> ThreadingHTTPServer:
    """Serve the reports on a free port of 127.0.0.1 in a thread, until it is shut down."""
    reports.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(reports)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _beside(command: str) -> str:
    return str(Path(sys.executable).with_name(command))


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask every process to end; kill those that do not, by pid."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GRACE_S
    for process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LobError as error:
        print(f"ui: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
