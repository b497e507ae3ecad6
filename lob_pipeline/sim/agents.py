"""What each kind of event does: the background orders, the noise traders, the quick agents, the value itself."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim import makers as mm
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.engine import IMMEDIATE, POST_ONLY, cancel, key_of, next_price, submit
from lob_pipeline.sim.flow import (
    ARBITRAGE,
    CANCEL_PATIENT,
    CANCEL_QUICK,
    DEEP,
    HEAT_BUY,
    HEAT_SELL,
    HEAT_VALUE,
    IMPROVE,
    JUMP,
    MOOD,
    NOISE_BUY,
    NOISE_SELL,
    PATIENT,
    PULL,
    QUICK,
    TOUCH_ASK,
    TOUCH_BID,
    TURN,
    VALUE,
    Agents,
    imbalance,
    stale_side,
)
from lob_pipeline.sim.rng import below, exponential, lognormal_lots, normal, uniform
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, MatchingState, Tape

_LARGEST_ORDER_LOTS = 20_000.0
_NOISE_REACH_TICKS = 20


@njit(cache=True)
def _limit_lots(rng: npt.NDArray[np.uint64], params: FlowParams, distance: float) -> int:
    if uniform(rng) < params.small_order_share:
        return lognormal_lots(rng, params.small_order_lots, 1.5, _LARGEST_ORDER_LOTS)
    return lognormal_lots(rng, params.large_order_lots + distance, params.large_order_log_sigma, _LARGEST_ORDER_LOTS)


@njit(cache=True)
def remote_order(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, side: int, t_us: int) -> None:
    """Enter one patient order far behind the best of ``side``, where a fast market will need it."""
    rng = agents.rng
    reach = params.deep_far_ticks + params.deep_remote_ticks * uniform(rng)
    price = engine.best[side] + (1 if side == ASK_SIDE else -1) * np.int64(reach)
    lots = _limit_lots(rng, params, params.deep_far_ticks)
    submit(engine, tape, t_us, side, price, lots, PATIENT, POST_ONLY)


@njit(cache=True)
def deep_order(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, t_us: int) -> None:
    """Enter one limit order behind the best of a side drawn at random."""
    rng = agents.rng
    side = below(rng, 2)
    kind = uniform(rng)
    if kind < params.deep_remote_share:
        remote_order(engine, tape, agents, params, side, t_us)
        return
    near = kind < params.deep_remote_share + params.deep_near_share
    distance = params.deep_near_ticks * exponential(rng) if near else params.deep_far_ticks * uniform(rng)
    group = QUICK if near or uniform(rng) < 0.3 else PATIENT
    lots = _limit_lots(rng, params, min(distance, params.deep_far_ticks))
    price = engine.best[side] + (1 if side == ASK_SIDE else -1) * (1 + np.int64(distance))
    submit(engine, tape, t_us, side, price, lots, group, POST_ONLY)


@njit(cache=True)
def _improve(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, t_us: int) -> None:
    """Narrow a wide spread from a random side: towards the value, never through it."""
    rng, value = agents.rng, np.int64(math.floor(agents.latent[VALUE]))
    side = below(rng, 2)
    best = engine.best[side]
    if side == BID_SIDE:
        room = min(engine.best[ASK_SIDE] - 1, value) - best
    else:
        room = best - max(engine.best[BID_SIDE] + 1, value + 1)
    if room > 0:
        inward = room if uniform(rng) < 0.7 else 1 + below(rng, room)
        price = best + inward if side == BID_SIDE else best - inward
        submit(engine, tape, t_us, side, price, _limit_lots(rng, params, 0.0), QUICK, POST_ONLY)


@njit(cache=True)
def _pull(engine: MatchingState, agents: Agents, params: FlowParams) -> None:
    """Cancel one order of the stale best level, unless it is the last level of its side."""
    side = stale_side(engine, agents.latent[VALUE], params)
    best = engine.best[side]
    key = key_of(side, best)
    behind = next_price(engine, side, best + (1 if side == ASK_SIDE else -1))
    if engine.lots[side, key_of(side, behind)] > 0 and key_of(side, behind) != key:
        cancel(engine, engine.tail[side, key] if uniform(agents.rng) < 0.5 else engine.head[side, key])


@njit(cache=True)
def _take(
    engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, side: int, limit: int, lots: int, t_us: int
) -> None:
    """Send an immediate order; the value moves with what it took, and further value jumps become likelier."""
    first = tape.n[0]
    submit(engine, tape, t_us, side, limit, lots, QUICK, IMMEDIATE)
    mm.settle_inventory(agents.makers, tape, first)
    taken = 0
    for i in range(first, tape.n[0]):
        taken += tape.lots[i]
    sign = 1.0 if side == BID_SIDE else -1.0
    agents.latent[VALUE] += sign * params.impact_ticks * math.sqrt(taken / 1000.0)


@njit(cache=True)
def _noise(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, side: int, t_us: int) -> None:
    """Send one noise trader's market order; most of them fit their size to the queue they see."""
    rng, latent = agents.rng, agents.latent
    other = 1 - side
    best = engine.best[other]
    lots = lognormal_lots(rng, params.noise_lots, params.noise_log_sigma, _LARGEST_ORDER_LOTS)
    if uniform(rng) < 0.7:
        lots = max(1, min(lots, engine.lots[other, key_of(other, best)]))
    limit = best + (_NOISE_REACH_TICKS if side == BID_SIDE else -_NOISE_REACH_TICKS)
    _take(engine, tape, agents, params, side, limit, lots, t_us)
    latent[HEAT_BUY + side] += params.noise_same_side
    latent[HEAT_SELL - side] += params.noise_other_side


