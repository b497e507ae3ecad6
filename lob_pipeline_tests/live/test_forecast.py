"""The forecaster: the same bits row by row and in chunks, what it counts, and what it calls its input."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.live.forecast import Forecaster, Forecasts
from lob_pipeline.live.opened import OpenBundle, open_bundle
from lob_pipeline.live.rows import prediction_rows
from lob_pipeline.models.outputs import OUTPUTS
from lob_pipeline_tests.live.random_bundle import random_bundle

ROWS = 200
STEP = 100_000_000


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenBundle:
    return open_bundle(random_bundle(tmp_path_factory.mktemp("bundles"), "sim.BTCUSDT", "t100ms").path)


def rows(seed: int, breaks: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times, features and flags of random rows; each break is an invalid row, a NaN or a missing row."""
    rng = np.random.default_rng(seed)
    times = STEP * (1_000 + np.arange(ROWS, dtype=np.int64))
    features = rng.normal(size=(ROWS, N_BUILT)).astype(np.float32)
    valid = np.ones(ROWS, np.bool_)
    for i, at in enumerate(breaks):
        if i % 3 == 0:
            valid[at] = False
        elif i % 3 == 1:
            features[at, 3] = np.nan
        else:
            times[at:] += STEP
    return times, features, valid


def joined(parts: list[Forecasts]) -> list[bytes]:
    return [np.concatenate(column).tobytes() for column in zip(*parts, strict=True)]


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 99),
    st.lists(st.integers(1, ROWS - 1), max_size=4),
    st.lists(st.integers(0, ROWS), max_size=5).map(sorted),
)
def test_chunks_of_any_size_give_the_same_bits(
    opened: OpenBundle, seed: int, breaks: list[int], cuts: list[int]
) -> None:
    data = rows(seed, breaks)
    whole = opened.forecaster().run(*data)
    chunked = opened.forecaster()
    edges = [0, *cuts, ROWS]
    pieces = [chunked.run(*(part[a:b] for part in data)) for a, b in pairwise(edges)]
    single = opened.forecaster()
    ones = [single.run(*(part[i : i + 1] for part in data)) for i in range(ROWS)]
    assert joined(pieces) == joined([whole]) == joined(ones)


def test_seen_ready_and_input_as_counted_slowly(opened: OpenBundle) -> None:
    times, features, valid = rows(5, [60, 100, 150])
    found = opened.forecaster().run(times, features, valid)
    columns, memory = opened.identity.columns(), opened.identity.receptive_field
    held: list[bytes] = []
    for i in range(ROWS):
        chosen = features[i, columns]
        if i and times[i] != times[i - 1] + STEP:
            held = []
        held = [*held, sha256(chosen.tobytes()).digest()[:16]] if valid[i] and not np.isnan(chosen).any() else []
        assert found.seen[i] == len(held)
        assert found.valid[i] == (len(held) >= opened.identity.window)
        assert found.inputs[i].tobytes() == sha256(b"".join(held[-memory:])).digest()
        assert np.isnan(found.numbers[i]).all() != found.valid[i]
    assert 0 < found.valid.sum() < ROWS


def test_a_forecast_depends_on_its_receptive_field_alone(opened: OpenBundle) -> None:
    times, features, valid = rows(7, [])
    whole = opened.forecaster().run(times, features, valid)
    start = ROWS - opened.identity.receptive_field
    assert start > 0
    alone = opened.forecaster().run(times[start:], features[start:], valid[start:])
    assert alone.numbers[-1].tobytes() == whole.numbers[-1].tobytes()
    assert alone.inputs[-1].tobytes() == whole.inputs[-1].tobytes()


def test_two_rows_an_instant_with_the_numbers_of_their_side(opened: OpenBundle) -> None:
    found = opened.forecaster().run(*rows(1, []))
    columns, strings = prediction_rows(opened.identity, found)
    assert set(columns) | set(strings) == set(PREDICTIONS.names)
    i = ROWS - 1
    said = dict(zip(OUTPUTS, found.numbers[i].tolist(), strict=True))
    for at, side, letter in ((2 * i, "sell", "s"), (2 * i + 1, "buy", "b")):
        assert columns["side"][at] == (1 if side == "buy" else -1)
        for column, head in (("p_entry", "entry"), ("edge_bps", "edge"), ("mfe_bps", "mfe"), ("mae_bps", "mae"),
                             ("p_adverse", "adverse"), ("p_fill", "fill")):  # fmt: skip
            assert columns[column][at] == said[f"{head}_{side}"]
        for name in ("up", "flat", "down"):
            assert columns[f"p_{name}"][at] == said[name]
        identity = opened.identity
        ts_ns = int(found.ts_ns[i])
        assert strings["prediction_id"][at].as_py() == f"{identity.bundle}-sim.BTCUSDT-t100ms-{ts_ns}-{letter}"
        assert strings["prediction_id"][at].as_py() == identity.prediction_id(ts_ns, int(columns["side"][at]))
        assert strings["input_sha256"][at].as_py() == found.inputs[i].tobytes().hex()
    assert not columns["valid"][0]
    assert np.isnan(columns["p_fill"][0])
    assert np.isnan(columns["latency_us"]).all()


def test_a_new_forecaster_remembers_nothing(opened: OpenBundle, tmp_path: Path) -> None:
    first: Forecaster = opened.forecaster()
    data = rows(2, [])
    first.run(*data)
    again = opened.forecaster().run(*data)
    assert again.seen[0] == 1
