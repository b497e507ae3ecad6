"""The market's statistics against sums done by hand and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.sim.stats import MarketSeries, describe, main, passive_fills


def row(time_ms: int, bid: int, bid_lots: int, ask: int, ask_lots: int) -> list[int]:
    return [time_ms, bid, bid_lots, 10 * bid_lots, 300, ask, ask_lots, 10 * ask_lots, 280]


def naive_fills(book: list[list[int]], trades: list[list[int]], step: int) -> tuple[int, int, int]:
    """Each order on its own: every event that could fill it, the earliest counts."""
    orders = filled = half_ticks = 0
    for at in range(0, len(book), step):
        start = book[at][0]
        if start + 35_000 > book[-1][0]:
            break
        for side, price, ahead in ((1, book[at][1], book[at][2]), (-1, book[at][5], book[at][6])):
            times = []
            traded = 0
            for stamp, taker, ticks, lots in trades:
                if start * 10 < stamp <= (start + 30_000) * 10 and taker == -side:
                    traded += lots if ticks == price else 0
                    if (ticks < price if side == 1 else ticks > price) or traded > ahead:
                        times.append(math.ceil(stamp / 10))
            for later in book[at + 1 :]:
                crossing = later[5] <= price if side == 1 else later[1] >= price
                if later[0] <= start + 30_000 and crossing:
                    times.append(later[0])
            orders += 1
            if times:
                seen = [r for r in book if r[0] <= min(times) + 5000][-1]
                filled += 1
                half_ticks += side * (seen[1] + seen[5] - 2 * price)
    return orders, filled, half_ticks


steps = st.tuples(st.integers(1, 4000), st.integers(-2, 2), st.integers(1, 30), st.integers(1, 3), st.integers(1, 30))
prints = st.tuples(st.integers(0, 900_000), st.sampled_from([1, -1]), st.integers(95, 106), st.integers(1, 20))


@settings(max_examples=80, deadline=None)
@given(st.lists(steps, min_size=20, max_size=60), st.lists(prints, max_size=60), st.integers(1, 4))
def test_passive_fills_equal_a_plain_loop(moves: list[tuple[int, ...]], told: list[tuple[int, ...]], step: int) -> None:
    time_ms, bid, book = 1000, 100, []
    for wait, move, bid_lots, spread, ask_lots in moves:
        time_ms, bid = time_ms + wait, bid + move
        book.append(row(time_ms, bid, bid_lots, bid + spread, ask_lots))
    trades = sorted([list(t) for t in told], key=lambda t: t[0])
    found = passive_fills(np.array(book, np.int64), np.array(trades, np.int64).reshape(-1, 4), step)
    assert tuple(found) == naive_fills(book, trades, step)


def test_statistics_of_a_market_one_can_compute_by_hand() -> None:
    # every second the mid steps by 10 ticks up, 10 down, ...; the heavier queue says which way
    book = []
    for i in range(1200):
        second, up = i // 10, (i // 10) % 2 == 1
        bid = 600_000 + (10 if up else 0)
        wide = i % 10 == 9
        book.append(row(100 * i + 1, bid, 1000 if up else 3000, bid + (2 if wide else 1), 3000 if up else 1000))
        assert second == i // 10
    trades = [[1000 * i + 5, 1 if i % 4 < 2 else -1, 600_001, 1 + i % 3] for i in range(120)]
    series = MarketSeries([np.array(book[:500]), np.array(book[500:])], [np.array(trades)], level_rows=6000)
    found = describe(series)
    assert (found["messages"], found["seconds"], found["messages_per_s"]) == (1200, 119.9, pytest.approx(10, abs=0.02))
    assert found["level_rows_per_message"] == 5
    assert found["spread_ticks"] == {
        "one": 0.9, "two": 0.1, "more": 0.0, "mean": 1.1, "max": 2, "crossed_or_locked": 0,
    }  # fmt: skip
    assert found["best_queue_lots_q10_q50_q90"] == [1000, 2000, 3000]
    assert found["depth_span_ticks_q10_q50_q90"] == [280, 290, 300]
    move_bps = 1e4 * 10 / 600_000
    assert found["volatility_1s_bps_per_sqrt_min"] == pytest.approx(move_bps * math.sqrt(60), rel=0.01)
    assert found["unchanged_1s_share"] == 0
    assert found["ic_queue_imbalance_1s"] > 0.85
    assert found["trades"] == 120
    assert found["trade_lots_mean"] == 2
    assert found["trade_sign_autocorrelation"] == pytest.approx(0, abs=0.02)


def test_a_market_that_never_moves_has_no_coefficient() -> None:
    book = np.array([row(100 * i + 1, 600_000, 1000 + i % 7, 600_001, 900) for i in range(200)])
    found = describe(MarketSeries([book]))
    assert found["ic_queue_imbalance_1s"] is None
    assert found["volatility_1s_bps_per_sqrt_min"] == 0
    assert found["trades"] == 0


def test_printed_statistics_lie_where_real_ones_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--minutes", "10"]) == 0
    found = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert float(found["messages_per_s"]) == pytest.approx(10, abs=0.1)
    assert 8 < float(found["level_rows_per_message"]) < 54  # recorded, seen every 100 ms: 16, 28, 54
    assert 0.5 < float(found["volatility_1s_bps_per_sqrt_min"]) < 6
    assert 0.15 < float(found["ic_queue_imbalance_1s"]) < 0.55
    assert 0.3 < float(found["passive_30s_fill_share_lower_bound"]) < 0.9
    assert float(found["passive_markout_5s_bps"]) < 0
