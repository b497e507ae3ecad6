"""The peers' process: reads one JSON request a line, runs that measurement once, answers with one JSON line.

Staying alive between requests lets the caller interleave peers with our own code in one run: compiled code stays warm
on both sides. Workload files are ``events.npz`` (level rows and trades as integers) and ``messages.ndjson``.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

Task = Callable[[dict[str, Any]], dict[str, Any]]


class Workload:
    """One recording, loaded once: integers, and whatever a peer needs made of them (not timed)."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        data = np.load(f"{folder}/events.npz")
        self.book = {name[2:]: data[name] for name in data.files if name.startswith("b_")}
        self.trades = {name[2:]: data[name] for name in data.files if name.startswith("t_")}
        self.tick, self.lot = float(data["tick"]), float(data["lot"])
        self.cache: dict[str, Any] = {}

    def message_starts(self) -> np.ndarray:
        """Index of the first level row of every message, with the end appended."""
        return np.append(np.flatnonzero(self.book["first"]), self.book["ts"].size)


_loaded: dict[str, Workload] = {}


def workload(request: dict[str, Any]) -> Workload:
    """The request's workload, loaded on first use."""
    folder = request["folder"]
    if folder not in _loaded:
        _loaded[folder] = Workload(folder)
    return _loaded[folder]


def _tasks() -> dict[str, Task]:
    import hft
    import objects
    import text

    return {**hft.TASKS, **objects.TASKS, **text.TASKS}


def main() -> None:
    """Serve until stdin ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # a library that prints must not corrupt the answers
    tasks = _tasks()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            started = time.perf_counter()
            answer = tasks[request["task"]](request)
            answer["wall_s"] = time.perf_counter() - started
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
