"""The event loop of a session: agents act at random times, the venue publishes on its clock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.agents import act, deep_order, refill, remote_order
from lob_pipeline.sim.config import FlowParams, SignalParams
from lob_pipeline.sim.engine import LIMIT, level_count, log_is_full, recentre, submit
from lob_pipeline.sim.flow import KINDS, QUICK, Agents, decay, each_second, rates
from lob_pipeline.sim.informed import informed_step
from lob_pipeline.sim.metaorders import metaorders_step
from lob_pipeline.sim.parts import FAR_US, INFORMED_NEXT_US, META_NEXT_US, Metaorders
from lob_pipeline.sim.plan import Plan, plan_acts, plan_step
from lob_pipeline.sim.publish import Messages, View, publish
from lob_pipeline.sim.rng import below, exponential, uniform
from lob_pipeline.sim.signals import Signals, step
from lob_pipeline.sim.state import ANCHOR, BID_SIDE, CAPACITY, NO_PRICE, NOW, WINDOW, MatchingState, Tape

NOW_US, PUBLISH_US, SECOND_US, UPDATE_ID, STEP_US, SIGNAL_US = 0, 1, 2, 3, 4, 5  # places in Session.clock
PLAN_US = 8
_SECOND = 1_000_000
_OPENING_ORDERS = 900
_LONGEST_WAIT_S = 1e6
_RESERVE = 2  # levels kept, as a multiple of those shown
LATEST_MS = 4  # messages are built up to this long after the engine time they show


class Session(NamedTuple):
    """Everything a running market is made of. Copyable and serialisable: arrays only."""

    engine: MatchingState
    agents: Agents
    shown: View
    clock: npt.NDArray[np.int64]
    signals: Signals
    shape: SignalParams
    plan: Plan
    metaorders: Metaorders


@njit(cache=True)
def open_book(session: Session, tape: Tape, params: FlowParams, price: int) -> None:
    """Fill an empty engine with a first book around ``price``; a warm-up makes it a typical one."""
    engine, agents, now = session.engine, session.agents, session.clock[NOW_US]
    for side in range(2):
        start = price if side == BID_SIDE else price + 1
        submit(engine, tape, now, side, start, 2000, QUICK, LIMIT)
    for _ in range(_OPENING_ORDERS):
        deep_order(engine, tape, agents, params, now)


@njit(cache=True)
def schedule(session: Session, from_us: int) -> None:
    """Set the next publication: 1 to 5 ms after the first multiple of the step behind ``from_us``."""
    clock = session.clock
    jitter_ms = 1 + below(session.agents.rng, 5)
    clock[PUBLISH_US] = (from_us // clock[STEP_US] + 1) * clock[STEP_US] + jitter_ms * 1000


@njit(cache=True)
def publish_now(session: Session, out: Messages, cts_ms: int) -> None:
    """Publish what changed as a delta of engine time ``cts_ms``; silent when nothing did."""
    clock = session.clock
    ts_ms = cts_ms + 1 + below(session.agents.rng, LATEST_MS)
    if publish(session.engine, session.shown, out, cts_ms, ts_ms, clock[UPDATE_ID], False):
        clock[UPDATE_ID] += 1


@njit(cache=True)
def follow_plan(session: Session, tape: Tape, params: FlowParams) -> bool:
    """Do what the plan has next, between two events of the market, and return whether it acted on the market.

    Looking on (the load, a decision) leaves the market as it was, to the last bit.
    """
    engine, agents, clock, plan = session.engine, session.agents, session.clock, session.plan
    now_us = clock[PLAN_US]
    acts = plan_acts(plan, now_us)
    if acts:
        decay(agents, params, (now_us - clock[NOW_US]) * 1e-6)
        clock[NOW_US] = engine.scalars[NOW] = now_us
    clock[PLAN_US] = plan_step(engine, tape, agents, plan, params, now_us)
    if acts and (engine.best[0] == NO_PRICE or engine.best[1] == NO_PRICE):
        refill(engine, tape, agents, params, now_us)
    return acts


@njit(cache=True)
def run(session: Session, tape: Tape, out: Messages, params: FlowParams, until_us: int) -> bool:
    """Run the market until ``until_us``; publish what falls due before it.

    Returns False early when the tape, the log or the messages are nearly full: hand them on, empty them, call again.
    """
    engine, agents, clock = session.engine, session.agents, session.clock
    intensity = np.empty(KINDS)
    depth = session.shown.price.shape[2]
    while True:
        full = out.n[0] + 1 >= out.cts_ms.size or out.n[1] + 4 * depth > out.row_lots.size
        if full or tape.n[0] + CAPACITY > tape.lots.size or log_is_full(engine, 2 * CAPACITY):
            return False
        if engine.best[0] == NO_PRICE or engine.best[1] == NO_PRICE:
            refill(engine, tape, agents, params, clock[NOW_US])
        total = rates(engine, agents, params, intensity)
        event_us = FAR_US
        if total > 0.0:
            event_us = clock[NOW_US] + 1 + np.int64(min(exponential(agents.rng) / total, _LONGEST_WAIT_S) * 1e6)
        while True:
            informed_us, meta_us = agents.informed.clock[INFORMED_NEXT_US], session.metaorders.clock[META_NEXT_US]
            planned_us = min(clock[SIGNAL_US], informed_us, meta_us)
            due_us = min(until_us, clock[PUBLISH_US], clock[SECOND_US], planned_us)
            if clock[PLAN_US] > min(event_us, due_us):
                break
            if follow_plan(session, tape, params):  # what comes next was drawn before, and stays
                total = rates(engine, agents, params, intensity)
        next_us = min(event_us, due_us)
        decay(agents, params, (next_us - clock[NOW_US]) * 1e-6)
        clock[NOW_US] = engine.scalars[NOW] = next_us
        if event_us < due_us:
            mark = uniform(agents.rng) * total
            kind = 0
            while kind < KINDS - 1 and mark >= intensity[kind]:
                mark -= intensity[kind]
                kind += 1
            act(engine, tape, agents, params, kind, next_us)
            continue
        # an event drawn beyond the due time is drawn again: waiting times have no memory
        if next_us == until_us:
            return True
        if next_us == clock[SECOND_US]:
            each_second(agents, params, next_us)
            for side in range(2):  # a side short of levels draws patient orders, so the shown depth is always there
                for _ in range(level_count(engine, side), _RESERVE * depth):
                    remote_order(engine, tape, agents, params, side, next_us)
            middle = engine.best[BID_SIDE]
            if abs(middle - engine.scalars[ANCHOR]) > WINDOW // 8:
                recentre(engine, middle)
            clock[SECOND_US] += _SECOND
        elif next_us == clock[SIGNAL_US]:
            clock[SIGNAL_US] = step(engine, tape, agents, session.signals, session.shape, next_us)
        elif next_us == informed_us:
            informed_step(engine, tape, agents, params, next_us)
        elif next_us == meta_us:
            metaorders_step(engine, tape, agents, session.metaorders, params, next_us)
        else:
            publish_now(session, out, next_us // 1000)
            schedule(session, next_us)
