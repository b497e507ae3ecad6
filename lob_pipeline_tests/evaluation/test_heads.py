"""Head metrics against scikit-learn and scipy, effective n, calibration; leg A against its own definition."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.datasets.instants import effective_n
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.heads import binary_scores, calibration, head_metrics
from lob_pipeline.evaluation.legs import PERCENTILES, oracle_direction, pooled_legs
from lob_pipeline.evaluation.policy import run_policy
from lob_pipeline.evaluation.walk import score_fold
from lob_pipeline.models.outputs import COLUMN
from lob_pipeline_tests.evaluation.market import first_fold, forecast_of, make_instants

GATES = load_gates()
_PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]), st.booleans()), min_size=1, max_size=80)


@settings(deadline=None, max_examples=80)
@given(_PAIRS)
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    p, y = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
    found = binary_scores(p, y)
    assert found["log_loss"] == pytest.approx(log_loss(y, np.clip(p, 1e-7, 1 - 1e-7), labels=[False, True]), abs=1e-6)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p))
    if 0 < y.sum() < y.size:
        assert found["auc"] == pytest.approx(roc_auc_score(y, p))
        constant = binary_scores(np.full(y.size, y.mean()), y)
        assert constant["brier_skill"] == pytest.approx(0.0)
        assert constant["auc"] == pytest.approx(0.5)
    else:
        assert found["auc"] is None
        assert found["brier_skill"] is None


def test_no_row_has_no_score() -> None:
    assert binary_scores(np.empty(0), np.empty(0, np.bool_))["log_loss"] is None
    assert calibration(np.empty(0), np.empty(0, np.bool_)) == []


@settings(deadline=None, max_examples=60)
@given(_PAIRS)
def test_calibration_bins_hold_every_row_once(pairs: list[tuple[float, bool]]) -> None:
    p, y = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
    bins = calibration(p, y)
    assert sum(b["rows"] for b in bins) == len(pairs)
    assert sum(b["rows"] * b["observed"] for b in bins) == pytest.approx(y.sum())
    assert sum(b["rows"] * b["forecast"] for b in bins) == pytest.approx(p.sum())
    forecasts = [b["forecast"] for b in bins]
    assert forecasts == sorted(forecasts)
    assert len(bins) <= 10


def test_the_heads_of_a_forecast_that_knows_the_signal() -> None:
    from scipy.stats import pearsonr, spearmanr

    instants, signal = make_instants(blocks=1, skill_bps=2.0)
    rows = np.arange(0, instants.rows, 2)
    forecast = forecast_of(-1.0 + 2.0 * signal[rows])
    found = head_metrics(instants, rows, forecast, dead_zone_bps=0.4)
    json.dumps(found, allow_nan=False)
    orders = instants.orders
    took = orders.filled[""][rows, 0]
    truth, said = orders.edge_bps[""][rows, 0][took], forecast[took, COLUMN["edge_buy"]].astype(float)
    assert found["edge"]["buy"]["spearman"] == pytest.approx(spearmanr(said, truth).statistic)
    assert found["edge"]["buy"]["pearson"] == pytest.approx(pearsonr(said, truth).statistic)
    assert found["edge"]["buy"]["rows"] == took.sum()
    assert found["entry"]["sell"]["auc"] > 0.65
    assert found["adverse"]["buy"]["auc"] > 0.6
    assert found["fill"]["buy"]["auc"] == pytest.approx(0.5), "a constant knows no order"
    assert found["fill"]["buy"]["rows"] == len(rows)
    both = found["fill"]["buy"]["effective_n"] + found["fill"]["sell"]["effective_n"]
    assert both == effective_n(instants, rows, "")
    move = instants.mid_return_bps[rows]
    assert found["direction"]["accuracy"] == pytest.approx(np.mean(move > 0.4))
    shares = [np.mean(move < -0.4), np.mean(np.abs(move) <= 0.4), np.mean(move > 0.4)]
    assert found["direction"]["majority"] == pytest.approx(max(shares))
    assert sum(b["rows"] for b in found["calibration"]["fill"]) == 2 * len(rows)


def test_a_fold_is_scored_around_its_own_dead_zone() -> None:
    instants, signal = make_instants(blocks=2)
    forecast, fold = forecast_of(signal), first_fold(instants)
    scores = [
        score_fold(instants, fold, forecast[fold.held], forecast[fold.test], (), dead_zone_bps=delta).heads
        for delta in (0.0, 0.4)
    ]
    assert scores == [head_metrics(instants, fold.test, forecast[fold.test], delta) for delta in (0.0, 0.4)]
    assert scores[0]["direction"] != scores[1]["direction"]


def test_rows_without_label_or_forecast_are_not_scored() -> None:
    instants, signal = make_instants(blocks=1)
    rows = np.arange(instants.rows)
    forecast = forecast_of(signal)
    instants.orders.valid[:100, 0] = False
    forecast[100:300] = np.nan
    forecast[:, COLUMN["entry_sell"]] = np.nan
    instants.orders.entry[""][300:310, 0] = np.nan
    found = head_metrics(instants, rows, forecast)
    assert found["fill"]["buy"]["rows"] == instants.rows - 300
    assert found["fill"]["sell"]["rows"] == instants.rows - 200
    assert found["entry"]["buy"]["rows"] == instants.rows - 310
    assert found["entry"]["sell"] == {
        "rows": 0, "positives": 0, "log_loss": None, "brier": None, "brier_skill": None, "auc": None, "effective_n": 0,
    }  # fmt: skip
    nothing = head_metrics(instants, rows, np.full_like(forecast, np.nan))
    json.dumps(nothing, allow_nan=False)
    assert nothing["edge"]["buy"]["spearman"] is None
    assert nothing["direction"]["accuracy"] is None


def test_the_oracle_of_direction_earns_more_than_the_policy() -> None:
    instants, signal = make_instants(blocks=2, base_bps=-1.0, skill_bps=1.0)
    rows = np.arange(instants.rows)
    forecast = forecast_of(-1.0 + signal)
    table = oracle_direction(instants, rows, forecast, GATES)
    json.dumps(table, allow_nan=False)
    assert [entry["percentile"] for entry in table] == list(PERCENTILES)
    half = table[0]["queues"]["proportional"]
    policy = run_policy(instants, forecast, rows, -9.0, "", GATES)
    assert half["mean_bps"] > policy.pnl_bps[policy.filled].mean() + 0.3
    assert half["low_bps"] < half["mean_bps"] < half["high_bps"]
    assert half["effective_n"] <= half["filled"]
    counts = [entry["queues"]["pessimistic"]["filled"] for entry in table]
    assert counts[0] > counts[-1] > 0
    assert oracle_direction(instants, rows, np.full_like(forecast, np.nan), GATES) == []


def test_the_oracle_takes_the_side_that_leaves_more() -> None:
    instants, signal = make_instants(blocks=1)
    orders = instants.orders
    orders.filled[""][:] = [True, True]
    orders.fill_delay_ns[""][:] = 1
    orders.edge_bps[""][:] = [-3.0, -1.0]
    rows = np.arange(instants.rows)
    found = oracle_direction(instants, rows, forecast_of(signal), GATES)[0]["queues"]["proportional"]
    assert found["mean_bps"] == -1.0
    orders.filled[""][:, 1] = False
    found = oracle_direction(instants, rows, forecast_of(signal), GATES)[0]["queues"]["proportional"]
    assert found["filled"] == 0, "waiting in vain leaves more than a loss"
    orders.edge_bps[""][:, 0] = 2.0
    found = oracle_direction(instants, rows, forecast_of(signal), GATES)[0]["queues"]["proportional"]
    assert found["mean_bps"] == 2.0


def test_pooled_legs_weigh_folds_by_their_trades() -> None:
    instants, signal = make_instants(blocks=2)
    forecast = forecast_of(signal)
    cut = instants.rows // 3
    parts = [np.arange(cut), np.arange(cut, instants.rows)]
    tables = [oracle_direction(instants, rows, forecast[rows], GATES) for rows in parts]
    cells = [t[0]["queues"]["optimistic"] for t in tables]
    found = pooled_legs(tables)[0]["queues"]["optimistic"]
    total = cells[0]["filled"] + cells[1]["filled"]
    assert found["filled"] == total
    assert found["mean_bps"] == pytest.approx(sum(c["filled"] * c["mean_bps"] for c in cells) / total)
    widths = [(c["high_bps"] - c["low_bps"]) for c in cells]
    assert min(widths) > (found["high_bps"] - found["low_bps"])
    assert pooled_legs([]) == []
