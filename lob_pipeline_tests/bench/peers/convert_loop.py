"""hftbacktest's own way through a recording: convert the text, then its loop with two passive orders a grid step."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from pathlib import Path

import hft
from hftbacktest.data.utils.bybit import convert_depth
from serve import Workload

_STEP_NS, _LIFE_NS = 100_000_000, 30_000_000_000
_WARM_EVENTS = 5_000


def main(recorded: str, folder: str) -> None:
    """Convert ``recorded`` with hftbacktest's converter, then run the order loop over it.

    Its loop cannot be cached on disk: it is compiled on a few events first, and that is not counted.
    """
    lines = json.loads((Path(folder) / "done.json").read_text("utf-8"))
    load = Workload(folder)
    both = hft.EXCH_EVENT | hft.LOCAL_EVENT
    hft.orders_of(load, hft.feed(load, both)[:_WARM_EVENTS].copy(), _STEP_NS, _LIFE_NS)
    load.cache.clear()
    started = time.process_time()
    with contextlib.redirect_stdout(sys.stderr):
        events = convert_depth(recorded, buffer_size=int(1.1 * lines["level_rows"]) + 10_000, single_depth_level=200)
    orders = hft.orders_of(load, events, _STEP_NS, _LIFE_NS)
    cores = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"orders": orders, "cores": cores, "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
