"""Informed traders: what they know happens, they pay no more than it is worth, and whom they fill fast loses most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.labels.day import DecisionRows, label_columns, make_tape
from lob_pipeline.labels.day import run_day as follow_orders
from lob_pipeline.labels.spec import Fees, LabelConfig
from lob_pipeline.sim import engine as eng
from lob_pipeline.sim.config import FlowParams, SimConfig, session_start_us
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.flow import VALUE
from lob_pipeline.sim.informed import announced, informed_step
from lob_pipeline.sim.oracle_tape import OracleTape
from lob_pipeline.sim.parts import FAR_US, INFORMED_NEXT_US, PENDING, Parts
from lob_pipeline.sim.quotes import STEP_NS, QuoteTape
from lob_pipeline.sim.records import as_record
from lob_pipeline.sim.state import (
    ASK_SIDE,
    BID_SIDE,
    CAPACITY,
    INFORMED_GROUP,
    MatchingState,
    Tape,
    new_engine,
    new_tape,
)
from lob_pipeline_tests.sim.test_parts import new_agents

ANCHOR, START_US = 600_000, 10**9
SURE = as_record(FlowParams(informed_share=1.0, informed_lead_s=10.0, impact_ticks=0.3))


def book() -> tuple[MatchingState, Tape]:
    engine, tape = new_engine(ANCHOR), new_tape(CAPACITY)
    for away in range(300):
        eng.submit(engine, tape, 0, BID_SIDE, ANCHOR - away, 800, 0, eng.LIMIT)
        eng.submit(engine, tape, 0, ASK_SIDE, ANCHOR + 1 + away, 800, 0, eng.LIMIT)
    return engine, tape


@settings(max_examples=60, deadline=None)
@given(st.floats(1.0, 250.0), st.booleans())
def test_a_known_jump_happens_once_and_is_paid_for_at_no_more_than_its_worth(size: float, up: bool) -> None:
    engine, tape = book()
    agents, ticks = new_agents(), size if up else -size
    agents.latent[VALUE] = before = ANCHOR + 0.5
    assert announced(agents.informed, SURE, ticks, START_US)
    assert agents.latent[VALUE] == before
    at = START_US
    while (due := int(agents.informed.clock[INFORMED_NEXT_US])) < FAR_US:
        assert at < due <= START_US + 10_000_001
        assert (agents.latent[VALUE] - before) * np.sign(ticks) <= size + 1e-6
        at = due
        informed_step(engine, tape, agents, SURE, at)
    assert at == START_US + 10_000_001
    assert agents.latent[VALUE] == pytest.approx(before + ticks, abs=2.0)  # the last take may tell more than was left
    n = int(tape.n[0])
    assert np.all(tape.side[:n] == np.sign(ticks))
    worth = before + ticks
    assert np.all((worth - tape.price[:n]) * np.sign(ticks) >= SURE.informed_margin_ticks - 1e-6)
    assert n > 0 or size < 3.0
    assert engine.member_count[INFORMED_GROUP] == 0


def test_who_is_told_nothing_or_too_much_is_not_told() -> None:
    agents = new_agents()
    assert not announced(agents.informed, as_record(FlowParams(informed_share=0.0)), 5.0, START_US)
    told = [announced(agents.informed, SURE, 5.0, START_US + i) for i in range(PENDING + 3)]
    assert told == [True] * PENDING + [False] * 3
    engine, tape = book()
    informed_step(engine, tape, agents, SURE, START_US + 20_000_000)
    assert agents.latent[VALUE] == pytest.approx(5.0 * PENDING)
    assert agents.informed.clock[INFORMED_NEXT_US] == FAR_US


def fates(config: SimConfig) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how many of the labels' orders were followed, both sides, each second; and of the filled two things.

    These are their delays in seconds and their markouts of 5 s in bps.
    """
    tape, quote_tape = OracleTape(), QuoteTape()
    for chunk in run_day(config, config.first_day, new_session(config, config.first_day)):
        tape.add(chunk.messages, chunk.trades)
        quote_tape.add(chunk.messages)
    quotes, start = quote_tape.done(), session_start_us(config, config.first_day)
    instants = np.arange(start + 10_000_000, start + config.minutes * 60_000_000, 1_000_000)
    ts_ns, closing, decides = quotes.decisions(instants)
    at = closing[decides]
    rows = DecisionRows(ts_ns[decides], quotes.time_ns[at], quotes.bid[at - 1], quotes.ask[at - 1])
    sequence = config.instrument.sequence
    day = follow_orders(rows, tape.events(), make_tape(tape.trades()), LabelConfig(), sequence, STEP_NS)
    followed, delays, markouts = 0, [], []
    for columns in label_columns(day, Fees(0.0, 0.0)):
        valid = np.asarray(columns["valid"], np.bool_)
        filled = valid & np.ma.filled(columns["filled"], False).astype(np.bool_)
        followed += int(valid.sum())
        delays.append(np.ma.filled(columns["fill_delay_ns"], -1)[filled].astype(np.float64) / 1e9)
        markouts.append(np.ma.filled(columns["markout_5s_bps"], np.nan)[filled])
    return followed, np.concatenate(delays), np.concatenate(markouts)


def mean_and_error(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("seed", [21, 22])
def test_orders_filled_within_a_second_lose_more_than_those_filled_after_five(seed: int) -> None:
    config = SimConfig(seed=seed, days=1, minutes=95, parts=Parts(informed=True))
    followed, delay, markout = fates(config)
    assert followed > 10_000
    fast, late = markout[delay <= 1.0], markout[delay > 5.0]
    assert min(len(fast), len(late)) > 500
    (lost, error), (cost, other) = mean_and_error(fast), mean_and_error(late)
    assert lost < cost - 3.0 * np.hypot(error, other)
    assert lost < 0.0
    _, delay, markout = fates(replace(config, parts=Parts()))
    unknown = markout[delay <= 1.0].mean() - markout[delay > 5.0].mean()
    assert lost - cost < unknown, "without informed traders fast fills are not that much worse"
