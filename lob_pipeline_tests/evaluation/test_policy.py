"""The policy against a naive one, and what may never happen: two orders at once, an eye on the test rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.policy import ALWAYS_BPS, SUFFIXES, choose_threshold, field_of, run_policy, side_scores
from lob_pipeline.labels.spec import KIND_REJECTED
from lob_pipeline_tests.evaluation.market import LIFE_NS, first_fold, forecast_of, make_instants, scores_of

GATES = load_gates()


def naive(instants: Instants, forecast: np.ndarray, rows: np.ndarray, theta: float, suffix: str) -> list[tuple]:
    """The policy as METHODS.md says it, row by row."""
    orders, sent, free = instants.orders, [], None
    for i, row in enumerate(rows.tolist()):
        t = int(instants.ts_ns[row])
        if free is not None and t < free:
            continue
        values = {}
        for s in (0, 1):
            score = float(forecast[i, 13 + s]) * float(forecast[i, 5 + s])
            if orders.valid[row, s] and np.isfinite(score):
                values[s] = score
        if not values:
            continue
        s = max(values, key=lambda k: (values[k], -k))
        if values[s] <= theta:
            continue
        arrive = int(instants.t_arrive_ns[row])
        edge = float(orders.edge_bps[suffix][row, s])
        if orders.filled[suffix][row, s]:
            free = arrive + int(orders.fill_delay_ns[suffix][row, s]) + int(instants.t_end_ns[row]) - arrive - LIFE_NS
            pnl = edge
        else:
            free = arrive if orders.fill_kind[suffix][row, s] == KIND_REJECTED else arrive + LIFE_NS
            pnl = 0.0
        sent.append((row, 1 - 2 * s, bool(orders.filled[suffix][row, s]), pnl, t, free))
    return sent


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-2.0, 2.0), st.sampled_from(list(SUFFIXES.values())))
def test_the_kernel_is_the_naive_policy(seed: int, theta: float, suffix: str) -> None:
    instants, signal = make_instants(blocks=1, block_s=1200, step_s=3, seed=seed)
    rng = np.random.default_rng(seed)
    instants.orders.valid[rng.random(instants.orders.valid.shape) < 0.2] = False
    rows = np.flatnonzero(rng.random(instants.rows) < 0.8)
    forecast = forecast_of(signal[rows])
    forecast[rng.random(len(rows)) < 0.1] = np.nan
    trades = run_policy(instants, forecast, rows, theta, suffix, GATES)
    expected = naive(instants, forecast, rows, theta, suffix)
    columns = (trades.row, trades.side, trades.filled, trades.pnl_bps, trades.start_ns, trades.end_ns)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == expected
    assert (trades.start_ns[1:] >= trades.end_ns[:-1]).all(), "one order or position at a time"
    assert trades.distinct_fills() <= trades.filled_count


def test_a_position_lasts_until_it_must_have_ended() -> None:
    instants, signal = make_instants(blocks=1, block_s=1200, step_s=1)
    trades = run_policy(instants, forecast_of(signal), np.arange(instants.rows), -99.0, "", GATES)
    took = trades.filled
    assert took.any()
    assert (~took).any()
    assert ((trades.end_ns - trades.fill_ns)[took] == 60 * NS_PER_S + 50_000_000).all()


def test_the_policy_is_free_the_moment_an_order_ends_and_a_tie_goes_to_the_buy() -> None:
    instants, _ = make_instants(blocks=1, block_s=600)
    instants = replace(instants, t_arrive_ns=instants.ts_ns)  # an order then ends exactly at a row
    instants.orders.filled[""][:] = False
    instants.orders.fill_kind[""][:] = 0
    trades = run_policy(instants, forecast_of(np.ones((instants.rows, 2))), np.arange(instants.rows), 0.0, "", GATES)
    assert (np.diff(trades.start_ns) == LIFE_NS).all()
    assert (trades.start_ns[1:] == trades.end_ns[:-1]).all()
    assert trades.row.size == 600 // 30
    assert (trades.side == 1).all()


def test_a_trade_pays_the_maker_fee_for_its_entry_and_for_the_passive_share_of_its_exit() -> None:
    instants, signal = make_instants(blocks=1, block_s=7200)
    trades = run_policy(instants, forecast_of(signal), np.arange(instants.rows), -99.0, "_pess", GATES)
    ratio = instants.orders.exit_maker_ratio["_pess"][trades.row, np.where(trades.side > 0, 0, 1)]
    assert set(trades.maker_legs.tolist()) == {0.0, 1.0, 2.0}
    assert (trades.maker_legs[trades.filled] == 1.0 + ratio[trades.filled]).all()
    assert (trades.maker_legs[~trades.filled] == 0.0).all()


def test_an_edge_that_nobody_knows_counts_as_the_worst() -> None:
    instants, signal = make_instants(blocks=1, block_s=1200)
    rows = np.arange(instants.rows)
    forecast = forecast_of(signal)
    first = run_policy(instants, forecast, rows, 0.0, "", GATES)
    at = int(np.flatnonzero(first.filled)[0])
    row, side = int(first.row[at]), 0 if first.side[at] > 0 else 1
    instants.orders.edge_bps[""][row, side] = np.nan
    second = run_policy(instants, forecast, rows, 0.0, "", GATES)
    assert second.edge_unknown.sum() == 1
    assert second.pnl_bps[at] == GATES.unknown_edge_bps
    assert second.filled_count == first.filled_count
    instants.orders.edge_bps[""][int(first.row[-1]), 0] = -80.0
    instants.orders.filled[""][int(first.row[-1]), 0] = True
    assert run_policy(instants, forecast, rows, 0.0, "", GATES).pnl_bps[at] == -80.0


def test_the_side_with_the_larger_value_is_taken_and_no_label_means_no_order() -> None:
    instants, _ = make_instants(blocks=1, block_s=600)
    rows = np.arange(instants.rows)
    forecast = forecast_of(np.tile([1.0, 2.0], (instants.rows, 1)))
    assert (run_policy(instants, forecast, rows, 0.0, "", GATES).side == -1).all()
    instants.orders.valid[:, 1] = False
    assert (run_policy(instants, forecast, rows, 0.0, "", GATES).side == 1).all()
    instants.orders.valid[:, 0] = False
    assert run_policy(instants, forecast, rows, 0.0, "", GATES).row.size == 0
    assert np.isneginf(side_scores(instants, forecast, rows)).all()


def test_a_forecast_for_other_rows_is_a_defect() -> None:
    instants, signal = make_instants(blocks=1, block_s=600)
    with pytest.raises(ValueError, match="5 lines for 7 rows"):
        field_of(instants, forecast_of(signal[:5]), np.arange(7), GATES)


def test_the_threshold_finds_the_rows_that_pay() -> None:
    instants, signal = make_instants(base_bps=-1.0, skill_bps=2.0)
    fold = first_fold(instants)
    forecast = forecast_of(-1.0 + 2.0 * signal)
    found = choose_threshold(instants, forecast[fold.held], fold.held, GATES)
    assert found.theta_bps >= 0.0
    assert found.trades >= found.wanted
    assert found.total_bps > 0.0


def test_the_threshold_earns_the_most_of_its_candidates_in_the_proportional_queue() -> None:
    instants, signal = make_instants(base_bps=-1.0, skill_bps=2.0)
    fold = first_fold(instants)
    forecast = forecast_of(-1.0 + 2.0 * signal)[fold.held]
    gates = replace(GATES, threshold_trades_per_block=0)  # some candidates trade too rarely to earn the most
    found = choose_threshold(instants, forecast, fold.held, gates)
    value = side_scores(instants, forecast, fold.held).max(axis=1)
    at = np.linspace(0.0, GATES.threshold_highest_quantile, GATES.threshold_quantiles)
    tried = [run_policy(instants, forecast, fold.held, theta, "", GATES) for theta in [0.0, *np.quantile(value, at)]]
    allowed = [t.total_bps for t in tried if t.filled_count >= found.wanted == GATES.threshold_minimum_trades]
    assert found.total_bps == max(allowed) > allowed[-1] > 0.0
    edges = {**instants.orders.edge_bps, "_pess": instants.orders.edge_bps["_pess"] - 9.0}
    edges["_opt"] = instants.orders.edge_bps["_opt"] + 9.0
    other = replace(instants, orders=replace(instants.orders, edge_bps=edges))
    assert choose_threshold(other, forecast, fold.held, gates) == found


def test_a_model_that_sees_no_value_anywhere_is_judged_on_all_the_trades_there_are() -> None:
    instants, signal = make_instants(base_bps=-4.0, skill_bps=0.2)
    fold = first_fold(instants)
    found = choose_threshold(instants, forecast_of(-4.0 + 0.2 * signal)[fold.held], fold.held, GATES)
    assert found.theta_bps == ALWAYS_BPS
    assert found.trades >= found.wanted
    assert "an order whenever free" in found.why


def test_a_model_that_sees_value_where_there_is_none_is_judged_on_what_it_believes() -> None:
    instants, signal = make_instants(base_bps=-4.0, skill_bps=0.2)
    fold = first_fold(instants)
    found = choose_threshold(instants, forecast_of(signal)[fold.held], fold.held, GATES)
    assert found.theta_bps == 0.0
    assert found.total_bps < 0.0
    assert "nothing" not in found.why
    assert "every order valued above 0" in found.why


def test_a_forecast_that_is_too_gloomy_may_trade_below_zero() -> None:
    instants, signal = make_instants(base_bps=-0.5, skill_bps=2.0)
    fold = first_fold(instants)
    found = choose_threshold(instants, forecast_of(-50.0 + 2.0 * signal)[fold.held], fold.held, GATES)
    assert ALWAYS_BPS < found.theta_bps < 0.0
    assert found.total_bps > 0.0
    assert found.trades >= found.wanted
    right = choose_threshold(instants, forecast_of(-0.5 + 2.0 * signal)[fold.held], fold.held, GATES)
    assert found.total_bps == pytest.approx(right.total_bps, rel=0.25), "the ranking is the same"


def test_too_few_rows_take_every_order_there_is() -> None:
    instants, signal = make_instants()
    rows = np.arange(60)
    found = choose_threshold(instants, forecast_of(signal)[rows], rows, GATES)
    assert found.trades < found.wanted
    assert found.theta_bps == ALWAYS_BPS
    none = choose_threshold(instants, np.full((60, 15), np.nan, np.float32), rows, GATES)
    assert none.trades == 0
    assert "no held row has a forecast" in none.why


def test_what_happens_later_changes_nothing_earlier() -> None:
    """Labels after a fold's end, and labels of its test rows before θ is chosen, may be anything."""
    instants, signal = make_instants()
    forecast = forecast_of(signal)
    before = scores_of(instants, forecast)
    later = instants.ts_ns > before[1].test_end_ns
    orders = instants.orders
    changed = replace(
        orders,
        edge_bps={k: np.where(later[:, None], 50.0, v) for k, v in orders.edge_bps.items()},
        filled={k: v | later[:, None] for k, v in orders.filled.items()},
    )
    after = scores_of(replace(instants, orders=changed), forecast)
    assert [s.to_json() for s in after[:2]] == [s.to_json() for s in before[:2]]
    assert after[2].to_json() != before[2].to_json()
    assert after[2].threshold == before[2].threshold, "the third test block is no part of its own threshold"
    assert after[3].threshold != before[3].threshold
