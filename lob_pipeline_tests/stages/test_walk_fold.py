"""One fold's fits look at no row that comes after the ones they may see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.datasets.targets import targets
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.walk import score_fold
from lob_pipeline.stages.recipe import CONTENDERS, Recipe
from lob_pipeline.stages.walk_fold import _contend, _Found, _regimes, folds_of, inputs_read
from lob_pipeline_tests.datasets.synthetic import first_rows
from lob_pipeline_tests.evaluation.market import make_instants

CLOCK = "t10s"
RECIPE = Recipe(preset="demo", contenders=("logistic", "gbt_orderflow15", "persistence", "moe"))
COLUMNS = ("edge_bps", "markout_5s_bps", "exit_maker_ratio")


@pytest.fixture(scope="module")
def world() -> tuple[Instants, Fold]:
    """Ten hours of five blocks: the first fold trains on two hours, and funding's eight are seen only later."""
    instants, signal = make_instants(blocks=5, step_s=10, skill_bps=2.0)
    names = inputs_read(RECIPE, CLOCK)
    features = np.random.default_rng(4).normal(size=(instants.rows, len(names))).astype(np.float32)
    flow = next(column for column, name in enumerate(names) if name.startswith("ofi_l1_"))
    features[:, flow] += signal[:, 0]
    instants = replace(instants, clock_id=CLOCK, names=names, features=features)
    return instants, folds_of(instants, RECIPE)[0]


def later_rows_changed(instants: Instants, fold: Fold) -> Instants:
    """The same rows with other features and outcomes from the test block on; what is filled stays."""
    from_here = instants.ts_ns > fold.test_start_ns
    features = np.where(from_here[:, None], 50.0 - 3.0 * instants.features, instants.features).astype(np.float32)
    orders = instants.orders
    for name in COLUMNS:
        changed = {s: np.where(from_here[:, None], 7.0 - v, v) for s, v in getattr(orders, name).items()}
        orders = replace(orders, **{name: changed})
    move = np.where(from_here, 40.0, instants.mid_return_bps)
    return replace(instants, features=features, mid_return_bps=move, orders=orders)


def contend(name: str, instants: Instants, fold: Fold) -> _Found:
    return _contend(CONTENDERS[name], RECIPE, instants, fold, targets(instants, fold), 1)


@pytest.mark.parametrize("name", RECIPE.contenders)
def test_nothing_from_the_test_block_on_is_in_a_forecast_before_it(name: str, world: tuple[Instants, Fold]) -> None:
    instants, fold = world
    true, other = contend(name, instants, fold), contend(name, later_rows_changed(instants, fold), fold)
    assert np.array_equal(true.held, other.held, equal_nan=True)
    assert not np.array_equal(true.test, other.test, equal_nan=True)
    assert np.isfinite(true.held[:, [5, 6, 13, 14]]).all()
    assert true.facts.get("temperatures") == other.facts.get("temperatures")
    assert true.facts.get("best_epoch") == other.facts.get("best_epoch")


@pytest.mark.parametrize("name", RECIPE.contenders)
def test_rows_after_the_test_block_are_in_nothing(name: str, world: tuple[Instants, Fold]) -> None:
    instants, fold = world
    then = first_rows(instants, int(fold.test[-1]) + 1)
    same = folds_of(then, RECIPE)[0]
    assert np.array_equal(same.test, fold.test)
    true, other = contend(name, instants, fold), contend(name, then, same)
    assert np.array_equal(true.held, other.held, equal_nan=True)
    assert np.array_equal(true.test, other.test, equal_nan=True)
    if name == "moe":
        assert true.facts["muted"] == other.facts["muted"]
        assert set(true.facts["muted"]) >= {"hour_sin", "weekday_cos", "funding_sin"}
        assert true.facts["routing"] == other.facts["routing"]


def test_the_threshold_is_that_of_the_held_rows(world: tuple[Instants, Fold]) -> None:
    instants, fold = world
    other = later_rows_changed(instants, fold)
    held = contend("logistic", instants, fold).held
    silent = np.full((fold.test.size, 15), np.nan, np.float32)
    found = [score_fold(data, fold, held, silent, (), gates=load_gates()).threshold for data in (instants, other)]
    assert found[0] == found[1]
    assert found[0].trades > 0


def test_regimes_are_cut_by_the_training_rows(world: tuple[Instants, Fold]) -> None:
    instants, fold = world
    column = instants.names.index("realised_vol_300s_bps")
    low, high = np.quantile(instants.features[fold.train, column], (1 / 3, 2 / 3))
    value = instants.features[fold.test, column]
    assert np.array_equal(_regimes(instants, fold), (value > low).astype(int) + (value > high))
    wild = later_rows_changed(instants, fold)
    assert np.bincount(_regimes(wild, fold), minlength=3)[2] == fold.test.size
