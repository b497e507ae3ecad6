"""Sharpe ratios, overfitting, reality check, paired differences: against the papers' numbers and planted truths."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.evaluation.overfitting import pbo, reality_check
from lob_pipeline.evaluation.paired import paired_difference
from lob_pipeline.evaluation.series import PnlSeries
from lob_pipeline.evaluation.sharpe import (
    deflated_sharpe,
    expected_best_sharpe,
    probabilistic_sharpe,
    psr_of_moments,
    sharpe_per_trade,
)

STEP_NS = 10_000_000_000


def series(values: np.ndarray) -> PnlSeries:
    n = len(values)
    filled = ~np.isnan(values)
    ids = np.where(filled, np.cumsum(filled), -1)
    ts = STEP_NS * np.arange(1, n + 1)
    return PnlSeries(ts, values, np.where(filled, 2.0, np.nan), ids, np.ones(n, np.int64), int(filled.sum()))


def noise(seed: int, n: int = 6000, mean: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.2, rng.normal(mean, 3.0, n), np.nan)


def test_psr_of_the_paper() -> None:
    """Bailey, López de Prado 2012: SR 0.458 over 24 months; 0.982 if normal, 0.913 with its skewness and kurtosis."""
    assert psr_of_moments(0.458, 0.0, 0.0, 3.0, 24) == pytest.approx(0.982, abs=0.0005)
    assert psr_of_moments(0.458, 0.0, -2.448, 10.164, 24) == pytest.approx(0.913, abs=0.0005)


def test_psr_of_a_sample_is_that_of_its_moments() -> None:
    normal = np.random.default_rng(1).normal(0.1, 1.0, 400)
    found = probabilistic_sharpe(normal)
    ratio = sharpe_per_trade(normal)
    assert found is not None
    assert ratio is not None
    simple = 0.5 * math.erfc(-ratio * math.sqrt(399) / math.sqrt(1 + ratio**2 / 2) / math.sqrt(2))
    assert found == pytest.approx(simple, abs=0.01), "for a normal sample the correction is SR²/2"


def test_a_left_tail_lowers_the_probability() -> None:
    good = np.random.default_rng(2).normal(0.1, 1.0, 300)
    tail = np.where(np.arange(300) % 60 == 0, -6.0, good)
    tail += good.mean() - tail.mean()
    tail = (tail - tail.mean()) * good.std() / tail.std() + good.mean()
    assert sharpe_per_trade(tail) == pytest.approx(sharpe_per_trade(good))
    assert probabilistic_sharpe(tail) < probabilistic_sharpe(good)  # type: ignore[operator]


def test_the_expected_best_of_many_is_that_of_simulated_trials() -> None:
    draws = np.random.default_rng(3).normal(0.0, 0.2, (4000, 50)).max(axis=1)
    assert expected_best_sharpe(50, 0.04) == pytest.approx(draws.mean(), rel=0.02)
    assert expected_best_sharpe(1, 0.04) == 0.0


def test_luck_alone_sets_a_bar_even_where_every_trial_lost() -> None:
    pnl = np.random.default_rng(4).normal(0.2, 1.0, 400)
    one, many = deflated_sharpe(pnl, 1, 0.0), deflated_sharpe(pnl, 100, 0.0)
    assert one.benchmark == 0.0
    assert many.benchmark == pytest.approx(expected_best_sharpe(100, 1 / 400))
    assert many.dsr < one.dsr  # type: ignore[operator]


def test_a_sample_without_variance_has_no_ratio() -> None:
    for values in ([], [1.0], [2.0, 2.0, 2.0]):
        found = deflated_sharpe(np.array(values), 5, 0.1)
        assert found.sharpe is None
        assert found.psr is None
        assert found.dsr is None


def test_overfitting_is_likely_among_noise_and_unlikely_with_skill() -> None:
    luck = [pbo({f"m{k}": series(noise(100 * run + k)) for k in range(8)})["pbo"] for run in range(12)]
    assert 0.3 < float(np.mean(luck)) < 0.75
    skill = pbo({"good": series(noise(1, mean=1.5)), **{f"m{k}": series(noise(50 + k)) for k in range(7)}})
    assert skill["pbo"] < 0.05
    assert skill["halves"] == 252
    same = series(noise(4))
    assert pbo({"a": same, "b": same})["pbo"] == 1.0, "the best in sample is no better than the median elsewhere"
    assert pbo({"only": same})["pbo"] is None


def test_the_reality_check_rejects_skill_and_keeps_luck() -> None:
    luck = [reality_check({f"m{k}": series(noise(100 * run + k)) for k in range(8)})["p_value"] for run in range(30)]
    assert sum(p < 0.05 for p in luck) <= 6
    assert float(np.mean(luck)) > 0.3
    variants = {"good": series(noise(1, mean=0.8)), **{f"m{k}": series(noise(50 + k)) for k in range(7)}}
    found = reality_check(variants)
    assert found["best"] == "good"
    assert found["p_value"] < 0.02
    assert found == reality_check(variants)
    short = {name: series(s.pnl_bps[:100]) for name, s in variants.items()}
    assert reality_check(short)["p_value"] is None
    assert reality_check({})["best"] is None


def test_variants_on_other_rows_are_not_compared() -> None:
    a, b = series(noise(1)), series(noise(2, n=5999))
    both = {"a": a, "b": b}
    for call in (lambda: pbo(both), lambda: reality_check(both), lambda: paired_difference(a, b)):
        with pytest.raises(ValueError, match="identical rows"):
            call()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_paired_difference_is_antisymmetric_and_counts_every_row(one: int, two: int) -> None:
    a, b = series(noise(one, 1500)), series(noise(two, 1500))
    found, back = paired_difference(a, b), paired_difference(b, a)
    assert found["mean_bps_a_day"] == pytest.approx(-back["mean_bps_a_day"])
    total = (np.nansum(a.pnl_bps) - np.nansum(b.pnl_bps)) / a.days
    assert found["mean_bps_a_day"] == pytest.approx(total, abs=1e-6)
    assert found["low_bps_a_day"] <= found["mean_bps_a_day"] <= found["high_bps_a_day"]
    itself = paired_difference(a, a)
    assert (itself["low_bps_a_day"], itself["high_bps_a_day"]) == (0.0, 0.0)


def test_pairing_sees_a_difference_that_two_intervals_do_not() -> None:
    shared = noise(7)
    better = series(shared + 0.2)
    found = paired_difference(better, series(shared))
    assert found["low_bps_a_day"] > 0.0
    first, second = better.estimate(), series(shared).estimate()
    assert first.low < second.high  # type: ignore[operator]
    assert replace(better, orders=0).filled == better.filled
