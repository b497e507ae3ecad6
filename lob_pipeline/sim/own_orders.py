"""Real orders of one's own: they rest in the book, take from it, and the market answers them.

A script says when to decide, what to send and how much. The price is what the trader sees when he decides; the order
reaches the market later. Delay is lognormal around ``latency_ms``; with a probability that grows with the load of the
venue it is a spike, exponential of mean ``spike_ms`` on top, or the venue refuses the order as overloaded. Load is the
number of book events of the last second against its mean over five minutes, so both come when everybody trades. An
order that rests is called back ``life_s`` later, and the call has a delay of its own, during which it can be filled.
"""

from __future__ import annotations

import math

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.config import FlowParams, OwnParams
from lob_pipeline.sim.engine import LIMIT, MARKET, POST_ONLY, REFUSED, cancel, key_of, submit
from lob_pipeline.sim.flow import Agents
from lob_pipeline.sim.own_script import (
    CALLED,
    DONE,
    DROPPED,
    FAST,
    FIRST,
    FLYING,
    LAST_SEQ,
    LOAD_US,
    NEXT,
    REFUSED_CROSSING,
    REFUSED_LOAD,
    RESTING,
    RESTS,
    SLOW,
    TAKES,
    TRADED_ALL,
    UNDECIDED,
    WITHDRAWN,
    OwnOrders,
)
from lob_pipeline.sim.parts import FAR_US
from lob_pipeline.sim.rng import exponential, normal, uniform
from lob_pipeline.sim.state import NEXT_ID, OWN_GROUP, SEQ, MatchingState, Tape
from lob_pipeline.sim.taking import learn

_US = 1_000_000
_SAMPLE_US = 100_000
_FAST, _SLOW = 0.1, 1.0 / 3000.0  # shares of a sample in the means over one second and over five minutes
_MOST_SHARE = 0.9


@njit(cache=True)
def _sample_load(engine: MatchingState, own: OwnOrders, t_us: int) -> None:
    """Count the book events since the last sample into the two means."""
    load, seq = own.load, float(engine.scalars[SEQ])
    if load[LAST_SEQ] >= 0.0:
        events = seq - load[LAST_SEQ]
        if load[SLOW] == 0.0:
            load[FAST] = load[SLOW] = events
        load[FAST] += _FAST * (events - load[FAST])
        load[SLOW] += _SLOW * (events - load[SLOW])
    load[LAST_SEQ] = seq
    own.at[LOAD_US] = t_us + _SAMPLE_US if own.at[FIRST] < own.decide_us.size else FAR_US


@njit(cache=True)
def _delay_us(own: OwnOrders, params: OwnParams, i: int, busy: float) -> int:
    """Draw how long a message of order ``i`` takes to the market under that load."""
    rng = own.rng
    ms = params.latency_ms * math.exp(params.latency_log_sigma * normal(rng))
    if uniform(rng) < min(_MOST_SHARE, params.spike_share * busy**params.load_power):
        ms += params.spike_ms * exponential(rng)
        own.spike[i] = 1
    return 1 + int(ms * 1000.0)


@njit(cache=True)
def _busy(own: OwnOrders) -> float:
    return own.load[FAST] / own.load[SLOW] if own.load[SLOW] > 0.0 else 1.0


@njit(cache=True)
def _finish(own: OwnOrders, i: int, end: int, t_us: int) -> None:
    own.state[i], own.end[i], own.end_us[i], own.due_us[i] = DONE, end, t_us, FAR_US


@njit(cache=True)
def _decide(engine: MatchingState, own: OwnOrders, params: OwnParams, i: int, t_us: int) -> None:
    """Look at the book and send order ``i``; the venue may refuse it when it gets there."""
    busy, side = _busy(own), own.side[i]
    own.busy[i], own.spike[i] = int(1000.0 * busy), 0
    own.price[i] = engine.best[1 - side if own.kind[i] == TAKES else side]
    own.arrive_us[i] = own.due_us[i] = t_us + _delay_us(own, params, i, busy)
    refused = uniform(own.rng) < min(_MOST_SHARE, params.refusal_share * busy**params.load_power)
    own.end[i] = REFUSED_LOAD if refused else UNDECIDED
    own.state[i] = FLYING


