"""One process that takes archive files through the stages, and says how much memory it needed at most."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.ingest import ingest

MARKET = parse_market("sim.BTCUSDT")
STAGES = {"books": build_books, "features": build_features, "labels": build_labels}


def main(root: str, archive: str, trades: str, *stages: str) -> None:
    """Ingest, then run the named stages for every day that the files hold.

    Core seconds count from here: imports are left out, loading cached kernels is not.
    """
    home = Home(Path(root))
    started = time.process_time()
    report = ingest(home, MARKET, [Path(archive), Path(trades)], keep=False)
    days = sorted({p["date"] for p in report.to_json()["partitions"]})
    seconds, peaks = {"ingest": time.process_time() - started}, {"ingest": _peak_mib()}
    for name in (n for n in STAGES if n in stages):
        before = time.process_time()
        for date in days:
            result = STAGES[name](home, MARKET, date)
            if result.refused:
                raise SystemExit(f"{name} of {date} was refused: {result.reason}")
        seconds[name], peaks[name] = time.process_time() - before, _peak_mib()
    told = {"days": days, "peak_mib": _peak_mib(), "cores": time.process_time() - started}
    print(json.dumps({**told, "stages": seconds, "peak_mib_after": peaks}))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
