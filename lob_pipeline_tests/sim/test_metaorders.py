"""Metaorders: every lot of a parent is traded once, at its own side, and their trades' signs have a long memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.sim import engine as eng
from lob_pipeline.sim.config import FlowParams, SimConfig
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.flow import ACTIVITY, VALUE
from lob_pipeline.sim.metaorders import begin_metaorders, metaorders_step
from lob_pipeline.sim.parts import ARRIVAL_US, FAR_US, META_NEXT_US, PARENTS, Parts, new_metaorders
from lob_pipeline.sim.records import as_record
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, CAPACITY, METAORDER_GROUP, TRADED, new_engine, new_tape
from lob_pipeline_tests.sim.test_parts import new_agents

ANCHOR = 600_000


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 20_000),
    st.integers(0, 1),
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4000)), min_size=5, max_size=60),
    st.booleans(),
)
def test_what_a_parent_has_left_is_what_it_has_not_traded(
    size: int, side: int, market_share: float, others: list[tuple[int, int]], gives_up: bool
) -> None:
    patience = 30.0 if gives_up else 1e6
    params = as_record(FlowParams(meta_market_share=market_share, meta_participation=0.3, meta_patience_s=patience))
    engine, tape, agents = new_engine(ANCHOR), new_tape(CAPACITY), new_agents()
    agents.latent[ACTIVITY], agents.latent[VALUE] = 1.0, ANCHOR + 0.5
    meta = new_metaorders(1, 2)
    meta.side[0], meta.left[0], meta.slot[0], meta.end_us[0] = side, size, -1, int(patience * 1e6)
    meta.clock[META_NEXT_US] = 1
    by_parent = 0
    for i, (taker, lots) in enumerate(others):
        for away in range(4):  # others rest, and trade with the parent's resting child
            eng.submit(engine, tape, i, BID_SIDE, engine.scalars[1] - away, 300, 0, eng.POST_ONLY)
            eng.submit(engine, tape, i, ASK_SIDE, engine.scalars[1] + 1 + away, 300, 0, eng.POST_ONLY)
        first = int(tape.n[0])
        eng.submit(engine, tape, i, taker, 0, lots, 0, eng.MARKET)
        hit = tape.maker_group[first : tape.n[0]] == METAORDER_GROUP
        assert np.all(tape.side[first : tape.n[0]][hit] == (-1 if side == BID_SIDE else 1))
        by_parent += int(tape.lots[first : tape.n[0]][hit].sum())
        t_us = max(i * 1_000_000, int(meta.clock[META_NEXT_US]))
        before, first = int(engine.scalars[TRADED]), int(tape.n[0])
        metaorders_step(engine, tape, agents, meta, params, t_us)
        by_parent += int(engine.scalars[TRADED]) - before
        assert np.all(tape.side[first : tape.n[0]] == (1 if side == BID_SIDE else -1))
        resting = engine.members[METAORDER_GROUP, : engine.member_count[METAORDER_GROUP]]
        assert len(resting) <= 1
        assert np.all(engine.order_side[resting] == side)
        if meta.left[0] > 0:
            assert meta.left[0] == size - by_parent, "every lot is booked once"
            assert meta.working[0] == engine.order_lots[resting].sum() <= meta.left[0]
        else:
            assert by_parent == size or (gives_up and by_parent < size)
            assert len(resting) == 0
            assert meta.clock[META_NEXT_US] == FAR_US
            break


def test_parents_arrive_at_their_rate_with_their_sizes() -> None:
    agents, engine, tape = new_agents(), new_engine(ANCHOR), new_tape(CAPACITY)
    agents.latent[ACTIVITY] = 1.0
    params = as_record(FlowParams(meta_rate=0.5, meta_smallest_lots=1000.0, meta_size_exponent=1.5))
    meta, sizes, sides = new_metaorders(1, 2), list[int](), list[int]()
    begin_metaorders(agents, meta, params, 0)
    while meta.clock[ARRIVAL_US] < 4_000_000_000:
        t_us = int(meta.clock[ARRIVAL_US])
        meta.due_us[:] = FAR_US  # none acts: only arrivals are looked at
        metaorders_step(engine, tape, agents, meta, params, t_us)
        sizes.append(int(meta.left.max()))
        sides.append(int(meta.side[np.argmax(meta.left)]))
        meta.left[:] = 0
    n = len(sizes)
    assert abs(n - 2000) < 4 * np.sqrt(2000)
    assert abs(np.mean(sides) - 0.5) < 4 * 0.5 / np.sqrt(n)
    above = np.mean(np.array(sizes) > 4000)  # Pareto: (1000 / 4000) ** 1.5 = 1 / 8
    assert abs(above - 0.125) < 4 * np.sqrt(0.125 * 0.875 / n)
    assert min(sizes) >= 1000


def test_without_a_place_a_parent_is_not_begun_and_without_a_rate_none_comes() -> None:
    agents, engine, tape = new_agents(), new_engine(ANCHOR), new_tape(CAPACITY)
    agents.latent[ACTIVITY] = 1.0
    meta = new_metaorders(1, 2)
    begin_metaorders(agents, meta, as_record(FlowParams(meta_rate=0.0)), 0)
    assert meta.clock.tolist() == [FAR_US, FAR_US]
    params = as_record(FlowParams(meta_rate=1.0))
    begin_metaorders(agents, meta, params, 0)
    meta.left[:], meta.due_us[:] = 7, FAR_US
    metaorders_step(engine, tape, agents, meta, params, int(meta.clock[ARRIVAL_US]))
    assert meta.left.tolist() == [7] * PARENTS


def signs(parts: Parts) -> npt.NDArray[np.float64]:
    """Return the taker side of every order that took, in a market whose noise traders do not excite each other."""
    flow = FlowParams(meta_rate=1 / 60, noise_same_side=0.0, noise_other_side=0.0, value_rate=0.01)
    found = []
    config = SimConfig(seed=31, days=1, minutes=120, parts=parts, flow=flow)
    for chunk in run_day(config, config.first_day, new_session(config, config.first_day)):
        n = int(chunk.trades.n[0])
        _, first = np.unique(chunk.trades.taker_id[:n], return_index=True)
        found.append(chunk.trades.side[:n][first].astype(np.float64))
    return np.concatenate(found)


def test_signs_remember_longer_with_metaorders() -> None:
    def memory(side: npt.NDArray[np.float64]) -> float:
        side = side - side.mean()
        return float(np.mean([(side[lag:] * side[:-lag]).mean() / side.var() for lag in range(20, 60)]))

    without, having = signs(Parts()), signs(Parts(metaorders=True))
    assert min(len(without), len(having)) > 2000
    assert memory(having) > memory(without) + 4.0 / np.sqrt(40 * len(having))
