"""What traders who know every signal earn: the taker, who gives a planted edge its size, and the maker beside him.

``python -m lob_pipeline.sim.oracle`` prints both by seed; ``--calibrate`` prints the table of ``sim/planted.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from lob_pipeline.sim.calibrate import calibrate
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.earned import Earned, together
from lob_pipeline.sim.oracle_tape import TAKER, OracleTape
from lob_pipeline.sim.planted import HORIZON_S, drawn_signals
from lob_pipeline.sim.presets import FITTED, configured
from lob_pipeline.sim.quotes import QuoteTape
from lob_pipeline.sim.taker import taker_trades


def oracle_day(config: SimConfig, date: str) -> dict[str, Earned]:
    """Simulate the session of ``date`` alone and return what the traders earned in it (``TAKER``, ``MODELS``)."""
    tape = OracleTape()
    for chunk in run_day(config, date, new_session(config, date)):
        tape.add(chunk.messages, chunk.trades)
    return tape.judge(config, drawn_signals(config, date))


def taker_day(config: SimConfig, date: str) -> Earned:
    """Simulate the session of ``date`` alone and return what the taker earned; quicker than ``oracle_day``."""
    tape = QuoteTape()
    for chunk in run_day(config, date, new_session(config, date)):
        tape.add(chunk.messages)
    return taker_trades(tape.done(), drawn_signals(config, date), config.shape.lead_s, config.horizon_s)


def oracle(config: SimConfig, seeds: Iterable[int], maker: bool = True) -> Iterator[tuple[int, dict[str, Earned]]]:
    """Yield (seed, what the traders earned) of the first day of ``config`` under each seed; ``maker`` False: fewer."""
    for seed in seeds:
        one = replace(config, seed=seed, days=1)
        yield seed, oracle_day(one, one.first_day) if maker else {TAKER: taker_day(one, one.first_day)}


def main(arguments: list[str] | None = None) -> int:
    """Print what the oracles earn: by seed, then together, mean edge in bps before fees with its 95 % interval."""
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline.sim.oracle", description=main.__doc__)
    parser.add_argument("--preset", default=FITTED, help="the market")
    parser.add_argument("--edge-bps", type=float, default=10.0, help="0: the same instants in a null market")
    parser.add_argument("--horizon-s", type=float, default=None, help=f"default {SimConfig.horizon_s:g}")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=240)
    parser.add_argument("--taker-only", action="store_true", help="leave the maker out")
    parser.add_argument("--calibrate", action="store_true", help="by drift and horizon: the table of sim/planted.py")
    options = parser.parse_args(arguments)
    horizon_s = SimConfig.horizon_s if options.horizon_s is None else options.horizon_s
    config = configured(
        options.preset, days=1, minutes=options.minutes, edge_bps=options.edge_bps, horizon_s=horizon_s
    )
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.calibrate:
        horizons = HORIZON_S.tolist() if options.horizon_s is None else [options.horizon_s]
        for line in calibrate(config, seeds, horizons, lambda one: taker_day(one, one.first_day)):
            print(line, flush=True)
        return 0
    by_seed = []
    for seed, found in oracle(config, seeds, not options.taker_only):
        by_seed.append(found)
        print(_line(f"seed {seed}", found[TAKER]), flush=True)
    print(_seeds_line([day[TAKER] for day in by_seed], options.edge_bps))
    for name, earned in together(by_seed).items():
        print(_line(name if name == TAKER else f"maker, {name}", earned))
    return 0


def _line(name: str, earned: Earned) -> str:
    said = earned.to_json()
    return (
        f"{name:20s} {said['signals']:5d} signals, {said['trades']:5d} trades ({said['traded_share']:.0%}), edge "
        f"before fees {said['mean_edge_bps']} bps {said['interval_95_bps']}, other side "
        f"{said['other_side_mean_edge_bps']}, worth of the direction {said['direction_worth_bps']} "
        f"{said['direction_worth_interval_95_bps']}"
    )


def _seeds_line(by_seed: list[Earned], edge_bps: float) -> str:
    """Return how many seeds agree with what is planted: mean within 20 % of it, or, planted none, interval around 0."""
    said = [one.to_json() for one in by_seed]
    inside = [s for s in said if s["interval_95_bps"][0] is not None]
    if edge_bps:
        near = sum(abs(s["mean_edge_bps"] / edge_bps - 1.0) <= 0.2 for s in inside)
        off = np.abs([s["mean_edge_bps"] / edge_bps - 1.0 for s in inside])
        worst = f", worst {off.max():.1%}" if len(off) else ""
        return f"{near} of {len(said)} seeds within 20 % of {edge_bps:g} bps{worst}"
    around = sum(s["interval_95_bps"][0] <= 0.0 <= s["interval_95_bps"][1] for s in inside)
    return f"{around} of {len(said)} seeds with 0 inside their 95 % interval"


if __name__ == "__main__":
    raise SystemExit(main())