@njit(cache=True)
def _arrive(
    engine: MatchingState, tape: Tape, agents: Agents, own: OwnOrders, flow: FlowParams, life_us: int, i: int, t_us: int
) -> None:
    """Enter order ``i``, or turn it away."""
    if own.end[i] == REFUSED_LOAD:
        _finish(own, i, REFUSED_LOAD, t_us)
        return
    kind, side, first = own.kind[i], own.side[i], tape.n[0]
    mode = MARKET if kind == TAKES else (LIMIT if kind == RESTS else POST_ONLY)
    ahead = engine.lots[side, key_of(side, own.price[i])]
    order_id = engine.scalars[NEXT_ID]
    slot = submit(engine, tape, t_us, side, own.price[i], own.lots[i], OWN_GROUP, mode)
    if slot == REFUSED:
        _finish(own, i, REFUSED_CROSSING, t_us)
        return
    own.order_id[i] = order_id
    taken = learn(agents, tape, flow, side, first)
    if slot >= 0:
        own.ahead[i], own.slot[i], own.state[i], own.due_us[i] = ahead, slot, RESTING, t_us + life_us
    else:
        _finish(own, i, TRADED_ALL if taken == own.lots[i] else DROPPED, t_us)


@njit(cache=True)
def _call_back(engine: MatchingState, own: OwnOrders, params: OwnParams, i: int, t_us: int) -> None:
    """Send the cancel of order ``i``, or carry it out where it was on its way; too late where it was filled."""
    slot = own.slot[i]
    if engine.order_id[slot] != own.order_id[i]:
        _finish(own, i, TRADED_ALL, t_us)
    elif own.state[i] == RESTING:
        own.called_us[i], own.state[i] = t_us, CALLED
        own.due_us[i] = t_us + _delay_us(own, params, i, _busy(own))
    else:
        cancel(engine, slot)
        _finish(own, i, WITHDRAWN, t_us)


@njit(cache=True)
def own_due_us(own: OwnOrders) -> int:
    """Return when something next happens to an order, or the load is sampled."""
    due = own.at[LOAD_US]
    if own.at[NEXT] < own.decide_us.size:
        due = min(due, own.decide_us[own.at[NEXT]])
    for i in range(own.at[FIRST], own.at[NEXT]):
        due = min(due, own.due_us[i])
    return int(due)


@njit(cache=True)
def own_acts(own: OwnOrders, t_us: int) -> bool:
    """Return whether an order or a cancel is due at the venue at ``t_us``."""
    due = FAR_US
    for i in range(own.at[FIRST], own.at[NEXT]):
        due = min(due, own.due_us[i])
    return due <= t_us


@njit(cache=True)
def own_step(
    engine: MatchingState, tape: Tape, agents: Agents, own: OwnOrders, params: OwnParams, flow: FlowParams, t_us: int
) -> None:
    """Let everything happen that is due at ``t_us``: arrivals and cancels first, then decisions."""
    at = own.at
    if at[LOAD_US] <= t_us:
        _sample_load(engine, own, t_us)
    for i in range(at[FIRST], at[NEXT]):
        if own.due_us[i] <= t_us and own.state[i] == FLYING:
            _arrive(engine, tape, agents, own, flow, int(params.life_s * _US), i, t_us)
        elif own.due_us[i] <= t_us:
            _call_back(engine, own, params, i, t_us)
    while at[NEXT] < own.decide_us.size and own.decide_us[at[NEXT]] <= t_us:
        _decide(engine, own, params, at[NEXT], t_us)
        at[NEXT] += 1
    while at[FIRST] < at[NEXT] and own.state[at[FIRST]] == DONE:
        at[FIRST] += 1
