"""Every real recording through `lob ingest`, books, features, labels and verify.

Run: ``python -m lob_pipeline_tests.acceptance.recordings [--home DIR]``. Exit 1 when an expectation does not hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lob_pipeline_tests.real_data import real_data_root


@dataclass(frozen=True)
class Recording:
    """One stream of one market, and what its certificates must say."""

    market: str
    paths: tuple[str, ...]
    days: tuple[str, ...]
    compared_quotes: int = 0
    clock: str | None = None
    crosses_midnight: bool = False
    unbridged: int = 0
    information: tuple[float, float] | None = None
    """METHODS.md: Spearman and Pearson of queue_imbalance_l1_ratio against the 1 s mid return, within 0.03."""


RECORDINGS = (
    Recording(
        "binance-usdm.BTCUSDT",
        ("binance_usdm/btcusdt_20230404.gz", "binance_usdm/btcusdt_20230405.gz"),
        ("2023-04-04", "2023-04-05"),
        compared_quotes=1500,
        crosses_midnight=True,
        information=(0.395, 0.288),
    ),
    Recording(
        "binance-usdm.BTCUSDT",
        ("binance_usdm/btcusdt_20240808.gz",),
        ("2024-08-08", "2024-08-09"),  # it runs one second past midnight
        compared_quotes=1,
        crosses_midnight=True,
        information=(0.367, 0.208),
    ),
    Recording(
        "binance-spot.BTCUSDT",
        ("binance_spot/btcusdt_20240808.gz", "binance_spot/btcusdt_20240809.gz"),
        ("2024-08-08", "2024-08-09"),
        compared_quotes=1,
        crosses_midnight=True,
        information=(0.472, 0.312),
    ),
    Recording(
        "binance-spot.NEXOUSDT",
        ("binance_spot/nexousdt_20240723.gz", "binance_spot/nexousdt_20240724.gz"),
        ("2024-07-23", "2024-07-24"),
        compared_quotes=1,
        clock="t1s",
        crosses_midnight=True,
        information=(0.076, 0.065),
    ),
    Recording(
        "bybit-linear.BTCUSDT",
        ("bybit_linear_ws/orderbook.200.BTCUSDT.ndjson", "bybit_linear_ws/publicTrade.BTCUSDT.ndjson"),
        ("2026-08-09",),
    ),
    Recording(
        "bybit-linear.SOLUSDT",
        ("bybit_linear_ws/orderbook.200.SOLUSDT.ndjson", "bybit_linear_ws/publicTrade.SOLUSDT.ndjson"),
        ("2026-08-09",),
    ),
    Recording("bybit-linear.XRPUSDT", ("bybit_archive/2024-12-01_XRPUSDT_ob500.data.zip",), ("2024-12-01",)),
    Recording("binance-usdm.BTCUSDT", ("binance_resync/raw_1772137284.ndjson.gz",), ("2026-02-26",), unbridged=1),
    Recording("binance-usdm.ETHUSDT", ("binance_resync/raw_1772137284.ndjson.gz",), ("2026-02-26",), unbridged=1),
)


def lob(home: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Run one ``lob`` command; return its exit code and its JSON object."""
    command = [sys.executable, "-m", "lob_pipeline.cli", *words, "--json", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return done.returncode, json.loads(done.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}, no JSON\n{done.stderr}") from None


def _days(result: dict[str, Any]) -> list[dict[str, Any]]:
    return result.get("days", [result])


def _information(recording: Recording, home: Path) -> list[str]:
    """Print the information coefficient of the level-1 imbalance at 1 s beside METHODS.md's."""
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.lake.home import find_home
    from lob_pipeline.stages.information import information_coefficients

    feature, second = "queue_imbalance_l1_ratio", 1_000_000_000
    market, days = parse_market(recording.market), list(recording.days)
    found = information_coefficients(find_home(str(home)), market, days, [feature], second, recording.clock)
    print(f"  information     {json.dumps(found)} expected {recording.information}")
    seen = found["features"][feature]
    wrong = []
    for name, expected in zip(("spearman", "pearson"), recording.information or (), strict=True):
        if abs(seen[name] - expected) > 0.03:
            wrong.append(f"{name} {seen[name]:.3f}, expected {expected} within 0.03")
    return wrong


def show(recording: Recording, home: Path, root: Path) -> list[str]:
    """Run one recording through every stage; print what was seen and return what did not hold."""
    wrong = []
    span = f"{recording.days[0]}..{recording.days[-1]}"
    clock = ("--clock", recording.clock) if recording.clock else ()
    code, _ = lob(home, "ingest", recording.market, *(str(root / p) for p in recording.paths))
    print(f"\n{recording.market} {span}: ingest exit {code}")
    for stage in ("books", "features", "labels"):
        code, result = lob(home, stage, recording.market, span, *clock)
        for part in result.get("partitions", []):
            statuses = sorted({o["status"] for o in part["outcomes"]})
            print(f"  {part['table']:15} {part['date']} {part['rows']:>10,} rows  {', '.join(statuses)}  exit {code}")
        if code != 0:
            wrong.append(f"{stage} exit {code}: {result.get('error', '')}")
    code, result = lob(home, "verify", recording.market, span, *clock)
    certificates = _days(result)
    compared = 0
    for c in certificates:
        quotes = c["top_of_book_match"] or {"compared": 0, "equal": 0}
        compared += quotes["compared"]
        print(f"  certificate     {json.dumps({k: v for k, v in c.items() if k != 'gaps'})} gaps={len(c['gaps'])}")
        if not c["holds"]:
            wrong.append(f"{c['date']}: certificate does not hold")
        if quotes["compared"] != quotes["equal"]:
            wrong.append(f"{c['date']}: {quotes['compared'] - quotes['equal']} quotes differ")
        if c["unbridged_snapshots"] != recording.unbridged:
            wrong.append(f"{c['date']}: {c['unbridged_snapshots']} unbridged snapshots, expected {recording.unbridged}")
    code, result = lob(home, "parity", recording.market, span, *clock)
    for day in _days(result):
        print(f"  parity          {json.dumps(day)} exit {code}")
        if code != 0 or not day.get("values"):
            wrong.append(f"parity exit {code}: {day}")
    if recording.information:
        wrong.extend(_information(recording, home))
    if compared < recording.compared_quotes:
        wrong.append(f"only {compared} quotes compared, expected {recording.compared_quotes}")
    if recording.crosses_midnight and certificates[-1]["boundary_match"] is not True:
        wrong.append(f"boundary_match is {certificates[-1]['boundary_match']}")
    return wrong


def main() -> int:
    """Run all recordings; print a line for each expectation that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="keep the lake here instead of a temporary folder")
    parser.add_argument("--only", help="only recordings whose market or path contains this")
    options = parser.parse_args()
    root = real_data_root()
    if root is None:
        raise SystemExit("the real recordings are not at ../shared/data (or LOB_REAL_DATA)")
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        for number, recording in enumerate(RECORDINGS):
            if options.only and not any(options.only in text for text in (recording.market, *recording.paths)):
                continue
            home = (options.home or Path(scratch)) / f"{number}-{recording.market}"
            for line in show(recording, home, root):
                failures += 1
                print(f"  NOT AS EXPECTED: {line}")
    print(f"\n{failures} expectations did not hold")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