@njit(cache=True)
def _jump(engine: MatchingState, agents: Agents, params: FlowParams) -> None:
    """Move the latent value by a jump that leans on the imbalance of the best queues."""
    rng, latent = agents.rng, agents.latent
    scale = params.value_small_ticks if uniform(rng) < params.value_small_share else params.value_large_ticks
    size = min(params.value_cap_ticks, 1.0 + scale * exponential(rng))
    up = uniform(rng) < 0.5 + 0.5 * math.tanh(params.value_imbalance * imbalance(engine))
    latent[VALUE] += size if up else -size
    latent[HEAT_VALUE] += params.value_excitation


@njit(cache=True)
def act(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, kind: int, t_us: int) -> None:
    """Carry out one event of ``kind`` at ``t_us`` (microseconds)."""
    rng = agents.rng
    if kind <= TOUCH_ASK:
        side = kind - TOUCH_BID
        submit(engine, tape, t_us, side, engine.best[side], _limit_lots(rng, params, 0.0), QUICK, POST_ONLY)
    elif kind == DEEP:
        deep_order(engine, tape, agents, params, t_us)
    elif kind == IMPROVE:
        _improve(engine, tape, agents, params, t_us)
    elif kind <= CANCEL_PATIENT:
        group = QUICK if kind == CANCEL_QUICK else PATIENT
        cancel(engine, engine.members[group, below(rng, engine.member_count[group])])
    elif kind <= NOISE_SELL:
        _noise(engine, tape, agents, params, kind - NOISE_BUY, t_us)
    elif kind == JUMP:
        _jump(engine, agents, params)
    elif kind == PULL:
        _pull(engine, agents, params)
    elif kind == ARBITRAGE:
        stale = stale_side(engine, agents.latent[VALUE], params)
        shown = engine.lots[stale, key_of(stale, engine.best[stale])]
        lots = int(max(1.0, shown * (0.05 + 0.6 * uniform(rng))))
        limit = math.floor(agents.latent[VALUE]) + (1 if stale == BID_SIDE else 0)
        _take(engine, tape, agents, params, 1 - stale, limit, lots, t_us)
    elif kind == TURN:
        agents.latent[MOOD] = normal(rng)
    else:
        maker = below(rng, mm.MAKERS)
        mm.requote(engine, tape, agents.makers, params, maker, agents.latent[VALUE], t_us)
