"""The probe kernel against a naive reference, and the queue models' bounds against the probes, order by order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.labels.day import DecisionRows, make_tape, run_day
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.sim.order_log import FILL, OrderLog
from lob_pipeline.sim.probe_kernel import follow
from lob_pipeline.sim.probe_state import (
    AHEAD,
    DONE_LOTS,
    FAULT,
    FILL_NS,
    REACHED_NS,
    Probes,
    give,
    new_probe_book,
    new_probes,
    new_seen,
)
from lob_pipeline.sim.unbatched import UnbatchedFeed
from lob_pipeline_tests.naive.probes import ASK, BID, Row, probe_fate
from lob_pipeline_tests.sim.small_exchange import MIDDLE, Command, SmallExchange, as_log

LIFE_NS = 40_000
LATENCY_NS = 3_000
NEVER = 1 << 62
Ints = npt.NDArray[np.int64]

sides = st.sampled_from([BID, ASK])
near = st.integers(-3, 3)
waits = st.sampled_from([0, 0, 1, 2, 5])
orders = st.tuples(st.sampled_from(["limit", "limit", "take"]), sides, near, st.integers(0, 6), waits)
changes = st.tuples(st.sampled_from(["cancel", "amend"]), sides, near, st.integers(0, 50), waits)
markets = st.lists(st.one_of(orders, changes), min_size=5, max_size=150)
places = st.lists(st.tuples(st.integers(0, 200), sides, near), min_size=1, max_size=30)


def log_of(commands: list[Command]) -> list[Row]:
    exchange = SmallExchange()
    for command in commands:
        exchange.do(command)
    return exchange.rows


def followed(rows: list[Row], probes: Probes, q_lots: int, cuts: list[int]) -> tuple[list[OrderLog], list[Ints]]:
    """Run the kernel over the rows in pieces; return the pieces and the sizes shown after their rows."""
    book, pieces, shown = new_probe_book(), [], []
    for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        piece = as_log(rows[first:last])
        seen = new_seen(last - first)
        follow(book, probes, piece, LIFE_NS, q_lots, seen)
        assert book.scalars[FAULT] == -1
        pieces.append(piece)
        shown.append(seen.shown)
    return pieces, shown


def given_probes(wanted: list[tuple[int, int, int]]) -> Probes:
    probes = new_probes(len(wanted))
    arrive_ns = np.array([(1_000_000 + at) * 1000 + 500 * (at % 2) for at, _, _ in wanted])
    give(probes, arrive_ns, np.array([s for _, s, _ in wanted]), np.array([MIDDLE + away for _, _, away in wanted]))
    return probes


@settings(deadline=None, max_examples=300)
@given(markets, places, st.integers(1, 4), st.integers(0, 100))
def test_the_kernel_gives_every_probe_the_fate_of_the_naive_queue(
    commands: list[Command], wanted: list[tuple[int, int, int]], q_lots: int, cut: int
) -> None:
    rows = log_of(commands)
    probes = given_probes(wanted)
    followed(rows, probes, q_lots, [min(cut, len(rows))])
    for i, (arrive_ns, side, price) in enumerate(probes.given.tolist()):
        fate = probe_fate(rows, arrive_ns, side, price, LIFE_NS, q_lots)
        found = (int(probes.kind[i]), *(int(probes.fate[i, c]) for c in (AHEAD, FILL_NS, DONE_LOTS, REACHED_NS)))
        assert found == (fate.kind, fate.ahead, fate.fill_ns, fate.lots, fate.reached_ns)


@settings(deadline=None, max_examples=300)
@given(markets, st.lists(st.tuples(st.integers(0, 200), near, near), min_size=1, max_size=30), st.integers(1, 3))
def test_on_the_unbatched_feed_no_model_fills_before_the_optimistic_or_after_the_pessimistic_bound(
    commands: list[Command], wanted: list[tuple[int, int, int]], q_lots: int
) -> None:
    rows = log_of(commands)
    decide_ns = np.array(sorted(1_000_000_000 + at * 1000 for at, _, _ in wanted))
    bid, ask = (MIDDLE + np.array([place[k] for place in wanted]) for k in (1, 2))
    probes = new_probes(2 * len(wanted))
    for side, price in ((BID, bid), (ASK, ask)):
        give(probes, decide_ns + LATENCY_NS, np.full(len(wanted), side), price)
    pieces, shown = followed(rows, probes, q_lots, [])
    feed = UnbatchedFeed()
    chunks = [feed.take(piece, sizes) for piece, sizes in zip(pieces, shown, strict=True)]
    config = LabelConfig(latency_ns=LATENCY_NS, order_life_ns=LIFE_NS, q_lots=q_lots, outcomes=False)
    day = run_day(
        DecisionRows(decide_ns, decide_ns, bid, ask), chunks, make_tape(feed.trades()), config, "plus_one", 1000
    )
    true_ns = np.where(probes.fate[:, FILL_NS] < 0, NEVER, probes.fate[:, FILL_NS])
    pess, prop, opt = (np.where(ns < 0, NEVER, ns) for ns in day.fates.fill_ns)
    assert np.all(opt <= true_ns)
    assert np.all(true_ns <= pess)
    assert np.all((opt <= prop) & (prop <= pess))
    told_ns = np.concatenate([chunk["ts_event_ns"] for chunk in chunks])
    if len(told_ns):  # what a taker drops is no message: labels know nothing after the last one
        arrived = probes.given[:, 0] < told_ns[-1]
        assert np.array_equal((probes.kind == 4)[arrived], (day.fates.fill_kind[0] == 4)[arrived])


def test_a_log_that_fills_out_of_turn_is_found() -> None:
    rows: list[Row] = [(1, 0, 1, BID, 10, 5), (2, 0, 2, BID, 10, 5), (5, FILL, 2, BID, 10, 5)]
    probes = new_probes(1)
    give(probes, np.array([2000]), np.array([BID]), np.array([10]))
    book = new_probe_book()
    follow(book, probes, as_log(rows), LIFE_NS, 1, new_seen(3))
    assert book.scalars[FAULT] == -1, "the order that traded stood before the probe: no contradiction is seen"
    rows.insert(2, (3, 0, 3, BID, 10, 5))
    probes = new_probes(1)
    give(probes, np.array([2500]), np.array([BID]), np.array([10]))
    rows[3] = (5, FILL, 3, BID, 10, 5)
    book = new_probe_book()
    follow(book, probes, as_log(rows), LIFE_NS, 1, new_seen(4))
    assert book.scalars[FAULT] == 3
