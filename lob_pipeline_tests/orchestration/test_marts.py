"""The dbt marts against numpy: spread and slippage of random books, usable days only, computed once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, LEVELS, TRADES
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.evaluation.costs import CostConfig, row_costs
from lob_pipeline.labels.spec import LABELS_TABLE, LabelConfig
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.session import Session
from lob_pipeline.stages.marts import PROJECT, Marts
from lob_pipeline_tests.lake.helpers import gates_of

MARKET = parse_market("sim.BTCUSDT")
SIZES = CostConfig().sizes_quote
HOURS = (0, 13)


def book(date: str, seed: int, rows: int = 400) -> Columns:
    """Random valid books, half of the rows in each of two hours, one row in ten invalid; the 1 s grid is all of it."""
    rng = np.random.default_rng(seed)
    columns: Columns = {
        c.name: np.full(rows, 0 if c.minimum is None else c.minimum, dtype=c.dtype) for c in BOOK_SNAPSHOTS.columns
    }
    hour = np.repeat(HOURS, rows // 2)
    seconds = 1 + np.tile(np.arange(rows // 2), 2)
    columns["ts_ns"] = day_start_ns(date) + (hour * 3600 + seconds).astype(np.int64) * 1_000_000_000
    columns["valid"] = rng.random(rows) > 0.1
    columns["messages"] = rng.integers(0, 9, rows)
    mid = 600_000 + rng.integers(-500, 500, rows)
    for side, sign in (("bid", -1), ("ask", 1)):
        gaps = np.cumsum(rng.integers(1, 4, (rows, LEVELS)), axis=1)
        for k in range(LEVELS):
            columns[f"{side}_ticks_{k + 1}"] = mid + sign * gaps[:, k]
            columns[f"{side}_lots_{k + 1}"] = rng.integers(1, 400, rows)
    return columns


def trades(date: str, seed: int) -> Columns:
    rng = np.random.default_rng(seed)
    columns: Columns = {c.name: np.zeros(60, dtype=c.dtype) for c in TRADES.columns if c.dtype != "string"}
    columns["order"] = np.arange(60)
    columns["ts_event_ns"] = np.sort(day_start_ns(date) + rng.integers(1, 86_400, 60) * 1_000_000_000)
    columns["side"] = rng.choice(np.array([-1, 1], dtype=np.int8), 60)
    columns["price_ticks"][:] = 600_000
    columns["size_lots"] = rng.integers(1, 50, 60)
    return columns


SUFFIX = {"proportional": "", "pessimistic": "_pess", "optimistic": "_opt"}


def labels(date: str, seed: int, rows: int = 300) -> Columns:
    """Random orders, two a row: some not valid, delays up to 30 s that repeat, the queue models in their order."""
    rng = np.random.default_rng(seed)
    n = 2 * rows
    columns: Columns = {}
    for column in LABELS_TABLE.columns:
        empty = np.full(n, np.nan) if column.dtype == "float64" else np.zeros(n, column.dtype)
        columns[column.name] = np.ma.array(empty, mask=True) if column.nullable and column.dtype != "float64" else empty
    columns["ts_ns"] = day_start_ns(date) + (np.repeat(np.arange(rows, dtype=np.int64), 2) + 1) * 100_000_000
    columns["side"] = np.tile(np.array([-1, 1], np.int8), rows)
    valid = columns["valid"] = rng.random(n) < 0.8
    columns["t_arrive_ns"] = columns["t_decide_ns"] = columns["t_end_ns"] = columns["ts_ns"]
    patience = rng.random(n)
    for suffix, chance in (("_pess", 0.3), ("", 0.5), ("_opt", 0.7)):
        filled = valid & (patience < chance)
        delay = np.where(filled, 1 + rng.integers(0, 60, n) * 500_000_000, -1)
        markout = np.where(filled, rng.normal(-0.5, 2.0, n), np.nan)
        columns[f"filled{suffix}"] = np.ma.array(filled, mask=~valid)
        columns[f"fill_delay_ns{suffix}"] = np.ma.array(delay, mask=~valid)
        columns[f"markout_5s_bps{suffix}"] = markout
        columns[f"edge_bps{suffix}"] = np.where(rng.random(n) < 0.95, markout - 4.0, np.nan)
        columns[f"exit_maker_ratio{suffix}"] = np.where(filled, 0.5, np.nan)
        columns[f"adverse{suffix}"] = np.ma.array(markout < -1.0, mask=~filled)
        columns[f"entry{suffix}"] = np.ma.array(filled & (markout > 0), mask=~valid)
    return columns


def publish_labels(home: Home, date: str, seed: int, *, gate: bool = True) -> Columns:
    columns = labels(date, seed)
    with PartitionWriter(home, PartitionKey("labels", MARKET, date, "t100ms"), LABELS_TABLE) as writer:
        writer.write(columns)
        outcomes = gates_of("labels") if gate else []
        writer.commit(code_fingerprint="x", inputs={}, outcomes=outcomes)
    return columns


def publish(home: Home, date: str, seed: int, *, gate: bool = True) -> Columns:
    columns = book(date, seed)
    outcomes = gates_of("book_snapshots") if gate else []
    with PartitionWriter(home, PartitionKey("book_snapshots", MARKET, date, "t100ms"), BOOK_SNAPSHOTS) as writer:
        writer.write(columns)
        writer.commit(code_fingerprint="x", inputs={}, outcomes=outcomes)
    with PartitionWriter(home, PartitionKey("trades", MARKET, date), TRADES) as writer:
        writer.write(trades(date, seed), {"trade_id": pa.array([str(i) for i in range(60)])})
        writer.commit(code_fingerprint="x", inputs={}, outcomes=gates_of("trades"))
    return columns


@pytest.fixture(scope="module")
def home(memory_folder: Path) -> Home:
    return Home(memory_folder / "marts")


@pytest.fixture(scope="module")
def first(home: Home) -> Columns:
    """The lake's first day, with the marts built over it."""
    columns = publish(home, "2026-01-05", 1)
    assert Marts(home).state()[0] == "absent"
    assert Session(home, lambda line: None, None).build_marts()
    return columns


