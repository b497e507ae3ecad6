"""Drift over the lake: usable days before the day, a page that stays, and no part in any manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import read_manifest
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.drift_suites import BOOKS, SUITES
from lob_pipeline.stages.drift import drift, feature_drift, label_drift
from lob_pipeline_tests.lake.helpers import gates_of
from lob_pipeline_tests.orchestration.fake_stages import TABLES, rows_of
from lob_pipeline_tests.orchestration.test_marts import book

MARKET = parse_market("sim.BTCUSDT")


def publish(home: Home, date: str, seed: int, *, wide: int = 1, gate: bool = True) -> Path:
    columns = book(date, seed, rows=1600)
    columns["ask_ticks_1"] = columns["bid_ticks_1"] + wide * (columns["ask_ticks_1"] - columns["bid_ticks_1"])
    columns["bid_depth_4bps_lots"] = np.full(1600, 500, dtype=np.int64)
    with PartitionWriter(home, PartitionKey("book_snapshots", MARKET, date, "t100ms"), BOOK_SNAPSHOTS) as writer:
        writer.write(columns)
        outcomes = gates_of("book_snapshots") if gate else []
        writer.commit(code_fingerprint="x", inputs={}, outcomes=outcomes)
    return writer.path


def test_a_day_is_compared_with_the_usable_days_before_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for day in (1, 2, 3, 4):
        path = publish(home, f"2026-01-0{day}", day)
    before = path.read_bytes()
    alike = drift(home, MARKET, "2026-01-04")
    assert {o.name: o.status for o in alike.outcomes} == dict.fromkeys(BOOKS.checks, "passed")
    assert alike.page is not None
    assert alike.page.is_relative_to(home.reports / "data_docs" / str(MARKET))
    assert path.read_bytes() == before
    publish(home, "2026-01-05", 5, wide=20)
    moved = {o.name: o for o in drift(home, MARKET, "2026-01-05").outcomes}
    assert {name for name, o in moved.items() if o.status == "refused"} == {"drift_spread_ticks"}
    assert moved["drift_spread_ticks"].facts["trailing_days"] == 4
    assert alike.page.exists()  # pages of other days stay
    assert not any(o.name in BOOKS.checks for o in read_manifest(path).outcomes)


def test_refused_days_are_no_history_but_are_held_against_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    publish(home, "2026-01-01", 1)
    publish(home, "2026-01-02", 2, gate=False)
    publish(home, "2026-01-03", 3)
    report = drift(home, MARKET, "2026-01-03")
    assert {o.facts["trailing_days"] for o in report.outcomes} == {1}
    assert {o.status for o in report.outcomes} == {"not_judged"}
    refused = drift(home, MARKET, "2026-01-02")
    assert {o.facts["trailing_days"] for o in refused.outcomes} == {1}
    assert refused.page is not None
    with pytest.raises(RefusedError):
        drift(home, MARKET, "2026-01-04")


def test_features_and_labels_are_compared_beside_the_books_on_the_same_site(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for day in ("2026-01-03", "2026-01-04"):
        publish(home, day, 1)
        for name in ("features", "labels"):
            with PartitionWriter(home, PartitionKey(name, MARKET, day, "t100ms"), TABLES[name]) as writer:
                writer.write(*rows_of(TABLES[name], day, 1))
                writer.commit(code_fingerprint="x", inputs={}, outcomes=gates_of(name))
    reports = {
        name: compare(home, MARKET, "2026-01-04")
        for name, compare in (("book_snapshots", drift), ("features", feature_drift), ("labels", label_drift))
    }
    for name, report in reports.items():
        assert tuple(o.name for o in report.outcomes) == SUITES[name].checks
        assert report.page is not None
        assert report.page.exists()
        assert SUITES[name].name in report.page.read_text("utf-8")
    index = (home.reports / "data_docs" / str(MARKET) / "t100ms" / "site" / "index.html").read_text("utf-8")
    assert all(suite.name in index for suite in SUITES.values())
