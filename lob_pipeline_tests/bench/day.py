"""One process that takes archive files through the stages, and says how much memory it needed at most."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from lob_pipeline.stages.ingest import ingest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home

MARKET = parse_market("sim.BTCUSDT")


def main(root: str, archive: str, trades: str, *stages: str) -> None:
    """Ingest, then run the named stages for every day that the files hold."""
    home = Home(Path(root))
    report = ingest(home, MARKET, [Path(archive), Path(trades)], keep=False)
    days = sorted({p["date"] for p in report.to_json()["partitions"]})
    for date in days:
        if "books" in stages:
            from lob_pipeline.stages.build_books import build_books

            build_books(home, MARKET, date)
        if "features" in stages:
            from lob_pipeline.stages.build_features import build_features

            build_features(home, MARKET, date)
        if "labels" in stages:
            from lob_pipeline.stages.build_labels import build_labels

            build_labels(home, MARKET, date)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"days": days, "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
