"""The streaming step against batch prediction and against itself: every caller, every start, the same bits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.models.config import ModelConfig, preset, receptive_field
from lob_pipeline.models.fit import predict
from lob_pipeline.models.outputs import COLUMN, HEADS
from lob_pipeline.models.stream import StreamModel
from lob_pipeline_tests.models.samples import identity, tiny, untrained

torch.set_num_threads(1)


def rows_with_gaps(n: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, valid, segment: gaps at random, one of them long, some rows invalid though they hold numbers."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, width)).astype(np.float32)
    valid = rng.random(n) > 3 / n
    valid[n // 3 : n // 3 + 40] = False
    features[n // 3] = np.nan
    starts = np.cumsum(np.diff(valid.astype(np.int8), prepend=0) == 1) - 1
    return features, valid, np.where(valid, starts, -1).astype(np.int32)


@pytest.mark.parametrize(
    ("name", "head"), [("full", "moe"), ("demo", "moe"), ("demo", "dense"), ("demo", "signed_edge")]
)
def test_stream_equals_batch_over_ten_thousand_steps(name: str, head: str) -> None:
    config, _ = preset(name, 89, head=head)
    fitted = untrained(config)
    features, valid, segment = rows_with_gaps(10_000, 89)
    model = StreamModel.from_fitted(fitted, identity(89))
    streamed, ready = model.run(model.new_state(), features, valid)
    clean = np.where(valid[:, None], np.clip(features, -10, 10), 0).astype(np.float32)
    batch = predict(fitted, clean, segment, np.arange(10_000))
    assert np.array_equal(np.isnan(streamed), np.isnan(batch))
    answered = ~np.isnan(batch).all(axis=1)
    assert np.array_equal(answered, valid)
    kinds = np.ones(15, np.bool_)
    kinds[5:11] = False
    assert np.nanmax(np.abs(streamed - batch)[answered][:, kinds]) < 1e-4  # probabilities
    assert np.nanmax(np.abs(streamed - batch)[answered][:, COLUMN["edge_buy"] : COLUMN["edge_sell"] + 1]) < 1e-3  # bps
    assert np.std(batch[answered][:, COLUMN["edge_buy"]]) > 0.01  # the rows do differ
    assert ready.any()
    assert not ready[~valid].any()


def small() -> StreamModel:
    return StreamModel.from_fitted(untrained(tiny()[0]), identity(10))


def test_row_by_row_equals_batch_bit_for_bit() -> None:
    model = small()
    features, valid, _ = rows_with_gaps(600, 10)
    whole, ready = model.run(model.new_state(), features, valid)
    state = model.new_state()
    for i in range(600):
        one, is_ready = model.run(state, features[i : i + 1], valid[i : i + 1])
        assert one.tobytes() == whole[i : i + 1].tobytes()
        assert is_ready[0] == ready[i]


@given(cut=st.integers(0, 300), seed=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_a_cold_start_a_receptive_field_earlier_gives_the_same_bits(cut: int, seed: int) -> None:
    model = small()
    reach = receptive_field(model.config)
    features = np.random.default_rng(seed).normal(size=(400, 10)).astype(np.float32)
    valid = np.ones(400, np.bool_)
    whole, _ = model.run(model.new_state(), features, valid)
    cold, _ = model.run(model.new_state(), features[cut:], valid[cut:])
    assert cold[reach - 1 :].tobytes() == whole[cut + reach - 1 :].tobytes()
    if cut > 0:
        assert cold[0].tobytes() != whole[cut].tobytes()  # it does remember


def test_ready_counts_a_window_of_valid_rows_since_the_reset() -> None:
    model = small()
    features = np.zeros((40, 10), np.float32)
    features[20, 3] = np.inf  # not finite: as good as invalid
    _, ready = model.run(model.new_state(), features, np.ones(40, np.bool_))
    expected = np.zeros(40, np.bool_)
    expected[7:20], expected[28:] = True, True
    assert np.array_equal(ready, expected)


def test_nothing_crosses_an_invalid_row() -> None:
    model = small()
    features, valid = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32), np.ones(60, np.bool_)
    valid[30] = False
    whole, _ = model.run(model.new_state(), features, valid)
    alone, _ = model.run(model.new_state(), features[31:], valid[31:])
    assert np.isnan(whole[30]).all()
    assert whole[31:].tobytes() == alone.tobytes()


def test_states_copy_and_come_back_from_arrays() -> None:
    model = small()
    features, valid = np.random.default_rng(0).normal(size=(90, 10)).astype(np.float32), np.ones(90, np.bool_)
    whole, _ = model.run(model.new_state(), features, valid)
    state = model.new_state()
    model.run(state, features[:50], valid[:50])
    copied, stored = state.copy(), model.state_from({k: v.copy() for k, v in state.arrays().items()})
    model.run(state, features[:13], valid[:13])
    for other in (copied, stored):
        assert other.seen == 50
        assert model.run(other, features[50:], valid[50:])[0].tobytes() == whole[50:].tobytes()
    with pytest.raises(BadInputError, match="keys"):
        model.state_from({**state.arrays(), "keys": np.zeros((1, 2, 3), np.float32)})


def test_masked_heads_answer_nothing() -> None:
    fitted = untrained(tiny()[0])
    parts = (fitted.weights, identity(10), fitted.scaling, fitted.temperatures)
    model = StreamModel.from_arrays(fitted.config.to_json(), *parts, ["edge_sell", "direction"])
    out, _ = model.run(model.new_state(), np.zeros((3, 10), np.float32), np.ones(3, np.bool_))
    silent = [COLUMN["edge_sell"], *HEADS["direction"]]
    assert np.isnan(out[:, silent]).all()
    assert np.isfinite(np.delete(out, silent, axis=1)).all()


def test_weights_that_do_not_fit_are_refused() -> None:
    fitted = untrained(tiny()[0])
    parts = (identity(10), fitted.scaling, fitted.temperatures)
    missing = {k: v for k, v in fitted.weights.items() if k != "norm.weight"}
    with pytest.raises(BadInputError, match=r"norm\.weight"):
        StreamModel.from_arrays(fitted.config, missing, *parts)
    with pytest.raises(BadInputError, match="not know: spare"):
        StreamModel.from_arrays(fitted.config, {**fitted.weights, "spare": np.zeros(1, np.float32)}, *parts)
    with pytest.raises(BadInputError, match="normaliser has 9"):
        StreamModel.from_arrays(fitted.config, fitted.weights, identity(9), *parts[1:])
    model = small()
    with pytest.raises(BadInputError, match=r"expected \(n, 10\)"):
        model.run(model.new_state(), np.zeros((2, 11), np.float32), np.ones(2, np.bool_))


def test_window_of_one_and_widths_that_are_no_multiple_of_eight() -> None:
    config = ModelConfig(3, d_model=6, layers=3, heads=3, d_ff=5, window=1, experts=3, d_expert=7, dropout=0.0)
    fitted = untrained(config)
    features = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = StreamModel.from_fitted(fitted, identity(3))
    streamed, _ = model.run(model.new_state(), features, np.ones(50, np.bool_))
    batch = predict(fitted, features, np.zeros(50, np.int32), np.arange(50))
    np.testing.assert_allclose(streamed, batch, atol=1e-4)


def test_streaming_imports_no_training_library() -> None:
    code = (
        "import sys, lob_pipeline.models.stream; "
        "print([m for m in ('torch', 'pytorch_lightning', 'mlflow', 'dagster', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
