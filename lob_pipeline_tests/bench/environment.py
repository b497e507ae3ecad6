"""The peers' environment (``bench/.venv``) and the process that runs in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "bench"
PEERS = Path(__file__).resolve().parent / "peers"
REQUIREMENTS = PEERS / "requirements.txt"


def make_environment() -> Path:
    """Make ``bench/.venv`` with the pinned peers where it is missing or its pins changed; return its python.

    Raises ``SystemExit`` with a plain sentence when pip fails.
    """
    venv = HOME / ".venv"
    python, stamp = venv / "bin" / "python", venv / ".installed"
    if stamp.exists() and stamp.read_text("utf-8") == REQUIREMENTS.read_text("utf-8"):
        return python
    print(f"making {venv} with the peers (about a minute the first time)", flush=True)
    HOME.mkdir(exist_ok=True)
    commands = [
        [sys.executable, "-m", "venv", str(venv)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(REQUIREMENTS)],
    ]
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(f"bench: the peers could not be installed: {' '.join(command)}")
    stamp.write_text(REQUIREMENTS.read_text("utf-8"), "utf-8")
    return python


class Peers:
    """The peers' process: one request, one answer. A context manager."""

    def __init__(self, python: Path) -> None:
        environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [str(python), "serve.py"],
            cwd=PEERS,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, task: str, **request: Any) -> dict[str, Any]:
        """Run one measurement and return its answer. Raises ``RuntimeError`` with the peer's traceback."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peers' process ended during {task} (exit code {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"peer task {task}: {answer['error']}\n{answer['trace']}")
        return answer

    def seconds(self, task: str, **request: Any) -> float:
        """Run one measurement and return its seconds."""
        return float(self.ask(task, **request)["seconds"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
