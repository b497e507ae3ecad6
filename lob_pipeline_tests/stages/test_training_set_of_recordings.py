"""A training set of a real market over midnight: folds by the calendar, copies on a coarse clock that are copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import NS_PER_S, day_start_ns
from lob_pipeline.datasets.folds import walk_forward
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.datasets.instants import Instants, effective_n
from lob_pipeline.datasets.normalise import fit_normaliser
from lob_pipeline.datasets.targets import targets
from lob_pipeline.features.registry import BUILT
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.training_set import TrainingSet, load_instants, training_set
from lob_pipeline_tests.naive import datasets_naive as naive

pytestmark = pytest.mark.real
MARKET = parse_market("binance-spot.NEXOUSDT")
DAYS = ("2024-07-23", "2024-07-24")


@pytest.fixture(scope="module")
def read(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingSet, Instants]:
    home = Home(tmp_path_factory.mktemp("home"))
    ingest(home, MARKET, [real_data / "binance_spot" / f"nexousdt_{d.replace('-', '')}.gz" for d in DAYS])
    for day in DAYS:
        for build in (build_books, build_features, build_labels):
            assert not build(home, MARKET, day).refused
    found = training_set(home, MARKET, DAYS[-1])
    return found, load_instants(home, found, tuple(f.name for f in BUILT if f.group != "tape"))


def test_a_day_and_an_evening_give_five_folds(read: tuple[TrainingSet, Instants]) -> None:
    found, instants = read
    assert (found.clock, found.dates) == ("t1s", DAYS)
    starts = [(f["test_start_ns"] - day_start_ns(DAYS[1])) // (3600 * NS_PER_S) for f in found.folds]
    assert starts == [-4, 0, 4, 8, 12]
    for entry, fold in zip(found.folds, walk_forward(instants), strict=True):
        assert np.all(instants.t_end_ns[fold.train] < fold.held_start_ns)
        assert np.all(instants.t_end_ns[fold.held] < fold.test_start_ns)
        assert entry["purged"] > 0
        fills = entry["test"]["models"]["proportional"]
        assert fills["effective_n"] == naive.distinct_fills(instants, fold.test.tolist(), "")
        assert 100 < fills["effective_n"] < fills["filled"] < entry["test"]["rows"]
    assert "entry_buy" in found.folds[0]["masked_heads"]  # a first stretch of one block holds too few
    assert found.folds[-1]["masked_heads"] == []


def test_the_run_of_rows_goes_on_over_midnight(read: tuple[TrainingSet, Instants]) -> None:
    _, instants = read
    at = int(np.searchsorted(instants.ts_ns, day_start_ns(DAYS[1])))
    assert instants.segment[at - 1] == instants.segment[at] == instants.segment[at + 1] >= 0


def test_what_a_coarse_clock_leaves_out_is_the_twin_bit_for_bit(read: tuple[TrainingSet, Instants]) -> None:
    found, instants = read
    kept, left = model_inputs("full89", parse_clock(found.clock))
    assert found.summary["inputs_left_out"] == [list(pair) for pair in left]
    assert len(kept) == 86
    usable = instants.segment >= 0
    column = {name: instants.features[usable, j] for j, name in enumerate(instants.names)}
    for name, twin in left:
        np.testing.assert_array_equal(column[name].view(np.uint32), column[twin].view(np.uint32))
    moving = [name for name in kept if np.ptp(column[name]) > 0]  # a spot market knows no funding, for example
    assert len(moving) > 75
    assert len({column[name].tobytes() for name in moving}) == len(moving)


def test_targets_and_scaling_of_a_real_fold(read: tuple[TrainingSet, Instants]) -> None:
    _, instants = read
    fold = walk_forward(instants)[-1]
    own = targets(instants, fold)
    assert own.dead_zone_bps == naive.dead_zone(instants.mid_return_bps[fold.train].tolist()) == 0.0
    # a span of 90 s on a grid of 1 s: about as many independent rows as spans fit into the stretch
    seconds = float(instants.ts_ns[fold.train[-1]] - instants.ts_ns[fold.train[0]]) / NS_PER_S
    assert 0.5 * seconds / 90 < own.weight[fold.train, 0].sum() < 1.1 * seconds / 90 + 1
    scaled = fit_normaliser(instants.features, fold.train, instants.names).apply(instants.features[fold.train])
    assert not np.isnan(scaled).any()
    assert np.abs(scaled).max() <= 10
    assert effective_n(instants, fold.train, "_opt") >= effective_n(instants, fold.train, "_pess") > 500
