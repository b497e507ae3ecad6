"""One simulated UTC day: opening snapshot, deltas, closing snapshot just after midnight, handed out in chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lob_pipeline.core.units import parse_date
from lob_pipeline.sim.config import DAY_US, OPENING_SHARE, SimConfig, day_start_us, session_start_us
from lob_pipeline.sim.engine import log_resting
from lob_pipeline.sim.flow import VALUE, Agents, each_second
from lob_pipeline.sim.makers import new_makers
from lob_pipeline.sim.metaorders import begin_metaorders
from lob_pipeline.sim.order_log import OrderLog
from lob_pipeline.sim.parts import new_informed, new_metaorders
from lob_pipeline.sim.plan import Plan, draw_plan, no_plan, plan_due_us
from lob_pipeline.sim.planted import day_signals
from lob_pipeline.sim.publish import Messages, new_messages, new_view, publish
from lob_pipeline.sim.records import as_record
from lob_pipeline.sim.rng import below, new_stream, normal
from lob_pipeline.sim.session import (
    LATEST_MS,
    NOW_US,
    PLAN_US,
    PUBLISH_US,
    SECOND_US,
    SIGNAL_US,
    STEP_US,
    UPDATE_ID,
    Session,
    open_book,
    publish_now,
    run,
    schedule,
)
from lob_pipeline.sim.signals import FAR_US, first_step_us, no_signals
from lob_pipeline.sim.state import CAPACITY, NOW, Tape, log_of, new_engine, new_tape

CHUNK_S = 600
_ROWS_A_MESSAGE = 64  # room in a chunk; a chunk that needs more is handed out in parts
_LOG_ROWS = 6 * CAPACITY
_SECOND_US = 1_000_000
_OPENING_LOG_SIGMA = 0.01
_PRICE_STREAM = 1 << 40  # days are numbered far below: opening prices have streams of their own


@dataclass(frozen=True)
class Chunk:
    """A stretch of one day up to ``until_us``. The buffers are filled anew for the next one: use them before.

    ``orders`` is empty unless the config asks for the log. A day's log begins with the orders that rest at its opening
    snapshot, as ``ADD`` rows in order of their queues, so it needs no other day. A message shows the book after every
    row up to its ``cts_ms``.
    """

    messages: Messages
    trades: Tape
    until_us: int
    orders: OrderLog


def opening_ticks(config: SimConfig, date: str) -> int:
    """Return the price at which an independent session of ``date`` opens, in ticks; it needs no other day."""
    stream = new_stream(config.market_seed, _PRICE_STREAM + parse_date(date).toordinal())
    share = OPENING_SHARE.get(config.instrument.market.symbol, 1.0)
    price = share * config.opening_price_quote * math.exp(_OPENING_LOG_SIGMA * normal(stream))
    return round(price / float(config.instrument.tick))


def new_session(config: SimConfig, date: str) -> Session:
    """Return a session about to open on ``date``: book filled and warmed up, nothing published yet."""
    seed, day, flow = config.market_seed, parse_date(date).toordinal(), as_record(config.acting)
    agents = Agents(new_stream(seed, day), np.zeros(8), new_makers(), new_informed(seed, day))
    price = opening_ticks(config, date)
    clock, view = np.zeros(16, np.int64), new_view(config.depth)
    shape = config.shape._replace(move_s=config.horizon_s)
    engine = new_engine(price, _LOG_ROWS if config.order_log else 0)
    log = log_of(engine)
    session = Session(engine, agents, view, clock, no_signals(), shape, no_plan(), new_metaorders(seed, day))
    tape, silent = new_tape(2 * CAPACITY), new_messages(2, 8 * config.depth)
    start_us = session_start_us(config, date)
    clock[STEP_US] = config.message_ms * 1000
    clock[UPDATE_ID] = 1_000_000 + below(agents.rng, 20_000_000)
    clock[NOW_US] = start_us - config.warm_up_s * _SECOND_US
    clock[SECOND_US] = clock[NOW_US] + _SECOND_US
    clock[SIGNAL_US] = clock[PLAN_US] = FAR_US
    schedule(session, start_us - 1)
    agents.latent[VALUE] = price + 0.5
    each_second(agents, flow, int(clock[NOW_US]))
    begin_metaorders(agents, session.metaorders, flow, int(clock[NOW_US]))
    open_book(session, tape, flow, price)
    while not run(session, tape, silent, flow, int(clock[PUBLISH_US])):
        tape.n[0] = log.n[0] = 0
    log.n[0] = 0
    return session


def _snapshot(session: Session, out: Messages) -> None:
    cts_ms = int(session.clock[PUBLISH_US]) // 1000
    publish(session.engine, session.shown, out, cts_ms, cts_ms + LATEST_MS, int(session.clock[UPDATE_ID]), True)


def run_day(config: SimConfig, date: str, session: Session, plan: Plan | None = None) -> Iterator[Chunk]:
    """Run ``session`` through ``date`` and yield what the venue publishes, in stretches of ten minutes.

    First the opening snapshot, last the closing one: stamped just after the next midnight, equal to the book that the
    deltas lead to and, where the days are continuous, the very message that opens the next day.
    ``plan``: what happens at known times; by default what ``config`` draws (``sim/plan.py``).
    """
    plan = draw_plan(config, date) if plan is None else plan
    session = session._replace(signals=day_signals(config, date), plan=plan)
    clock, log, flow = session.clock, log_of(session.engine), as_record(config.acting)
    clock[SIGNAL_US], clock[PLAN_US] = first_step_us(session.signals), plan_due_us(session.plan)
    per_chunk = CHUNK_S * 1000 // config.message_ms + 4
    out, tape = new_messages(per_chunk, _ROWS_A_MESSAGE * per_chunk + 8 * config.depth), new_tape(3 * CAPACITY)
    midnight_us = day_start_us(date) + DAY_US
    end_us = midnight_us - 1000
    _snapshot(session, out)
    session.engine.scalars[NOW] = clock[NOW_US]
    log_resting(session.engine)
    clock[UPDATE_ID] += 1
    schedule(session, int(clock[PUBLISH_US]))
    until_us = int(clock[NOW_US])
    while until_us < end_us:
        until_us = min(end_us, until_us + CHUNK_S * _SECOND_US)
        done = False
        while not done:
            done = run(session, tape, out, flow, until_us)
            yield Chunk(out, tape, int(clock[NOW_US]), log)
            out.n[:] = 0
            tape.n[0] = log.n[0] = 0
    publish_now(session, out, end_us // 1000)
    schedule(session, midnight_us - 1)
    _snapshot(session, out)
    clock[NOW_US] = clock[PUBLISH_US]
    yield Chunk(out, tape, int(clock[NOW_US]), log)
    log.n[0] = 0
