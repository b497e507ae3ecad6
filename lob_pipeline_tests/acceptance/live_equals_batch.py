"""Predictions of ``lob live`` over a loopback websocket equal batch predictions, bit for bit, on three markets.

Run: ``python -m lob_pipeline_tests.acceptance.live_equals_batch [--bundle DIR]``. A bundle given takes the place of the
random weights for the case of its market and clock. Exit 1 when a column differs or too little was valid.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from lob_pipeline.lake.home import Home
from lob_pipeline.registry.bundle import Bundle, load_bundle
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline_tests.acceptance.recordings import lob
from lob_pipeline_tests.live.days import (
    Case,
    build_days,
    first_difference,
    nexo,
    predict_days,
    predictions_key,
    read_predictions,
    simulated,
    usdm,
)
from lob_pipeline_tests.real_data import real_data_root

LEAST_VALID = 1_000
SIM_MINUTES = 30


def check(case: Case, scratch: Path, given: Bundle | None) -> bool:
    """Build a case both ways and print what was compared; return whether all of it was equal and enough."""
    home, live_home = Home(scratch / case.name), Home(scratch / f"{case.name}-live")
    fits = given is not None and (given.market, given.clock_id) == (case.market, case.clock)
    bundle = given if given is not None and fits else case.bundle(scratch / "bundles")
    build_days(home, case)
    predict_days(home, case, bundle)
    started = time.monotonic()
    with serving(Exchange(list(case.paths))) as url:
        words = ("live", case.market, "--bundle", str(bundle.path), "--url", url, "--until-end")
        code, report = lob(live_home.root, *words)
    seconds = time.monotonic() - started
    if code != 0:
        print(f"{case.name}: lob live ended with {code}: {report}")
        return False
    equal, valid = True, 0
    for date in case.dates:
        batch, live = (
            read_predictions(where, predictions_key(case, bundle, date, origin))
            for where, origin in ((home, "batch"), (live_home, "live"))
        )
        difference = first_difference(batch, live)
        both = int(live["valid"].sum()) // 2
        valid += both
        equal &= not difference
        print(f"{case.name} {date}: {len(live['ts_ns']):,} rows, {both:,} valid instants, {difference or 'equal'}")
    enough = valid >= LEAST_VALID
    print(
        f"{case.name}: {valid:,} valid instants ({'enough' if enough else f'fewer than {LEAST_VALID:,}'}), live run "
        f"{seconds:.1f} s, latency p50 {report['latency_p50_us']:,.0f} µs, p99 {report['latency_p99_us']:,.0f} µs"
    )
    return equal and enough


def main(arguments: list[str] | None = None) -> int:
    """Run the three cases; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="use this bundle for the case of its market")
    options = parser.parse_args(arguments)
    given = load_bundle(options.bundle) if options.bundle else None
    root = real_data_root()
    if root is None:
        raise SystemExit("the real recordings are not at ../shared/data (or LOB_REAL_DATA)")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        cases = [usdm(root), nexo(root), simulated(scratch / "sim-files", SIM_MINUTES)]
        results = [check(case, scratch, given) for case in cases]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
