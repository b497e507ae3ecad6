"""The planted edge: signals that show in the book before the value moves the way they point.

A signal has a direction and two phases. *Lead*: patient orders gather behind the best of the signalled side, the value
does what it always does, so an order that joins the best is filled at the ordinary rate. *Move*: the orders stay and
follow the price while the value drifts in small steps by ``drift_bps`` in all. Then they are withdrawn, one by one.
Signals never overlap. Their times and directions have a random stream of their own, keyed by (seed, date): they know
nothing of the price, and a market without them draws exactly the numbers it would draw if this module did not exist.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim import makers as mm
from lob_pipeline.sim.config import SignalParams
from lob_pipeline.sim.engine import POST_ONLY, cancel, submit
from lob_pipeline.sim.flow import VALUE, Agents
from lob_pipeline.sim.rng import below, exponential, lognormal_lots, new_stream, uniform
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, GROUPS, MatchingState, Tape

SIGNAL_GROUP = mm.FIRST_GROUP + mm.MAKERS  # engine group of the signals' orders
FAR_US = 1 << 62  # later than any session
_STREAM = 1 << 41  # streams of the days' signals: days are numbered far below, opening prices start at 2^40
_US = 1_000_000
_AT = 0  # place in Signals.state: the signal that is running or comes next
_LARGEST_ORDER_LOTS = 20_000.0
assert SIGNAL_GROUP < GROUPS


class Signals(NamedTuple):
    """The signals of one day, and where their agent stands.

    ``start_us`` int64 (n,), ascending; ``direction`` int64 (n,), +1 or -1; ``drift_bps`` float64 (n,): how far the
    value moves in all, unsigned; ``rng`` the agent's stream; ``state`` int64 (1,): the signal in hand.
    """

    start_us: npt.NDArray[np.int64]
    direction: npt.NDArray[np.int64]
    drift_bps: npt.NDArray[np.float64]
    rng: npt.NDArray[np.uint64]
    state: npt.NDArray[np.int64]


def no_signals() -> Signals:
    """Return the signals of a market without any."""
    return Signals(
        np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), new_stream(0, 0), np.zeros(1, np.int64)
    )


def draw_signals(seed: int, day: int, from_us: int, until_us: int, drift_bps: float, params: SignalParams) -> Signals:
    """Return the signals of the session ``[from_us, until_us)`` of day number ``day``: all end within it.

    Waiting times between the end of one and the start of the next are exponential of mean ``wait_s``; directions are
    fair coins. Times and directions depend on (seed, day) and ``params`` alone, never on ``drift_bps``.
    """
    rng = new_stream(seed, _STREAM + day)
    span_us = round((params.lead_s + params.move_s + params.fade_s + params.step_s) * _US)
    starts, directions = [], []
    at = from_us + round(params.wait_s * exponential(rng) * _US)
    while at + span_us < until_us:
        starts.append(at)
        directions.append(1 if uniform(rng) < 0.5 else -1)
        at += span_us + round(params.wait_s * exponential(rng) * _US)
    return Signals(
        np.array(starts, np.int64),
        np.array(directions, np.int64),
        np.full(len(starts), drift_bps),
        rng,
        np.zeros(1, np.int64),
    )


@njit(cache=True)
def first_step_us(signals: Signals) -> int:
    """Return when the agent of the signals acts next after it has finished one: the start of the signal in hand."""
    at = signals.state[_AT]
    return int(signals.start_us[at]) if at < signals.start_us.size else FAR_US


@njit(cache=True)
def _withdraw(engine: MatchingState, side: int, reach_ticks: float) -> None:
    """Cancel the signal's orders that the market has come to or left behind."""
    place = 0
    while place < engine.member_count[SIGNAL_GROUP]:
        slot = int(engine.members[SIGNAL_GROUP, place])
        price = engine.order_price[slot]
        behind = engine.best[side] - price if side == BID_SIDE else price - engine.best[side]
        if behind < 1 or behind > 2.0 * reach_ticks:
            cancel(engine, slot)  # the last member takes this place: look at it again
        else:
            place += 1


@njit(cache=True)
def _gather(
    engine: MatchingState, tape: Tape, signals: Signals, params: SignalParams, side: int, wanted: int, t_us: int
) -> None:
    """Enter orders behind the best until ``wanted`` rest, a few at a time."""
    rng, away = signals.rng, 1 if side == ASK_SIDE else -1
    for _ in range(int(params.entered_a_step)):
        if engine.member_count[SIGNAL_GROUP] >= wanted:
            return
        distance = 1 + below(rng, int(params.reach_ticks))
        lots = lognormal_lots(rng, params.order_lots, params.order_log_sigma, _LARGEST_ORDER_LOTS)
        submit(engine, tape, t_us, side, engine.best[side] + away * distance, lots, SIGNAL_GROUP, POST_ONLY)


@njit(cache=True)
def step(engine: MatchingState, tape: Tape, agents: Agents, signals: Signals, params: SignalParams, t_us: int) -> int:
    """Let the signal in hand act at ``t_us`` and return when it acts next (``FAR_US`` after the last one's end)."""
    at = signals.state[_AT]
    direction = signals.direction[at]
    side = BID_SIDE if direction > 0 else ASK_SIDE
    age_s = (t_us - signals.start_us[at]) / _US
    steps = math.floor(age_s / params.step_s + 0.5)
    lead, move = math.floor(params.lead_s / params.step_s + 0.5), math.floor(params.move_s / params.step_s + 0.5)
    if steps <= lead + move:
        _withdraw(engine, side, params.reach_ticks)
        _gather(engine, tape, signals, params, side, int(params.orders), t_us)
        if steps > lead:
            agents.latent[VALUE] += agents.latent[VALUE] * direction * signals.drift_bps[at] * 1e-4 / move
        return t_us + int(params.step_s * _US)
    left_s = params.lead_s + params.move_s + params.fade_s - age_s
    count = engine.member_count[SIGNAL_GROUP]
    if left_s > 0.5 * params.step_s and count > 0:
        leaving = min(count, math.ceil(count * params.step_s / left_s))
        for _ in range(leaving):
            cancel(engine, engine.members[SIGNAL_GROUP, below(signals.rng, engine.member_count[SIGNAL_GROUP])])
        return t_us + int(params.step_s * _US)
    while engine.member_count[SIGNAL_GROUP] > 0:
        cancel(engine, engine.members[SIGNAL_GROUP, 0])
    signals.state[_AT] = at + 1
    return first_step_us(signals)
