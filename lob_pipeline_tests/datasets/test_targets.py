"""What the heads learn: dead zone, classes, masks, weights, and counts with their effective n."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.counts import FillCounter, fold_table, summary
from lob_pipeline.datasets.folds import walk_forward
from lob_pipeline.datasets.instants import SUFFIXES, effective_n
from lob_pipeline.datasets.targets import SIDED_HEADS, dead_zone_bps, targets
from lob_pipeline_tests.datasets.synthetic import random_instants
from lob_pipeline_tests.naive import datasets_naive as naive

seeds = st.integers(0, 1 << 30)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.sampled_from([0.0, 0.5, -0.5, 1.0, float("nan")]), st.floats(-5, 5)), max_size=30))
def test_the_dead_zone_holds_a_third_and_is_the_smallest(returns: list[float]) -> None:
    assert dead_zone_bps(np.array(returns, np.float64)) == naive.dead_zone(returns)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=seeds)
def test_targets_follow_the_labels(seed: int) -> None:
    instants = random_instants(seed)
    folds = walk_forward(instants)
    if not folds:
        return
    fold = folds[-1]
    found = targets(instants, fold)
    orders = instants.orders
    delta = naive.dead_zone(instants.mid_return_bps[fold.train].tolist())
    assert found.dead_zone_bps == delta
    for i in range(instants.rows):
        value = instants.mid_return_bps[i]
        expected = -1 if np.isnan(value) else 1 if abs(value) <= delta else 2 if value > 0 else 0
        assert found.direction[i] == (-1 if "direction" in found.masked_heads else expected)
        for side, name in enumerate(("buy", "sell")):
            valid, filled = orders.valid[i, side], orders.filled[""][i, side]
            raw = {
                "fill": float(filled) if valid else np.nan,
                "edge": orders.edge_bps[""][i, side],
                "mfe": orders.mfe_bps[i, side],
                "mae": orders.mae_bps[i, side],
                "adverse": orders.adverse[""][i, side],
                "entry": orders.entry[""][i, side],
            }
            for head, expected_value in raw.items():
                own = np.nan if f"{head}_{name}" in found.masked_heads else expected_value
                np.testing.assert_equal(getattr(found, head)[i, side], np.float32(own))
    assert np.all(np.isnan(found.edge[~orders.filled[""]]))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=seeds)
def test_weights_are_the_uniqueness_among_the_rows_of_a_part(seed: int) -> None:
    instants = random_instants(seed, n=600)
    folds = walk_forward(instants)
    if not folds:
        return
    fold = folds[0]
    weight = targets(instants, fold).weight
    inside = np.zeros((instants.rows, 2), np.bool_)
    for part in (fold.train, fold.held, fold.test):
        for side in (0, 1):
            rows = [i for i in part.tolist() if instants.orders.valid[i, side]]
            spans = [(int(instants.t_arrive_ns[i]), int(instants.t_end_ns[i])) for i in rows]
            np.testing.assert_allclose(weight[rows, side], naive.uniqueness(spans), rtol=1e-6)
            inside[rows, side] = True
    assert np.all(weight[~inside] == 0)
    assert np.all((weight[inside] > 0) & (weight[inside] <= 1))


def test_a_head_with_few_positives_is_masked_and_named() -> None:
    instants = random_instants(3, gap_rate=0.0)
    fold = walk_forward(instants)[-1]
    entry = instants.orders.entry[""]
    positive = fold.train[entry[fold.train, 1] == 1]
    assert len(positive) > 50
    entry[positive[49:], 1] = 0.0
    found = targets(instants, fold)
    assert found.masked_heads == ("entry_sell",)
    assert np.isnan(found.entry[:, 1]).all()
    assert np.count_nonzero(~np.isnan(found.entry[:, 0])) > 50
    entry[positive[49], 1] = 1.0
    assert targets(instants, fold).masked_heads == ()


@pytest.mark.parametrize("head", ["edge", "mfe", "mae"])
def test_a_head_of_fills_without_fills_is_masked(head: str) -> None:
    instants = random_instants(3, gap_rate=0.0)
    values = {"edge": instants.orders.edge_bps[""], "mfe": instants.orders.mfe_bps, "mae": instants.orders.mae_bps}
    values[head][:, 0] = np.nan
    assert targets(instants, walk_forward(instants)[-1]).masked_heads == (f"{head}_buy",)


def test_positives_outside_the_training_rows_do_not_count() -> None:
    instants = random_instants(3, gap_rate=0.0)
    fold = walk_forward(instants)[-1]
    instants.orders.adverse[""][fold.train, 0] = 0.0
    assert np.count_nonzero(instants.orders.adverse[""][fold.test, 0] == 1) > 5
    assert "adverse_buy" in targets(instants, fold).masked_heads
    instants.mid_return_bps[fold.train] = np.abs(instants.mid_return_bps[fold.train])
    found = targets(instants, fold)
    assert "direction" in found.masked_heads
    assert np.all(found.direction == -1)


def test_targets_of_a_fold_do_not_depend_on_later_rows() -> None:
    """Outcomes of held and test rows change neither dead zone, masks nor training weights."""
    instants, other = random_instants(9), random_instants(9)
    fold = walk_forward(instants)[0]
    later = np.ones(instants.rows, np.bool_)
    later[fold.train] = False
    other.mid_return_bps[later] = 77.0
    for values in (other.orders.entry[""], other.orders.adverse[""], other.orders.edge_bps[""]):
        values[later] = np.nan
    a, b = targets(instants, fold), targets(other, fold)
    assert (a.dead_zone_bps, a.masked_heads) == (b.dead_zone_bps, b.masked_heads)
    np.testing.assert_array_equal(a.weight[fold.train], b.weight[fold.train])
    for head in SIDED_HEADS:
        np.testing.assert_array_equal(getattr(a, head)[fold.train], getattr(b, head)[fold.train])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=seeds, suffix=st.sampled_from(SUFFIXES))
def test_effective_n_counts_distinct_fills(seed: int, suffix: str) -> None:
    instants = random_instants(seed, n=300)
    rows = np.sort(np.random.default_rng(seed).choice(300, 200, replace=False))
    expected = naive.distinct_fills(instants, rows.tolist(), suffix)
    mask = np.zeros(300, np.bool_)
    mask[rows] = True
    assert effective_n(instants, rows, suffix) == effective_n(instants, mask, suffix) == expected
    filled = int(instants.orders.filled[suffix][rows].sum())
    assert 0 < expected < filled
    name = {"": "proportional", "_pess": "pessimistic", "_opt": "optimistic"}[suffix]
    assert FillCounter(instants).counts(rows)[name] == {"filled": filled, "effective_n": expected}


def test_an_unknown_queue_model_is_refused() -> None:
    with pytest.raises(BadInputError, match="_worst"):
        effective_n(random_instants(1, n=50), np.arange(5), "_worst")


def test_the_fold_table_counts_what_the_folds_hold() -> None:
    instants = random_instants(12)
    folds = walk_forward(instants)
    table = fold_table(instants, folds)
    assert len(table) == len(folds) > 2
    for entry, fold in zip(table, folds, strict=True):
        for name in ("train", "held", "test"):
            rows = getattr(fold, name)
            assert entry[name]["rows"] == len(rows)
            pess = naive.distinct_fills(instants, rows.tolist(), "_pess")
            assert entry[name]["models"]["pessimistic"]["effective_n"] == pess
        assert sum(entry["classes"].values()) == int(np.sum(~np.isnan(instants.mid_return_bps[fold.train])))
        assert entry["masked_heads"] == list(targets(instants, fold).masked_heads)
        assert entry["dead_zone_bps"] == targets(instants, fold).dead_zone_bps
    whole = summary(instants)
    assert whole["rows"] == 1200
    assert whole["scored_rows"] == len(naive.scored_rows(instants))
    rows = naive.scored_rows(instants)
    buys = [i for i in rows if instants.orders.valid[i, 0]]
    rate = np.mean([instants.orders.filled[""][i, 0] for i in buys])
    assert whole["base_rates"]["proportional"]["buy"]["fill_rate"] == pytest.approx(rate)
