"""Drift warnings: what moves is named, what cannot be compared is not judged, and hidden errors are raised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.quality.drift_suites import BOOKS, FEATURES, LABELS, SUITES, WATCHED, Metric, Suite
from lob_pipeline.quality.expectations import judge_drift

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
    profile = BOOKS.profile(columns)
    for minute in range(7):
        rows = [i for i in range(420) if (int(columns["ts_ns"][i]) - 1) // 60_000_000_000 == minute]
        good = [i for i in rows if columns["valid"][i]]
        depth = [int(columns["bid_depth_4bps_lots"][i] + columns["ask_depth_4bps_lots"][i]) for i in good]
        assert profile["messages"][minute] == sum(int(columns["messages"][i]) for i in rows)
        assert profile["valid_share"][minute] == len(good) / len(rows)
        assert profile["depth_4bps_lots"][minute] == pytest.approx(sum(depth) / len(depth))
        assert profile["spread_ticks"][minute] == 1.0


def test_a_minute_without_a_valid_row_has_no_spread_and_an_empty_day_no_minutes() -> None:
    profile = BOOKS.profile(book(2, valid=0.0))
    assert np.isnan(profile["spread_ticks"]).all()
    assert profile["valid_share"].tolist() == [0.0, 0.0]
    assert all(len(v) == 0 for v in BOOKS.profile({k: v[:0] for k, v in book(1).items()}).values())


def test_days_alike_pass_and_each_moved_quantity_is_named(tmp_path: Path) -> None:
    history = {f"2026-01-0{d}": BOOKS.profile(book(seed=d)) for d in (1, 2, 3)}
    alike = judge_drift(BOOKS, MARKET, "2026-01-04", BOOKS.profile(book(seed=9)), history, tmp_path)
    assert [(o.name, o.status, o.severity) for o in alike.outcomes] == [(n, "passed", "warning") for n in BOOKS.checks]
    assert alike.page is not None
    assert "spread_ticks" in alike.page.read_text("utf-8")
    moved = {
        "spread_ticks": book(spread=9),
        "messages": book(messages=30),
        "valid_share": book(valid=0.3, seed=5),
    }
    for metric, columns in moved.items():
        report = judge_drift(BOOKS, MARKET, "2026-01-05", BOOKS.profile(columns), history, tmp_path)
        refused = {o.name: o for o in report.outcomes if o.status == "refused"}
        assert set(refused) == {f"drift_{metric}"}
        assert metric in refused[f"drift_{metric}"].message
        assert not refused[f"drift_{metric}"].refuses  # a warning keeps nothing out of the lake
    index = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "2026-01-04" in index
    assert "2026-01-05" in index


def test_too_little_history_is_shown_and_not_judged(tmp_path: Path) -> None:
    today = BOOKS.profile(book())
    none = judge_drift(BOOKS, MARKET, "2026-01-04", today, {}, tmp_path / "none")
    assert none.page is None
    before = {"2026-01-03": BOOKS.profile(book(spread=9))}
    one = judge_drift(BOOKS, MARKET, "2026-01-04", today, before, tmp_path / "one")
    assert one.page is not None
    for report in (none, one):
        assert {o.status for o in report.outcomes} == {"not_judged"}
        assert len(report.outcomes) == len(BOOKS.metrics)


def test_an_error_inside_an_expectation_is_raised_not_reported_as_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lob_pipeline.quality import expectations

    history = {"2026-01-03": BOOKS.profile(book())}

    def of_absent_column(metric: Metric, trailing: list[object]) -> list[object]:
        import great_expectations.expectations as gxe

        return [gxe.ExpectColumnMedianToBeBetween(column="absent", min_value=0.0, max_value=1.0)]

    monkeypatch.setattr(expectations, "_expectations", of_absent_column)
    with pytest.raises(RuntimeError, match="absent"):
        judge_drift(BOOKS, MARKET, "2026-01-04", BOOKS.profile(book()), history, tmp_path)


def features(minutes: int = 30, seed: int = 0, *, tape: bool = True, **means: float) -> Columns:
    """Random watched features around 5 (or what is named); the first row of each minute is not valid."""
    rng = np.random.default_rng(seed)
    n = minutes * 60
    columns: Columns = {name: (means.get(name, 5.0) + rng.random(n)).astype(np.float32) for name in WATCHED}
    columns["ts_ns"] = (np.arange(n, dtype=np.int64) + 1) * 1_000_000_000
    columns["valid"] = np.arange(n) % 60 != 0
    columns["spread_ticks"][~columns["valid"]] = np.nan
    if not tape:
        columns["signed_volume_30s_lots"][:] = np.nan
    return columns


def labels(minutes: int = 30, fill: float = 0.4, entry: float = 0.2, adverse: float = 0.3, seed: int = 0) -> Columns:
    """Random orders: of the valid ones a share is filled; of those a share adverse, of the others a share entries."""
    rng = np.random.default_rng(seed)
    n = minutes * 60 * 4
    valid = rng.random(n) < 0.9
    filled = valid & (rng.random(n) < fill)
    bad = filled & (rng.random(n) < adverse)
    edge = np.where(filled, rng.normal(-1.0, 2.0, n), np.nan)
    return {
        "ts_ns": (np.arange(n, dtype=np.int64) // 4 + 1) * 1_000_000_000,
        "valid": valid,
        "filled": np.ma.array(filled, mask=~valid),
        "filled_pess": np.ma.array(filled & (rng.random(n) < 0.8), mask=~valid),
        "filled_opt": np.ma.array(filled | (valid & (rng.random(n) < 0.1)), mask=~valid),
        "entry": np.ma.array(filled & ~bad & (rng.random(n) < entry), mask=~valid),
        "adverse": np.ma.array(bad, mask=~filled),
        "edge_bps": edge,
    }


def test_a_profile_of_features_equals_the_obvious_loop() -> None:
    columns = features(5, seed=2)
    columns["signed_volume_30s_lots"][:90] = np.nan
    profile = FEATURES.profile(columns)
    for minute in range(5):
        rows = [i for i in range(300) if (int(columns["ts_ns"][i]) - 1) // 60_000_000_000 == minute]
        for name in WATCHED:
            seen = [float(columns[name][i]) for i in rows if columns["valid"][i] and not np.isnan(columns[name][i])]
            found = profile[name][minute]
            assert found == pytest.approx(sum(seen) / len(seen)) if seen else np.isnan(found)
        assert profile["nan_share"][minute] == sum(not columns["valid"][i] for i in rows) / len(rows)
        assert profile["tape_nan_share"][minute] == [1.0, 0.5, 0.0, 0.0, 0.0][minute]


def test_a_profile_of_labels_equals_the_obvious_loop() -> None:
    columns = labels(4, seed=3)
    profile = LABELS.profile(columns)
    for minute in range(4):
        rows = [i for i in range(960) if (int(columns["ts_ns"][i]) - 1) // 60_000_000_000 == minute]
        valid = [i for i in rows if columns["valid"][i]]
        filled = [i for i in valid if columns["filled"][i]]
        assert profile["valid_share"][minute] == len(valid) / len(rows)
        assert profile["fill_share"][minute] == pytest.approx(len(filled) / len(valid))
        for suffix in ("_pess", "_opt"):
            share = sum(bool(columns[f"filled{suffix}"][i]) for i in valid) / len(valid)
            assert profile[f"fill_share{suffix}"][minute] == pytest.approx(share)
        entries = sum(bool(columns["entry"][i]) for i in valid)
        assert profile["entry_share"][minute] == pytest.approx(entries / len(valid))
        adverse = sum(bool(columns["adverse"][i]) for i in filled)
        assert profile["adverse_share"][minute] == pytest.approx(adverse / len(filled))
        mean = sum(float(columns["edge_bps"][i]) for i in filled) / len(filled)
        assert profile["edge_bps"][minute] == pytest.approx(mean)


def test_a_minute_without_a_fill_has_no_adverse_share_and_an_empty_day_no_minutes() -> None:
    profile = LABELS.profile(labels(2, fill=0.0))
    assert np.isnan(profile["adverse_share"]).all()
    assert profile["fill_share"].tolist() == [0.0, 0.0]
    for suite, columns in ((FEATURES, features(1)), (LABELS, labels(1))):
        empty = suite.profile({name: values[:0] for name, values in columns.items()})
        assert {len(v) for v in empty.values()} == {0}


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda s: s.table)
def test_a_profile_has_the_metrics_of_its_suite(suite: Suite) -> None:
    make = {"book_snapshots": book, "features": features, "labels": labels}[suite.table]
    assert set(suite.profile(make())) == {metric.name for metric in suite.metrics}
    assert set(suite.columns) == set(make())


def test_features_that_move_are_named(tmp_path: Path) -> None:
    history = {f"2026-01-0{d}": FEATURES.profile(features(seed=d)) for d in (1, 2, 3)}
    alike = judge_drift(FEATURES, MARKET, "2026-01-04", FEATURES.profile(features(seed=9)), history, tmp_path)
    assert {o.name: o.status for o in alike.outcomes} == dict.fromkeys(FEATURES.checks, "passed")
    moved = features(seed=8, queue_imbalance_l1_ratio=-4.0, spread_ticks=40.0)
    moved["valid"][: len(moved["valid"]) // 2] = False
    report = judge_drift(FEATURES, MARKET, "2026-01-05", FEATURES.profile(moved), history, tmp_path)
    refused = {o.name for o in report.outcomes if o.status == "refused"}
    assert refused == {"drift_queue_imbalance_l1_ratio", "drift_spread_ticks", "drift_nan_share"}


def test_a_tape_that_ends_is_drift_and_what_it_fed_is_not_judged(tmp_path: Path) -> None:
    history = {f"2026-01-0{d}": FEATURES.profile(features(seed=d)) for d in (1, 2, 3)}
    without = FEATURES.profile(features(tape=False))
    never = {day: FEATURES.profile(features(tape=False)) for day in history}
    for days, status in ((history, "refused"), (never, "passed")):
        report = judge_drift(FEATURES, MARKET, "2026-01-04", without, days, tmp_path)
        found = {o.name: o.status for o in report.outcomes}
        assert found["drift_tape_nan_share"] == status
        assert found["drift_signed_volume_30s_lots"] == "not_judged"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, set()),
        ({"fill": 0.95}, {"drift_fill_share", "drift_fill_share_pess", "drift_entry_share"}),
        ({"adverse": 0.8}, {"drift_adverse_share", "drift_entry_share"}),
        ({"entry": 0.02}, {"drift_entry_share"}),
    ],
    ids=lambda v: "+".join(v) or "alike" if isinstance(v, dict) else "",
)
def test_base_rates_that_move_are_named(tmp_path: Path, changed: dict[str, float], expected: set[str]) -> None:
    history = {f"2026-01-0{d}": LABELS.profile(labels(seed=d)) for d in (1, 2, 3)}
    report = judge_drift(LABELS, MARKET, "2026-01-04", LABELS.profile(labels(seed=9, **changed)), history, tmp_path)
    assert {o.name for o in report.outcomes if o.status == "refused"} >= expected
    assert bool(expected) == any(o.status == "refused" for o in report.outcomes)
    assert not any(o.refuses for o in report.outcomes)
