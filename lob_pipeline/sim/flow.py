"""How fast everything happens: the agents' latent state and the intensity of each kind of event.

The latent value is a jump process. Quick agents follow it (stale quotes are pulled or hit), noise traders excite each
other, and both lean on the imbalance of the best queues, which makes it mildly predictive as on real markets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim import makers as mm
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.engine import key_of
from lob_pipeline.sim.parts import Informed
from lob_pipeline.sim.rng import normal, uniform
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, MatchingState

QUICK, PATIENT = 0, 1  # engine groups of background orders
VALUE, HEAT_BUY, HEAT_SELL, HEAT_VALUE, REGIME, ACTIVITY, MOOD = 0, 1, 2, 3, 4, 5, 6  # places in Agents.latent

TOUCH_BID, TOUCH_ASK, DEEP, IMPROVE, CANCEL_QUICK, CANCEL_PATIENT = 0, 1, 2, 3, 4, 5
NOISE_BUY, NOISE_SELL, JUMP, PULL, ARBITRAGE, TURN, QUOTE = 6, 7, 8, 9, 10, 11, 12
KINDS = 13
HEAT_CAP = 100.0
# activity by UTC hour, mean 1: quiet before Europe opens, busiest when New York does
_NIGHT = (1.1, 0.95, 0.85, 0.75, 0.7, 0.7, 0.75, 0.9, 1.0, 0.95, 0.9, 0.9)
_DAYTIME = (1.05, 1.35, 1.6, 1.5, 1.3, 1.15, 1.05, 1.0, 0.95, 0.85, 0.85, 0.9)
SEASON = np.array([*_NIGHT, *_DAYTIME])


class Agents(NamedTuple):
    """Random stream of the background, latent state (places named above), and the parts with a state of their own."""

    rng: npt.NDArray[np.uint64]
    latent: npt.NDArray[np.float64]
    makers: mm.Makers
    informed: Informed


@njit(cache=True)
def imbalance(engine: MatchingState) -> float:
    """Return (bid − ask) / (bid + ask) of the best queues, in lots; 0 where both are empty."""
    bid = engine.lots[BID_SIDE, key_of(BID_SIDE, engine.best[BID_SIDE])]
    ask = engine.lots[ASK_SIDE, key_of(ASK_SIDE, engine.best[ASK_SIDE])]
    return (bid - ask) / (bid + ask) if bid + ask > 0 else 0.0


@njit(cache=True)
def excite(agents: Agents, heat: int, more: float) -> None:
    """Raise an excitement (``HEAT_BUY``, ``HEAT_SELL``, ``HEAT_VALUE``) by ``more``, up to ``HEAT_CAP`` per second.

    Excitement breeds events that breed excitement; under parameters that breed more than they lose it would not end.
    """
    agents.latent[heat] = min(agents.latent[heat] + more, HEAT_CAP)


@njit(cache=True)
def stale_side(engine: MatchingState, value: float, params: FlowParams) -> int:
    """Return the side whose best quote the value has passed (``BID_SIDE``, ``ASK_SIDE``), −1 if neither."""
    if value > engine.best[ASK_SIDE] + params.stale_ticks:
        return ASK_SIDE
    return BID_SIDE if value < engine.best[BID_SIDE] - params.stale_ticks else -1


@njit(cache=True)
def rates(engine: MatchingState, agents: Agents, params: FlowParams, out: npt.NDArray[np.float64]) -> float:
    """Write the intensity of each kind of event (per second) and return their sum."""
    latent = agents.latent
    busy = latent[ACTIVITY]
    heat = latent[HEAT_BUY] + latent[HEAT_SELL] + latent[HEAT_VALUE]
    flow = math.sqrt(busy) * (1.0 + params.heat_flow * heat)
    lean = imbalance(engine)
    spread = engine.best[ASK_SIDE] - engine.best[BID_SIDE]
    for side in range(2):
        queue = engine.lots[side, key_of(side, engine.best[side])]
        keen = math.exp(params.mood_strength * (latent[MOOD] if side == BID_SIDE else -latent[MOOD]))
        out[TOUCH_BID + side] = flow * params.touch_rate * keen * 2.0 / (1.0 + queue / params.touch_reference_lots)
    out[DEEP] = flow * params.deep_rate * 2.0
    out[IMPROVE] = params.improve_rate * min(spread - 1, 4)
    out[CANCEL_QUICK] = flow * params.fast_cancel_rate * engine.member_count[QUICK]
    out[CANCEL_PATIENT] = flow * params.slow_cancel_rate * engine.member_count[PATIENT]
    out[NOISE_BUY] = (busy * params.noise_rate + latent[HEAT_BUY]) * math.exp(params.noise_imbalance * lean)
    out[NOISE_SELL] = (busy * params.noise_rate + latent[HEAT_SELL]) * math.exp(-params.noise_imbalance * lean)
    out[JUMP] = busy * params.value_rate + latent[HEAT_VALUE]
    out[PULL] = out[ARBITRAGE] = 0.0
    stale = stale_side(engine, latent[VALUE], params)
    if stale >= 0:
        gap = abs(latent[VALUE] - engine.best[stale])
        out[PULL] = params.pull_rate * (engine.orders[stale, key_of(stale, engine.best[stale])] + 0.8 * gap)
        out[ARBITRAGE] = params.arbitrage_rate
    out[TURN] = params.mood_rate
    out[QUOTE] = 0.0
    for maker in range(mm.MAKERS):
        moved = abs(agents.makers.quoted_value[maker] - latent[VALUE]) > params.maker_urgent_ticks
        out[QUOTE] += params.maker_urgent_rate if moved else flow * params.maker_rate
    return out.sum()


@njit(cache=True)
def each_second(agents: Agents, params: FlowParams, t_us: int) -> None:
    """Draw the activity of the coming second: intraday season × slow regime, and now and then a burst."""
    rng, latent = agents.rng, agents.latent
    pull = 1.0 / params.regime_seconds
    latent[REGIME] += -pull * latent[REGIME] + params.regime_sigma * math.sqrt(2.0 * pull) * normal(rng)
    hour = (t_us % 86_400_000_000) / 3_600_000_000.0
    at = np.int64(hour)
    season = SEASON[at] + (hour - at) * (SEASON[(at + 1) % 24] - SEASON[at])
    latent[ACTIVITY] = season**params.season_strength * math.exp(latent[REGIME] - 0.5 * params.regime_sigma**2)
    if uniform(rng) < params.burst_rate:
        excite(agents, HEAT_VALUE, params.burst_value_heat)
        excite(agents, HEAT_BUY, params.burst_noise_heat)
        excite(agents, HEAT_SELL, params.burst_noise_heat)


@njit(cache=True)
def decay(agents: Agents, params: FlowParams, seconds: float) -> None:
    """Let the excitement of noise traders and of the value fade for that long."""
    latent = agents.latent
    noise = math.exp(-params.noise_decay * seconds)
    latent[HEAT_BUY] *= noise
    latent[HEAT_SELL] *= noise
    latent[HEAT_VALUE] *= math.exp(-params.value_decay * seconds)
