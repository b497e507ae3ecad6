"""What happens at times that are known beforehand, beside the planted signals: shared jumps and one's own orders.

An empty plan draws nothing and is never due: the market has the bytes that it has without this module.
"""

from __future__ import annotations

from typing import NamedTuple

from lob_pipeline.core.jit import njit
from lob_pipeline.core.units import parse_date
from lob_pipeline.sim.common import Common, common_due_us, common_step, draw_common, no_common
from lob_pipeline.sim.config import DAY_US, FlowParams, OwnParams, SimConfig, day_start_us, session_start_us
from lob_pipeline.sim.flow import Agents
from lob_pipeline.sim.own_orders import own_acts, own_due_us, own_step
from lob_pipeline.sim.own_script import OwnOrders, draw_own_orders, no_own_orders
from lob_pipeline.sim.state import MatchingState, Tape


class Plan(NamedTuple):
    """The shared jumps of the value and the orders of one's own, with how these travel."""

    common: Common
    own: OwnOrders
    travel: OwnParams


def no_plan() -> Plan:
    """Return the plan of a market in which nothing is planned."""
    return Plan(no_common(), no_own_orders(), OwnParams())


def draw_plan(config: SimConfig, date: str) -> Plan:
    """Return the plan of the session of ``date``: the factor by ``config.seed`` alone, own orders by the market."""
    day, start_us, end_us = parse_date(date).toordinal(), session_start_us(config, date), day_start_us(date) + DAY_US
    whole = config.acting._replace(value_rate=config.flow.value_rate, burst_value_heat=config.flow.burst_value_heat)
    common = draw_common(config.seed, day, start_us, end_us, config.common_share, whole)
    own = draw_own_orders(config.market_seed, day, start_us, end_us, config.own)
    return Plan(common, own, config.own)


@njit(cache=True)
def plan_due_us(plan: Plan) -> int:
    """Return when something planned is next due."""
    return min(common_due_us(plan.common), own_due_us(plan.own))


@njit(cache=True)
def plan_acts(plan: Plan, t_us: int) -> bool:
    """Return whether what is due at ``t_us`` touches the market: a shared jump, an order or a cancel that arrives."""
    return common_due_us(plan.common) <= t_us or own_acts(plan.own, t_us)


@njit(cache=True)
def plan_step(
    engine: MatchingState, tape: Tape, agents: Agents, plan: Plan, params: FlowParams, t_us: int
) -> int:
    """Let everything planned for ``t_us`` happen and return when something is next due."""
    common_step(agents, plan.common, params, t_us)
    if own_due_us(plan.own) <= t_us:
        own_step(engine, tape, agents, plan.own, plan.travel, params, t_us)
    return plan_due_us(plan)
