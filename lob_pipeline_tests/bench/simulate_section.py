"""The simulator: core seconds and memory of a written day, beside the book kernel's own time over it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

from lob_pipeline_tests.bench.environment import Peers
from lob_pipeline_tests.bench.kernel_sections import book_pass
from lob_pipeline_tests.bench.timing import Figure, interleave
from lob_pipeline_tests.bench.workload import Workload

DAY_MESSAGES = 864_000
_ROUNDS = 3
_DAY_SECONDS, _DAY_MIB = 60.0, 1024.0
# a process of its own: its peak memory is the simulator's alone; the first two minutes load the compiled kernels
_PROGRAM = """
import json, resource, sys, tempfile, time
from pathlib import Path
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.presets import configured
from lob_pipeline.stages.simulate import simulate

def market(minutes):
    return SimConfig.busy_day(minutes=minutes) if sys.argv[1] == "busy" else configured(days=1, minutes=minutes)

with tempfile.TemporaryDirectory() as folder:
    simulate(Path(folder) / "first", market(2))
    started = time.process_time()
    made = simulate(Path(folder) / "timed", market(int(sys.argv[2])))
    seconds = time.process_time() - started
print(json.dumps({
    "seconds": seconds,
    "messages": made.days[0].statistics["messages"],
    "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def simulate(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Simulate and write as many minutes as the workload has, of its own market and of the fitted one."""
    minutes = max(1, round(load.messages / 600))
    last: dict[str, dict[str, float]] = {}

    def made(market: str) -> Callable[[], float]:
        def run() -> float:
            words = [sys.executable, "-c", _PROGRAM, market, str(minutes)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            last[market] = json.loads(done.stdout.splitlines()[-1])
            return last[market]["seconds"]

        return run

    found = interleave({"busy": made("busy"), "fitted": made("fitted"), "book": book_pass(load)}, _ROUNDS)
    for market in ("busy", "fitted"):
        a_day = found.median(market) * DAY_MESSAGES / last[market]["messages"]
        yield Figure(
            "simulate", f"864,000 messages written, {market} market, against a minute", a_day / _DAY_SECONDS, 1.0, True,
            f"{a_day:.1f} core s", f"{_DAY_SECONDS:.0f} s",
        )  # fmt: skip
        mib = last[market]["mib"]
        yield Figure(
            "simulate", f"peak memory of {minutes} minutes, {market} market, against 1 GiB", mib / _DAY_MIB, 1.0, True,
            f"{mib:.0f} MiB", f"{_DAY_MIB:.0f} MiB",
        )  # fmt: skip
    yield Figure(
        "simulate", "simulated and written, against the book kernel over the same market",
        found.ratio("busy", "book"), None, True, f"{found.median('busy'):.2f} core s", f"{found.median('book'):.2f} s",
    )  # fmt: skip
