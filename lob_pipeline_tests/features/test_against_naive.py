"""Every built feature equals its definition, computed again by slow code that shares nothing with the kernel."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache

import numpy as np
import pytest

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import ROW
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.registry import BOOK, BUILT, INDEX
from lob_pipeline.features.spec import Feature
from lob_pipeline.features.state import new_state
from lob_pipeline_tests.features.rows import RowPlan, random_rows
from lob_pipeline_tests.features.trades import random_profile, random_tape, season_of, tape_sums
from lob_pipeline_tests.naive.features import naive_features

BYBIT = instrument(parse_market("bybit-linear.BTCUSDT"))
# A spot market in tiny lots (its squares leave 64 bits), an inverse contract, a coarse clock, a book of one level.
CASES: dict[str, tuple[Instrument, str, RowPlan]] = {
    "perpetual": (BYBIT, "t100ms", RowPlan(3_300, seed=1)),
    "broken_often": (BYBIT, "t1s", RowPlan(1_500, seed=2, step_ns=10**9, invalid=0.002, snapshots=0.0005, messages=6)),
    "thin": (BYBIT, "t1s", RowPlan(400, seed=3, step_ns=10**9, depth=3, holes=0.5, centre=900)),
    "huge_lots": (
        replace(BYBIT, tick=Decimal("0.01"), lot=Decimal("0.00000001")),
        "t1s",
        RowPlan(400, seed=4, step_ns=10**9, lots=5_000_000_000),
    ),
    "inverse": (
        instrument(parse_market("binance-coinm.BTCUSD_PERP")),
        "t250ms",
        RowPlan(1_300, seed=5, step_ns=250_000_000, lots=900),
    ),
    "quiet": (BYBIT, "t1s", RowPlan(500, seed=7, step_ns=10**9, messages=0.02)),
    "coarse": (BYBIT, "t10s", RowPlan(200, seed=6, step_ns=10**10, messages=10)),
    "uneven_seconds": (BYBIT, "t1500ms", RowPlan(260, seed=8, step_ns=1_500_000_000)),
    "late_tape": (BYBIT, "t1s", RowPlan(450, seed=9, step_ns=10**9)),
}
UNKNOWN = {"late_tape": 100}
"""Rows at the start of a case of which no tape was recorded."""


@cache
def computed(case: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    market, clock_id, plan = CASES[case]
    clock = parse_clock(clock_id)
    rows = random_rows(plan)
    tape = random_tape(rows, clock.step_ns, plan.seed, lots=max(2, plan.lots // 10), unknown=UNKNOWN.get(case, 0))
    profile = random_profile(plan.seed)
    features, valid = run_batch(new_state(clock, market, profile), rows, tape_sums(tape))
    naive = naive_features(rows, market, clock.step_ns, [f.name for f in BUILT], tape, season_of(profile))
    return rows, features, valid, naive


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("feature", BUILT, ids=lambda f: f.name)
def test_kernel_equals_definition(case: str, feature: Feature) -> None:
    _, features, _, naive = computed(case)
    ours, theirs = features[:, INDEX[feature.name]].astype(np.float64), naive[:, INDEX[feature.name]]
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    seen = ~np.isnan(theirs)
    tolerance = 1e-5 * np.abs(theirs[seen]) + 1e-6 * np.std(theirs[seen])
    assert seen.any()
    assert (np.abs(ours[seen] - theirs[seen]) <= tolerance).all()


@pytest.mark.parametrize("case", CASES)
def test_valid_says_that_nothing_is_nan_and_invalid_rows_are_all_nan(case: str) -> None:
    rows, features, valid, _ = computed(case)
    assert np.array_equal(valid, ~np.isnan(features[:, BOOK]).any(axis=1))
    assert valid.any()
    assert np.isnan(features[rows[:, ROW["valid"]] == 0]).all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("feature", BUILT, ids=lambda f: f.name)
def test_hard_range_holds(case: str, feature: Feature) -> None:
    _, features, _, _ = computed(case)
    values = features[:, INDEX[feature.name]]
    values = values[~np.isnan(values)]
    assert feature.minimum is None or values.min() >= feature.minimum
    assert feature.maximum is None or values.max() <= feature.maximum


def test_the_random_rows_reach_the_clips_and_neutral_values() -> None:
    """A comparison that never meets the caps would not test them."""
    reached: dict[str, set[float]] = {}
    for case in CASES:
        features = computed(case)[1]
        for feature in BUILT:
            values = features[:, INDEX[feature.name]]
            reached.setdefault(feature.name, set()).update(
                bound for bound in (feature.minimum, feature.maximum) if bound is not None and (values == bound).any()
            )
    assert {10.0, -10.0} & reached["bid_net_depletion_1s_ratio"]
    assert 1000.0 in reached["bid_gap_1_ticks"]
    assert 1000.0 in reached["ask_gap_2_ticks"]
    assert 60.0 in reached["ask_time_to_empty_s"]
    assert 60_000.0 in reached["bid_since_worse_ms"]
    assert 10.0 in reached["bid_refill_5s_ratio"]
    assert 1.0 in reached["large_trade_1s_flag"]
    assert 60_000.0 in reached["time_since_trade_ms"]
    assert {5.0, -5.0} & reached["spread_vs_season_log"]
    assert {5.0, -5.0} & reached["activity_vs_season_log"]


def test_nan_ends_exactly_where_the_windows_are_full() -> None:
    """Row 0 of a run has its levels only; sums and differences over n rows both appear at row n of the run.

    The products of the autocorrelation need a row more; the bars of one second begin at a whole second, here half a
    second and a row after row 0.
    """
    rows = random_rows(RowPlan(3_100, seed=9, start_ns=1_700_000_000_000_000_000 + 400_000_000))
    assert rows[0, ROW["ts_ns"]] % 10**9 == 500_000_000
    tape = tape_sums(random_tape(rows, 100_000_000, 9))
    features, valid = run_batch(new_state(parse_clock("t100ms"), BYBIT), rows, tape)
    first = {f.name: int(np.flatnonzero(~np.isnan(features[:, INDEX[f.name]]))[0]) for f in BUILT}
    expected = {"": 0, "100 ms": 1, "500 ms": 5, "1 s": 10, "5 s": 50, "30 s": 300, "60 s": 600, "cap 60 s": 600}
    expected["300 s"] = 3_000
    special = {"return_autocorr_lag1_30s_ratio": 301, "vpin_60s_ratio": 605, "kyle_lambda_60s_half_ticks": 605}
    assert first == {f.name: special.get(f.name, expected[f.window]) for f in BUILT}
    assert int(np.flatnonzero(valid)[0]) == 3_000


def test_without_a_recorded_tape_its_features_are_nan_and_the_others_are_not() -> None:
    rows = random_rows(RowPlan(400, seed=10, step_ns=10**9))
    features, valid = run_batch(new_state(parse_clock("t1s"), BYBIT), rows)
    assert valid[300:].all()
    assert np.isnan(features[:, ~BOOK]).all()
    assert not np.isnan(features[300:, BOOK]).any()


def test_order_sizes_are_exact_where_a_float_would_be_off_by_one() -> None:
    """tick·lot = 1e-4 and M2 chosen so that 2·quote/(M2·tick·lot) is whole: the ceiling must not add a lot."""
    rows = random_rows(RowPlan(1, seed=0, centre=500_000, holes=0.0, depth=25, lots=2))
    m2 = int(rows[0, ROW["bid_ticks_1"]] + rows[0, ROW["ask_ticks_1"]])
    for quote in (10_000, m2 * 3 // 20_000, 12_345):
        exact = -(-2 * quote * 10_000 // m2)
        assert BYBIT.order_lots(quote, m2) == exact
        whole = BYBIT.order_lots(quote, 1)
        assert (whole + m2 - 1) // m2 == exact
