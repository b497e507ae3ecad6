"""Orders that take: an immediate order, the makers' books of it, and what the market learns from it."""

from __future__ import annotations

import math

from lob_pipeline.core.jit import njit
from lob_pipeline.sim import makers as mm
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.engine import IMMEDIATE, submit
from lob_pipeline.sim.flow import VALUE, Agents
from lob_pipeline.sim.state import BID_SIDE, MatchingState, Tape


@njit(cache=True)
def learn(agents: Agents, tape: Tape, params: FlowParams, side: int, first_trade: int) -> int:
    """Let the market answer what a taker on ``side`` traded from ``first_trade`` on; return the lots he took."""
    mm.settle_inventory(agents.makers, tape, first_trade)
    taken = 0
    for i in range(first_trade, tape.n[0]):
        taken += tape.lots[i]
    sign = 1.0 if side == BID_SIDE else -1.0
    agents.latent[VALUE] += sign * params.impact_ticks * math.sqrt(taken / 1000.0)
    return taken


@njit(cache=True)
def take(
    engine: MatchingState,
    tape: Tape,
    agents: Agents,
    params: FlowParams,
    side: int,
    limit: int,
    lots: int,
    group: int,
    t_us: int,
) -> int:
    """Send an immediate order up to ``limit`` (ticks) and return the lots it took; the value moves with them.

    The market cannot tell who is informed: every taker has the same impact, ``impact_ticks`` times the square root of
    the lots in thousands (Bouchaud, "Price impact", Encyclopedia of Quantitative Finance, 2010).
    """
    first = tape.n[0]
    submit(engine, tape, t_us, side, limit, lots, group, IMMEDIATE)
    return learn(agents, tape, params, side, first)
