"""``make demo``: a simulated market from bytes to the verdict, in the Dagster instance that ``make ui`` shows.

Nothing here is special to the demo but the market: the same register, plan and run that a user's own recordings take.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home, find_home

if TYPE_CHECKING:
    from lob_pipeline.learning import Learned

MARKET = parse_market("sim.BTCUSDT")
DAYS = 3
MINUTES = 480
SEED = 1


def _say(line: str) -> None:
    print(line, flush=True)


def _simulated(home: Home, seed: int, edge_bps: float) -> tuple[list[Path], dict[str, Any]]:
    """Return the archive files of the demo's market and its truth; simulate them where they are absent."""
    from lob_pipeline.sim.presets import FITTED, configured
    from lob_pipeline.stages.simulate import simulate

    out = home.root / "sim" / f"{FITTED}-seed-{seed}-edge-{edge_bps:g}"
    done = out / "demo.json"
    if done.exists():
        kept = json.loads(done.read_text("utf-8"))
        paths = [out / name for name in kept["files"]]
        if all(path.exists() for path in paths):
            _say(f"simulate         fresh   {len(paths)} archive files in {out}")
            return paths, kept["report"]
    started = time.monotonic()
    _say(f"simulate         seed {seed}: {DAYS} days of {MINUTES // 60} hours, about a minute")
    config = configured(FITTED, seed=seed, days=DAYS, minutes=MINUTES, first_day="2026-01-05", edge_bps=edge_bps)
    report = simulate(out, config, progress=_stage_progress("simulate"))
    data = report.to_json()
    paths = [Path(p) for p in data["files"]]
    done.write_text(json.dumps({"files": [p.name for p in paths], "report": data}), "utf-8")
    _say(f"simulate         built   {len(paths)} archive files in {out} ({time.monotonic() - started:.0f} s)")
    return paths, data


def _stage_progress(label: str) -> Any:
    """Return a progress callback that prints a line at every tenth."""
    printed = [0]

    def update(fraction: float, text: str = "") -> None:
        tenth = int(fraction * 10)
        if tenth > printed[0]:
            printed[0] = tenth
            _say(f"  {label} {tenth * 10:3d} %  {text}")

    return update


def _certificates(home: Home, days: list[str]) -> bool:
    from lob_pipeline.stages.verify import verify

    _say("\ncertificates (lob verify sim.BTCUSDT DATE)")
    all_hold = True
    for day in days:
        c = verify(home, MARKET, day, None)
        all_hold &= bool(c["holds"])
        touch = c["trade_touch_match"] or {"compared": 0, "agree": 0}
        _say(
            f"  {day}  {'holds' if c['holds'] else 'DOES NOT HOLD'}  "
            f"{c['rows']:,} rows, {c['level_rows']:,} level rows, "
            f"{len(c['gaps'])} gaps, closing snapshot {c['closing_snapshot_match']}, "
            f"trades at the touch {touch['agree']:,} of {touch['compared']:,}"
        )
    return all_hold


def _labels(home: Home, days: list[str]) -> None:
    from lob_pipeline.stages.label_summary import label_summary, label_summary_lines

    _say("\nsimulated maker orders (lob labels sim.BTCUSDT DATE)")
    for line in label_summary_lines(label_summary(home, MARKET, days, None)):
        _say(f"  {line}")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo. Exit code 0 when every certificate holds, 3 when a gate says no, 2 on bad input."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--edge-bps", type=float, default=0.0, help="edge to plant, in bps (0: a null market)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the simulated market")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    home = find_home(None)
    paths, truth = _simulated(home, options.seed, options.edge_bps)

    from lob_pipeline.stages.ingest import register

    days = register(home, MARKET, paths, replace=True)  # another seed or edge takes the place of the last one

    from lob_pipeline.runner import run_stale

    report = run_stale(
        home, market=MARKET, first=min(days), last=max(days), plan_only=False, only_stale=False, say=_say
    )
    if report.exit_code:
        raise LobError("a stage was refused: see the lines above and `lob status`")
    holds = _certificates(home, days)
    _labels(home, days)

    from lob_pipeline.learning import learn
    from lob_pipeline.stages.first_page import first_page

    _say("")
    learned = learn(home, MARKET, max(days), say=_say)
    page = first_page(home, MARKET, min(days), max(days), None)
    _result(learned, truth["truth"], options.seed)
    _say(f"\nreport           {learned.walk['report']}")
    _say(f"first page       {page}")
    _say("look at the run  make ui, then http://127.0.0.1:3000")
    _say(f"done in {time.monotonic() - started:.0f} s")
    return 0 if holds else 3


def known_truth(truth: dict[str, Any], seed: int, maker_fee_bps: float, taker_fee_bps: float) -> Iterator[str]:
    """Yield the lines that say what the simulator knows: what was planted, and what knowing it is worth."""
    edge = truth["edge_bps"]
    if not edge:
        yield f"known truth      a null market (seed {seed}): nothing was planted, there is nothing to earn after fees"
        return
    yield (
        f"known truth      an edge of {edge:g} bps net of the spread was planted (seed {seed}); fees come on top: "
        f"{maker_fee_bps:g} bps a passive fill, {taker_fee_bps:g} bps a crossing one"
    )
    for name, how in (("taker", "crossed at both ends"), ("pessimistic", "waited in the queue, pessimistic model")):
        earned = truth["oracle"][name]
        if earned["mean_edge_bps"] is not None:
            low, high = earned["interval_95_bps"]
            yield (
                f"                 who knew all {earned['signals']} signals and {how} earned "
                f"{earned['mean_edge_bps']:+.2f} bps [{low:+.2f}, {high:+.2f}] a trade before fees "
                f"({earned['trades']} trades)"
            )


def _result(learned: Learned, truth: dict[str, Any], seed: int) -> None:
    """Print the verdict table beside what the simulator knows."""
    from lob_pipeline.stages.walk_lines import walk_lines

    _say("")
    for line in walk_lines({**learned.walk, "report": None}):
        _say(line)
    for note in learned.walk["notes"]:
        _say(f"note             {note}")
    for line in known_truth(truth, seed, learned.walk["maker_fee_bps"], learned.walk["taker_fee_bps"]):
        _say(line)
    if learned.release:
        _say(
            f"registered       {learned.release['name']} {learned.release['semver']} as challenger "
            f"({learned.trained['parameters']:,} parameters); promote: lob promote lob-moe@challenger --why ..."
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LobError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
