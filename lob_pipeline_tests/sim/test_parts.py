"""The parts of the market: each can be off, alone or with others, and off it neither acts nor draws."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.sim.config import FlowParams, OwnParams, SimConfig, session_start_us
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.flow import ACTIVITY, HEAT_CAP, HEAT_VALUE, QUICK, SEASON, Agents, each_second, excite
from lob_pipeline.sim.makers import FIRST_GROUP, MAKERS, new_makers
from lob_pipeline.sim.parts import ALL_PARTS, Parts, new_informed
from lob_pipeline.sim.presets import configured
from lob_pipeline.sim.publish import ASK, BID
from lob_pipeline.sim.records import as_record
from lob_pipeline.sim.rng import new_stream
from lob_pipeline.sim.state import INFORMED_GROUP, METAORDER_GROUP

SHORT = SimConfig(seed=12, days=1, minutes=2)


def new_agents() -> Agents:
    return Agents(new_stream(1, 2), np.zeros(8), new_makers(), new_informed(1, 2))


def digest(config: SimConfig, date: str | None = None) -> str:
    date, totals = date or config.first_day, [hashlib.sha256() for _ in range(5)]
    for chunk in run_day(config, date, new_session(config, date)):
        n, rows = chunk.messages.n
        made, trades = chunk.messages, int(chunk.trades.n[0])
        told = (made.ts_ms[:n], made.row_price[:rows], made.row_lots[:rows])
        for total, column in zip(totals, (*told, chunk.trades.t_us[:trades], chunk.trades.lots[:trades]), strict=True):
            total.update(column.tobytes())  # column by column: where chunks end is no part of the market
    return "".join(total.hexdigest() for total in totals)


def seen(config: SimConfig) -> tuple[int, dict[int, int]]:
    """Return how many trades there were and how many orders each group entered, of the session's own time."""
    trades, entered = 0, dict[int, int]()
    for chunk in run_day(config, config.first_day, new_session(config, config.first_day)):
        trades += int(chunk.trades.n[0])
        log, rows = chunk.orders, int(chunk.orders.n[0])
        added = log.group[:rows][log.kind[:rows] == 0]
        for group, count in zip(*np.unique(added, return_counts=True), strict=True):
            entered[int(group)] = entered.get(int(group), 0) + int(count)
    return trades, entered


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.booleans()] * len(Parts._fields)), st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 8.0]))
def test_whatever_is_off_there_is_a_book_that_never_crosses(on: tuple[bool, ...], seed: int, takers: float) -> None:
    flow = FlowParams()._replace(noise_rate=takers, meta_rate=0.2, value_rate=0.5)
    config = SimConfig(seed=seed, days=1, minutes=1, flow=flow, parts=Parts(*on), warm_up_s=20)
    messages = 0
    session = new_session(config, config.first_day)
    for chunk in run_day(config, config.first_day, session):
        n = int(chunk.messages.n[0])
        best = chunk.messages.summary[:n]
        assert np.all(best[:, BID] < best[:, ASK])
        assert np.all(best[:, BID] > 0)
        messages += n
    assert messages >= 2


def test_a_part_that_is_off_draws_nothing() -> None:
    session = new_session(SHORT, SHORT.first_day)
    for _ in run_day(SHORT, SHORT.first_day, session):
        pass
    day = SHORT.dates[0]
    fresh = new_session(replace(SHORT, warm_up_s=0), day)
    np.testing.assert_array_equal(session.metaorders.rng, fresh.metaorders.rng)
    np.testing.assert_array_equal(session.agents.informed.rng, fresh.agents.informed.rng)
    assert session.metaorders.rng[9] == 4  # at the beginning: no word of the first block is used
    assert session.agents.informed.rng[9] == 4


def test_a_part_without_anything_to_do_changes_nothing() -> None:
    idle = FlowParams(meta_rate=0.0, informed_share=0.0)
    assert digest(replace(SHORT, flow=idle, parts=ALL_PARTS)) == digest(SHORT)
    busy = digest(replace(SHORT, parts=ALL_PARTS, flow=FlowParams(meta_rate=0.1, value_rate=0.5)))
    assert busy != digest(replace(SHORT, flow=FlowParams(meta_rate=0.1, value_rate=0.5)))


def test_each_part_is_seen_where_it_is_on_only() -> None:
    flow = FlowParams(meta_rate=0.2, value_rate=0.5, informed_take_share=0.5)
    base = replace(SHORT, flow=flow, order_log=True, parts=ALL_PARTS)
    trades, entered = seen(base)
    groups = {"metaorders": {METAORDER_GROUP}, "informed": {INFORMED_GROUP}}
    groups["makers"] = set(range(FIRST_GROUP, FIRST_GROUP + MAKERS))
    for part, own in groups.items():
        assert own <= entered.keys()
        _, without = seen(replace(base, parts=ALL_PARTS._replace(**{part: False}), warm_up_s=0))
        assert not own & without.keys()
    fewer, left = seen(replace(base, parts=ALL_PARTS._replace(background=False)))
    assert fewer < trades
    assert left.get(QUICK, 0) < entered[QUICK] / 4


@pytest.mark.parametrize("part", ["arbitrage", "season", "bursts"])
def test_a_switch_acts_on_what_it_names(part: str) -> None:
    without = SimConfig(parts=Parts()._replace(**{part: False})).acting
    changed = {name for name, value in SimConfig().acting._asdict().items() if getattr(without, name) != value}
    named = {"arbitrage": {"pull_rate", "arbitrage_rate"}, "season": {"season_strength"}, "bursts": {"burst_rate"}}
    assert changed == named[part]
    assert all(getattr(without, name) == 0.0 for name in changed)


def test_activity_follows_the_hour_unless_the_season_is_off() -> None:
    start = session_start_us(SimConfig(minutes=1440), "2026-01-05")
    agents = new_agents()
    for strength, expected in ((1.0, SEASON), (0.0, np.ones(24))):
        params = as_record(FlowParams(regime_sigma=0.0, season_strength=strength))
        found = []
        for hour in range(24):
            each_second(agents, params, start + hour * 3_600_000_000)
            found.append(float(agents.latent[ACTIVITY]))
        np.testing.assert_allclose(found, expected)


def test_excitement_has_a_ceiling() -> None:
    agents = new_agents()
    for _ in range(3):
        excite(agents, HEAT_VALUE, 60.0)
    assert agents.latent[HEAT_VALUE] == HEAT_CAP


def test_same_seed_same_day_with_every_part_alone_or_among_others() -> None:
    config = replace(SHORT, days=2, parts=ALL_PARTS, flow=FlowParams(meta_rate=0.1, value_rate=0.3))
    first, second = (digest(config, date) for date in config.dates)
    assert first == digest(config)
    assert second == digest(replace(config, days=1, first_day=config.dates[1]))
    assert len({first, second, digest(replace(config, seed=13))}) == 3


def test_looking_at_the_fitted_market_changes_no_byte_of_it() -> None:
    config = configured(seed=77, days=1, minutes=6, edge_bps=8.0)
    plain = digest(config)
    assert plain == digest(replace(config, order_log=True)), "the log, which ends its chunks elsewhere"
    assert plain == digest(replace(config, own=OwnParams(every_s=0.0, lots=5.0, life_s=3.0)))
    own = replace(config, own=OwnParams(every_s=3.0, lots=50.0))
    assert plain != digest(own) == digest(replace(own, order_log=True))


def test_parameters_as_a_record_are_the_parameters() -> None:
    params = FlowParams(touch_rate=3.5)
    record = as_record(params)
    assert all(getattr(record, name) == value for name, value in params._asdict().items())
