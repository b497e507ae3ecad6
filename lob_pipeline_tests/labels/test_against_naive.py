"""Every column of the labels against the slow reference, order by order, on random markets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline_tests.labels.streams import (
    MS,
    differences,
    event_columns,
    grid_rows,
    kernel_labels,
    random_market,
    row_at,
    trade_columns,
)
from lob_pipeline_tests.naive.labels_naive import NS, Market, Settings

KINDS_SEEN: dict[int, int] = {}


def compare(seed: int, *, with_seq: bool, wild: bool, own: Settings) -> None:
    """Build one market, label it both ways, and compare every row and column."""
    messages, trades = random_market(seed, 105, with_seq=with_seq, wild=wild)
    rng = np.random.default_rng(seed)
    if seed % 4 == 0:
        start = messages[0].time_ns + int(rng.integers(0, 20)) * NS
        own.trade_gaps_ns = [(start, start + int(rng.integers(0, 2)) * NS)]
    market = Market(messages, trades, own)
    rows = grid_rows(market, own.step_ns)
    labels = kernel_labels(event_columns(messages, rng), trade_columns(trades), rows, own, chunk_rows=37)
    wrong = []
    for i in range(2 * len(rows)):
        expected = market.label(*rows[i // 2], -1 if i % 2 == 0 else 1)
        if expected["valid"]:
            for suffix in ("_opt", "", "_pess"):
                kind = expected["fill_kind" + suffix]
                KINDS_SEEN[kind] = KINDS_SEEN.get(kind, 0) + 1
            never = 1 << 62
            delay = [expected["fill_delay_ns" + s] for s in ("_opt", "", "_pess")]
            opt, prop, pess = (never if d < 0 else d for d in delay)
            assert opt <= prop <= pess, f"ordering law at row {i} of seed {seed}: {delay}"
        found = differences(row_at(labels, i), expected)
        if found:
            wrong.append(f"row {i} of seed {seed}: {found[:4]}")
    assert not wrong, wrong[:3]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1 << 30),
    with_seq=st.booleans(),
    wild=st.booleans(),
    q=st.sampled_from([1, 5, 50]),
    life_s=st.sampled_from([2, 7, 15]),
    horizon_s=st.sampled_from([1, 3, 30]),
    latency_ms=st.sampled_from([0, 10, 50, 500]),
)
def test_random_markets(
    seed: int, with_seq: bool, wild: bool, q: int, life_s: int, horizon_s: int, latency_ms: int
) -> None:
    own = Settings(
        latency_ns=latency_ms * MS,
        life_ns=life_s * NS,
        horizon_ns=horizon_s * NS,
        q=q,
        adverse_below_bps=-8.0,
        floor_bps=-20.0,
    )
    compare(seed, with_seq=with_seq, wild=wild, own=own)


@pytest.mark.parametrize("seed", range(8))
def test_default_settings(seed: int) -> None:
    compare(seed, with_seq=seed % 2 == 1, wild=seed >= 4, own=Settings())


def test_every_kind_of_fill_was_compared() -> None:
    assert all(KINDS_SEEN.get(kind, 0) >= 50 for kind in range(5)), KINDS_SEEN


def test_chunks_do_not_matter() -> None:
    messages, trades = random_market(5, 100, wild=True)
    own = Settings(life_ns=2 * NS)
    rows = grid_rows(Market(messages, trades, own), own.step_ns)
    whole = kernel_labels(event_columns(messages), trade_columns(trades), rows, own)
    for seed in range(3):
        cut = event_columns(messages, np.random.default_rng(seed))
        parts = kernel_labels(cut, trade_columns(trades), rows, own, chunk_rows=11 + seed)
        for name, values in whole.items():
            np.testing.assert_array_equal(np.ma.getmaskarray(values), np.ma.getmaskarray(parts[name]), err_msg=name)
            np.testing.assert_array_equal(np.ma.filled(values, 0), np.ma.filled(parts[name], 0), err_msg=name)


def test_nothing_after_the_span_is_read() -> None:
    """Labels of a row are the same whether the recording goes on after its t_end or ends there."""
    messages, trades = random_market(11, 140)
    own = Settings(life_ns=2 * NS)
    rows = grid_rows(Market(messages, trades, own), own.step_ns)
    whole = kernel_labels(event_columns(messages), trade_columns(trades), rows, own)
    cut_ns = int(whole["t_end_ns"][200])
    last = next(i for i, m in enumerate(messages) if m.time_ns > cut_ns)
    early = kernel_labels(
        event_columns(messages[: last + 1]),
        trade_columns([t for t in trades if t.time_ns <= cut_ns]),
        [r for r in rows if r[1] <= messages[last].time_ns],
        own,
    )
    for i in range(201):
        assert differences(row_at(early, i), row_at(whole, i)) == []
    assert bool(early["valid"][200])
    assert not early["valid"][-1]