def query(home: Home, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(Marts(home).database), read_only=True) as connection:
        return connection.sql(sql).fetchall()


def test_slippage_equals_walking_every_book(home: Home, first: Columns) -> None:
    hour = (first["ts_ns"] - 1) // 3_600_000_000_000 % 24
    seen = 0
    for want in HOURS:
        rows = {name: values[hour == want] for name, values in first.items()}
        costs = row_costs(rows, instrument(MARKET), SIZES)
        for side, bps in (("buy", costs.buy_bps), ("sell", costs.sell_bps)):
            for j, size in enumerate(SIZES):
                found = query(
                    home,
                    "select samples, filled_share, slippage_mean_bps, slippage_p05_bps, slippage_p50_bps, "
                    f"slippage_p95_bps from slippage_by_size_daily where hour = {want} and side = '{side}' "
                    f"and size_quote = {size}",
                )
                one = bps[:, j]
                filled = one[np.isfinite(one)]
                dearest_last = np.sort(np.where(np.isfinite(one), one, np.inf))
                assert len(found) == 1
                samples, share, mean, *quantiles = found[0]
                assert samples == len(one)
                assert share == pytest.approx(len(filled) / len(one))
                assert (mean is None) == (not len(filled))
                if len(filled):
                    assert mean == pytest.approx(filled.mean())
                for p, value in zip((0.05, 0.5, 0.95), quantiles, strict=True):
                    expected = dearest_last[max(0, int(np.ceil(p * len(one))) - 1)]
                    assert value == (None if np.isinf(expected) else pytest.approx(expected))
                seen += len(filled) < len(one)
    assert seen  # some sizes exceed the stored levels: the truncated case is in the comparison


