"""Baselines: each against what it can know of a planted world, persistence against its own words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.features.registry import BUILT
from lob_pipeline.features.spec import FULL89
from lob_pipeline.models.baselines import BASELINES, fit_baseline, horizon_column
from lob_pipeline.models.outputs import COLUMN
from lob_pipeline_tests.models.samples import World, world

NAMES = (
    "queue_imbalance_l1_ratio", "ofi_l1_1s_lots", "ofi_l1_5s_lots", "bid_adds_1s_lots", "log_return_30s_bps",
    "log_return_1s_bps", "spread_ticks", "hour_sin", "hour_cos", "weekday_sin",
)  # fmt: skip
ANSWERED = [COLUMN[f"{head}_{side}"] for head in ("entry", "fill", "edge") for side in ("buy", "sell")]


@pytest.fixture(scope="module")
def planted() -> World:
    return world(8000, seed=2)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_answers_entry_fill_edge_and_direction(name: str, planted: World) -> None:
    rows = planted.fold.test
    out = fit_baseline(name, planted.features, NAMES, planted.targets, planted.fold)(rows)
    assert out.shape == (rows.size, 15)
    assert out.dtype == np.float32
    assert np.isfinite(out[:, ANSWERED]).all()
    assert ((out[:, [0, 1, 13, 14]] >= 0) & (out[:, [0, 1, 13, 14]] <= 1)).all()
    np.testing.assert_allclose(out[:, 2:5].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["logistic", "gbt_orderflow15", "gbt_full89"])
def test_fitted_baselines_find_what_is_planted(name: str, planted: World) -> None:
    rows = planted.fold.test
    out = fit_baseline(name, planted.features, NAMES, planted.targets, planted.fold)(rows)
    assert np.corrcoef(out[:, COLUMN["fill_buy"]], planted.fill_probability[rows, 0])[0, 1] > 0.85
    assert np.corrcoef(out[:, COLUMN["edge_sell"]], planted.edge_mean_bps[rows, 1])[0, 1] > 0.85


def test_the_order_flow_trees_see_order_flow_only(planted: World) -> None:
    features = planted.features.copy()
    forecast = fit_baseline("gbt_orderflow15", features, NAMES, planted.targets, planted.fold)
    before = forecast(planted.fold.test)
    features[:, 6:] = 7.0  # spread and season: none of the fifteen
    assert before.tobytes() == forecast(planted.fold.test).tobytes()
    with pytest.raises(BadInputError, match="orderflow15"):
        fit_baseline("gbt_orderflow15", features[:, 6:], NAMES[6:], planted.targets, planted.fold)


def test_majority_is_the_training_rows_alone(planted: World) -> None:
    train = planted.fold.train
    fill = planted.targets.fill.copy()
    fill[planted.fold.test] = 1.0
    targets = replace(planted.targets, fill=fill)
    out = fit_baseline("majority", planted.features, NAMES, targets, planted.fold)(planted.fold.test[:3])
    assert out[0, COLUMN["fill_buy"]] == pytest.approx(planted.targets.fill[train, 0].mean(), rel=1e-5)
    assert out[0, COLUMN["edge_sell"]] == pytest.approx(np.nanmean(planted.targets.edge[train, 1]), rel=1e-4)
    assert out[0].tobytes() == out[2].tobytes()


def test_persistence_says_the_last_move_goes_on(planted: World) -> None:
    rows = planted.fold.test
    out = fit_baseline("persistence", planted.features, NAMES, planted.targets, planted.fold)(rows)
    base = fit_baseline("majority", planted.features, NAMES, planted.targets, planted.fold)(rows)
    move = planted.features[rows, 4]
    np.testing.assert_allclose(out[:, COLUMN["edge_buy"]] - base[:, COLUMN["edge_buy"]], move, atol=1e-5)
    np.testing.assert_allclose(out[:, COLUMN["edge_sell"]] - base[:, COLUMN["edge_sell"]], -move, atol=1e-5)
    classes = out[:, 2:5].argmax(axis=1)
    assert (classes[move > 0.1] == 2).all()
    assert (classes[move < -0.1] == 0).all()
    assert out[:, 2:5].max() > 0.5  # direction follows this very feature in the planted world


def test_the_horizon_feature_is_found_by_its_window_on_any_clock() -> None:
    full = tuple(f.name for f in BUILT if FULL89 in f.sets)
    assert full[horizon_column(full)] == "log_return_30s_bps"
    rows = ("log_return_r10_bps", "log_return_r300_bps", "log_return_r600_bps")
    assert horizon_column(rows) == 1
    assert horizon_column(("log_return_100ms_bps", "log_return_5s_bps")) == 1
    with pytest.raises(BadInputError, match="log_return"):
        horizon_column(("spread_ticks",))


def test_masked_and_one_class_heads_do_not_stop_a_fit(planted: World) -> None:
    entry, fill = planted.targets.entry.copy(), np.ones_like(planted.targets.fill)
    entry[:, 0] = np.nan
    targets = replace(planted.targets, entry=entry, fill=fill, masked_heads=("entry_buy",))
    for name in ("logistic", "gbt_full89"):
        out = fit_baseline(name, planted.features, NAMES, targets, planted.fold)(planted.fold.test)
        assert np.isnan(out[:, 0]).all()
        assert (out[:, COLUMN["fill_buy"]] == 1).all()


def test_unknown_names_and_empty_folds_are_refused(planted: World) -> None:
    with pytest.raises(BadInputError, match="oracle"):
        fit_baseline("oracle", planted.features, NAMES, planted.targets, planted.fold)
    empty = replace(planted.fold, train=np.empty(0, np.int64))
    with pytest.raises(BadInputError, match="no training rows"):
        fit_baseline("majority", planted.features, NAMES, planted.targets, empty)
