"""``exit_maker_ratio``: what a day of labels would have said under another maker fee follows from it, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline_tests.labels.streams import event_columns, grid_rows, kernel_labels, random_market, trade_columns
from lob_pipeline_tests.naive.labels_naive import NS, Market, Settings

SUFFIXES = ("", "_pess", "_opt")
SHARES_SEEN: set[str] = set()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1 << 30),
    q=st.sampled_from([1, 4, 30]),
    fee=st.floats(-3.0, 12.0),
    wild=st.booleans(),
)
def test_the_edge_at_another_maker_fee_follows_from_the_ratio(seed: int, q: int, fee: float, wild: bool) -> None:
    own = Settings(life_ns=4 * NS, horizon_ns=2 * NS, q=q, maker_bps=2.0, taker_bps=5.5)
    messages, trades = random_market(seed, 100, wild=wild)
    rows = grid_rows(Market(messages, trades, own), own.step_ns)
    events, tape = event_columns(messages), trade_columns(trades)
    known = kernel_labels(events, tape, rows, own)
    other = kernel_labels(events, tape, rows, replace(own, maker_bps=fee))
    for s in SUFFIXES:
        edge, ratio = known[f"edge_bps{s}"], known[f"exit_maker_ratio{s}"]
        np.testing.assert_array_equal(np.isnan(edge), np.isnan(ratio))
        there = ~np.isnan(edge)
        assert np.all((ratio[there] >= 0) & (ratio[there] <= 1))
        expected = edge[there] + (2.0 - fee) * (1.0 + ratio[there])
        np.testing.assert_allclose(other[f"edge_bps{s}"][there], expected, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(np.isnan(other[f"edge_bps{s}"]), ~there)
        SHARES_SEEN.update("none" if r == 0 else "all" if r == 1 else "part" for r in ratio[there])


def test_exits_of_every_kind_were_seen() -> None:
    assert sorted(SHARES_SEEN) == ["all", "none", "part"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_order_of_one_lot_leaves_whole_or_not_at_all(suffix: str) -> None:
    own = Settings(life_ns=4 * NS, horizon_ns=2 * NS)
    messages, trades = random_market(3, 100)
    rows = grid_rows(Market(messages, trades, own), own.step_ns)
    ratio = kernel_labels(event_columns(messages), trade_columns(trades), rows, own)[f"exit_maker_ratio{suffix}"]
    assert set(np.unique(ratio[~np.isnan(ratio)])) == {0.0, 1.0}
