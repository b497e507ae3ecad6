"""hftbacktest's own way through a recording: convert the text, then its loop with two passive orders a grid step."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from pathlib import Path

import hft
import numpy as np
from hftbacktest.data.utils.bybit import convert_depth
from serve import Workload


def main(recorded: str, folder: str) -> None:
    """Convert ``recorded`` with hftbacktest's converter, then run the order loop over the workload of ``folder``."""
    lines = json.loads((Path(folder) / "done.json").read_text("utf-8"))
    with contextlib.redirect_stdout(sys.stderr):
        events = convert_depth(recorded, buffer_size=int(1.1 * lines["level_rows"]) + 10_000, single_depth_level=200)
    load = Workload(folder)
    flags = int(np.bitwise_or.reduce(events["ev"][:1]) & np.uint64(hft.EXCH_EVENT | hft.LOCAL_EVENT))
    answer = hft.orders_of(load, events, 100_000_000, 30_000_000_000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"orders": answer, "flags": flags, "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
