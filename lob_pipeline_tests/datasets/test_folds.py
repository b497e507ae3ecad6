"""Walk-forward folds: against the slow way, and what must hold of them whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.folds import Fold, covered_blocks, final_split, walk_forward
from lob_pipeline_tests.datasets.synthetic import BLOCK_NS, STEP_NS, first_rows, random_instants
from lob_pipeline_tests.naive import datasets_naive as naive

SEEN: dict[str, int] = {}
seeds = st.integers(0, 1 << 30)
many = settings(max_examples=60, deadline=None, derandomize=True)


@many
@given(
    seed=seeds,
    before=st.integers(1, 3),
    share=st.sampled_from([0.05, 0.2, 0.5]),
    rolling=st.sampled_from([0, 1, 2, 4]),
    decides=st.sampled_from([0.02, 0.3, 0.9]),
)
def test_folds_are_those_of_the_slow_way(seed: int, before: int, share: float, rolling: int, decides: float) -> None:
    instants = random_instants(seed, decides=decides)
    found = walk_forward(instants, minimum_blocks_before=before, held_share=share, rolling_blocks=rolling)
    expected = naive.folds(instants, before, share, rolling)
    assert [f.number for f in found] == list(range(1, len(expected) + 1))
    for fold, other in zip(found, expected, strict=True):
        for name in ("train", "held", "test"):
            assert getattr(fold, name).tolist() == other[name]
        assert (fold.held_start_ns, fold.purged) == (other["held_start_ns"], other["purged"])
    SEEN["folds"] = SEEN.get("folds", 0) + len(found)
    SEEN["purged"] = SEEN.get("purged", 0) + sum(f.purged for f in found)


def test_enough_folds_and_purged_rows_were_compared() -> None:
    assert SEEN["folds"] > 100
    assert SEEN["purged"] > 500


def check_purged(instants_end_ns: np.ndarray, ts_ns: np.ndarray, fold: Fold) -> None:
    """No span of a part reaches the part after it."""
    assert np.all(instants_end_ns[fold.train] < fold.held_start_ns)
    assert np.all(instants_end_ns[fold.held] < fold.test_start_ns)
    assert np.all(ts_ns[fold.held] >= fold.held_start_ns)
    assert np.all(ts_ns[fold.test] > fold.test_start_ns)
    assert np.all(ts_ns[fold.test] <= fold.test_end_ns)


@many
@given(seed=seeds, rolling=st.sampled_from([0, 2]))
def test_no_span_reaches_what_it_is_judged_by(seed: int, rolling: int) -> None:
    instants = random_instants(seed)
    scored = set(np.flatnonzero(instants.scored).tolist())
    seen: set[int] = set()
    for fold in walk_forward(instants, rolling_blocks=rolling):
        check_purged(instants.t_end_ns, instants.ts_ns, fold)
        parts = [set(part.tolist()) for part in (fold.train, fold.held, fold.test)]
        assert all(parts)
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]
        assert set.union(*parts) <= scored
        assert not parts[2] & seen  # no row is tested twice
        seen |= parts[2]
        assert fold.test_start_ns % instants.block_ns == 0
        assert fold.test_end_ns - fold.test_start_ns == instants.block_ns


def test_a_leaking_row_would_be_noticed() -> None:
    """The check itself fails on a fold whose last training row was not purged."""
    instants = random_instants(4, gap_rate=0.0)
    fold = walk_forward(instants)[0]
    leaking = Fold(**{**fold.__dict__, "train": np.append(fold.train, fold.held[0] - 1)})
    with pytest.raises(AssertionError):
        check_purged(instants.t_end_ns, instants.ts_ns, leaking)


@many
@given(seed=seeds, kept=st.integers(300, 1199), rolling=st.sampled_from([0, 3]))
def test_more_data_moves_no_fold_but_the_newest(seed: int, kept: int, rolling: int) -> None:
    instants = random_instants(seed)
    today = walk_forward(first_rows(instants, kept), rolling_blocks=rolling)
    tomorrow = walk_forward(instants, rolling_blocks=rolling)
    assert len(tomorrow) >= len(today)
    for old, new in zip(today[:-1], tomorrow, strict=False):
        assert (old.number, old.test_start_ns, old.held_start_ns) == (new.number, new.test_start_ns, new.held_start_ns)
        for name in ("train", "held", "test"):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name))


def test_blocks_without_data_are_no_folds() -> None:
    instants = random_instants(1, n=900, gap_rate=0.0, decides=1.0)
    keep = np.ones(900, np.bool_)
    start = int((instants.ts_ns[0] // BLOCK_NS + 3) * BLOCK_NS)
    keep[(instants.ts_ns > start) & (instants.ts_ns <= start + BLOCK_NS)] = False
    instants.orders.valid[~keep] = False
    folds = walk_forward(instants)
    assert len(folds) >= 3
    assert start not in {f.test_start_ns for f in folds}
    assert start + BLOCK_NS in {f.test_start_ns for f in folds}


def test_half_a_block_is_enough_and_less_is_not() -> None:
    instants = random_instants(2, n=1000, gap_rate=0.0, decides=1.0)
    instants.orders.valid[:] = True
    instants.segment[:] = 0
    block = int(instants.ts_ns[500] // BLOCK_NS)
    inside = np.flatnonzero((instants.ts_ns > block * BLOCK_NS) & (instants.ts_ns <= (block + 1) * BLOCK_NS))
    half = BLOCK_NS // STEP_NS // 2
    instants.orders.valid[inside[half:]] = False
    assert block in covered_blocks(instants)
    instants.orders.valid[inside[half - 1]] = False
    assert block not in covered_blocks(instants)


@many
@given(seed=seeds, share=st.sampled_from([0.1, 0.2]))
def test_the_final_split_uses_every_row_and_holds_the_last(seed: int, share: float) -> None:
    instants = random_instants(seed)
    fold = final_split(instants, share)
    scored = np.flatnonzero(instants.scored)
    assert len(fold.test) == 0
    assert len(fold.train) + len(fold.held) + fold.purged == len(scored)
    assert fold.held[-1] == scored[-1]
    assert len(fold.held) == int(np.ceil(share * len(scored)))
    check_purged(instants.t_end_ns, instants.ts_ns, fold)


def test_settings_that_mean_nothing_are_refused() -> None:
    instants = random_instants(1, n=200)
    with pytest.raises(BadInputError, match=r"held_share 1\.0"):
        walk_forward(instants, held_share=1.0)
    with pytest.raises(BadInputError, match="at least one block"):
        walk_forward(instants, minimum_blocks_before=0)
    instants.orders.valid[:] = False
    assert walk_forward(instants) == ()
    with pytest.raises(BadInputError, match="0 scored rows"):
        final_split(instants)
