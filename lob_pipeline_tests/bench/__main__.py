"""``make bench``: measure, print each figure beside its bar, write ``bench/results.json``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module, metadata
from typing import Any

from lob_pipeline_tests.bench.environment import HOME, REQUIREMENTS, Peers, make_environment
from lob_pipeline_tests.bench.timing import ROUNDS, Figure

SECTIONS = {
    "decode": "read_sections",
    "inflate": "read_sections",
    "book": "kernel_sections",
    "features": "kernel_sections",
    "labels": "kernel_sections",
    "simulate": "simulate_section",
    "storage": "lake_sections",
    "live": "live_section",
    "prediction": "model_section",
    "loader": "model_section",
    "training": "model_section",
    "day": "lake_sections",
}


def _line(figure: Figure) -> str:
    bar = "" if figure.bar is None else f"{'≤' if figure.at_most else '≥'} {figure.bar:g}"
    verdict = {None: "", True: "ok", False: "MISSED"}[figure.clears]
    name = f"{figure.section}: {figure.name}"
    return f"{name:<92} {figure.ratio:>8.2f} {bar:>7} {verdict:>7}   {figure.ours:<22} {figure.peer}"


def _section(name: str) -> Callable[..., Iterator[Figure]]:
    module = import_module(f"lob_pipeline_tests.bench.{SECTIONS[name]}")
    found: Callable[..., Iterator[Figure]] = getattr(module, name)
    return found


def _machine() -> dict[str, Any]:
    packages = ("numba", "numpy", "pyarrow", "duckdb", "msgspec", "isal", "torch")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "versions": {name: metadata.version(name) for name in packages},
        "peers": REQUIREMENTS.read_text("utf-8").split(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark. Exit code 0 when everything was measured, whether or not a bar is cleared."""
    from lob_pipeline_tests.bench.workload import DEFAULT_MINUTES, FULL_MINUTES, simulated

    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the whole simulated day instead of a third of it")
    parser.add_argument("--minutes", type=int, default=None, help="minutes of simulated market")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {', '.join(unknown)}: expected some of {', '.join(SECTIONS)}")
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    python = make_environment()
    minutes = options.minutes or (FULL_MINUTES if options.full else DEFAULT_MINUTES)
    started = time.monotonic()
    load = simulated(HOME / "work", minutes)
    print(
        f"workload: {load.messages:,} messages, {load.level_rows:,} level rows, {load.json_bytes / 1e6:.0f} MB JSON; "
        f"interleaved, medians of {ROUNDS}, one thread\n"
        f"{'':<92} {'ratio':>8} {'bar':>7} {'':>7}   {'ours':<22} peer",
        flush=True,
    )
    figures: list[Figure] = []
    for name in chosen:
        with Peers(python) as peers:
            for figure in _section(name)(load, peers):
                figures.append(figure)
                print(_line(figure), flush=True)
    missed = [f for f in figures if f.clears is False]
    result = {
        "workload": {
            "minutes": minutes,
            "messages": load.messages,
            "level_rows": load.level_rows,
            "json_bytes": load.json_bytes,
        },
        "machine": _machine(),
        "figures": [{**asdict(f), "clears": f.clears} for f in figures],
        "seconds": round(time.monotonic() - started, 1),
    }
    path = HOME / "results.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    judged = [f for f in figures if f.clears is not None]
    print(f"\n{len(judged) - len(missed)} of {len(judged)} bars cleared; {path} written in {result['seconds']:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
