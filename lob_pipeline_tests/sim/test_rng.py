"""The random stream inside numba is numpy's Philox, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from lob_pipeline.sim.rng import below, exponential, lognormal_lots, new_stream, next_word, normal, uniform


@pytest.mark.parametrize("key", [(0, 0), (1, 738_000), (2**64 - 1, 2**63 + 12345)])
def test_words_equal_numpys_philox(key: tuple[int, int]) -> None:
    ours = new_stream(*key)
    numpys = np.random.Philox(key=np.array(key, np.uint64), counter=0)
    assert [int(next_word(ours)) for _ in range(101)] == [int(w) for w in numpys.random_raw(101)]


def test_counter_carries_into_the_next_word() -> None:
    ours = new_stream(5, 6)
    ours[2] = np.uint64(2**64 - 1)
    numpys = np.random.Philox(key=np.array([5, 6], np.uint64), counter=2**64 - 1)
    assert [int(next_word(ours)) for _ in range(9)] == [int(w) for w in numpys.random_raw(9)]


def test_uniform_equals_numpys_double() -> None:
    ours = new_stream(3, 4)
    numpys = np.random.Generator(np.random.Philox(key=np.array([3, 4], np.uint64), counter=0))
    assert [uniform(ours) for _ in range(50)] == numpys.random(50).tolist()


def test_draws_have_the_moments_they_promise() -> None:
    stream = new_stream(7, 7)
    n = 40_000
    exponentials = np.array([exponential(stream) for _ in range(n)])
    normals = np.array([normal(stream) for _ in range(n)])
    integers = np.array([below(stream, 7) for _ in range(n)])
    sizes = np.array([lognormal_lots(stream, 20.0, 1.0, 500.0) for _ in range(n)])
    assert exponentials.min() >= 0
    assert abs(exponentials.mean() - 1) < 0.03
    assert abs(normals.mean()) < 0.03
    assert abs(normals.std() - 1) < 0.03
    assert np.abs(np.bincount(integers, minlength=7) / n - 1 / 7).max() < 0.01
    assert sizes.min() >= 1
    assert sizes.max() == 500
    assert abs(np.median(sizes) - 20) <= 1
