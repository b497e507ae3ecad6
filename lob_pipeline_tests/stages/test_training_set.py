"""Which days are trained on, what is said of the others, and what the rows in memory are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import NS_PER_S, day_start_ns
from lob_pipeline.datasets.counts import fold_table
from lob_pipeline.datasets.folds import walk_forward
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.datasets.instants import SUFFIXES
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.training_set import TrainingSet, load_instants, training_set, training_set_path
from lob_pipeline_tests.lake.helpers import tree
from lob_pipeline_tests.stages.training_lake import (
    CLOCK,
    LABEL_SETTINGS,
    MARKET,
    WRITTEN,
    add_day,
    book_columns,
    gates,
    key_of,
    publish,
)

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    found = Home(tmp_path_factory.mktemp("home"))
    for seed, date in enumerate(DAYS):
        add_day(found, date, seed=seed)
    return found


def chosen(home: Home, as_of: str = DAYS[-1], **options: int) -> TrainingSet:
    return training_set(home, MARKET, as_of, CLOCK, **options)


def small(tmp_path: Path, *dates: str) -> Home:
    """A lake of short days."""
    found = Home(tmp_path / "home")
    for seed, date in enumerate(dates):
        add_day(found, date, seed=seed, rows=400)
    return found


def reason_of(found: TrainingSet, date: str) -> str:
    return next(day.reason for day in found.left_out if day.date == date)


def test_three_evenings_give_five_folds_of_four_hours(home: Home) -> None:
    found = chosen(home)
    assert found.dates == DAYS
    assert len(found.folds) == 5
    assert all(f["test_end_ns"] - f["test_start_ns"] == 4 * 3600 * NS_PER_S for f in found.folds)
    instants = load_instants(home, found, model_inputs("full89", parse_clock(CLOCK))[0])
    assert list(found.folds) == fold_table(instants, walk_forward(instants))
    assert found.summary["rows"] == instants.rows == 3 * 8 * 3600
    assert found.summary["scored_rows"] == int(instants.scored.sum()) > 60_000
    models = found.summary["models"]["proportional"]
    assert 0 < models["effective_n"] < models["filled"]
    assert sum(found.summary["classes"].values()) == found.summary["scored_rows"]
    assert {day.reason for day in found.left_out} == {"features absent"}
    assert len(found.left_out) == 25


def test_it_is_written_down_once_and_again_when_code_or_data_changed(tmp_path: Path) -> None:
    home = small(tmp_path, *DAYS)
    first = chosen(home)
    path = training_set_path(home, MARKET, CLOCK, DAYS[-1])
    assert path == home.root / "training" / "sim.BTCUSDT" / "t1s" / "2026-01-07.json"
    document = json.loads(path.read_text())
    assert document == json.loads(json.dumps(first.to_json()))
    assert not first.fresh
    before = tree(home.root)
    stamp = path.stat().st_mtime_ns
    again = chosen(home)
    assert again.fresh
    assert replace(again, fresh=False) == first
    assert tree(home.root) == before
    assert path.stat().st_mtime_ns == stamp
    path.write_text(json.dumps({**document, "code_sha256": "another"}))
    assert not chosen(home).fresh
    add_day(home, DAYS[1], seed=9, rows=400)
    changed = chosen(home)
    assert not changed.fresh
    assert changed.data_sha256 != first.data_sha256
    assert not chosen(home, window_days=3).fresh
    assert chosen(home, window_days=3).data_sha256 == changed.data_sha256


def test_rows_are_those_of_the_lake(home: Home) -> None:
    found = chosen(home)
    instants = load_instants(home, found, WRITTEN[:2])
    assert instants.features.dtype == np.float32
    assert instants.features.flags.c_contiguous
    assert instants.names == WRITTEN[:2]
    at = 0
    for date in DAYS:
        with open_partition(home, key_of("features", date), FEATURES_TABLE) as partition:
            features = partition.read(["ts_ns", *WRITTEN])
        with open_partition(home, key_of("book_snapshots", date), BOOK_SNAPSHOTS) as partition:
            books = partition.read(["bid_ticks_1", "ask_ticks_1"])
        with open_partition(home, key_of("labels", date), LABELS_TABLE) as partition:
            labels = partition.read()
        n = len(features["ts_ns"])
        part = slice(at, at + n)
        np.testing.assert_array_equal(instants.ts_ns[part], features["ts_ns"])
        for j in range(2):
            np.testing.assert_array_equal(instants.features[part, j], features[WRITTEN[j]])
        expected = [-1] * 60 + [DAYS.index(date)] * (n - 60)
        assert instants.segment[part].tolist() == expected
        row = {int(t): i for i, t in enumerate(features["ts_ns"])}
        for i in range(0, len(labels["ts_ns"]), 37):
            r, side = at + row[int(labels["ts_ns"][i])], 0 if labels["side"][i] == 1 else 1
            orders = instants.orders
            assert orders.valid[r, side] == labels["valid"][i]
            assert instants.t_end_ns[r] == labels["t_end_ns"][i]
            if not labels["valid"][i]:
                assert np.isnan(orders.edge_bps[""][r, side])
                assert np.isnan(orders.entry[""][r, side])
                continue
            price = books["bid_ticks_1" if side == 0 else "ask_ticks_1"][r - at]
            assert orders.price_ticks[r, side] == price
            np.testing.assert_equal(instants.mid_return_bps[r], labels["mid_return_bps"][i])
            for s in SUFFIXES:
                filled = bool(labels[f"filled{s}"][i])
                assert orders.filled[s][r, side] == filled
                assert orders.fill_delay_ns[s][r, side] == labels[f"fill_delay_ns{s}"][i]
                for name in ("edge_bps", "markout_5s_bps", "exit_maker_ratio"):
                    np.testing.assert_equal(getattr(orders, name)[s][r, side], labels[f"{name}{s}"][i])
                left = filled and np.isnan(labels[f"edge_bps{s}"][i])
                np.testing.assert_equal(orders.entry[s][r, side], np.nan if left else float(labels[f"entry{s}"][i]))
                adverse = labels[f"adverse{s}"][i]
                known = np.nan if adverse is np.ma.masked else float(adverse)
                np.testing.assert_equal(orders.adverse[s][r, side], known)
        at += n
    assert np.sum(np.isnan(instants.orders.entry[""]) & instants.orders.valid) > 100


def test_rows_without_a_label_say_nothing(home: Home) -> None:
    instants = load_instants(home, chosen(home), WRITTEN)
    bare = instants.t_arrive_ns == 0
    assert 10_000 < bare.sum() < 30_000
    assert not instants.orders.valid[bare].any()
    assert not instants.scored[bare].any()
    assert np.isnan(instants.orders.edge_bps[""][bare]).all()
    assert np.isnan(instants.mid_return_bps[bare]).all()


def test_runs_go_on_over_midnight_when_rows_do(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_day(home, DAYS[0], from_s=86_400 - 300, rows=300)
    add_day(home, DAYS[1], from_s=0, rows=300)
    instants = load_instants(home, chosen(home, DAYS[1]), ("hour_sin",))
    assert instants.ts_ns[299] == day_start_ns(DAYS[1])
    assert set(instants.segment) == {0}
    gapped = load_instants(home, chosen(home, DAYS[1]), WRITTEN)
    assert sorted(set(gapped.segment)) == [-1, 0, 1]


def test_every_reason_is_said(tmp_path: Path) -> None:
    home = small(tmp_path, "2026-01-11")
    refused = judge("nan_rule", False, examined=9, judged=9, message="row 7 lies")
    unjudged = judge("valid_rows", True, examined=9, judged=0, message="no row has a whole span")
    add_day(home, "2026-01-01", rows=400, without="labels")
    add_day(home, "2026-01-02", rows=400, outcomes={"features": [*gates("features")[:1], refused]})
    add_day(home, "2026-01-03", rows=400, outcomes={"labels": [*gates("labels")[:-1], unjudged]})
    add_day(home, "2026-01-04", rows=400, outcomes={"labels": gates("labels")[:3]})
    add_day(home, "2026-01-05", rows=400)
    publish(home, BOOK_SNAPSHOTS, "2026-01-05", book_columns(np.arange(5, dtype=np.int64), 3))
    add_day(home, "2026-01-06", rows=400, settings={"fees_bps": {"maker": 1.0, "taker": 5.5, "as_of": "y"}})
    add_day(home, "2026-01-07", rows=400)
    path = key_of("labels", "2026-01-07").path(home)
    path.write_bytes(path.read_bytes()[:-40])
    add_day(home, "2026-01-08", rows=400, outcomes={"features": []})
    add_day(home, "2026-01-09", rows=400)
    key_of("labels", "2026-01-09").path(home).write_bytes(key_of("labels", "2026-01-11").path(home).read_bytes())
    add_day(home, "2026-01-10", rows=400, settings={"fees_bps": {**LABEL_SETTINGS["fees_bps"], "as_of": "later"}})
    found = chosen(home, "2026-01-11")
    assert found.dates == ("2026-01-10", "2026-01-11")
    assert reason_of(found, "2025-12-31") == "features absent"
    assert reason_of(found, "2026-01-01") == "labels absent"
    assert reason_of(found, "2026-01-02") == "features refused: nan_rule: row 7 lies"
    assert reason_of(found, "2026-01-03") == "labels not judged: valid_rows: no row has a whole span"
    missing = "without the gate fill_rule, decision_prices, valid_rows"
    assert reason_of(found, "2026-01-04").startswith(f"labels refused: {missing}")
    assert reason_of(found, "2026-01-05").startswith("features other inputs: built from another book_snapshots")
    assert reason_of(found, "2026-01-06") == "other settings than 2026-01-11: labels fees_bps"
    assert reason_of(found, "2026-01-07").startswith("labels damaged")
    assert reason_of(found, "2026-01-08").startswith("features refused: no gate ran on it")
    assert reason_of(found, "2026-01-09") == "labels is the file of another partition"
    assert len(found.left_out) + len(found.days) == 28


def test_a_window_of_refused_days_says_why_not_that_there_are_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    refused = judge("nan_rule", False, examined=9, judged=9, message="row 7 lies")
    for date in ("2026-01-01", "2026-01-02"):
        add_day(home, date, rows=400, outcomes={"features": [*gates("features")[:1], refused]})
    with pytest.raises(RefusedError, match="2026-01-01 features refused: nan_rule: row 7 lies"):
        chosen(home, "2026-01-02")
    with pytest.raises(BadInputError, match="has no features"):
        training_set(home, parse_market("sim.ETHUSDT"), "2026-01-02", CLOCK)


@pytest.mark.parametrize(
    ("profiled", "minimum", "used"),
    [
        ((False, False, True), 1, (0, 1)),
        ((False, True, True), 1, (1, 2)),
        ((False, True, True), 2, (1, 2)),
        ((False, True, False, True), 1, (1, 3)),
        ((True, True), 1, (0, 1)),
        ((False,), 1, (0,)),
    ],
)
def test_profiled_days_are_used_alone_once_there_are_enough(
    tmp_path: Path, profiled: tuple[bool, ...], minimum: int, used: tuple[int, ...]
) -> None:
    home = Home(tmp_path / "home")
    dates = [f"2026-01-{5 + i:02d}" for i in range(len(profiled))]
    for date, flag in zip(dates, profiled, strict=True):
        add_day(home, date, rows=200, profiled=flag)
    found = chosen(home, dates[-1], minimum_days=minimum)
    assert found.dates == tuple(dates[i] for i in used)
    left = [day for day in found.left_out if day.date in dates]
    assert len(left) == len(profiled) - len(used)
    assert all(day.reason.startswith("profile rule") for day in left)


def test_no_row_of_a_changed_partition_is_read(tmp_path: Path) -> None:
    home = small(tmp_path, *DAYS)
    found = chosen(home)
    assert load_instants(home, found, WRITTEN).rows == 1200
    path = key_of("labels", DAYS[0]).path(home)
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(RefusedError, match=r"labels of sim\.BTCUSDT on 2026-01-05"):
        load_instants(home, found, WRITTEN)
    path.write_bytes(kept)
    add_day(home, DAYS[1], seed=77, rows=400)
    with pytest.raises(RefusedError, match="2026-01-06 changed since the training set was chosen"):
        load_instants(home, found, WRITTEN)


def test_the_window_ends_at_the_day_asked_for(tmp_path: Path) -> None:
    home = small(tmp_path, *DAYS)
    assert chosen(home, DAYS[1]).dates == DAYS[:2]
    assert chosen(home, "2026-01-08", window_days=2).dates == DAYS[2:]
    with pytest.raises(RefusedError, match=r"has 0 usable days in 2026-02-01\.\.2026-02-28, 1 needed \(all absent\)"):
        chosen(home, "2026-02-28")
    with pytest.raises(RefusedError, match="has 3 usable days"):
        chosen(home, minimum_days=4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"as_of": "2026-02-31"}, "2026-02-31"),
        ({"as_of": "today"}, "expected YYYY-MM-DD"),
        ({"window_days": 0}, "a window of 0 days"),
        ({"window_days": 2, "minimum_days": 3}, "at least 3 used"),
        ({"market": parse_market("sim.ETHUSDT"), "clock": "t1s"}, r"no features of sim\.ETHUSDT at t1s"),
        ({"clock": "t250ms"}, r"known: sim\.BTCUSDT at t1s"),
    ],
)
def test_bad_input_is_said_in_a_sentence(home: Home, change: dict[str, object], says: str) -> None:
    settings = {"market": MARKET, "as_of": DAYS[-1], "clock": CLOCK, **change}
    with pytest.raises(BadInputError, match=says):
        training_set(home, **settings)  # type: ignore[arg-type]


def test_rows_alone_say_the_same_of_folds(home: Home) -> None:
    names = model_inputs("full89", parse_clock(CLOCK))[0]
    alone, with_all = (load_instants(home, chosen(home), asked) for asked in ((), names))
    assert alone.features.shape == (alone.rows, 0)
    np.testing.assert_array_equal(alone.segment, with_all.segment)
    assert np.count_nonzero(alone.segment < 0) == 3 * 60


def test_a_feature_that_is_none_is_refused(home: Home) -> None:
    with pytest.raises(BadInputError, match="no_such_ratio"):
        load_instants(home, chosen(home), ("no_such_ratio",))


def test_a_window_larger_than_memory_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    found = chosen(home)
    monkeypatch.setattr("lob_pipeline.stages.training_set_rows.available_bytes", lambda: 40 << 20)
    assert load_instants(home, found, WRITTEN[:1]).rows == 86_400
    with pytest.raises(LobError, match=r"need 0\.1 GiB of memory, 0\.0 GiB can be had: choose a shorter window"):
        load_instants(home, found, model_inputs("full89", parse_clock(CLOCK))[0])


def test_books_of_other_rows_are_refused(tmp_path: Path) -> None:
    """A book that the features were not computed from is noticed even where its hash is the listed one."""
    home = small(tmp_path, DAYS[0])
    found = chosen(home, DAYS[0])
    publish(home, BOOK_SNAPSHOTS, DAYS[0], book_columns(np.arange(1, 6, dtype=np.int64), 3))
    with open_partition(home, key_of("book_snapshots", DAYS[0]), BOOK_SNAPSHOTS) as partition:
        own = replace(found.days[0], books_sha256=partition.manifest.content_sha256)
    with pytest.raises(LobError, match="do not have the same rows"):
        load_instants(home, replace(found, days=(own,)), WRITTEN)
