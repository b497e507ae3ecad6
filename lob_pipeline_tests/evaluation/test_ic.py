"""The information coefficient against pandas, its pairs against the definition, its interval against a known case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.evaluation.ic import (
    _codes,
    _stationary_weights,
    average_ranks,
    forward_log_return,
    information_coefficient,
)

STEP_NS = 100_000_000
SECOND = 1_000_000_000


def series(n: int, seed: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=n), 1)  # ties on purpose
    y = np.round(strength * x + rng.normal(size=n), 1)
    x[rng.random(n) < 0.1] = np.nan
    y[rng.random(n) < 0.1] = np.nan
    return x, y


@given(st.integers(0, 10_000), st.floats(-2, 2))
@settings(max_examples=30, deadline=None)
def test_both_coefficients_equal_pandas(seed: int, strength: float) -> None:
    x, y = series(500, seed, strength)
    found = information_coefficient(x, y, STEP_NS, SECOND, replicates=5)
    frame = pd.DataFrame({"x": x, "y": y}).dropna()
    assert found.n == len(frame)
    assert found.spearman == pytest.approx(frame.rank().corr().iloc[0, 1], abs=1e-12)
    assert found.pearson == pytest.approx(frame.corr().iloc[0, 1], abs=1e-12)


def test_ranks_of_a_weighted_sample_are_those_of_the_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    values, weights = rng.integers(0, 20, 200).astype(float), rng.integers(0, 4, 200)
    repeated = pd.Series(np.repeat(values, weights)).rank().to_numpy()
    weighted = average_ranks(_codes(values), weights.astype(float))
    assert np.allclose(np.repeat(weighted, weights), repeated)


@given(st.integers(1, 400), st.floats(1.0, 60.0), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_resample_draws_as_many_rows_as_there_are(n: int, block: float, seed: int) -> None:
    weights = _stationary_weights(n, block, np.random.default_rng(seed))
    assert weights.sum() == n
    assert (weights >= 0).all()


def test_returns_pair_exact_instants_and_skip_what_is_not_valid() -> None:
    ts = np.array([1, 2, 3, 5, 6, 7], dtype=np.int64) * STEP_NS
    m2 = np.array([100, 102, 104, 110, 90, 95], dtype=np.int64)
    valid = np.array([True, True, True, True, False, True])
    found = forward_log_return(ts, m2, valid, 2 * STEP_NS)
    expected = [np.log(104 / 100), np.nan, np.log(110 / 104), np.log(95 / 110), np.nan, np.nan]
    assert np.allclose(found, expected, equal_nan=True)


def test_the_interval_holds_a_planted_correlation_and_widens_with_dependence() -> None:
    rng = np.random.default_rng(3)
    n = 30_000
    x = rng.normal(size=n)
    y = 0.5 * x + rng.normal(size=n)
    independent = information_coefficient(x, y, STEP_NS, SECOND)
    truth = 6 / np.pi * np.arcsin(0.5 / np.sqrt(1.25) / 2)
    assert independent.low is not None
    assert independent.high is not None
    assert independent.low < truth < independent.high
    slow = np.repeat(rng.normal(size=n // 300), 300)
    noise = np.repeat(rng.normal(size=n // 300), 300)
    dependent = information_coefficient(slow, 0.5 * slow + noise, STEP_NS, SECOND)
    assert dependent.low is not None
    assert dependent.high is not None
    assert dependent.high - dependent.low > 3 * (independent.high - independent.low)


def test_too_little_gives_no_interval_and_constants_no_coefficient() -> None:
    x, y = series(1_000, 1, 0.5)
    short = information_coefficient(x, y, STEP_NS, SECOND)
    assert short.spearman is not None
    assert short.low is None
    assert short.blocks == pytest.approx(1_000 / 300)
    assert information_coefficient(np.ones(5_000), np.arange(5_000.0), STEP_NS, SECOND).spearman is None
    assert information_coefficient(np.full(10, np.nan), np.ones(10), STEP_NS, SECOND).n == 0
