"""Feasibility and outcome summaries against loops, and against markets whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.evaluation.feasibility import Crossing, MidSeries, feasibility, moves_bps, non_overlapping
from lob_pipeline.evaluation.outcomes import LABEL_COLUMNS, LabelOutcomes, bracket, summarise_labels
from lob_pipeline.labels.spec import Fees

FEES = Fees(2.0, 5.5)
STEP = 100 * NS_PER_MS
START = 1_700_000_000 * NS_PER_S


def walk(n: int, step_bps: float, seed: int = 0) -> MidSeries:
    """A random walk of the mid, ``step_bps`` a row, spread of 2 ticks around 1,000,000 half ticks."""
    rng = np.random.default_rng(seed)
    log_mid = np.cumsum(rng.normal(0, step_bps / 1e4, n))
    bid = np.round(500_000 * np.exp(log_mid)).astype(np.int64)
    return MidSeries(START + STEP * np.arange(n), bid, bid + 2, np.ones(n, np.bool_), STEP)


def test_moves_equal_a_loop_and_never_cross_a_hole() -> None:
    series = walk(300, 1.0)
    series.valid[50:60] = False
    series.ts_ns[200:] += 7 * STEP  # a gap between two partitions
    found = moves_bps(series, 5 * STEP)
    at = {int(t): i for i, t in enumerate(series.ts_ns)}
    for i, t in enumerate(series.ts_ns):
        j = at.get(int(t) + 5 * STEP)
        if j is None or not (series.valid[i] and series.valid[j]):
            assert math.isnan(found[i])
        else:
            assert found[i] == pytest.approx(1e4 * math.log(series.m2[j] / series.m2[i]), rel=1e-9, abs=1e-9)
    assert np.isnan(moves_bps(series, 150 * NS_PER_MS)).all(), "not a multiple of the step"


def test_windows_that_do_not_overlap_are_counted_once() -> None:
    known = np.ones(100, np.bool_)
    assert non_overlapping(known, 10) == 10
    known[5:25] = False
    assert non_overlapping(known, 10) == 9  # at 0, then 25, 35, …, 95
    assert non_overlapping(np.zeros(5, np.bool_), 3) == 0


def test_a_quiet_market_cannot_pay_and_the_page_says_so() -> None:
    found = feasibility(walk(20_000, 0.01), FEES, Crossing(10_000, 0.0))
    assert "trading every move in the right direction would lose money" in found["sentence"]
    for entry in found["horizons"]:
        assert entry["net_bps"]["maker_maker"]["mean"] < 0
        assert "would not pay the fee; 0.0%" in entry["sentence"]
        assert entry["share_above_fees"]["taker_taker"] == 0.0


def test_a_wild_market_pays_an_oracle_from_some_horizon_on() -> None:
    found = feasibility(walk(60_000, 1.0, seed=4), FEES, Crossing(10_000, 0.5))
    by = {e["horizon"]: e for e in found["horizons"]}
    # E|N(0, σ√k)| = σ·sqrt(2k/π): 0.8 bps at one row, 8 bps at a hundred
    assert by["100ms"]["mean_abs_move_bps"]["mean"] == pytest.approx(math.sqrt(2 / math.pi), rel=0.03)
    assert by["10s"]["mean_abs_move_bps"]["mean"] == pytest.approx(10 * math.sqrt(2 / math.pi), rel=0.1)
    assert by["10s"]["effective_n"] == 599
    assert "From 5 s on the whole average move" in found["sentence"]
    net = by["10s"]["net_bps"]
    move = by["10s"]["mean_abs_move_bps"]["mean"]
    half = found["half_spread_bps"]
    assert net["maker_maker"]["mean"] == pytest.approx(move - 4.0)
    assert net["maker_taker"]["mean"] == pytest.approx(move - 7.5 - half - 0.5)
    assert net["taker_taker"]["mean"] == pytest.approx(move - 11.0 - 2 * (half + 0.5))


def test_horizons_below_the_clock_are_left_out_and_unknown_slippage_stays_unknown() -> None:
    base = walk(100, 1.0)
    series = MidSeries(START + NS_PER_S * np.arange(100), base.bid_ticks, base.ask_ticks, base.valid, NS_PER_S)
    found = feasibility(series, FEES, Crossing(10_000, None))
    assert [e["horizon"] for e in found["horizons"]] == ["1s", "5s", "10s", "30s", "60s"]
    assert found["horizons"][0]["net_bps"]["taker_taker"]["mean"] is None
    assert found["horizons"][0]["net_bps"]["maker_maker"]["mean"] is not None


def test_no_valid_row_is_said_not_computed() -> None:
    series = walk(50, 1.0)
    series.valid[:] = False
    found = feasibility(series, FEES, Crossing(10_000, 0.1))
    assert "cannot be judged" in found["sentence"]
    assert found["half_spread_bps"] is None


def labels(n: int, edge: float, *, filled_every: int = 2, noise: float = 0.1) -> LabelOutcomes:
    """``n`` instants, both sides, every ``filled_every``-th instant filled after 0.5 s with about ``edge`` bps."""
    rows = 2 * n
    rng = np.random.default_rng(7)
    columns: Columns = {name: np.zeros(rows) for name in LABEL_COLUMNS}
    columns["ts_ns"] = np.repeat(START + NS_PER_S * np.arange(n), 2)
    columns["side"] = np.tile(np.array([1, -1], np.int8), n)
    columns["valid"] = np.ones(rows, np.bool_)
    columns["t_arrive_ns"] = columns["ts_ns"] + 50 * NS_PER_MS
    filled = (np.arange(rows) // 2) % filled_every == 0
    for suffix in ("", "_pess", "_opt"):
        columns[f"filled{suffix}"] = filled
        columns[f"fill_delay_ns{suffix}"] = np.where(filled, NS_PER_S // 2, -1)
        columns[f"fill_kind{suffix}"] = np.where(filled, 2, 0).astype(np.int8)
        values = np.where(filled, edge + noise * rng.normal(size=rows), np.nan)
        columns[f"edge_bps{suffix}"] = values
        columns[f"markout_5s_bps{suffix}"] = values + 4.0
        columns[f"adverse{suffix}"] = np.where(filled, 0.0, np.nan)
    return LabelOutcomes(columns, np.full(rows, 1_000, np.int64))


def test_outcomes_are_means_over_fills_with_distinct_instants_beside_them() -> None:
    found = summarise_labels(labels(4_000, -3.0))
    model = found["models"]["proportional"]
    assert found["valid_orders"] == 8_000
    assert model["filled"] == model["effective_n"] == 4_000, "an instant's two sides are two fills"
    assert model["fill_rate"]["mean"] == 0.5
    assert model["edge_bps"]["mean"] == pytest.approx(-3.0, abs=0.02)
    assert model["positive_share"] == 0.0
    assert model["perfect_selection_bps"] == 0.0
    assert model["median_fill_delay_s"] == 0.5
    assert model["fill_kinds"]["queue traded away"] == 4_000
    assert found["bracket"]["verdict"] == "loses"
    ages = {(a["from_s"], a["to_s"]): a["proportional"] for a in found["fill_age"]}
    assert ages[0.3, 1.0]["n"] == 4_000
    assert ages[1.0, 3.0]["mean"] is None


def test_rows_that_share_a_fill_count_once() -> None:
    shared = labels(100, 1.0, filled_every=1)
    fill = START + 200 * NS_PER_S
    for suffix in ("", "_pess", "_opt"):
        shared.columns[f"fill_delay_ns{suffix}"] = fill - shared.columns["t_arrive_ns"]
    assert summarise_labels(shared)["models"]["proportional"]["effective_n"] == 2


def test_invalid_rows_are_in_no_mean() -> None:
    some = labels(500, 2.0)
    some.columns["valid"][:] = False
    found = summarise_labels(some)
    assert found["valid_orders"] == 0
    assert found["models"]["optimistic"]["edge_bps"]["mean"] is None
    assert found["bracket"]["verdict"] == "open"


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ([(1, 2), (1, 2), (1, 2)], "earns"),
        ([(-2, -1), (-3, -1), (-9, -8)], "loses"),
        ([(1, 2), (1, 2), (-1, 2)], "open"),
        ([(1, 2), (1, 2), (-2, -1)], "open"),
        ([(1, 2), (1, 2), (None, None)], "open"),
    ],
)
def test_a_claim_holds_only_when_all_three_models_agree(bounds: list[tuple[float, float]], verdict: str) -> None:
    edges = {
        name: {"mean": 0.5 if low is None else (low + high) / 2, "low": low, "high": high, "n": 9, "blocks": 20.0}
        for name, (low, high) in zip(("optimistic", "proportional", "pessimistic"), bounds, strict=True)
    }
    assert bracket(edges)["verdict"] == verdict


def test_adverse_selection_enters_the_makers_line() -> None:
    outcomes = labels(2_000, -3.0)
    outcomes.columns["markout_1s_bps"] = np.where(outcomes.filled(""), -0.7, np.nan)
    found = feasibility(walk(20_000, 1.0), FEES, Crossing(10_000, 0.0), outcomes)
    entry = next(e for e in found["horizons"] if e["horizon"] == "1s")
    assert entry["adverse_selection_bps"] == pytest.approx(0.7)
    assert entry["net_bps"]["maker_maker"]["mean"] == pytest.approx(entry["mean_abs_move_bps"]["mean"] - 4.0 - 0.7)
    assert next(e for e in found["horizons"] if e["horizon"] == "500ms")["adverse_selection_bps"] is None
