"""The profile equals its definition, is odd in the imbalance, and is neutral where there is too little of a past."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.tables import PROFILE_DAYS, ROW
from lob_pipeline.features.profile import (
    COLUMNS,
    SAMPLE_NS,
    DayCounts,
    checked,
    count,
    days_that_count,
    fit,
    fit_microprice,
    neutral_profile,
    new_counts,
)
from lob_pipeline.features.profile_kernel import STATES, decile_of
from lob_pipeline_tests.features.rows import RowPlan, random_rows
from lob_pipeline_tests.naive import profile as naive
from lob_pipeline_tests.naive.profile import BookRow

Rows = npt.NDArray[np.int64]
DAY = 86_400_000_000_000
START = 1_700_006_400_000_000_000


def columns_of(rows: Rows) -> Rows:
    return np.column_stack([rows[:, ROW[name]] for name in COLUMNS])


def counted(rows: Rows, step_ns: int, cuts: int = 1) -> DayCounts:
    counts = new_counts()
    for part in np.array_split(columns_of(rows), cuts):
        count(counts, part, step_ns)
    return counts


def days(step_ns: int, number: int, rows: int = 800, lots: int = 9) -> list[Rows]:
    """Rows of some days from the same quarter-hours; few lots, so that equal queues and borders are met often."""
    return [
        random_rows(
            RowPlan(
                rows,
                seed=seed,
                step_ns=step_ns,
                start_ns=START + seed * DAY,
                lots=lots,
                depth=4,
                moves=0.5,
                invalid=0.01,
                snapshots=0.01,
            )
        )
        for seed in range(number)
    ]


@pytest.mark.parametrize("step_ns", [20_000_000, 100_000_000, 1_000_000_000])
def test_the_fit_equals_its_definition(step_ns: int) -> None:
    """Finer clocks are sampled at 100 ms, coarser ones at their own step."""
    past = days(step_ns, 4)
    rows_60s = 100
    profile = fit([counted(rows, step_ns) for rows in past], rows_60s)
    plain = [[BookRow(*row) for row in columns_of(rows).tolist()] for rows in past]
    expected = naive.microprice(plain, step_ns, SAMPLE_NS)
    for (i, s), value in expected.items():
        assert profile.microprice_ticks[i, s - 1] == pytest.approx(value, rel=1e-8, abs=1e-10)
    assert np.abs(profile.microprice_ticks).max() > 0.01
    for found, theirs in zip(profile[1:], naive.seasons(plain, rows_60s), strict=True):
        assert [None if np.isnan(x) else x for x in found.tolist()] == pytest.approx(theirs)
    assert 0 < np.isfinite(profile.spread_ticks).sum() < 96


def test_chunks_do_not_matter() -> None:
    rows = days(100_000_000, 1)[0]
    for one, other in zip(counted(rows, 100_000_000), counted(rows, 100_000_000, cuts=7), strict=True):
        assert np.array_equal(one, other)


def test_the_correction_is_odd_to_the_last_bit_and_mirrored_days_give_its_negative() -> None:
    past = [counted(rows, 100_000_000) for rows in days(100_000_000, 3)]
    cells = fit(past, 100).microprice_ticks
    assert np.array_equal(cells, -cells[::-1])
    assert all(np.array_equal(day.drift.reshape(10, 3), -day.drift.reshape(10, 3)[::-1]) for day in past)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_deciles_mirror_and_borders_lie_toward_the_middle(bid: int, ask: int) -> None:
    if bid + ask == 0:
        return
    found, mirrored = decile_of(bid, ask), decile_of(ask, bid)
    if bid == ask:
        assert found == mirrored == -1
        return
    assert found == 9 - mirrored
    low, high = (found * (bid + ask), (found + 1) * (bid + ask))
    assert low <= 10 * bid <= high
    assert (10 * bid < high) if bid < ask else (10 * bid > low)


def test_fewer_than_three_days_are_neutral() -> None:
    past = [counted(rows, 100_000_000) for rows in days(100_000_000, 3)]
    neutral = fit(past[:2], 100)
    for found, expected in zip(neutral, neutral_profile(), strict=True):
        assert np.array_equal(found, expected, equal_nan=True)
    assert days_that_count(past[:2], 100).sum() == 0
    assert days_that_count(past, 100).max() == 3


def test_states_that_never_reach_a_move_have_no_correction() -> None:
    """State 0 rests in itself for ever; state 3 rests, then moves; state 26 is its mirror image."""
    chain, drift = np.zeros((2, STATES, STATES), np.int64), np.zeros(STATES, np.int64)
    chain[0, 0, 0] = chain[0, 27, 27] = 40
    chain[0, 3, 3] = chain[0, 24, 24] = 12
    chain[1, 3, 24] = chain[1, 24, 3] = 4
    drift[3], drift[24] = -8, 8
    found = fit_microprice(chain, drift).ravel()
    assert found[0] == found[27] == 0.0
    # From state 3 the mid falls by one tick at the next move, and by one again from there in the other direction.
    first = -8 / 4 / 2
    assert found[3] == pytest.approx(first * sum((-1) ** j for j in range(6)))


def test_a_profile_of_another_shape_is_refused() -> None:
    profile = neutral_profile()
    with pytest.raises(ValueError, match="shapes"):
        checked(profile._replace(spread_ticks=np.zeros(24)))
    with pytest.raises(ValueError, match="finite"):
        checked(profile._replace(microprice_ticks=np.full((10, 3), np.nan)))
    assert PROFILE_DAYS == 28
