"""Windows of rows: every target counted once, no window over a gap, context where there is some."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.instants import segments
from lob_pipeline.datasets.windows import positions, windows
from lob_pipeline_tests.naive import datasets_naive as naive

runs = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=0, max_size=8)


def data(shape: list[tuple[int, int]], seed: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Segments of the given lengths with unusable rows between some of them; targets at a rate, unusable rows too."""
    numbers: list[int] = []
    for k, (rows, pause) in enumerate(shape):
        numbers += [k] * rows + [-1] * pause
    segment = np.array(numbers, np.int32)
    return segment, np.random.default_rng(seed).random(len(segment)) < rate


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    shape=runs,
    seed=st.integers(0, 99),
    rate=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    length=st.integers(1, 12),
    context=st.integers(0, 11),
)
def test_every_target_is_counted_once_and_no_window_crosses_a_gap(
    shape: list[tuple[int, int]], seed: int, rate: float, length: int, context: int
) -> None:
    context = min(context, length - 1)
    segment, target = data(shape, seed, rate)
    starts = windows(segment, target, length, context)
    found = positions(segment, target, starts, length)
    times_counted = np.zeros(len(segment), np.int64)
    np.add.at(times_counted, found.row[found.counted], 1)
    np.testing.assert_array_equal(times_counted, (target & (segment >= 0)).astype(np.int64))
    assert np.all(np.diff(starts) > 0)
    for k, start in enumerate(starts):
        real = found.row[k][found.real[k]]
        assert set(segment[real]) == {segment[start]}
        assert segment[start] >= 0
        assert np.all(np.diff(real) == 1)
        assert not np.any(found.counted[k] & ~found.real[k])
        size = int(np.sum(segment == segment[start]))
        assert len(real) == min(length, size)  # padding only where the segment is shorter than a window
        before = int(np.flatnonzero(found.counted[k])[0])
        first_of_segment = start == 0 or segment[start - 1] != segment[start]
        assert before >= context or first_of_segment
    assert len(starts) <= np.count_nonzero(target & (segment >= 0))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 30), n=st.integers(0, 60))
def test_segments_are_those_of_the_slow_way(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    ts_ns = np.cumsum(rng.choice([5, 5, 5, 10], n)).astype(np.int64)
    usable = rng.random(n) < 0.8
    assert segments(ts_ns, usable, 5).tolist() == naive.segment_numbers(ts_ns.tolist(), usable.tolist(), 5)


def test_the_last_window_of_a_segment_is_shifted_back() -> None:
    segment = np.zeros(10, np.int32)
    assert windows(segment, np.ones(10, np.bool_), 4).tolist() == [0, 4, 6]
    counted = positions(segment, np.ones(10, np.bool_), np.array([0, 4, 6]), 4).counted
    assert counted.sum(axis=1).tolist() == [4, 4, 2]


def test_rows_between_targets_are_skipped() -> None:
    segment = np.zeros(100, np.int32)
    target = np.zeros(100, np.bool_)
    target[[3, 70]] = True
    assert windows(segment, target, 8, 5).tolist() == [0, 65]


@pytest.mark.parametrize(("length", "context"), [(0, 0), (4, 4), (4, -1)])
def test_windows_that_mean_nothing_are_refused(length: int, context: int) -> None:
    with pytest.raises(BadInputError, match="context"):
        windows(np.zeros(5, np.int32), np.ones(5, np.bool_), length, context)
