"""Fit the flow's parameters to a recording: a search that minimises the distances of the realism table.

``python -m lob_pipeline.sim.fit --home HOME --market M --dates D --state FILE --tries N`` goes on from FILE where it
exists. Every candidate is simulated with the same seeds (common random numbers), which no comparison uses. What is
minimised is the mean over the twelve statistics of log(1 + r²), r the distance of a simulated stretch from the whole
recording in units of the recording's own real-to-real distance, averaged over the seeds: large ratios count little
more than middling ones, small ones still draw.
The search is random and local: a candidate moves a few knobs of the best so far, evenly in their logarithms, and takes
its place where it is better. Half of the seeds judge first, so most candidates cost half. ``--set NAME=VALUE ...
--tries 0`` judges one candidate chosen by hand, with the same seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import parse_dates
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.archive import write_whole
from lob_pipeline.sim.config import FlowParams, SimConfig
from lob_pipeline.sim.parts import ALL_PARTS
from lob_pipeline.sim.presets import BY_HAND, configured
from lob_pipeline.sim.realism import STATISTICS, Floats, distance
from lob_pipeline.sim.realism_source import recorded_view, simulated_view
from lob_pipeline.sim.realism_table import RESOLUTION, blocks, measure, table
from lob_pipeline.sim.realism_view import BID, MarketView

FIRST_SEED = 900_001
"""Seeds from here on belong to fits; comparisons take theirs from far below."""
_BRANCHING = 0.85
_SLACK = 0.02  # a candidate may be so much worse on the first seeds and still be looked at
_LEAD_MINUTES = 4
_UNKNOWN = 20.0  # the ratio of a statistic that a candidate's market cannot tell


class Knob(NamedTuple):
    """A parameter that the search may move, by its bounds; it moves evenly in the logarithm."""

    name: str
    low: float
    high: float


KNOBS = (
    Knob("touch_rate", 2.0, 120.0),
    Knob("touch_reference_lots", 300.0, 20_000.0),
    Knob("mood_rate", 0.05, 5.0),
    Knob("mood_strength", 0.05, 2.0),
    Knob("deep_rate", 5.0, 150.0),
    Knob("deep_near_share", 0.02, 0.8),
    Knob("deep_near_ticks", 2.0, 60.0),
    Knob("deep_far_ticks", 60.0, 1000.0),
    Knob("deep_remote_share", 0.02, 0.19),
    Knob("improve_rate", 20.0, 800.0),
    Knob("fast_cancel_rate", 0.05, 4.0),
    Knob("slow_cancel_rate", 0.005, 0.3),
    Knob("small_order_share", 0.1, 0.95),
    Knob("small_order_lots", 1.0, 200.0),
    Knob("large_order_lots", 20.0, 1500.0),
    Knob("large_order_log_sigma", 0.4, 2.2),
    Knob("noise_rate", 0.05, 5.0),
    Knob("noise_decay", 0.2, 40.0),
    Knob("noise_same_side", 0.02, 20.0),
    Knob("noise_other_side", 0.01, 15.0),
    Knob("noise_lots", 2.0, 80.0),
    Knob("noise_log_sigma", 0.8, 3.2),
    Knob("noise_imbalance", 0.05, 1.8),
    Knob("impact_ticks", 0.02, 6.0),
    Knob("value_rate", 0.005, 1.0),
    Knob("value_decay", 0.1, 10.0),
    Knob("value_excitation", 0.01, 3.0),
    Knob("value_small_share", 0.3, 0.97),
    Knob("value_small_ticks", 1.0, 30.0),
    Knob("value_large_ticks", 10.0, 200.0),
    Knob("value_imbalance", 0.2, 8.0),
    Knob("pull_rate", 4.0, 300.0),
    Knob("arbitrage_rate", 1.0, 150.0),
    Knob("maker_rate", 0.1, 15.0),
    Knob("maker_urgent_rate", 2.0, 150.0),
    Knob("maker_urgent_ticks", 0.5, 10.0),
    Knob("maker_lots", 50.0, 4000.0),
    Knob("maker_spacing", 0.3, 4.0),
    Knob("heat_flow", 0.003, 1.0),
    Knob("small_order_log_sigma", 0.5, 2.5),
    Knob("noise_fit_share", 0.2, 1.0),
    Knob("meta_rate", 1.0 / 600.0, 1.0 / 30.0),
    Knob("meta_child_s", 0.2, 5.0),
    Knob("meta_participation", 0.01, 0.2),
    Knob("informed_share", 0.2, 0.9),
    Knob("informed_rate", 0.5, 10.0),
    Knob("informed_queue_share", 0.2, 1.0),
)


def unit_of(flow: FlowParams, knobs: tuple[Knob, ...] = KNOBS) -> Floats:
    """Return the knobs of ``flow`` as numbers in [0, 1], clipped to their bounds."""
    values = [getattr(flow, knob.name) for knob in knobs]
    at = [np.log(max(v, k.low) / k.low) / np.log(k.high / k.low) for v, k in zip(values, knobs, strict=True)]
    return np.clip(np.array(at), 0.0, 1.0)


def flow_of(unit: Floats, base: FlowParams, knobs: tuple[Knob, ...] = KNOBS) -> FlowParams:
    """Return ``base`` with the knobs at ``unit``, four significant digits each.

    Excitement that would feed itself for ever is damped: an event raises at most ``_BRANCHING`` others.
    """
    values = {k.name: k.low * (k.high / k.low) ** float(u) for k, u in zip(knobs, unit, strict=True)}
    noise = (values["noise_same_side"] + values["noise_other_side"]) / values["noise_decay"]
    for name in ("noise_same_side", "noise_other_side"):
        values[name] *= min(1.0, _BRANCHING / noise)
    values["value_excitation"] = min(values["value_excitation"], _BRANCHING * values["value_decay"])
    made: FlowParams = base._replace(**{name: float(f"{value:.4g}") for name, value in values.items()})
    return made


def mirrored(unit: Floats) -> Floats:
    """Return numbers thrown back from the walls of [0, 1] as often as needed."""
    folded = np.mod(unit, 2.0)
    inside: Floats = np.where(folded > 1.0, 2.0 - folded, folded)
    return inside


class Target(NamedTuple):
    """What a fit aims at: the recording's vectors, its real-to-real distances (at least the resolution), its length."""

    whole: list[Floats]
    scale: list[float]
    rows: int


