"""The score of the queue models: on orders whose figures are worked out by hand, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.labels.spec import ALL_MODELS, MODEL_SUFFIX, OPTIMISTIC, PESSIMISTIC, PROPORTIONAL, LabelConfig
from lob_pipeline.sim.truth_score import BLOCK_NS, Comparison, mean_with_interval

MS = 1_000_000
N = 6
NEVER = -1
# by order: true delay, then the pessimistic, the proportional, the optimistic one, in ms
DELAYS = {
    "true": [1000, 2000, NEVER, NEVER, 5000, NEVER],
    PESSIMISTIC: [1000, NEVER, NEVER, NEVER, 6000, NEVER],
    PROPORTIONAL: [900, 2500, 4000, NEVER, 5000, NEVER],
    OPTIMISTIC: [900, 1500, 3000, 100, 5000, NEVER],
}


def nullable(values: Any) -> Any:
    return np.ma.MaskedArray(np.asarray(values), mask=np.zeros(len(values), np.bool_))


def orders(delays_ms: list[int], suffix: str = "") -> Columns:
    delay = np.array(delays_ms, np.int64)
    found: Columns = {
        "filled" + suffix: nullable(delay >= 0),
        "fill_delay_ns" + suffix: nullable(np.where(delay >= 0, delay * MS, -1)),
        f"markout_5s_bps{suffix}": np.where(delay >= 0, delay / 1000.0, np.nan),
    }
    return found


def both(valid: list[bool] | None = None) -> tuple[Columns, Columns]:
    ts_ns = np.arange(N, dtype=np.int64) * 2 * BLOCK_NS
    key: Columns = {
        "ts_ns": ts_ns,
        "side": np.ones(N, np.int8),
        "valid": np.array(valid or [True] * N),
        "t_arrive_ns": ts_ns + 50 * MS,
    }
    labels = dict(key)
    for model in ALL_MODELS:
        labels |= orders(DELAYS[model], MODEL_SUFFIX[model])
    truth = {**key, **orders(DELAYS["true"])}
    truth["fill_kind"] = nullable(np.array([2, 2, 0, 0, 1, 4], np.int8))
    truth["queue_ahead_lots"] = np.array([1, 2, 3, 4, 5, -1])
    truth["volatility_60s_bps"] = np.array([1.0, 2.0, 3.0, 4.0, 5.0, np.nan])
    truth["reached_delay_ns"] = nullable(np.array([-1, 7, -1, 7, -1, -1]))
    truth["price_ticks"] = np.full(N, 1000)
    return truth, labels


def compared(truth: Columns, labels: Columns, message_ms: int = 100) -> Comparison:
    return Comparison(truth, labels, LabelConfig(), np.zeros(N, np.int64), message_ms * MS)


def test_bias_and_error_are_those_worked_out_by_hand() -> None:
    report = compared(*both()).report()
    assert report["true_fill_rate"] == 0.5
    assert report["distinct_true_fills"] == 3
    assert report["unfilled_but_reached_by_dropped_lots"] == 1
    assert report["rejected"]["orders"] == 1
    assert set(report["rejected"]["filled_all_the_same"].values()) == {0.0}
    pess, prop, opt = (report["models"][name] for name in ("pessimistic", "proportional", "optimistic"))
    assert pess["bias_points"] == pytest.approx(-100 / 6, abs=1e-3)
    assert pess["error_points"] == pytest.approx(100 / 6, abs=1e-3)
    assert prop["bias_points"] == pytest.approx(100 / 6, abs=1e-3)
    assert opt["bias_points"] == pytest.approx(200 / 6, abs=1e-3)
    assert prop["delay"]["filled_in_both"] == 3
    assert prop["delay"]["bias_ms"] == pytest.approx((-100 + 500 + 0) / 3, abs=1e-3)
    assert prop["delay"]["error_ms"] == pytest.approx(200.0, abs=1e-3)
    waits = (-100 + 500 + (4000 - 30_000) + 0 + 0) / 5  # the rejected order waits for nothing
    assert prop["delay"]["wait_bias_ms"] == pytest.approx(waits, abs=1e-3)
    assert prop["markouts"]["5s"]["true_bps"] == pytest.approx((1 + 2 + 5) / 3, abs=1e-3)
    assert prop["markouts"]["5s"]["bias_bps"] == pytest.approx((0.9 + 2.5 + 4 + 5) / 4 - 8 / 3, abs=1e-3)
    assert prop["markouts"]["5s"]["error_bps"] == pytest.approx((0.1 + 0.5 + 0) / 3, abs=1e-3)


def test_the_bracket_counts_every_order_outside_its_bounds() -> None:
    truth, labels = both()
    every = np.ones(N, np.bool_)
    found = compared(truth, labels).bracket(every)
    assert (found["pessimistic"], found["true"]) == (round(2 / 6, 4), 0.5)
    assert found["width_points"] == pytest.approx(100 * (5 - 2) / 6, abs=1e-3)
    assert found["holds_true_rate"]
    assert found["orders_outside"] == 0
    labels |= orders([1050, 1500, 3000, 100, 5000, NEVER], "_opt")
    late = compared(truth, labels).bracket(every)
    assert late["orders_outside"] == 1
    assert late["coverage"] == pytest.approx(5 / 6, abs=1e-4)
    assert late["coverage_within_a_message"] == 1.0
    assert compared(truth, labels, message_ms=10).bracket(every)["coverage_within_a_message"] < 1.0
    labels |= orders([NEVER] * N, "_opt")
    labels |= orders([NEVER] * N, "_pess")
    low = compared(truth, labels).bracket(every)
    assert not low["holds_true_rate"]
    assert low["coverage_of_outcomes"] == 0.5


def test_thirds_leave_out_what_was_rejected_and_hold_every_other_order_once() -> None:
    found = compared(*both())
    for by in ("queue_ahead_lots", "volatility_60s_bps"):
        thirds = found.thirds(by)
        assert list(thirds) == ["low", "middle", "high"]
        assert sum(rows.astype(int) for rows in thirds.values()).tolist() == [1, 1, 1, 1, 1, 0]


def test_only_rows_valid_in_both_are_compared_and_other_orders_are_refused() -> None:
    truth, labels = both([True, True, True, True, False, True])
    report = compared(truth, labels).report()
    assert (report["orders"], report["left_out"]) == (5, 1)
    labels["t_arrive_ns"] = labels["t_arrive_ns"] + 1
    with pytest.raises(ValueError, match="t_arrive_ns: they are not of the same orders"):
        compared(truth, labels)
    nothing = both([False] * N)
    with pytest.raises(ValueError, match="nothing to compare"):
        compared(*nothing).report()


def test_an_interval_counts_blocks_not_rows() -> None:
    rng = np.random.default_rng(1)
    block = np.repeat(np.arange(50), 20)
    same = np.repeat(rng.normal(size=50), 20)
    wide = mean_with_interval(same, block)
    narrow = mean_with_interval(same, np.arange(len(same)))
    assert wide["half_interval_95"] is not None
    assert narrow["half_interval_95"] is not None
    assert wide["half_interval_95"] > 4 * narrow["half_interval_95"]
    assert wide["half_interval_95"] == pytest.approx(1.96 * same[::20].std(ddof=1) / np.sqrt(50), rel=1e-3)
    assert mean_with_interval(same[:20], block[:20])["half_interval_95"] is None