def test_quality_equals_numpy(home: Home, first: Columns) -> None:
    hour = (first["ts_ns"] - 1) // 3_600_000_000_000 % 24
    printed = trades("2026-01-05", 1)
    trade_hour = ((printed["ts_event_ns"] - 1) // 3_600_000_000_000) % 24
    for want in HOURS:
        rows = hour == want
        good = rows & first["valid"]
        spread = (first["ask_ticks_1"] - first["bid_ticks_1"])[good]
        found = query(
            home,
            "select rows, valid_share, messages, samples, spread_mean_ticks, spread_p50_ticks, trades, traded_lots, "
            f"taker_bought_lots from market_quality_daily where hour = {want}",
        )[0]
        here = trade_hour == want
        assert found[:3] == (rows.sum(), pytest.approx(first["valid"][rows].mean()), first["messages"][rows].sum())
        assert found[3] == good.sum()
        assert found[4] == pytest.approx(spread.mean())
        assert found[5] == np.sort(spread)[max(0, int(np.ceil(0.5 * len(spread))) - 1)]
        assert found[6:8] == (here.sum(), printed["size_lots"][here].sum())
        assert (found[8] or 0) == printed["size_lots"][here & (printed["side"] == 1)].sum()


def test_without_labels_their_marts_are_empty(home: Home, first: Columns) -> None:
    for mart in ("label_base_rates_daily", "fill_age_daily"):
        assert query(home, f"select count(*) from {mart}") == [(0,)]


@pytest.fixture(scope="module")
def second(home: Home, first: Columns) -> Columns:
    """The labels of the first day, after a second day of books came: what is done is left alone."""
    marts = Marts(home)
    assert marts.state() == ("fresh", "")
    columns = publish_labels(home, "2026-01-05", 5)
    publish(home, "2026-01-06", 2)
    assert marts.state() == ("stale", "usable partitions changed")
    before = marts.manifest.stat().st_mtime_ns
    assert Session(home, lambda line: None, None).build_marts()
    assert marts.manifest.stat().st_mtime_ns == before  # parsed once
    return columns


def test_base_rates_equal_numpy(home: Home, second: Columns) -> None:
    for side, word in ((1, "buy"), (-1, "sell")):
        for queue, suffix in SUFFIX.items():
            rows = second["side"] == side
            valid = rows & second["valid"]
            filled = valid & np.ma.filled(second[f"filled{suffix}"], False)
            edge = second[f"edge_bps{suffix}"][filled]
            instants = (second["t_arrive_ns"] + np.ma.getdata(second[f"fill_delay_ns{suffix}"]))[filled]
            ((*counts, filled_share, adverse, entry, mean, markout),) = query(
                home,
                "select orders, valid_orders, filled_orders, distinct_fill_instants, filled_share, adverse_share, "
                "entry_share, edge_mean_bps, markout_5s_mean_bps from label_base_rates_daily "
                f"where side = '{word}' and queue_model = '{queue}'",
            )
            assert counts == [rows.sum(), valid.sum(), filled.sum(), len(np.unique(instants))]
            assert filled_share == pytest.approx(filled.sum() / valid.sum())
            assert adverse == pytest.approx(np.ma.getdata(second[f"adverse{suffix}"])[filled].mean())
            assert entry == pytest.approx(np.ma.getdata(second[f"entry{suffix}"])[valid].mean())
            assert mean == pytest.approx(np.nanmean(edge))
            assert markout == pytest.approx(second[f"markout_5s_bps{suffix}"][filled].mean())


def test_fills_fall_into_the_ages_that_the_project_names(home: Home, second: Columns) -> None:
    import yaml

    edges = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]["fill_age_edges_ms"]
    assert edges[-1] * 1_000_000 == LabelConfig().order_life_ns
    seen = 0
    for queue, suffix in SUFFIX.items():
        filled = (second["side"] == 1) & second["valid"] & np.ma.filled(second[f"filled{suffix}"], False)
        delay_ms = np.ma.getdata(second[f"fill_delay_ns{suffix}"]) / 1e6
        for low, high in zip([-1, *edges], edges, strict=False):
            mine = filled & (delay_ms > low) & (delay_ms <= high)
            found = query(
                home,
                "select fills, share_of_fills, markout_5s_mean_bps, adverse_share from fill_age_daily "
                f"where side = 'buy' and queue_model = '{queue}' and age_to_ms = {high}",
            )
            assert len(found) == int(mine.any())
            if mine.any():
                markout = second[f"markout_5s_bps{suffix}"][mine]
                expected = (mine.sum(), mine.sum() / filled.sum(), markout.mean(), (markout < -1.0).mean())
                assert found[0] == pytest.approx(expected)
                seen += 1
    assert seen > 2 * len(SUFFIX)


def test_only_what_changed_is_computed_and_unusable_days_leave(home: Home, second: Columns) -> None:
    days = "select date, count(*) from {} group by date order by date"
    books, orders = days.format("slippage_by_size_daily"), days.format("label_base_rates_daily")
    assert query(home, books) == [("2026-01-05", 20), ("2026-01-06", 20)]
    assert query(home, orders) == [("2026-01-05", 6)]
    publish(home, "2026-01-06", 3, gate=False)  # an absent gate is a refused gate: the standing day goes too
    publish_labels(home, "2026-01-05", 5, gate=False)
    assert Session(home, lambda line: None, None).build_marts()
    assert query(home, books) == [("2026-01-05", 20)]
    assert query(home, orders) == []
    assert Marts(home).state() == ("fresh", "")


def test_no_data_test_warned(home: Home, second: Columns) -> None:
    results = json.loads((Marts(home).folder / "target" / "run_results.json").read_text("utf-8"))["results"]
    statuses = {r["unique_id"]: r["status"] for r in results}
    tests = {name: status for name, status in statuses.items() if name.startswith("test.")}
    assert len(tests) > 30
    assert set(tests.values()) == {"pass"}


def test_an_empty_lake_has_nothing_to_build(tmp_path: Path) -> None:
    assert Marts(Home(tmp_path)).state()[0] == "blocked"


def test_the_project_walks_the_sizes_that_the_report_walks() -> None:
    import yaml

    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))
    assert tuple(project["vars"]["sizes_quote"]) == SIZES
    assert project["vars"]["levels"] == LEVELS


def test_a_manifest_is_whole_or_absent_while_others_parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Webserver, daemon and test workers load the definitions at once: nobody may read what another still writes."""
    marts = Marts(Home(tmp_path))
    seen: list[bool] = []

    def slow_dbt(command: list[str], *, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        out = Path(env["DBT_TARGET_PATH"]) / "manifest.json"
        out.write_text('{"half"', "utf-8")
        seen.append(marts.manifest.exists())
        if len(seen) == 1:  # a second process comes while the first is half done
            assert json.loads(Marts(Home(tmp_path)).ensure_manifest().read_text("utf-8")) == {"by": 2}
        out.write_text(json.dumps({"by": 2 if len(seen) == 2 and not marts.manifest.exists() else 1}), "utf-8")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", slow_dbt)
    assert json.loads(marts.ensure_manifest().read_text("utf-8")) == {"by": 1}
    assert seen == [False, False]
    assert [p.name for p in marts.folder.iterdir()] == ["manifests"]  # scratch folders are gone
