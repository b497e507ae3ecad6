"""Drift warnings: what moves is named, what cannot be compared is not judged, and hidden errors are raised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.quality.expectations import DRIFT_CHECKS, METRICS, judge_drift, minute_profile

MARKET = "sim.BTCUSDT"


def book(minutes: int = 30, spread: int = 1, messages: int = 3, valid: float = 1.0, seed: int = 0) -> Columns:
    rng = np.random.default_rng(seed)
    n = minutes * 60
    return {
        "ts_ns": (np.arange(n, dtype=np.int64) + 1) * 1_000_000_000,
        "valid": rng.random(n) < valid,
        "bid_ticks_1": np.full(n, 1000, dtype=np.int64),
        "ask_ticks_1": np.full(n, 1000 + spread, dtype=np.int64),
        "bid_depth_4bps_lots": rng.integers(50, 150, n),
        "ask_depth_4bps_lots": rng.integers(50, 150, n),
        "messages": np.full(n, messages, dtype=np.int64),
    }


def test_a_profile_equals_the_obvious_loop() -> None:
    columns = book(7, valid=0.4, seed=3)
    columns["spread"] = columns["ask_ticks_1"]
    profile = minute_profile(columns)
    for minute in range(7):
        rows = [i for i in range(420) if (int(columns["ts_ns"][i]) - 1) // 60_000_000_000 == minute]
        good = [i for i in rows if columns["valid"][i]]
        depth = [int(columns["bid_depth_4bps_lots"][i] + columns["ask_depth_4bps_lots"][i]) for i in good]
        assert profile["messages"][minute] == sum(int(columns["messages"][i]) for i in rows)
        assert profile["valid_share"][minute] == len(good) / len(rows)
        assert profile["depth_4bps_lots"][minute] == pytest.approx(sum(depth) / len(depth))
        assert profile["spread_ticks"][minute] == 1.0


def test_a_minute_without_a_valid_row_has_no_spread_and_an_empty_day_no_minutes() -> None:
    profile = minute_profile(book(2, valid=0.0))
    assert np.isnan(profile["spread_ticks"]).all()
    assert profile["valid_share"].tolist() == [0.0, 0.0]
    assert all(len(v) == 0 for v in minute_profile({k: v[:0] for k, v in book(1).items()}).values())


def test_days_alike_pass_and_each_moved_quantity_is_named(tmp_path: Path) -> None:
    history = {f"2026-01-0{d}": minute_profile(book(seed=d)) for d in (1, 2, 3)}
    alike = judge_drift(MARKET, "2026-01-04", minute_profile(book(seed=9)), history, tmp_path)
    assert [(o.name, o.status, o.severity) for o in alike.outcomes] == [(n, "passed", "warning") for n in DRIFT_CHECKS]
    assert alike.page is not None
    assert "spread_ticks" in alike.page.read_text("utf-8")
    moved = {
        "spread_ticks": book(spread=9),
        "messages": book(messages=30),
        "valid_share": book(valid=0.3, seed=5),
    }
    for metric, columns in moved.items():
        report = judge_drift(MARKET, "2026-01-05", minute_profile(columns), history, tmp_path)
        refused = {o.name: o for o in report.outcomes if o.status == "refused"}
        assert set(refused) == {f"drift_{metric}"}
        assert metric in refused[f"drift_{metric}"].message
        assert not refused[f"drift_{metric}"].refuses  # a warning keeps nothing out of the lake
    index = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "2026-01-04" in index
    assert "2026-01-05" in index


def test_too_little_history_is_shown_and_not_judged(tmp_path: Path) -> None:
    today = minute_profile(book())
    none = judge_drift(MARKET, "2026-01-04", today, {}, tmp_path / "none")
    assert none.page is None
    one = judge_drift(MARKET, "2026-01-04", today, {"2026-01-03": minute_profile(book(spread=9))}, tmp_path / "one")
    assert one.page is not None
    for report in (none, one):
        assert {o.status for o in report.outcomes} == {"not_judged"}
        assert len(report.outcomes) == len(METRICS)


def test_an_error_inside_an_expectation_is_raised_not_reported_as_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lob_pipeline.quality import expectations

    history = {"2026-01-03": minute_profile(book())}

    def of_absent_column(metric: str, trailing: list[object]) -> list[object]:
        import great_expectations.expectations as gxe

        return [gxe.ExpectColumnMedianToBeBetween(column="absent", min_value=0.0, max_value=1.0)]

    monkeypatch.setattr(expectations, "_expectations", of_absent_column)
    with pytest.raises(RuntimeError, match="absent"):
        judge_drift(MARKET, "2026-01-04", minute_profile(book()), history, tmp_path)
