"""The realism table: one view of any market, twelve statistics, distances on a scale of the recording's own."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.realism import STATISTICS, distance, order_flow_imbalance, taker_orders
from lob_pipeline.sim.realism_source import recorded_view, simulated_view
from lob_pipeline.sim.realism_table import BLOCKS, CUTS, HALVES, RESOLUTION, Row, measure, pieces, table
from lob_pipeline.sim.realism_view import (
    ASK,
    ASK_LOTS,
    BID,
    BID_LOTS,
    CHANGES,
    DEPTH,
    REACH_TICKS,
    SHOWN_LEVELS,
    STEP_MS,
    VALID,
    WIDTH,
    MarketView,
    market_view,
)
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import simulate

Message = tuple[int, bool, dict[tuple[int, int], int]]  # time in ms, snapshot, (side, price) -> lots
_NO_TRADES: Columns = {
    "ts_event_ns": np.empty(0, np.int64),
    "side": np.empty(0, np.int8),
    "size_lots": np.empty(0, np.int64),
    "flags": np.empty(0, np.int8),
}


def _columns(messages: list[Message]) -> Columns:
    """Return the messages as ``l2_events`` with ids that follow each other."""
    rows = [
        (t * 1_000_000, k, k - 1 if not snapshot else -1, KIND_SNAPSHOT if snapshot else KIND_DELTA, side, price, lots)
        for k, (t, snapshot, levels) in enumerate(messages, start=1)
        for (side, price), lots in levels.items()
    ]
    time_ns, ids, before, kind, side, price, lots = np.array(rows, np.int64).T
    return {
        "ts_event_ns": time_ns,
        "ts_recv_ns": np.zeros(len(ids), np.int64),
        "update_id": ids,
        "prev_update_id": before,
        "kind": kind.astype(np.int8),
        "side": side.astype(np.int8),
        "price_ticks": price,
        "size_lots": lots,
        "first_in_message": np.append(True, np.diff(ids) != 0),
    }


def _naive_rows(messages: list[Message]) -> np.ndarray:
    """Return what ``market_view`` should show, from dictionaries."""
    book: dict[tuple[int, int], int] = {}
    shown: dict[tuple[int, int], int] = {}
    rows = []
    at = messages[0][0] // STEP_MS + 1
    for k in range(at, -(-messages[-1][0] // STEP_MS)):
        book.clear()
        for t, snapshot, levels in messages:
            if t > k * STEP_MS:
                break
            if snapshot:
                book.clear()
            book.update(levels)
        levels_now = {}
        row = np.zeros(WIDTH, np.int64)
        for side, column in ((1, BID), (-1, ASK)):
            prices = sorted((p for (s, p), lots in book.items() if s == side and lots), key=lambda p: -side * p)
            for price in prices[:SHOWN_LEVELS]:
                lots = book[side, price]
                levels_now[side, price] = lots
                row[DEPTH:] += np.where(abs(price - prices[0]) <= REACH_TICKS, lots, 0)
            row[column], row[column + 1] = (prices[0], book[side, prices[0]]) if prices else (0, 0)
        row[CHANGES] = sum(shown.get(key, 0) != levels_now.get(key, 0) for key in {*shown, *levels_now})
        row[VALID] = any(s == 1 for s, _ in levels_now) and any(s == -1 for s, _ in levels_now)
        shown = levels_now
        rows.append(row)
    return np.array(rows)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_view_equals_a_naive_one(data: st.DataObject) -> None:
    level = st.tuples(st.integers(1, 6), st.integers(0, 3), st.booleans())
    messages: list[Message] = [(5, True, {(1, 100): 2, (1, 99): 1, (-1, 107): 2, (-1, 109): 4})]
    t = 5
    for _ in range(data.draw(st.integers(3, 25))):
        t += data.draw(st.integers(0, 130))
        drawn = data.draw(st.lists(level, min_size=1, max_size=4))
        # bids up to 103, asks from 104: never crossed; the last level of a side stays
        levels = {(1, 103 - p) if bid else (-1, 104 + p): lots for p, lots, bid in drawn}
        messages.append((t, False, {**levels, (1, 90): 1, (-1, 120): 1}))
    messages.append((t + 300, False, {(1, 90): 1}))
    found = market_view([_columns(messages)], [_NO_TRADES], "plus_one")
    assert np.array_equal(found.rows, _naive_rows(messages)[-len(found.rows) :])
    assert len(found.rows) == len(_naive_rows(messages))
    assert np.array_equal(np.diff(found.time_ms), np.full(len(found.rows) - 1, STEP_MS))


def test_a_gap_ends_the_stretch() -> None:
    messages: list[Message] = [(5, True, {(1, 100): 2, (-1, 101): 2})]
    messages += [(5 + 100 * k, False, {(1, 100): k}) for k in range(1, 30)]
    events = _columns(messages)
    events["update_id"][12:] += 7  # a hole behind the eleventh message; no snapshot heals it
    events["prev_update_id"][12:] += 7
    found = market_view([events], [_NO_TRADES], "plus_one")
    assert len(found.rows) < 15
    assert found.rows[:, VALID].all()


@pytest.fixture(scope="module")
def view() -> MarketView:
    return simulated_view(SimConfig(seed=3), 1200, lead_minutes=1)


def test_statistics_know_every_half_of_two_minutes(view: MarketView) -> None:
    found = measure(view)
    assert len(view.time_ms) == 1200
    for k, statistic in enumerate(STATISTICS):
        assert found.halves[k].shape == (len(HALVES), len(statistic.x))
        assert np.isfinite(found.whole[k]).all(), statistic.name


def test_cuts_are_halves_of_all_blocks(view: MarketView) -> None:
    assert len(CUTS) == 35
    for one, other in zip(HALVES[::2], HALVES[1::2], strict=True):
        assert sorted(one + other) == list(range(BLOCKS))
        parts = pieces(view, one) + pieces(view, other)
        times = np.sort(np.concatenate([part.time_ms for part in parts]))
        assert np.array_equal(times, view.time_ms[: len(times)])
        assert len(times) == len(view.time_ms) // BLOCKS * BLOCKS
        assert sum(len(part.trades) for part in parts) <= len(view.trades)
        assert sum(len(part.trades) for part in parts) > 0.95 * len(view.trades)


def _scaled(view: MarketView, lots: int = 1, trade_lots: int = 1) -> MarketView:
    rows = view.rows.copy()
    rows[:, [BID_LOTS, ASK_LOTS, *range(DEPTH, WIDTH)]] *= lots
    return view._replace(rows=rows, trades=view.trades * np.array([1, 1, trade_lots]))


def test_a_market_is_at_its_own_distance_and_a_larger_one_is_not(view: MarketView) -> None:
    same = table(measure(view), [measure(view)])
    assert all(row.simulated is not None and row.simulated[0] == 0 and row.holds for row in same)
    larger = {row.name: row for row in table(measure(view), [measure(_scaled(view, 30, 30))])}
    for name in ("depth profile", "best queues", "trade sizes"):
        assert not larger[name].holds, name
    for name in ("spread", "trade rate", "volatility signature", "sign autocorrelation"):
        assert larger[name].holds, name


@pytest.mark.parametrize("name", ["depth profile", "best queues", "trade sizes", "impact slope"])
def test_a_factor_is_its_logarithm_in_distance(view: MarketView, name: str) -> None:
    statistic = next(s for s in STATISTICS if s.name == name)
    away = distance(statistic.measure([view]), statistic.measure([_scaled(view, 3, 3)]))
    assert away == pytest.approx(np.log(3), abs=1e-9)


def test_a_degenerate_scale_counts_as_the_resolution() -> None:
    row = Row("spread", (0.0, 0.0, 0.0), 0.0, (0.015, 0.0, 0.03))
    assert row.ratio == pytest.approx(0.015 / RESOLUTION)
    assert row.holds
    assert row.to_json()["at_resolution"]
    assert not Row("spread", (0.0, 0.0, 0.0), 0.0, (0.025, 0.0, 0.05)).holds


def test_what_cannot_be_told_does_not_hold(view: MarketView) -> None:
    still = view._replace(rows=np.repeat(view.rows[:1], len(view.rows), axis=0))
    rows = {row.name: row for row in table(measure(still), [measure(view)])}
    for name in ("volatility signature", "return autocorrelation", "impact slope", "best-price lifetimes"):
        assert rows[name].ratio is None
        assert not rows[name].holds
    assert rows["best queues"].ratio is not None


def test_order_flow_imbalance_of_cont_kukanov_stoikov() -> None:
    rows = np.zeros((4, WIDTH), np.int64)
    rows[:, [BID, BID_LOTS, ASK, ASK_LOTS]] = [[10, 5, 11, 7], [10, 8, 11, 7], [9, 4, 11, 2], [9, 4, 12, 6]]
    moves = order_flow_imbalance(MarketView(np.arange(4) * 100, rows, np.empty((0, 3), np.int64)))
    # three lots joined the bid; the bid of eight went and five asks left; two asks went and the ask rose
    assert moves.tolist() == [3.0, -8.0 + 5.0, 2.0]


def test_neighbouring_trades_of_one_side_are_one_order() -> None:
    trades = np.array([[1, 1, 5], [1, 1, 6], [1, -1, 2], [2, -1, 3], [2, -1, 4], [5, 1, 1]], np.int64)
    found = taker_orders(MarketView(np.array([100]), np.zeros((1, WIDTH), np.int64), trades))
    assert found.tolist() == [[1, 1, 11], [1, -1, 2], [2, -1, 7], [5, 1, 1]]


def test_an_archive_read_back_is_seen_as_it_was_simulated(tmp_path: Path) -> None:
    config = SimConfig(seed=5, days=1, minutes=2)
    report = simulate(tmp_path / "archive", config)
    home, market = Home(tmp_path / "home"), parse_market(config.market)
    ingest(home, market, report.files)
    recorded = recorded_view(home, market, config.dates)
    direct = simulated_view(config, 1_100, lead_minutes=0)  # of the same session of two minutes
    ends = min(direct.time_ms[-1], recorded.time_ms[-1])
    seen, known = (v.cut(*np.searchsorted(v.time_ms, [direct.time_ms[0], ends])) for v in (recorded, direct))
    assert len(seen.rows) > 1_000
    assert len(seen.trades) > 50
    for one, other in zip(seen, known, strict=True):
        assert np.array_equal(one, other)


def test_too_little_unbroken_book_is_refused(tmp_path: Path) -> None:
    config = SimConfig(seed=5, days=1, minutes=1)
    report = simulate(tmp_path / "archive", config)
    cut = tmp_path / "short.data"
    with zipfile.ZipFile(report.files[0]) as whole:
        cut.write_bytes(b"".join(whole.read(whole.namelist()[0]).splitlines(keepends=True)[:300]))
    home, market = Home(tmp_path / "home"), parse_market(config.market)
    short = tmp_path / report.files[0].name
    with zipfile.ZipFile(short, "w") as file:
        file.write(cut, short.stem)
    ingest(home, market, [short, report.files[1]])
    with pytest.raises(RefusedError, match="needs 40 s"):
        recorded_view(home, market, config.dates)
