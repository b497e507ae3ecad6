"""Losses: what is masked costs nothing whatever stands there, weights weigh, scales come from training rows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lob_pipeline.models.answers import answer, answer_rule
from lob_pipeline.models.fitted import Scaling
from lob_pipeline.models.losses import (
    Truth,
    bps_slopes,
    build_truth,
    earned_bps,
    head_losses,
    measure_scaling,
    router_losses,
    scale_bps,
    take_rows,
)
from lob_pipeline.models.outputs import HEADS, TEMPERATURE_HEADS
from lob_pipeline_tests.models.samples import tiny, world

torch.set_num_threads(1)


def small_truth() -> Truth:
    w = world(400)
    return build_truth(w.targets, measure_scaling(w.targets, w.fold.train), w.fold.train)


@pytest.mark.parametrize("head", ["moe", "signed_edge"])
def test_garbage_in_rows_that_do_not_count_changes_nothing(head: str) -> None:
    config, truth = tiny(head)[0], small_truth()
    rows = torch.arange(96).view(3, 32)
    picked = take_rows(truth, rows)
    counted = torch.rand(3, 32) < 0.5
    raw = torch.randn(3, 32, config.outputs)
    before = head_losses(raw, picked, counted, config)
    garbage = Truth(
        torch.where(counted[..., None], picked.values, torch.full_like(picked.values, 1e6)),
        torch.where(counted, picked.direction, torch.tensor(2)),
        picked.weight,
        torch.where(counted, picked.signed, torch.tensor(1e6)),
    )
    dirty = torch.where(counted[..., None], raw, torch.full_like(raw, 50.0))
    after = head_losses(dirty, garbage, counted, config)
    assert set(before) == set(after)
    for name, loss in before.items():
        assert torch.equal(loss, after[name]), name
        assert float(loss) > 0, name


@pytest.mark.parametrize("head", list(HEADS))
def test_a_masked_head_costs_nothing_and_moves_nothing(head: str) -> None:
    config, truth = tiny()[0], small_truth()
    values, direction = truth.values.clone(), truth.direction.clone()
    values[:, list(HEADS[head])] = float("nan")
    if head == "direction":
        direction[:] = -1
    raw = torch.randn(1, 400, 15, requires_grad=True)
    picked = take_rows(truth._replace(values=values, direction=direction), torch.arange(400)[None])
    losses = head_losses(raw, picked, torch.ones(1, 400, dtype=torch.bool), config)
    assert float(losses[head].detach()) == 0.0
    torch.stack(list(losses.values())).sum().backward()
    assert raw.grad is not None
    moved = raw.grad.abs().sum((0, 1)) > 0
    assert not moved[list(HEADS[head])].any()
    assert int(moved.sum()) == 15 - len(HEADS[head])


def test_losses_equal_the_plain_formulas_row_by_row() -> None:
    config, truth = tiny()[0], small_truth()
    raw = torch.randn(1, 50, 15)
    weight = torch.rand(400, 2)
    picked = take_rows(truth._replace(weight=weight), torch.arange(50)[None])
    found = head_losses(raw, picked, torch.ones(1, 50, dtype=torch.bool), config)
    fill, edge, over_fill, over_edge = 0.0, 0.0, 0.0, 0.0
    for i in range(50):
        for side in range(2):
            y, z, w = float(truth.values[i, 13 + side]), float(raw[0, i, 13 + side]), float(weight[i, side])
            fill += w * (np.log1p(np.exp(-z)) if y == 1 else np.log1p(np.exp(z)))
            over_fill += w
            y, z = float(truth.values[i, 5 + side]), float(raw[0, i, 5 + side])
            if not np.isnan(y):
                edge, over_edge = edge + w * (y - z) ** 2, over_edge + w
    assert float(found["fill"]) == pytest.approx(fill / over_fill, rel=1e-5)
    assert float(found["edge"]) == pytest.approx(edge / over_edge, rel=1e-5)


def test_scales_come_from_training_rows_alone_and_survive_a_constant() -> None:
    w = world(2000)
    clean = measure_scaling(w.targets, w.fold.train)
    edge = w.targets.edge.copy()
    edge[w.fold.held] = 1e6
    assert measure_scaling(replace(w.targets, edge=edge), w.fold.train) == clean
    flat = measure_scaling(replace(w.targets, edge=np.full_like(edge, 3.0)), w.fold.train)
    assert flat.centre_bps[0] == 3.0
    assert flat.scale_bps[0] == 1.0
    none = measure_scaling(replace(w.targets, edge=np.full_like(edge, np.nan)), w.fold.train)
    assert none.scale_bps[0] == 1.0


def test_one_wild_fill_does_not_move_the_scale() -> None:
    w = world(2000)
    edge = w.targets.edge.copy()
    filled = w.fold.train[~np.isnan(edge[w.fold.train, 0])]
    edge[filled[0], 0] = 1e7
    before, after = (measure_scaling(replace(w.targets, edge=e), w.fold.train) for e in (w.targets.edge, edge))
    assert after.scale_bps[0] == pytest.approx(before.scale_bps[0], rel=0.1)
    assert after.centre_bps[0] == pytest.approx(before.centre_bps[0], abs=0.1)


def test_an_order_sent_earns_its_edge_or_nothing() -> None:
    w = world(400)
    worth = earned_bps(w.targets, np.arange(400))
    fill, edge = w.targets.fill, w.targets.edge
    assert (worth[fill == 0] == 0).all()
    np.testing.assert_array_equal(worth[fill == 1], edge[fill == 1].astype(np.float64))
    assert np.isnan(worth[200]).all()  # the row without a label


def test_slopes_take_boldness_away_and_keep_what_is_known() -> None:
    truth = small_truth()
    known = torch.nan_to_num(truth.values)
    bold = known * 2.0
    assert bps_slopes(bold, truth)["edge"] == pytest.approx(0.5, rel=1e-4)
    assert bps_slopes(-known, truth)["edge"] == 0.0
    noise = torch.randn(400, 15, generator=torch.Generator().manual_seed(0))
    assert bps_slopes(noise, truth)["edge"] < 0.15
    scaled = scale_bps(bold, {"edge": 0.5, "mfe": 1.0, "mae": 0.25})
    torch.testing.assert_close(scaled[:, 5:7], known[:, 5:7])
    torch.testing.assert_close(scaled[:, 9:11], bold[:, 9:11] / 4)
    assert torch.equal(scaled[:, :5], bold[:, :5])


def test_an_answer_beyond_what_training_can_have_shown_is_cut() -> None:
    truth = small_truth()
    wild = torch.nan_to_num(truth.values)
    wild[0, 5:11] = 1e6
    scaled = scale_bps(wild, bps_slopes(wild, truth))
    assert float(scaled.abs()[:, 5:11].max()) <= 15.0
    rule = answer_rule(tiny()[0], Scaling((1.0,) * 6, (2.0,) * 6), dict.fromkeys(TEMPERATURE_HEADS, 1.0), ())
    out = answer(np.full((1, 15), 1e6, np.float32), rule)
    assert (out[0, 5:11] == 21.0).all()


def test_router_losses_of_an_even_and_of_a_collapsed_router() -> None:
    counted = torch.ones(1, 20, dtype=torch.bool)
    balance, _, entropy = router_losses(torch.zeros(1, 20, 8), counted)
    assert float(balance) == pytest.approx(1.0)
    assert float(entropy) == pytest.approx(np.log(8))
    collapsed = torch.zeros(1, 20, 8)
    collapsed[..., 3] = 60.0
    balance, z, entropy = router_losses(collapsed, counted)
    assert float(balance) == pytest.approx(8.0)
    assert float(entropy) == pytest.approx(0.0, abs=1e-6)
    assert float(z) == pytest.approx(3600.0, rel=1e-3)
