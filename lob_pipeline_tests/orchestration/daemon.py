"""A Dagster daemon for tests: the command ``dagster-daemon run`` in a process of its own, looking every few seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.utils import make_new_backfill_id

# The daemon looks for backfill work every 30 s; four layers would spend two minutes waiting. It asks the kernel for a
# SIGINT when its parent dies (prctl PR_SET_PDEATHSIG), so that a test run that is killed leaves no daemon behind.
_START = (
    "import ctypes, signal; ctypes.CDLL(None).prctl(1, signal.SIGINT);"
    "import dagster._daemon.controller as controller; controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2;"
    "from dagster._daemon.cli import main; import sys; sys.argv = ['dagster-daemon', *sys.argv[1:]]; main()"
)


@contextmanager
def daemon(workspace: Path, environment: dict[str, str], log: Path) -> Iterator[int]:
    """Run a daemon; yield its pid. It is ended by pid, and everything that it started has ended when this returns."""
    with log.open("w") as handle:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, "run", "-w", str(workspace)],
            env={**os.environ, **environment},
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            finally:
                for _ in range(100):
                    if not session_processes(process.pid):
                        break
                    time.sleep(0.1)
                for pid in session_processes(process.pid):
                    os.kill(pid, signal.SIGKILL)
                if process.poll() is None:
                    process.kill()


def session_processes(session: int) -> list[int]:
    """Return the pids of the processes of a session that are still running."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def backfill(
    defs: dg.Definitions, instance: dg.DagsterInstance, assets: Sequence[str], keys: Sequence[str], timeout_s: float
) -> BulkActionStatus:
    """Launch a backfill as the UI does and wait until the daemon has finished with it."""
    request = PartitionBackfill.from_asset_partitions(
        asset_graph=defs.resolve_asset_graph(),
        backfill_id=make_new_backfill_id(),
        tags={},
        backfill_timestamp=time.time(),
        asset_selection=[dg.AssetKey(name) for name in assets],
        partition_names=list(keys),
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(request)
    deadline = time.monotonic() + timeout_s
    while True:
        found = instance.get_backfill(request.backfill_id)
        assert found is not None
        if found.status not in (BulkActionStatus.REQUESTED, BulkActionStatus.FAILING):
            assert found.error is None, found.error.message
            return found.status
        assert time.monotonic() < deadline, f"the backfill is still {found.status} after {timeout_s} s"
        time.sleep(0.5)
