"""Metaorders: large orders of one side, worked in small ones over minutes at a share of what the market trades.

Parents arrive at random, buy or sell by a fair coin, and their sizes have a power law tail, which gives the signs of
trades their long memory (Lillo, Mike, Farmer, Physical Review E 71, 2005: an exponent of 1.5 makes the sign
autocorrelation fall as the square root of the lag).
"""

from __future__ import annotations

import math

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.engine import POST_ONLY, amend, cancel, key_of, submit
from lob_pipeline.sim.flow import ACTIVITY, Agents
from lob_pipeline.sim.parts import ARRIVAL_US, FAR_US, META_NEXT_US, PARENTS, Metaorders
from lob_pipeline.sim.rng import below, exponential, uniform
from lob_pipeline.sim.state import METAORDER_GROUP, NO_PRICE, TRADED, MatchingState, Tape
from lob_pipeline.sim.taking import take

_US = 1_000_000
_MOST_LOTS = 1e9


@njit(cache=True)
def _next_arrival(agents: Agents, meta: Metaorders, params: FlowParams, t_us: int) -> int:
    rate = params.meta_rate * agents.latent[ACTIVITY]
    if rate <= 0.0:
        return FAR_US
    return t_us + 1 + int(_US * min(1e9, exponential(meta.rng) / rate))


@njit(cache=True)
def begin_metaorders(agents: Agents, meta: Metaorders, params: FlowParams, t_us: int) -> None:
    """Draw when the first parent arrives after ``t_us``; nothing is drawn where none ever does."""
    clock = meta.clock
    clock[ARRIVAL_US] = clock[META_NEXT_US] = _next_arrival(agents, meta, params, t_us)


@njit(cache=True)
def _next_child(agents: Agents, meta: Metaorders, params: FlowParams, t_us: int) -> int:
    pace = math.sqrt(agents.latent[ACTIVITY])
    return t_us + 1 + int(_US * params.meta_child_s * exponential(meta.rng) / pace)


@njit(cache=True)
def _arrive(engine: MatchingState, agents: Agents, meta: Metaorders, params: FlowParams, t_us: int) -> None:
    """Begin one parent: side a fair coin, size Pareto; without a free place it is not begun."""
    side = below(meta.rng, 2)
    tail = 1.0 - uniform(meta.rng)
    lots = params.meta_smallest_lots * tail ** (-1.0 / max(0.1, params.meta_size_exponent))
    for parent in range(PARENTS):
        if meta.left[parent] == 0:
            meta.side[parent] = side
            meta.left[parent] = int(max(1.0, min(lots, params.meta_largest_lots, _MOST_LOTS)))
            meta.mark[parent], meta.slot[parent], meta.working[parent] = engine.scalars[TRADED], -1, 0
            meta.due_us[parent] = _next_child(agents, meta, params, t_us)
            meta.end_us[parent] = t_us + int(_US * params.meta_patience_s)
            return


@njit(cache=True)
def _rests(engine: MatchingState, meta: Metaorders, parent: int) -> bool:
    """Book what the parent's resting child has traded since it was last looked at; return whether it still rests."""
    slot = meta.slot[parent]
    rests = slot >= 0 and engine.order_id[slot] == meta.order_id[parent]
    now = engine.order_lots[slot] if rests else 0
    meta.left[parent] -= meta.working[parent] - now
    meta.working[parent] = now
    if not rests:
        meta.slot[parent] = -1
    return rests


@njit(cache=True)
def _withdraw(engine: MatchingState, meta: Metaorders, parent: int) -> None:
    if meta.slot[parent] >= 0:
        cancel(engine, meta.slot[parent])
    meta.slot[parent], meta.working[parent] = -1, 0


@njit(cache=True)
def _child(
    engine: MatchingState, tape: Tape, agents: Agents, meta: Metaorders, params: FlowParams, parent: int, t_us: int
) -> None:
    """Send the parent's next child: at market, or as a limit order at the best that follows the best."""
    side = int(meta.side[parent])
    rests = _rests(engine, meta, parent)
    if meta.left[parent] <= 0 or t_us >= meta.end_us[parent]:
        _withdraw(engine, meta, parent)
        meta.left[parent] = 0
        return
    volume = engine.scalars[TRADED] - meta.mark[parent]
    meta.mark[parent] = engine.scalars[TRADED]
    lots = int(min(meta.left[parent], max(1.0, params.meta_participation * volume)))
    best, offered = engine.best[side], engine.best[1 - side]
    if uniform(meta.rng) < params.meta_market_share:
        _withdraw(engine, meta, parent)
        if offered != NO_PRICE:
            lots = min(lots, engine.lots[1 - side, key_of(1 - side, offered)])
            meta.left[parent] -= take(engine, tape, agents, params, side, offered, lots, METAORDER_GROUP, t_us)
    elif best != NO_PRICE:
        if rests:
            slot = amend(engine, tape, t_us, meta.slot[parent], best, meta.working[parent], POST_ONLY)
        else:
            slot = submit(engine, tape, t_us, side, best, lots, METAORDER_GROUP, POST_ONLY)
        if slot >= 0:
            meta.slot[parent], meta.order_id[parent] = slot, engine.order_id[slot]
            meta.working[parent] = engine.order_lots[slot]
    meta.due_us[parent] = _next_child(agents, meta, params, t_us)


@njit(cache=True)
def metaorders_step(
    engine: MatchingState, tape: Tape, agents: Agents, meta: Metaorders, params: FlowParams, t_us: int
) -> None:
    """Let the parent due at ``t_us`` arrive and the children due be sent."""
    clock = meta.clock
    if clock[ARRIVAL_US] <= t_us:
        _arrive(engine, agents, meta, params, t_us)
        clock[ARRIVAL_US] = _next_arrival(agents, meta, params, t_us)
    due = clock[ARRIVAL_US]
    for parent in range(PARENTS):
        if meta.left[parent] > 0 and meta.due_us[parent] <= t_us:
            _child(engine, tape, agents, meta, params, parent, t_us)
        if meta.left[parent] > 0:
            due = min(due, meta.due_us[parent])
    clock[META_NEXT_US] = due
