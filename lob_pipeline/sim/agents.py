"""What each kind of event does: the background orders, the noise traders, the quick agents, the value itself."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim import makers as mm
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.engine import POST_ONLY, cancel, key_of, next_price, submit
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
    excite,
    imbalance,
    stale_side,
)
from lob_pipeline.sim.informed import announced
from lob_pipeline.sim.rng import below, exponential, lognormal_lots, normal, uniform
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, NO_PRICE, OWN_GROUP, MatchingState, Tape
from lob_pipeline.sim.taking import take

_LARGEST_ORDER_LOTS = 20_000.0


@njit(cache=True)
def _limit_lots(rng: npt.NDArray[np.uint64], params: FlowParams, distance: float) -> int:
    if uniform(rng) < params.small_order_share:
        return lognormal_lots(rng, params.small_order_lots, params.small_order_log_sigma, _LARGEST_ORDER_LOTS)
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
def refill(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, t_us: int) -> None:
    """Give a side that has run dry one patient order near the value, so that there is always a best price."""
    value = math.floor(agents.latent[VALUE])
    for side in range(2):
        if engine.best[side] == NO_PRICE:
            away, other = 1 if side == ASK_SIDE else -1, engine.best[1 - side]
            price = value + (1 if side == ASK_SIDE else 0)
            if other != NO_PRICE and (price - other) * away <= 0:
                price = other + away
            submit(engine, tape, t_us, side, price, _limit_lots(agents.rng, params, 0.0), PATIENT, POST_ONLY)


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
    group = QUICK if near or uniform(rng) < params.deep_quick_share else PATIENT
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
        inward = room if uniform(rng) < params.improve_inward_share else 1 + below(rng, room)
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
        slot = engine.tail[side, key] if uniform(agents.rng) < 0.5 else engine.head[side, key]
        if engine.order_group[slot] != OWN_GROUP:  # whose owner sees to it himself
            cancel(engine, slot)


@njit(cache=True)
def _noise(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, side: int, t_us: int) -> None:
    """Send one noise trader's market order; most of them fit their size to the queue they see."""
    rng, other = agents.rng, 1 - side
    best = engine.best[other]
    lots = lognormal_lots(rng, params.noise_lots, params.noise_log_sigma, _LARGEST_ORDER_LOTS)
    if uniform(rng) < params.noise_fit_share:
        lots = max(1, min(lots, engine.lots[other, key_of(other, best)]))
    reach = np.int64(params.noise_reach_ticks)
    limit = best + (reach if side == BID_SIDE else -reach)
    take(engine, tape, agents, params, side, limit, lots, QUICK, t_us)
    excite(agents, HEAT_BUY + side, params.noise_same_side)
    excite(agents, HEAT_SELL - side, params.noise_other_side)


@njit(cache=True)
def _jump(engine: MatchingState, agents: Agents, params: FlowParams, t_us: int) -> None:
    """Move the latent value by a jump that leans on the imbalance of the best queues: now, or known ahead to some."""
    rng, latent = agents.rng, agents.latent
    scale = params.value_small_ticks if uniform(rng) < params.value_small_share else params.value_large_ticks
    size = min(params.value_cap_ticks, 1.0 + scale * exponential(rng))
    up = uniform(rng) < 0.5 + 0.5 * math.tanh(params.value_imbalance * imbalance(engine))
    ticks = size if up else -size
    if not announced(agents.informed, params, ticks, t_us):
        latent[VALUE] += ticks
    excite(agents, HEAT_VALUE, params.value_excitation)


@njit(cache=True)
def _withdraw(engine: MatchingState, rng: npt.NDArray[np.uint64], params: FlowParams, group: int) -> None:
    """Cancel an order of ``group`` drawn at random, or the younger of two."""
    slot = engine.members[group, below(rng, engine.member_count[group])]
    if params.young_cancel_share > 0.0 and uniform(rng) < params.young_cancel_share:
        other = engine.members[group, below(rng, engine.member_count[group])]
        slot = other if engine.order_id[other] > engine.order_id[slot] else slot
    cancel(engine, slot)


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
        _withdraw(engine, rng, params, QUICK if kind == CANCEL_QUICK else PATIENT)
    elif kind <= NOISE_SELL:
        _noise(engine, tape, agents, params, kind - NOISE_BUY, t_us)
    elif kind == JUMP:
        _jump(engine, agents, params, t_us)
    elif kind == PULL:
        _pull(engine, agents, params)
    elif kind == ARBITRAGE:
        stale = stale_side(engine, agents.latent[VALUE], params)
        shown = engine.lots[stale, key_of(stale, engine.best[stale])]
        share = params.arbitrage_least_share + params.arbitrage_spread_share * uniform(rng)
        lots = int(max(1.0, shown * share))
        limit = math.floor(agents.latent[VALUE]) + (1 if stale == BID_SIDE else 0)
        take(engine, tape, agents, params, 1 - stale, limit, lots, QUICK, t_us)
    elif kind == TURN:
        agents.latent[MOOD] = normal(rng)
    else:
        maker = below(rng, mm.MAKERS)
        mm.requote(engine, tape, agents.makers, params, maker, agents.latent[VALUE], t_us)