def target_of(view: MarketView) -> Target:
    """Return the target that a recording sets. Raises ``BadInputError`` where it cannot tell every statistic."""
    found = measure(view)
    rows = table(found, [found])
    unknown = [row.name for row in rows if row.real is None]
    if unknown:
        raise BadInputError(f"the recording cannot tell {', '.join(unknown)}: fit to a longer one")
    scale = [max(row.real[0], RESOLUTION) for row in rows if row.real is not None]
    return Target(found.whole, scale, blocks(view)[-1][1])


def ratios(config: SimConfig, target: Target, seeds: list[int]) -> Floats:
    """Return the twelve distances in units of the scale, averaged over ``seeds``; unknown ones count as 20."""
    found = np.zeros((len(seeds), len(STATISTICS)))
    for row, seed in zip(found, seeds, strict=True):
        try:
            view = simulated_view(replace(config, seed=seed), target.rows, _LEAD_MINUTES)
        except ZeroDivisionError:  # a side of the book ran empty: no market at all
            row[:] = _UNKNOWN
            continue
        away = [distance(s.measure([view]), w) for s, w in zip(STATISTICS, target.whole, strict=True)]
        row[:] = np.array(away) / target.scale
    return np.where(np.isfinite(found), np.minimum(found, _UNKNOWN), _UNKNOWN).mean(axis=0)


def loss(found: Floats) -> float:
    """Return what the search minimises."""
    return float(np.mean(np.log1p(found**2)))


class Tried(NamedTuple):
    """A candidate: its place in the unit cube, the ratios over the first and over all seeds, and their losses."""

    unit: Floats
    ratios: Floats
    first_loss: float
    loss: float


