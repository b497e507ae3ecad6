"""Scaling: fitted on the given rows alone, one row function for batch and live."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.normalise import CLIP, Normaliser, fit_normaliser, normalise_row, takes_asinh
from lob_pipeline.features.registry import BUILT
from lob_pipeline_tests.naive import datasets_naive as naive

NAMES = ("spread_ticks", "ofi_l1_1s_lots", "log_return_1s_bps", "signed_volume_1s_lots", "hour_sin")
LOTS = [False, True, False, True, False]


def features_of(seed: int, n: int = 400) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-4, 5, len(NAMES))
    x = (rng.standard_t(2, (n, len(NAMES))) * scale + rng.normal(0, 3, len(NAMES)) * scale).astype(np.float32)
    x[:, 4] = np.float32(rng.normal() * 1e6)  # constant
    return x


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 30), count=st.integers(1, 400))
def test_scaling_is_the_slow_ways(seed: int, count: int) -> None:
    x = features_of(seed)
    rows = np.sort(np.random.default_rng(seed).choice(400, count, replace=False))
    found = fit_normaliser(x, rows, NAMES)
    mean, scale = naive.scaling(x, rows, LOTS)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6, atol=1e-6 * np.abs(scale).max())
    np.testing.assert_allclose(found.scale, scale, rtol=1e-6)
    own = naive.scaled(x, LOTS, found.mean.astype(np.float64), found.scale.astype(np.float64))
    # float32: asinh and the difference are each rounded once, relative to what they are rounded from
    size = np.where(LOTS, np.arcsinh(np.abs(x.astype(np.float64))), np.abs(x)) + np.abs(found.mean)
    bound = 1e-6 + 4 * 2.0**-24 * size / np.where(found.scale > 0, found.scale, 1.0)
    np.testing.assert_array_less(np.abs(found.apply(x) - own), bound)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 30))
def test_a_row_alone_is_the_same_bits_as_in_a_batch(seed: int) -> None:
    x = features_of(seed, 97)
    x[3, 1] = np.nan
    found = fit_normaliser(x, np.arange(10, 90), NAMES)
    batch = found.apply(x)
    out = np.empty(len(NAMES), np.float32)
    for i in range(len(x)):
        normalise_row(x[i], found.asinh, found.mean, found.scale, out)
        np.testing.assert_array_equal(out.view(np.uint32), batch[i].view(np.uint32))
    np.testing.assert_array_equal(found.apply(np.asfortranarray(x)).view(np.uint32), batch.view(np.uint32))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 30))
def test_rows_that_were_not_given_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = features_of(seed)
    rows = np.sort(rng.choice(400, 150, replace=False))
    other = rng.normal(size=x.shape).astype(np.float32) * 1e6
    other[rng.random(x.shape) < 0.1] = np.nan
    other[rows] = x[rows]
    a, b = fit_normaliser(x, rows, NAMES), fit_normaliser(other, rows, NAMES)
    np.testing.assert_array_equal(a.mean.view(np.uint32), b.mean.view(np.uint32))
    np.testing.assert_array_equal(a.scale.view(np.uint32), b.scale.view(np.uint32))
    moved = x.copy()
    moved[rows[0]] += 1000.0
    assert not np.array_equal(fit_normaliser(moved, rows, NAMES).mean, a.mean)


def test_a_constant_column_and_far_values_stay_finite() -> None:
    x = features_of(5)
    found = fit_normaliser(x, np.arange(400), NAMES)
    assert found.muted == (NAMES[4],)
    assert np.all(found.apply(x)[:, 4] == 0.0)
    x[0] = [1e30, 1e30, -1e30, -1e30, 3e38]
    out = found.apply(x)
    assert np.all(np.abs(out) <= CLIP)
    assert out[0, 0] == CLIP
    assert out[0, 2] == -CLIP


def test_what_training_rows_say_nothing_about_is_muted() -> None:
    x = features_of(5)
    muted = np.array([False, True, False, False, False])
    found = fit_normaliser(x, np.arange(100), NAMES, muted=muted)
    assert found.muted == (NAMES[1], NAMES[4])
    x[200:, 4] += 7.0  # constant while training, other afterwards: nothing was learned about it
    out = found.apply(x)
    assert np.all(out[:, [1, 4]] == 0.0)
    assert np.all(out[:, [0, 2, 3]].std(axis=0) > 0.1)


def test_nan_stays_nan() -> None:
    x = features_of(6)
    found = fit_normaliser(x, np.arange(400), NAMES)
    x[7, :] = np.nan
    assert np.isnan(found.apply(x)[7]).all()
    assert not np.isnan(found.apply(x)[8]).any()


def test_lots_alone_are_bent() -> None:
    marked = takes_asinh(tuple(f.name for f in BUILT))
    assert {f.name for f, m in zip(BUILT, marked, strict=True) if m} == {f.name for f in BUILT if f.unit == "lots"}
    assert marked.sum() > 10
    assert not takes_asinh(("bid_depth_l1_log1p_lots",))[0]


def test_json_keeps_every_bit() -> None:
    found = fit_normaliser(features_of(8), np.arange(300), NAMES)
    again = Normaliser.from_json(json.loads(json.dumps(found.to_json())))
    assert again.names == found.names
    for name, values in found.arrays().items():
        np.testing.assert_array_equal(values, again.arrays()[name])


def test_bad_input_is_said_in_a_sentence() -> None:
    x = features_of(1)
    with pytest.raises(BadInputError, match="empty"):
        fit_normaliser(x, np.empty(0, np.int64), NAMES)
    found = fit_normaliser(x, np.arange(9), NAMES)
    with pytest.raises(BadInputError, match="5 features"):
        found.apply(x[:, :4])
    with pytest.raises(BadInputError, match="float64"):
        found.apply(x.astype(np.float64))
    x[2, 0] = np.nan
    with pytest.raises(BadInputError, match="spread_ticks"):
        fit_normaliser(x, np.arange(9), NAMES)
