"""Training end to end at a tiny size: it learns what is planted, says no where it must, goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.models import checkpoint as checkpoints
from lob_pipeline.models.batches import make_windows
from lob_pipeline.models.calibrate import fit_temperatures
from lob_pipeline.models.fit import fit, predict, routing
from lob_pipeline.models.fitted import Fitted
from lob_pipeline.models.losses import bps_slopes, build_truth, measure_scaling, take_rows
from lob_pipeline.models.outputs import COLUMN
from lob_pipeline.models.predict import load_network, raw_rows, terciles
from lob_pipeline.models.stream import StreamModel
from lob_pipeline_tests.models.samples import World, tiny, world

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def planted() -> World:
    return world(6000)


@pytest.fixture(scope="module")
def fitted(planted: World) -> Fitted:
    return fit(planted.normalised, planted.segment, planted.targets, planted.fold, *tiny(epochs=8))


def run(w: World, head: str = "moe", **changes: object) -> Fitted:
    keywords = {k: changes.pop(k) for k in ("progress", "checkpoint") if k in changes}
    return fit(w.normalised, w.segment, w.targets, w.fold, *tiny(head, **changes), **keywords)


def same(a: Fitted, b: Fitted) -> bool:
    return all(np.array_equal(a.weights[k], b.weights[k]) for k in a.weights) and a.curves == b.curves


def test_it_learns_the_planted_fill_and_edge(planted: World, fitted: Fitted) -> None:
    rows = planted.fold.test
    out = predict(fitted, planted.normalised, planted.segment, rows)
    for side, name in enumerate(("buy", "sell")):
        fill, edge = out[:, COLUMN[f"fill_{name}"]], out[:, COLUMN[f"edge_{name}"]]
        assert np.corrcoef(fill, planted.fill_probability[rows, side])[0, 1] > 0.9
        assert np.corrcoef(edge, planted.edge_mean_bps[rows, side])[0, 1] > 0.9
        assert abs(fill.mean() - planted.fill_probability[rows, side].mean()) < 0.05
        assert abs(edge.mean() - planted.edge_mean_bps[rows, side].mean()) < 0.3
    np.testing.assert_allclose(out[:, 2:5].sum(axis=1), 1, atol=1e-5)
    first, last = fitted.curves[0], fitted.curves[-1]
    assert last["held"]["fill"] < first["held"]["fill"]
    assert {"entry", "direction", "edge", "mfe", "mae", "adverse", "fill", "gate_entropy"} <= set(last["train"])


def test_temperatures_and_slopes_are_those_of_the_held_rows(planted: World, fitted: Fitted) -> None:
    held, train = planted.fold.held, planted.fold.train
    features = torch.from_numpy(planted.normalised)
    raw = raw_rows(load_network(fitted), fitted.config, features, planted.segment, held)
    assert fitted.temperatures == fit_temperatures(raw, planted.targets, held)
    assert fitted.temperatures != fit_temperatures(raw, planted.targets, train[-held.size :])
    scaling = measure_scaling(planted.targets, train)
    truth = build_truth(planted.targets, scaling, train)
    slopes = bps_slopes(torch.from_numpy(raw), take_rows(truth, torch.from_numpy(held)))
    assert fitted.scaling == scaling.sloped(slopes)
    assert slopes != bps_slopes(torch.from_numpy(raw), take_rows(truth, torch.from_numpy(train[-held.size :])))


def test_the_best_epoch_is_that_of_the_held_rows(planted: World) -> None:
    moved = planted.targets.fill.copy()
    moved[planted.fold.held] = 1.0 - moved[planted.fold.held]  # what is learned gets worse and worse on the held rows
    done = replace(planted, targets=replace(planted.targets, fill=moved))
    best = run(done, epochs=6, patience=6)
    held = [line["held"]["total"] for line in best.curves]
    assert best.best_epoch == int(np.argmin(held)) < len(held) - 1
    train = [line["train"]["total"] for line in best.curves]
    assert int(np.argmin(train)) > best.best_epoch
    features = torch.from_numpy(done.normalised)
    raw = raw_rows(load_network(best), best.config, features, done.segment, done.fold.held)
    assert best.temperatures == fit_temperatures(raw, done.targets, done.fold.held), "the last epoch's weights are gone"


def test_the_signed_edge_knows_which_side_is_worth_more(planted: World) -> None:
    signed = run(planted, "signed_edge")
    rows = planted.fold.test
    out = predict(signed, planted.normalised, planted.segment, rows)
    value = {name: out[:, COLUMN[f"fill_{name}"]] * out[:, COLUMN[f"edge_{name}"]] for name in ("buy", "sell")}
    worth = planted.fill_probability[rows] * planted.edge_mean_bps[rows]
    assert np.corrcoef(value["buy"] - value["sell"], worth[:, 0] - worth[:, 1])[0, 1] > 0.85
    np.testing.assert_allclose(value["buy"] + value["sell"], 2 * signed.scaling.edge_level_bps, atol=1e-3)
    assert np.isnan(out[:, [COLUMN["up"], COLUMN["mfe_buy"], COLUMN["adverse_sell"]]]).all()
    assert np.isfinite(out[:, [COLUMN["fill_buy"], COLUMN["entry_sell"]]]).all()


def test_nothing_planted_nothing_claimed(planted: World) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=planted.features.shape).astype(np.float32)
    blind = fit(noise, planted.segment, planted.targets, planted.fold, *tiny())
    out = predict(blind, noise, planted.segment, planted.fold.test)
    known = planted.edge_mean_bps[planted.fold.test, 0].std()
    assert out[:, COLUMN["edge_buy"]].std() < 0.15 * known  # the held rows' slope took the boldness away


def test_the_stream_of_a_fitted_network_equals_its_predictions(planted: World, fitted: Fitted) -> None:
    model = StreamModel.from_fitted(fitted, planted.normaliser)
    out, _ = model.run(model.new_state(), planted.features, planted.segment >= 0)
    every = predict(fitted, planted.normalised, planted.segment, np.arange(planted.segment.size))
    np.testing.assert_allclose(out, every, atol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(planted: World, fitted: Fitted) -> None:
    config, train = tiny(epochs=8)
    again = fit(planted.normalised, planted.segment, planted.targets, planted.fold, config, train)
    other = fit(planted.normalised, planted.segment, planted.targets, planted.fold, config, replace(train, seed=1))
    assert same(fitted, again)
    assert not same(fitted, other)


def test_rows_after_the_held_ones_change_nothing(planted: World, fitted: Fitted) -> None:
    features = planted.normalised
    features[planted.fold.test[0] :] = 5.0
    edge = planted.targets.edge.copy()
    edge[planted.fold.test] = 99.0
    cut = fit(features, planted.segment, replace(planted.targets, edge=edge), planted.fold, *tiny(epochs=8))
    assert same(fitted, cut)


class StoppedError(Exception):
    """What the test throws into a training."""


@pytest.mark.parametrize("after", [1, 2])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, planted: World, after: int) -> None:
    config = {"epochs": 4, "max_train_rows": 1500}
    whole = run(planted, **config)
    path = tmp_path / "fold.ckpt"

    def stop(done: float, text: str) -> None:
        if done >= after / 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(planted, **config, checkpoint=path, progress=stop)
    resumed = run(planted, **config, checkpoint=path)
    assert same(whole, resumed)
    assert len(resumed.curves) == len(whole.curves) > after
    again = run(planted, **config, checkpoint=path)  # it is over: nothing is trained
    assert same(whole, again)


def test_a_checkpoint_that_is_broken_or_of_another_training_is_refused(tmp_path: Path, planted: World) -> None:
    path = tmp_path / "fold.ckpt"
    run(planted, epochs=1, checkpoint=path)
    with pytest.raises(BadInputError, match="another training"):
        run(planted, epochs=1, seed=4, checkpoint=path)
    good = path.read_bytes()
    for bad in (b"", good[: len(good) // 2], b"no checkpoint at all"):
        path.write_bytes(bad)
        with pytest.raises(LobError, match="cannot be read") as caught:
            run(planted, epochs=1, checkpoint=path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_with_one_changed_bit_is_refused_or_changes_nothing(tmp_path: Path, planted: World) -> None:
    path = tmp_path / "fold.ckpt"
    whole = run(planted, epochs=1, checkpoint=path)
    good, refusals = path.read_bytes(), []
    for at in np.random.default_rng(1).integers(0, len(good), 40):
        bad = bytearray(good)
        bad[at] ^= 1 << 6
        path.write_bytes(bad)
        try:
            assert same(run(planted, epochs=1, checkpoint=path), whole), at
        except LobError as error:
            refusals.append(str(error))
    assert len(refusals) > 4
    assert all("cannot be read" in words for words in refusals)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, planted: World) -> None:
    path, mark = tmp_path / "fold.ckpt", tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (mark,))

    torch.save({"lob": Evil()}, path)
    with pytest.raises(LobError, match="cannot be read"):
        run(planted, epochs=1, checkpoint=path)
    assert not mark.exists()
    assert checkpoints.__doc__


def test_a_loss_that_is_no_number_names_head_and_epoch(planted: World) -> None:
    fill = planted.targets.fill.copy()
    fill[planted.fold.train[100]] = np.inf
    broken = replace(planted.targets, fill=fill)
    with pytest.raises(LobError, match=r"train loss of fill .* epoch 1"):
        fit(planted.normalised, planted.segment, broken, planted.fold, *tiny())
    features = planted.normalised
    features[planted.fold.train[100]] = np.nan
    with pytest.raises(LobError, match="epoch 1"):
        fit(features, planted.segment, planted.targets, planted.fold, *tiny())


def test_masked_heads_are_silent_and_named(planted: World) -> None:
    entry = planted.targets.entry.copy()
    entry[:, 0] = np.nan
    masked = replace(planted.targets, entry=entry, masked_heads=("entry_buy",))
    done = fit(planted.normalised, planted.segment, masked, planted.fold, *tiny(epochs=1))
    out = predict(done, planted.normalised, planted.segment, planted.fold.test)
    assert np.isnan(out[:, 0]).all()
    assert np.isfinite(out[:, 1:]).all()
    assert done.masked_heads == ("entry_buy",)


def test_empty_parts_of_a_fold_are_refused(planted: World) -> None:
    empty = replace(planted.fold, held=np.empty(0, np.int64))
    with pytest.raises(BadInputError, match="0 held rows"):
        fit(planted.normalised, planted.segment, planted.targets, empty, *tiny())


def test_a_record_comes_back_from_json(planted: World, fitted: Fitted) -> None:
    stored = json.loads(json.dumps(fitted.to_json(), allow_nan=False))
    back = Fitted.from_json(stored, fitted.weights)
    rows = planted.fold.test[:50]
    one, two = (predict(f, planted.normalised, planted.segment, rows) for f in (fitted, back))
    assert one.tobytes() == two.tobytes()
    with pytest.raises(BadInputError, match="train it"):
        Fitted.from_json({**stored, "temperatures": {}}, fitted.weights)


def test_progress_goes_from_nought_upwards_and_names_the_parameters(planted: World) -> None:
    seen: list[tuple[float, str]] = []
    done = run(planted, epochs=2, progress=lambda share, text: seen.append((share, text)))
    assert seen[0][0] == 0.0
    assert f"{done.parameters:,} parameters" in seen[0][1]
    shares = [s for s, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] <= 1.0
    assert any("epoch 2 of 2" in text for _, text in seen)


def test_short_segments_before_unusable_rows_are_learned_from(planted: World) -> None:
    segment = planted.segment.copy()
    features = planted.normalised
    for start in range(0, 2900, 20):  # segments of 17 rows, shorter than a window, NaN behind each
        segment[start + 17 : start + 20] = -1
        features[start + 17 : start + 20] = np.nan
    numbers = np.cumsum(np.diff(segment >= 0, prepend=False) & (segment >= 0))
    segment = np.where(segment >= 0, numbers, -1).astype(np.int32)
    rows = {k: getattr(planted.fold, k)[segment[getattr(planted.fold, k)] >= 0] for k in ("train", "held", "test")}
    done = fit(features, segment, planted.targets, replace(planted.fold, **rows), *tiny(epochs=2))
    out = predict(done, features, segment, np.arange(100))
    assert np.array_equal(np.isnan(out).any(axis=1), segment[:100] < 0)


def test_a_cap_keeps_the_same_windows_in_another_order(planted: World) -> None:
    scaling = measure_scaling(planted.targets, planted.fold.train)
    truth = build_truth(planted.targets, scaling, planted.fold.train)
    features = torch.from_numpy(planted.normalised)
    made = make_windows(
        features, truth, planted.segment, planted.fold.train,
        length=32, batch_windows=4, max_rows=640, shuffle=True, seed=2,
    )  # fmt: skip
    assert made.row.shape[0] <= 20
    assert made.rows <= 640
    assert len(made) == -(-made.row.shape[0] // 4)
    first = torch.cat([x[:, 0].clone() for x, _, _ in made])
    assert torch.equal(first, torch.cat([x[:, 0].clone() for x, _, _ in made]))
    made.epoch = 1
    other = torch.cat([x[:, 0].clone() for x, _, _ in made])
    assert not torch.equal(first, other)
    assert torch.equal(first[first[:, 0].argsort()], other[other[:, 0].argsort()])


def test_routing_tells_shares_by_regime(planted: World, fitted: Fitted) -> None:
    rows = planted.fold.test
    regime = terciles(planted.features[rows, 0])
    assert np.bincount(regime).min() > 0.3 * rows.size
    found = routing(fitted, planted.normalised, planted.segment, rows, regime)
    assert found["experts"] == 4
    assert sum(found["share"]) == pytest.approx(1.0, abs=1e-5)
    assert sum(part["rows"] for part in found["by_regime"].values()) == rows.size == found["rows"]
    assert 0 < found["entropy_nats"] <= np.log(4) + 1e-6
    mixed = sum(np.array(p["share"]) * p["rows"] for p in found["by_regime"].values()) / rows.size
    np.testing.assert_allclose(mixed, found["share"], atol=1e-6)


def test_terciles_leave_out_what_is_no_number() -> None:
    assert terciles(np.array([1.0, 2.0, 3.0, np.nan, 4.0, 5.0, 6.0])).tolist() == [0, 0, 1, -1, 1, 2, 2]
