"""Informed traders: they know some jumps of the value before they happen, and trade until then.

A jump is drawn as ever; with probability ``informed_share`` it is announced to them alone and happens
``informed_lead_s`` later. Until then they act ``informed_rate`` times a second on the side it favours: they take what
is offered short of where the value will be, most of the best queue at a time, or else join the best. What their trading
tells the market comes off the jump, so the price goes where it was to go, sooner (Kyle, Econometrica 53, 1985).

Adverse selection is built in: while they know something they clear one best queue after the other, so whoever joins one
on the wrong side then, at its end, is filled within a second and has most of the move before him; in quiet times an
order is filled late, by small takers, when those ahead of it have gone (Glosten and Milgrom, J. Financial Economics 14,
1985). The lead must be long against the time an order waits, else orders of any age meet the move alike.
"""

from __future__ import annotations

import math

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.engine import POST_ONLY, cancel, key_of, submit
from lob_pipeline.sim.flow import VALUE, Agents
from lob_pipeline.sim.parts import ACT_US, FAR_US, INFORMED_NEXT_US, KNOWN, KNOWN_COUNT, PENDING, Informed
from lob_pipeline.sim.rng import exponential, lognormal_lots, uniform
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, INFORMED_GROUP, NO_PRICE, MatchingState, Tape
from lob_pipeline.sim.taking import take

_US = 1_000_000
_LARGEST_ORDER_LOTS = 20_000.0


@njit(cache=True)
def _schedule(informed: Informed, params: FlowParams, t_us: int, acted: bool) -> None:
    """Set when the informed traders act next: while they know something, at random times; and the next jump's time."""
    clock = informed.clock
    if clock[KNOWN_COUNT] == 0:
        clock[ACT_US] = clock[INFORMED_NEXT_US] = FAR_US
        return
    if acted or clock[ACT_US] == FAR_US:
        clock[ACT_US] = t_us + 1 + int(_US * exponential(informed.rng) / params.informed_rate)
    clock[INFORMED_NEXT_US] = min(clock[ACT_US], informed.due_us[clock[KNOWN]])


@njit(cache=True)
def announced(informed: Informed, params: FlowParams, ticks: float, t_us: int) -> bool:
    """Tell the informed traders of a jump by ``ticks`` (signed), with probability ``informed_share``.

    Returns whether it was told: then it happens ``informed_lead_s`` after ``t_us``, else it has to happen now.
    """
    if params.informed_share == 0.0:
        return False
    told, clock = uniform(informed.rng) < params.informed_share, informed.clock
    if not told or clock[KNOWN_COUNT] == PENDING or params.informed_rate == 0.0:
        return False
    place = (clock[KNOWN] + clock[KNOWN_COUNT]) % PENDING
    informed.due_us[place], informed.ticks[place] = t_us + int(_US * params.informed_lead_s) + 1, ticks
    clock[KNOWN_COUNT] += 1
    _schedule(informed, params, t_us, False)
    return True


@njit(cache=True)
def _spend(informed: Informed, ticks: float, step: int) -> None:
    """Take ``ticks`` off the jumps to come in direction ``step``: what their own trading has told the market."""
    clock = informed.clock
    for i in range(clock[KNOWN_COUNT]):
        place = (clock[KNOWN] + i) % PENDING
        if informed.ticks[place] * step > 0.0:
            spent = min(ticks, abs(informed.ticks[place]))
            informed.ticks[place] -= step * spent
            ticks -= spent


@njit(cache=True)
def _trade(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, ticks: float, t_us: int) -> None:
    """Trade once, knowing that the value is going to move by ``ticks``: take if that pays, else join the best."""
    rng = agents.informed.rng
    side = BID_SIDE if ticks > 0 else ASK_SIDE
    step = 1 if side == BID_SIDE else -1
    goal = math.floor(agents.latent[VALUE] + ticks) + (0 if side == BID_SIDE else 1)
    limit = goal - step * math.floor(params.informed_margin_ticks)
    offered = engine.best[1 - side]
    pays = offered != NO_PRICE and (limit - offered) * step >= 0
    if pays and uniform(rng) < params.informed_take_share:
        shown = engine.lots[1 - side, key_of(1 - side, offered)]
        lots = int(max(1.0, shown * params.informed_queue_share * (0.5 + uniform(rng))))
        before = agents.latent[VALUE]
        take(engine, tape, agents, params, side, limit, lots, INFORMED_GROUP, t_us)
        _spend(agents.informed, abs(agents.latent[VALUE] - before), step)
    elif engine.best[side] != NO_PRICE:
        lots = lognormal_lots(rng, params.large_order_lots, params.large_order_log_sigma, _LARGEST_ORDER_LOTS)
        submit(engine, tape, t_us, side, engine.best[side], lots, INFORMED_GROUP, POST_ONLY)


@njit(cache=True)
def informed_step(engine: MatchingState, tape: Tape, agents: Agents, params: FlowParams, t_us: int) -> None:
    """Let the jumps due at ``t_us`` happen, and the informed traders act if it is their time."""
    informed, clock = agents.informed, agents.informed.clock
    while clock[KNOWN_COUNT] > 0 and informed.due_us[clock[KNOWN]] <= t_us:
        agents.latent[VALUE] += informed.ticks[clock[KNOWN]]
        clock[KNOWN] = (clock[KNOWN] + 1) % PENDING
        clock[KNOWN_COUNT] -= 1
    if clock[KNOWN_COUNT] == 0:  # they know nothing any more: what they left in the book goes
        while engine.member_count[INFORMED_GROUP] > 0:
            cancel(engine, engine.members[INFORMED_GROUP, 0])
    acts = clock[ACT_US] <= t_us
    if acts and clock[KNOWN_COUNT] > 0:
        ticks = 0.0
        for i in range(clock[KNOWN_COUNT]):
            ticks += informed.ticks[(clock[KNOWN] + i) % PENDING]
        if ticks != 0.0:
            _trade(engine, tape, agents, params, ticks, t_us)
    _schedule(informed, params, t_us, acts)
