"""Storage, and a whole day from the archive's files to gated Parquet, against hftbacktest's convert and loop."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lob_pipeline.core.tables import L2_EVENTS
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline_tests.bench.environment import HOME, PEERS, Peers
from lob_pipeline_tests.bench.timing import Figure, interleave, timed
from lob_pipeline_tests.bench.workload import Workload

_DAY_ROUNDS = 3


def _measured(command: list[str], folder: Path) -> dict[str, Any]:
    """Run a command; return the core seconds and peak memory it tells (imports left out), and its wall seconds."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return {"cores": told["cores"], "wall": wall, "memory_mib": told["peak_mib"], "stages": told.get("stages", {})}


def storage(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Bytes a level row as stored, and reading all columns back, one thread of work measured against the source zip."""
    home = Home((HOME / "work" / "home").absolute())
    _build(load, home, stages=("events",))
    key = PartitionKey("l2_events", load.instrument.market, load.date)
    stored = key.path(home).stat().st_size / load.level_rows
    source = load.archive.stat().st_size / load.level_rows

    def read() -> None:
        with open_partition(home, key, L2_EVENTS) as partition:
            partition.read()

    found = interleave({"read": timed(read)})
    rate = load.level_rows / found.median("read") / 1e6
    yield Figure("storage", "bytes a level row", stored, 3.5, True, f"{stored:.2f} B", f"source zip {source:.2f} B")
    yield Figure("storage", "M level rows read a core second, all columns", rate, 40.0, False, f"{rate:.0f} M/s", "")


def _build(load: Workload, home: Home, stages: tuple[str, ...]) -> None:
    shutil.rmtree(home.root, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "lob_pipeline_tests.bench.day",
        str(home.root),
        str(load.archive),
        str(load.trades),
    ]
    done = subprocess.run([*command, *stages], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"building the workload's partitions failed:\n{done.stderr[-4000:]}")


def _recorded(load: Workload) -> Path:
    """Return the workload as the text file hftbacktest's Bybit converter reads: a local stamp, then the message."""
    path = load.folder / "recorded.gz"
    if not path.exists():
        with gzip.open(path, "wb", compresslevel=1) as out, load.ndjson.open("rb") as lines:
            for line in lines:
                stamp = json.loads(line)["cts"] * 1_000_000 + 1_000_000
                out.write(b"%d " % stamp + line.strip() + b"\n")
    return path


def day(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Archive files to events, books, features and labels in the lake: core seconds and peak memory of a process.

    The peer converts the same messages and then posts orders over them in its loop; it stores nothing.
    """
    home = HOME / "work" / "day-home"
    ours_command = [
        sys.executable, "-m", "lob_pipeline_tests.bench.day", str(home), str(load.archive), str(load.trades),
        "events", "books", "features", "labels",
    ]  # fmt: skip
    peer_command = [
        str((HOME / ".venv" / "bin" / "python").absolute()),
        "convert_loop.py",
        str(_recorded(load)),
        str(load.folder.absolute()),
    ]
    ours, theirs = [], []
    for round_ in range(_DAY_ROUNDS + 1):
        shutil.rmtree(home, ignore_errors=True)
        mine, other = _measured(ours_command, Path.cwd()), _measured(peer_command, PEERS)
        if round_:  # the first round compiles
            ours.append(mine)
            theirs.append(other)
    shutil.rmtree(home, ignore_errors=True)
    ratio = sorted(t["cores"] / o["cores"] for o, t in zip(ours, theirs, strict=True))[_DAY_ROUNDS // 2]
    ours_s = sorted(o["cores"] for o in ours)[_DAY_ROUNDS // 2]
    peer_s = sorted(t["cores"] for t in theirs)[_DAY_ROUNDS // 2]
    yield Figure(
        "day", "archive → events, books, features, labels in the lake", ratio,
        3.0, False, f"{ours_s:.1f} core-s", f"{peer_s:.1f} core-s",
    )  # fmt: skip
    for name in ours[0]["stages"]:
        part = sorted(o["stages"][name] for o in ours)[_DAY_ROUNDS // 2]
        yield Figure(
            "day", f"of which {name}, share of our core seconds", part / ours_s, None, True, f"{part:.1f} core-s", ""
        )
    peak = max(o["memory_mib"] for o in ours)
    other_peak = max(t["memory_mib"] for t in theirs)
    yield Figure("day", "peak memory, GiB", peak / 1024, 1.0, True, f"{peak:,.0f} MiB", f"{other_peak:,.0f} MiB")