def propose(best: Floats, step: Floats, seed: int, number: int) -> Floats:
    """Return candidate ``number``, a function of its arguments alone.

    Three in ten go on by the step that helped last, the others move one to five knobs by a normal step of drawn width.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, number]))
    if rng.random() < 0.3 and np.any(step):
        return mirrored(best + rng.uniform(0.3, 1.2) * step)
    moved = rng.permutation(len(best))[: rng.integers(1, 6)]
    found = best.copy()
    found[moved] += rng.choice([0.03, 0.08, 0.2]) * rng.standard_normal(len(moved))
    return mirrored(found)


def judged(unit: Floats, config: SimConfig, target: Target, seeds: list[int], bar: float | None) -> Tried | None:
    """Return the candidate with its losses; None where half of the seeds already say that it is not worth the rest.

    ``bar``: the first loss of the best so far, None: judge it in any case.
    """
    made = replace(config, flow=flow_of(unit, config.flow))
    half = (len(seeds) + 1) // 2
    one = ratios(made, target, seeds[:half])
    if bar is not None and loss(one) > bar:
        return None
    found = one
    if len(seeds) > half:
        found = (half * one + (len(seeds) - half) * ratios(made, target, seeds[half:])) / len(seeds)
    return Tried(unit, found, loss(one), loss(found))


def fit(
    config: SimConfig, target: Target, state: Path, tries: int, seeds: list[int], search_seed: int
) -> dict[str, Any]:
    """Try ``tries`` more candidates and keep the best in ``state``; return its content as plain JSON types."""
    kept: dict[str, Any] = json.loads(state.read_text("utf-8")) if state.exists() else {}
    names = [knob.name for knob in KNOBS]
    if kept and (kept["knobs"] != names or kept["seeds"] != seeds):
        raise BadInputError(f"{state} is the state of another search: name a new file with --state")
    if kept:
        best = Tried(np.array(kept["unit"]), np.array(kept["ratios"]), kept["first_loss"], kept["loss"])
        step, tried = np.array(kept["step"]), kept["tried"]
    else:
        first = judged(unit_of(config.flow), config, target, seeds, None)
        assert first is not None  # without a bar every candidate is judged
        best, step, tried = first, np.zeros(len(names)), 0
        kept = _state(best, step, 0, seeds, config)
    for number in range(tried, tried + tries):
        began, unit = time.monotonic(), propose(best.unit, step, search_seed, number)
        found = judged(unit, config, target, seeds, best.first_loss + _SLACK)
        better = found is not None and found.loss < best.loss
        if better and found is not None:
            best, step = found, found.unit - best.unit
        kept = _state(best, step, number + 1, seeds, config)
        write_whole(state, json.dumps(kept, indent=1).encode())
        if better or number % 20 == 0:
            told = " ".join(f"{r:.1f}" for r in best.ratios)
            print(f"{number:5d}  loss {best.loss:.4f}  ratios {told}  {time.monotonic() - began:.1f} s", flush=True)
    return kept


def _state(best: Tried, step: Floats, tried: int, seeds: list[int], config: SimConfig) -> dict[str, Any]:
    return {
        "knobs": [knob.name for knob in KNOBS],
        "seeds": seeds,
        "tried": tried,
        "unit": best.unit.tolist(),
        "step": step.tolist(),
        "first_loss": best.first_loss,
        "loss": best.loss,
        "ratios": best.ratios.tolist(),
        "flow": flow_of(best.unit, config.flow)._asdict(),
    }


def changed(flow: FlowParams, words: list[str]) -> FlowParams:
    """Return ``flow`` with each NAME=VALUE of ``words``. Raises ``BadInputError`` for one that is none."""
    for word in words:
        name, _, value = word.partition("=")
        try:
            flow = flow._replace(**{name: float(value)})
        except ValueError as error:
            raise BadInputError(f"--set {word}: expected NAME=VALUE, a parameter of the flow and a number") from error
    return flow


def main(arguments: list[str] | None = None) -> int:
    """Fit, with a line for each better candidate; at the end the best parameters and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline.sim.fit", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--market", default="binance-usdm.BTCUSDT")
    parser.add_argument("--dates", default="2023-04-04..2023-04-05")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--tries", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=4, help="how many a candidate")
    parser.add_argument("--search-seed", type=int, default=1)
    parser.add_argument("--preset", default=BY_HAND, help="whose parameters to begin with")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="begin with these changed")
    options = parser.parse_args(arguments)
    view = recorded_view(Home(options.home), parse_market(options.market), parse_dates(options.dates))
    config = configured(options.preset, parts=ALL_PARTS)
    price = round(float(view.rows[0, BID]) * float(config.instrument.tick))
    config = replace(config, opening_price_quote=price, flow=changed(config.flow, options.set))
    seeds = [FIRST_SEED + k for k in range(options.seeds)]
    kept = fit(config, target_of(view), options.state, options.tries, seeds, options.search_seed)
    print(f"opening price {price}")
    for statistic, ratio in zip(STATISTICS, kept["ratios"], strict=True):
        print(f"{statistic.name:24} {ratio:6.2f}")
    print(json.dumps(kept["flow"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
