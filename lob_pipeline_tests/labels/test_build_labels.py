"""The stage on a real recording: from the lake, against the reference; and what it refuses."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, TRADES
from lob_pipeline.labels.day import Day, decision_rows, make_tape, run_day
from lob_pipeline.labels.spec import LABELS_TABLE, LabelConfig
from lob_pipeline.labels.stream import NEEDED
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.label_gates import LabelGates, decision_prices
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.result import StageResult
from lob_pipeline_tests.acceptance.labels_vs_naive import Tally, compare
from lob_pipeline_tests.naive import labels_recorded as recorded
from lob_pipeline_tests.naive.labels_naive import Settings

MARKET = parse_market("binance-usdm.BTCUSDT")
DATE = "2023-04-05"
INSURANCE_FUND = "3535191080"


@dataclass
class Built:
    """A lake with the 2023 pair, and the results of its labels."""

    home: Home
    results: dict[str, StageResult]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    from lob_pipeline_tests.real_data import real_data_root

    root = real_data_root()
    if root is None:
        pytest.skip("the real recordings are not at ../shared/data (or LOB_REAL_DATA)")
    home = Home(tmp_path_factory.mktemp("labels"))
    ingest(home, MARKET, [root / "binance_usdm" / n for n in recorded.USDM_2023[1]])
    results = {}
    for date in ("2023-04-04", DATE):
        assert not build_books(home, MARKET, date).refused
        results[date] = build_labels(home, MARKET, date)
    return Built(home, results)


def labels_of(built: Built, date: str = DATE) -> Columns:
    with open_partition(built.home, PartitionKey("labels", MARKET, date, "t100ms"), LABELS_TABLE) as partition:
        return partition.read()


def day_of(built: Built, trades: Columns) -> Day:
    with (
        open_partition(built.home, PartitionKey("book_snapshots", MARKET, DATE, "t100ms"), BOOK_SNAPSHOTS) as books,
        open_partition(built.home, PartitionKey("l2_events", MARKET, DATE), L2_EVENTS) as events,
    ):
        rows = decision_rows(books.chunks(1 << 16))
        chunks = events.chunks(1 << 16, list(NEEDED))
        config = LabelConfig(outcomes=False)
        return run_day(rows, chunks, make_tape(trades), config, "bridge", 100_000_000)


@pytest.mark.real
def test_the_partition_says_what_it_is(built: Built) -> None:
    result = built.results[DATE]
    assert not result.refused
    assert {o.name: o.status for o in result.manifest.outcomes} == dict.fromkeys(
        ("schema", "ordering_law", "null_rule", "fill_rule", "decision_prices", "valid_rows"), "passed"
    )
    assert set(result.manifest.inputs) == {f"{t}/{DATE}" for t in ("l2_events", "trades", "book_snapshots")}
    rates = result.manifest.extra["base_rates"]
    labels = labels_of(built)
    valid = np.asarray(labels["valid"])
    assert rates["orders"] == len(valid)
    assert rates["valid_orders"] == int(valid.sum()) > 5_000
    for name, suffix in (("proportional", ""), ("pessimistic", "_pess"), ("optimistic", "_opt")):
        model = rates["models"][name]
        assert model["filled"] == int(np.ma.filled(labels[f"filled{suffix}"], False).sum())
        assert 0 < model["effective_n"] < model["filled"]
        assert sum(model["fill_kinds"].values()) == rates["valid_orders"]
        assert model["mean_edge_bps"] == pytest.approx(float(np.nanmean(labels[f"edge_bps{suffix}"])))


@pytest.mark.real
@pytest.mark.slow
def test_sampled_rows_equal_the_reference(built: Built, real_data: Path) -> None:
    tally = Tally()
    for day in recorded.usdm_2023(real_data):
        compare(built.home, day, Settings(), 60, tally)
    assert tally.mismatches == []
    assert tally.unlawful == 0
    assert sum(tally.valid.values()) > 100


@pytest.mark.real
def test_the_insurance_funds_print_touches_no_fill(built: Built) -> None:
    """It lies 2 % above the book, as a sale. As a purchase without its flag it would fill every resting offer."""
    with open_partition(built.home, PartitionKey("trades", MARKET, DATE), TRADES) as partition:
        trades = partition.read()
        ids = np.asarray(partition.strings("trade_id"))
    (at,) = np.flatnonzero(ids == INSURANCE_FUND)
    assert trades["flags"][at] == 4
    assert np.flatnonzero(trades["flags"]).tolist() == [at]
    with_it = day_of(built, trades)
    without = day_of(built, {n: np.delete(v, at) for n, v in trades.items()})
    np.testing.assert_array_equal(with_it.fates.fill, without.fates.fill)
    np.testing.assert_array_equal(with_it.fates.kind, without.fates.kind)
    bought = trades["side"].copy()
    bought[at] = 1
    flagged = day_of(built, {**trades, "side": bought})
    np.testing.assert_array_equal(flagged.fates.fill, without.fates.fill)
    poisoned = day_of(built, {**trades, "side": bought, "flags": np.zeros_like(trades["flags"])})
    assert int((poisoned.fates.kind != without.fates.kind).sum()) > 100


@pytest.mark.real
def test_a_day_without_a_whole_span_is_not_judged(real_data: Path, tmp_path: Path) -> None:
    home, market = Home(tmp_path), parse_market("bybit-linear.BTCUSDT")
    folder = real_data / "bybit_linear_ws"
    ingest(home, market, [folder / "orderbook.200.BTCUSDT.ndjson", folder / "publicTrade.BTCUSDT.ndjson"])
    build_books(home, market, "2026-08-09")
    result = build_labels(home, market, "2026-08-09")
    assert not result.refused
    assert {o.name for o in result.manifest.outcomes if o.status == "not_judged"} == {
        *("ordering_law", "fill_rule", "valid_rows")
    }
    assert result.manifest.usable
    assert not result.manifest.trainable


@pytest.mark.real
def test_absent_or_refused_books_give_no_labels(built: Built, tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        build_labels(built.home, MARKET, DATE, "t1s")
    with pytest.raises(RefusedError):
        build_labels(Home(tmp_path), MARKET, DATE)


@pytest.mark.real
def test_gates_see_what_they_name(built: Built) -> None:
    """Each gate refuses one defect of its own kind, and names row and column."""
    labels = labels_of(built)
    valid = int(np.flatnonzero(np.asarray(labels["valid"]) & np.ma.filled(labels["filled"], False))[0])

    def outcome(gate: str, **changed: np.ndarray) -> tuple[str, str]:
        gates = LabelGates()
        gates.add({**labels, **changed})
        found = next(o for o in gates.outcomes() if o.name == gate)
        return found.status, found.message

    later = labels["fill_delay_ns_opt"].copy()
    later[valid] = np.ma.getdata(labels["fill_delay_ns"])[valid] + 1
    status, message = outcome("ordering_law", fill_delay_ns_opt=later)
    assert status == "refused"
    assert f"ts_ns={int(labels['ts_ns'][valid])}" in message
    edge = labels["edge_bps"].copy()
    edge[int(np.flatnonzero(~np.asarray(labels["valid"]))[0])] = 1.0
    assert outcome("null_rule", edge_bps=edge)[0] == "refused"
    kind = labels["fill_kind"].copy()
    kind[valid] = 0
    assert outcome("fill_rule", fill_kind=kind)[0] == "refused"


@pytest.mark.real
def test_a_shifted_book_row_is_refused(built: Built) -> None:
    with open_partition(built.home, PartitionKey("trades", MARKET, DATE), TRADES) as partition:
        day = day_of(built, partition.read())
    assert decision_prices(day).status == "passed"
    day.rows.bid_ticks[1:] = day.rows.bid_ticks[:-1].copy()
    found = decision_prices(day)
    assert found.status == "refused"
    assert "best" in found.message


def test_empty_and_all_invalid_labels_never_pass() -> None:
    empty: Columns = {
        c.name: np.ma.MaskedArray(np.empty(0, c.dtype), mask=np.empty(0, bool)) if c.nullable else np.empty(0, c.dtype)
        for c in LABELS_TABLE.columns
    }
    gates = LabelGates()
    gates.add(empty)
    assert {o.status for o in gates.outcomes()} == {"not_judged"}


def test_books_of_other_events_are_not_combined_with_the_events_that_stand(built: Built, tmp_path: Path) -> None:
    home = Home(tmp_path)
    shutil.copytree(built.home.lake, home.lake)
    events = PartitionKey("l2_events", MARKET, DATE)
    with open_partition(home, events, L2_EVENTS) as standing:
        columns, manifest = standing.read(), standing.manifest
    columns["size_lots"] = columns["size_lots"] + 1
    with PartitionWriter(home, events, L2_EVENTS) as writer:
        writer.write(columns)
        writer.commit(
            code_fingerprint=manifest.code_fingerprint, inputs=manifest.inputs, outcomes=list(manifest.outcomes)
        )
    with pytest.raises(RefusedError, match="built from other l2_events"):
        build_labels(home, MARKET, DATE)
