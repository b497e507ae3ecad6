"""Spans, validity, uniqueness, effective n and drawn latencies against their plain definitions."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.labels.overlap import (
    broken_spans,
    draw_latency,
    effective_n,
    span_end_ns,
    trade_id_gaps,
    uniqueness,
    valid_rows,
)
from lob_pipeline.labels.spec import LabelConfig


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 25)), min_size=1, max_size=12))
def test_uniqueness_is_the_mean_share_of_every_instant(spans: list[tuple[int, int]]) -> None:
    start = np.array([a for a, _ in spans], np.int64)
    end = np.array([a + d for a, d in spans], np.int64)
    found = uniqueness(start, end)
    for i in range(len(spans)):
        instants = np.arange(start[i], end[i]) + 0.5
        held = np.array([np.sum((start < u) & (u < end)) for u in instants])
        assert found[i] == pytest.approx(np.mean(1 / held))


def test_effective_n_counts_distinct_fills() -> None:
    t = np.array([5, 5, 5, 7, 5], np.int64)
    side = np.array([1, 1, -1, 1, 1], np.int8)
    price = np.array([100, 100, 100, 100, 101], np.int64)
    assert effective_n(t, side, price) == 4
    assert effective_n(t[:0], side[:0], price[:0]) == 0


def test_the_span_is_ninety_seconds_by_default() -> None:
    arrive = np.array([10 * NS_PER_S], np.int64)
    lag = np.array([50 * NS_PER_MS], np.int64)
    assert span_end_ns(arrive, lag, LabelConfig())[0] == 100 * NS_PER_S + 50 * NS_PER_MS
    assert span_end_ns(arrive, lag, LabelConfig(order_life_ns=5 * NS_PER_S))[0] == 75 * NS_PER_S


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=4),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=3),
    st.integers(10, 60),
)
def test_validity_looks_at_every_broken_span_and_gap(
    broken: list[tuple[int, int]], missing: list[tuple[int, int]], last: int
) -> None:
    ts = np.arange(5, 55, dtype=np.int64)
    arrive, end, step = ts + 2, ts + 8, 3
    spans = np.array([(a, a + d) for a, d in sorted(broken)], np.int64).reshape(-1, 2)
    gaps = np.array([(a, a + d) for a, d in missing], np.int64).reshape(-1, 2)
    found = valid_rows(ts, arrive, end, step, last, spans, gaps)
    for i, t in enumerate(ts.tolist()):
        bad = any(a < end[i] and b > t - step for a, b in spans.tolist())
        bad |= any(arrive[i] <= b and a <= end[i] for a, b in gaps.tolist())
        assert found[i] == (not bad and last > end[i])


def test_locked_and_crossed_states_break_the_book_and_empty_sides_do_not() -> None:
    times = np.array([10, 20, 30, 40, 50], np.int64)
    bid = np.array([5, 7, 6, -1, 5], np.int64)
    ask = np.array([6, 7, 7, 9, -1], np.int64)
    assert broken_spans(times, bid, ask, np.empty((0, 2), np.int64)).tolist() == [[19, 30]]


def test_missing_trades_lie_between_their_neighbours() -> None:
    ids = np.array([7, 3, 4, 4, 12, 5], np.int64)
    times = np.array([70, 30, 40, 40, 120, 50], np.int64)
    assert trade_id_gaps(ids, times).tolist() == [[50, 70], [70, 120]]
    assert trade_id_gaps(ids[:0], times[:0]).shape == (0, 2)


def test_a_drawn_latency_is_the_inverse_of_the_sample() -> None:
    ts = np.arange(0, 2_000, dtype=np.int64) * NS_PER_MS
    config = LabelConfig(latency_sample_ns=(30, 10, 20, 40), latency_seed=9)
    found = draw_latency(ts, config)
    for i in (0, 1, 999):
        digest = hashlib.blake2b((9).to_bytes(8, "little") + int(ts[i]).to_bytes(8, "little")).digest()
        u = int.from_bytes(digest, "big") >> (512 - 53)
        assert found[i] == (10, 20, 30, 40)[int(u / 2**53 * 4)]
    assert (draw_latency(ts, config) == found).all()
    counts = {v: int((found == v).sum()) for v in (10, 20, 30, 40)}
    assert all(400 < n < 600 for n in counts.values()), counts
    assert (draw_latency(ts, LabelConfig(latency_ns=7)) == 7).all()
