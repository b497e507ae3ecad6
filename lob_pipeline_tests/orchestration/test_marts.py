"""The dbt marts against numpy: spread and slippage of random books, usable days only, computed once."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, LEVELS, TRADES
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.evaluation.costs import CostConfig, row_costs
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.session import Session
from lob_pipeline.stages.marts import PROJECT, Marts

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


def publish(home: Home, date: str, seed: int, *, gate: bool = True) -> Columns:
    columns = book(date, seed)
    outcomes = [judge("schema", True, examined=1, judged=1)] if gate else []
    with PartitionWriter(home, PartitionKey("book_snapshots", MARKET, date, "t100ms"), BOOK_SNAPSHOTS) as writer:
        writer.write(columns)
        writer.commit(code_fingerprint="x", inputs={}, outcomes=outcomes)
    with PartitionWriter(home, PartitionKey("trades", MARKET, date), TRADES) as writer:
        writer.write(trades(date, seed), {"trade_id": pa.array([str(i) for i in range(60)])})
        writer.commit(code_fingerprint="x", inputs={}, outcomes=[judge("schema", True, examined=1, judged=1)])
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


def test_only_what_changed_is_computed_and_unusable_days_leave(home: Home, first: Columns) -> None:
    marts = Marts(home)
    assert marts.state() == ("fresh", "")
    publish(home, "2026-01-06", 2)
    assert marts.state() == ("stale", "usable partitions changed")
    parsed = marts.manifest.with_name("parsed.sha256")
    before = parsed.stat().st_mtime_ns
    assert Session(home, lambda line: None, None).build_marts()
    assert parsed.stat().st_mtime_ns == before  # parsed once
    days = "select date, count(*) from slippage_by_size_daily group by date order by date"
    assert query(home, days) == [("2026-01-05", 20), ("2026-01-06", 20)]
    publish(home, "2026-01-06", 3, gate=False)  # an absent gate is a refused gate: the standing day goes too
    assert Session(home, lambda line: None, None).build_marts()
    assert query(home, days) == [("2026-01-05", 20)]
    assert marts.state() == ("fresh", "")


def test_an_empty_lake_has_nothing_to_build(tmp_path: Path) -> None:
    assert Marts(Home(tmp_path)).state()[0] == "blocked"


def test_the_project_walks_the_sizes_that_the_report_walks() -> None:
    import yaml

    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))
    assert tuple(project["vars"]["sizes_quote"]) == SIZES
    assert project["vars"]["levels"] == LEVELS
