"""Block-bootstrap intervals: against theory, against rows glued together, and when they must refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.evaluation.significance import block_mean, mean_block_ns


def test_independent_rows_give_the_textbook_interval() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 20_000)
    found = block_mean(values, 1)
    half = 1.96 * 2.0 / math.sqrt(20_000)
    assert found.mean == pytest.approx(values.mean())
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_repeated_rows_do_not_shrink_the_interval_when_blocks_know_it() -> None:
    """Each value written 50 times is no new information: rows would claim an interval five times too narrow."""
    values = np.random.default_rng(2).normal(0.0, 1.0, 2_000)
    glued = np.repeat(values, 25)
    honest = block_mean(values, 1)
    naive = block_mean(glued, 1, replicates=300)
    blocks = block_mean(glued, 250)
    assert honest.low is not None
    assert naive.low is not None
    assert blocks.low is not None
    assert naive.high - naive.low < 0.25 * (honest.high - honest.low)  # type: ignore[operator]
    assert blocks.high - blocks.low == pytest.approx(honest.high - honest.low, rel=0.2)  # type: ignore[operator]


def test_coverage_on_an_autoregression() -> None:
    """95 % intervals on AR(1) with coefficient 0.9 hold the true mean nearly always; row intervals would not."""
    noise = np.random.default_rng(3).normal(size=(3_000, 100))
    walks = np.empty_like(noise)
    walks[0] = noise[0] / math.sqrt(1 - 0.81)
    for i in range(1, len(noise)):
        walks[i] = 0.9 * walks[i - 1] + noise[i]
    held = held_by_rows = 0
    for series in walks.T:
        found, rows = (block_mean(series, b, replicates=100) for b in (100, 1))
        held += found.low <= 0.0 <= found.high  # type: ignore[operator]
        held_by_rows += rows.low <= 0.0 <= rows.high  # type: ignore[operator]
    assert held >= 86, f"{held} of 100"
    assert held_by_rows <= 60, f"{held_by_rows} of 100"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.floats(-100, 100), st.just(math.nan)), min_size=1, max_size=200), st.integers(1, 30))
def test_the_interval_holds_the_range_and_holes_are_no_zeros(values: list[float], block: int) -> None:
    series = np.array(values)
    known = series[~np.isnan(series)]
    found = block_mean(series, block, replicates=50)
    assert found.n == known.size
    if known.size == 0:
        assert found.mean is None
        return
    assert found.mean == pytest.approx(known.mean(), abs=1e-9)
    if found.low is not None and found.high is not None:
        assert known.min() - 1e-9 <= found.low <= found.high <= known.max() + 1e-9
        assert found == block_mean(series, block, replicates=50), "the same seed gives the same interval"


def test_few_blocks_give_no_interval() -> None:
    found = block_mean(np.arange(99.0), 10)
    assert found.mean == 49.0
    assert found.low is None
    assert found.high is None


def test_blocks_follow_the_horizon() -> None:
    assert mean_block_ns(NS_PER_S // 10) == 30 * NS_PER_S
    assert mean_block_ns(60 * NS_PER_S) == 600 * NS_PER_S
