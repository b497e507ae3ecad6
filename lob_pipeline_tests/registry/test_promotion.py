"""The judges of a promotion, pure: what they refuse, what they let through, and that nothing passes unjudged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.registry.promotion import (
    BOUNDS,
    FreshComparison,
    expected_calibration_error,
    judge_calibration,
    judge_incumbent,
    judge_paired,
    judge_same_recipe,
    judge_verdict_gate,
    readiness,
    refusal,
)
from lob_pipeline.registry.releases import Release
from lob_pipeline_tests.registry.samples import sample_info

GOOD = [{"forecast": 0.3, "observed": 0.31, "rows": 400}, {"forecast": 0.7, "observed": 0.72, "rows": 400}]
BAD = [{"forecast": 0.3, "observed": 0.6, "rows": 800}]
DATA = {"data_sha256": "d", "as_of": "2026-01-07", "days": []}


def _info(**changes: Any) -> dict[str, Any]:
    return {**sample_info(calibration={"fill": GOOD, "entry": GOOD}), "features_fingerprint": "f", **changes}


def test_calibration_error_is_the_mean_distance_over_rows() -> None:
    bins = [{"forecast": 0.2, "observed": 0.3, "rows": 30}, {"forecast": 0.9, "observed": 0.7, "rows": 10}]
    error, rows = expected_calibration_error(bins)
    assert rows == 40
    assert error == pytest.approx((0.1 * 30 + 0.2 * 10) / 40)


def test_calibration_within_bounds_passes() -> None:
    assert judge_calibration(_info()).status == "passed"


@pytest.mark.parametrize("value", [0.01, 25.0, float("nan"), float("inf")])
@pytest.mark.parametrize("head", ["entry", "direction", "adverse", "fill"])
def test_a_temperature_out_of_bounds_is_refused(head: str, value: float) -> None:
    temperatures = {**_info()["temperatures"], head: value}
    outcome = judge_calibration(_info(temperatures=temperatures))
    assert outcome.refuses
    assert head in outcome.message


def test_a_missing_temperature_is_refused() -> None:
    assert judge_calibration(_info(temperatures={"entry": 1.0})).refuses


@pytest.mark.parametrize("head", ["fill", "entry"])
def test_a_large_calibration_error_is_refused_unless_the_head_is_masked(head: str) -> None:
    found = {"fill": GOOD, "entry": GOOD, head: BAD}
    assert judge_calibration(_info(calibration=found)).refuses
    masked = judge_calibration(_info(calibration=found, masked_heads=[f"{head}_buy", f"{head}_sell"]))
    assert masked.status == "passed"


@pytest.mark.parametrize("found", [{}, {"fill": GOOD}, {"fill": [], "entry": []}, {"fill": GOOD[:1], "entry": GOOD}])
def test_without_enough_held_rows_nothing_is_judged(found: dict[str, Any]) -> None:
    outcome = judge_calibration(_info(calibration=found))
    assert outcome.status == "not_judged"
    assert "needed" in refusal([outcome])


def test_all_deciding_heads_masked_is_not_judged() -> None:
    assert judge_calibration(_info(masked_heads=["fill", "entry"])).status == "not_judged"


@pytest.mark.parametrize("verdict", ["DO_NOT_TRADE", "NOT_ENOUGH_DATA", "NOT_EVALUATED", "trade", ""])
def test_any_verdict_but_trade_is_refused_with_its_reason(verdict: str) -> None:
    outcome = judge_verdict_gate({"evaluation": {"verdict": verdict, "reasons": ["two folds lost"]}})
    assert outcome.refuses
    assert "two folds lost" in outcome.message


def test_trade_passes() -> None:
    assert judge_verdict_gate({"evaluation": {"verdict": "TRADE"}}).status == "passed"


def test_newer_data_of_the_same_recipe_is_a_refresh() -> None:
    newer = _info(data={**DATA, "as_of": "2026-01-08"}, temperatures={"entry": 2.0}, arrays_sha256="x")
    assert judge_same_recipe(_info(), newer).status == "passed"


@pytest.mark.parametrize(
    "changes", [{"label": {"config": {}, "fees": {}}}, {"training": {"epochs": 9}}, {"clock": "t1s"}, {"features": []}]
)
def test_another_recipe_is_no_refresh(changes: dict[str, Any]) -> None:
    outcome = judge_same_recipe(_info(), _info(**changes))
    assert outcome.refuses
    assert next(iter(changes)) in outcome.message


def test_older_data_are_no_refresh() -> None:
    outcome = judge_same_recipe(_info(), _info(data={**DATA, "as_of": "2026-01-06"}))
    assert "before the champion's" in outcome.message
    assert outcome.refuses


@given(st.floats(0, 1), st.floats(-0.5, 0.5), st.integers(0, 10_000))
def test_no_worse_than_the_incumbent_within_the_bound(incumbent: float, worse: float, rows: int) -> None:
    outcome = judge_incumbent(FreshComparison(("2026-01-08",), rows, incumbent + worse, incumbent))
    if rows < BOUNDS.fresh_rows:
        assert outcome.status == "not_judged"
        assert "wait" in outcome.message
    else:
        assert outcome.refuses == ((incumbent + worse) - incumbent > BOUNDS.brier_worse_most)
    assert bool(refusal([outcome])) == (outcome.status != "passed")


def test_scores_that_are_no_numbers_are_refused() -> None:
    assert judge_incumbent(FreshComparison((), 5000, float("nan"), 0.2)).refuses


def test_a_recipe_change_without_a_paired_run_warns_and_with_one_is_judged() -> None:
    changed = _info(preset="full")
    assert judge_paired(None, changed) is None
    assert judge_paired(_info(), _info(data=DATA)) is None
    warned = judge_paired(_info(), changed)
    assert warned is not None
    assert (warned.severity, warned.status) == ("warning", "not_judged")
    assert refusal([CheckOutcome("x", "passed", 1, 1), warned]) == ""
    for low, refuses in ((0.1, False), (0.0, True), (-3.0, True), (None, True)):
        evaluation = {"verdict": "TRADE", "paired_champion": {"low_bps_a_day": low, "rows": 900}}
        outcome = judge_paired(_info(), {**changed, "evaluation": evaluation})
        assert outcome is not None
        assert outcome.refuses == refuses


def test_no_gate_is_a_refusal() -> None:
    assert "no gate ran" in refusal([])
    assert "no gate ran" in refusal([CheckOutcome("x", "passed", 1, 1, severity="warning")])


@given(st.lists(st.sampled_from(["passed", "refused", "not_judged"]), min_size=1))
def test_only_all_passed_is_a_yes(statuses: list[str]) -> None:
    outcomes = [CheckOutcome(f"c{i}", s, 1, 1) for i, s in enumerate(statuses)]  # type: ignore[arg-type]
    assert (refusal(outcomes) == "") == (set(statuses) == {"passed"})


def test_readiness_reads_the_ledger_alone() -> None:
    place = {"market": "sim.BTCUSDT", "clock": "t100ms", "path": Path()}
    common: dict[str, Any] = {"name": "lob-moe", "semver": "1.0.0", "at": "", **place}
    parity = CheckOutcome("parity", "passed", 9, 9)
    new = Release(
        version=2, as_of="2026-01-08", verdict="TRADE", bundle_sha256="b" * 64, outcomes=(parity,), **common
    )
    old = Release(version=1, as_of="2026-01-07", verdict="TRADE", bundle_sha256="a" * 64, **common)
    assert refusal(readiness(new, None)) == ""
    assert refusal(readiness(new, old)) == ""
    assert "before the champion's" in refusal(readiness(old, new))
