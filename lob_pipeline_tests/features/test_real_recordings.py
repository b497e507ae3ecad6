"""Features of real recordings: naive agreement, hard ranges, exact relations, and the reference coefficients."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from lob_pipeline.book.replay import replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import ROW
from lob_pipeline.evaluation.ic import forward_log_return, information_coefficient
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.registry import BOOK, BUILT, FEATURES, INDEX
from lob_pipeline.features.state import new_state
from lob_pipeline_tests.features.recordings import binance_events
from lob_pipeline_tests.naive.features import naive_features

pytestmark = pytest.mark.real
SECOND = 1_000_000_000


class Case(NamedTuple):
    """A recording and the coefficients of queue_imbalance_l1_ratio against the 1 s mid return (METHODS, Evaluation)."""

    market: str
    files: tuple[str, ...]
    clock: str
    spearman: float
    pearson: float


CASES = {
    "usdm_2023": Case(
        "binance-usdm.BTCUSDT",
        ("binance_usdm/btcusdt_20230404.gz", "binance_usdm/btcusdt_20230405.gz"),
        "t100ms",
        0.395,
        0.288,
    ),
    "usdm_2024": Case("binance-usdm.BTCUSDT", ("binance_usdm/btcusdt_20240808.gz",), "t100ms", 0.367, 0.208),
    "spot_2024": Case(
        "binance-spot.BTCUSDT",
        ("binance_spot/btcusdt_20240808.gz", "binance_spot/btcusdt_20240809.gz"),
        "t100ms",
        0.472,
        0.312,
    ),
    "thin": Case(
        "binance-spot.NEXOUSDT",
        ("binance_spot/nexousdt_20240723.gz", "binance_spot/nexousdt_20240724.gz"),
        "t1s",
        0.076,
        0.065,
    ),
}


@cache
def computed(name: str, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    case = CASES[name]
    market, clock = instrument(parse_market(case.market)), parse_clock(case.clock)
    events = binance_events([root / file for file in case.files], market)
    rows = np.concatenate(list(replay([events], market, clock, None)))
    return rows, *run_batch(new_state(clock, market), rows)


@pytest.mark.parametrize("name", CASES)
def test_information_coefficient_is_the_reference(name: str, real_data: Path) -> None:
    case, (rows, features, _) = CASES[name], computed(name, real_data)
    m2 = rows[:, ROW["bid_ticks_1"]] + rows[:, ROW["ask_ticks_1"]]
    after = forward_log_return(rows[:, ROW["ts_ns"]], m2, rows[:, ROW["valid"]] != 0, SECOND)
    imbalance = features[:, INDEX["queue_imbalance_l1_ratio"]].astype(np.float64)
    found = information_coefficient(imbalance, after, parse_clock(case.clock).step_ns, SECOND, replicates=50)
    assert found.spearman == pytest.approx(case.spearman, abs=0.03)
    assert found.pearson == pytest.approx(case.pearson, abs=0.03)
    assert found.low is not None
    assert 0 < found.low < found.spearman


@pytest.mark.parametrize("name", CASES)
def test_the_last_rows_equal_their_definition(name: str, real_data: Path) -> None:
    """Naive code over the last warm-up and some, compared where it too is warm. Without trades: the book's features."""
    rows, features, _ = computed(name, real_data)
    case = CASES[name]
    step_ns = parse_clock(case.clock).step_ns
    memory = 300 * SECOND // step_ns
    last = rows[-(memory + 400) :]
    names = [f.name for f in BUILT if f.group != "tape"]
    naive = naive_features(last, instrument(parse_market(case.market)), step_ns, names)[memory:]
    ours = features[-len(naive) :, : len(names)].astype(np.float64)
    assert len(naive) > 300
    assert not np.isnan(naive).any()
    tolerance = 1e-5 * np.abs(naive) + 1e-6 * np.std(naive, axis=0)
    wrong = (np.abs(ours - naive) > tolerance).any(axis=0)
    assert [f.name for f, bad in zip(FEATURES, wrong, strict=False) if bad] == []


@pytest.mark.parametrize("name", CASES)
def test_ranges_and_the_exact_relation_hold(name: str, real_data: Path) -> None:
    rows, features, valid = computed(name, real_data)
    assert valid.sum() == len(rows) - 300 * SECOND // parse_clock(CASES[name].clock).step_ns
    assert np.isnan(features[:, ~BOOK]).all()
    for feature in (f for f in BUILT if f.group != "tape"):
        values = features[valid, INDEX[feature.name]]
        assert feature.minimum is None or values.min() >= feature.minimum
        assert feature.maximum is None or values.max() <= feature.maximum
    at = {n: features[valid, INDEX[n]].astype(np.float64) for n in INDEX}
    flow = at["bid_adds_1s_lots"] - at["bid_removals_1s_lots"] - at["ask_adds_1s_lots"] + at["ask_removals_1s_lots"]
    largest = max(np.abs(at[n]).max() for n in ("bid_adds_1s_lots", "ask_adds_1s_lots", "bid_removals_1s_lots"))
    assert np.abs(flow - at["ofi_l1_1s_lots"]).max() <= 4 * largest * 2.0**-24
