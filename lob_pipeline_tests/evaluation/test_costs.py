"""Cost surfaces against the formula in fractions, and the laws a cost must obey."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.evaluation import costs
from lob_pipeline_tests.evaluation.rows import Levels, book_rows
from lob_pipeline_tests.naive.costs_naive import slippage_quote, trade_cost_quote

BTC = instrument(parse_market("bybit-linear.BTCUSDT"))  # tick 0.1, lot 0.001, fees 2 / 5.5
SIZES = (1_000, 10_000, 50_000, 100_000, 500_000)


@st.composite
def books(draw: st.DrawFn) -> tuple[Levels, Levels]:
    """A whole book around 60,000.0: up to 20 levels a side, holes allowed."""
    best_bid = draw(st.integers(590_000, 610_000))
    spread = draw(st.integers(1, 30))

    def side(best: int, direction: int) -> Levels:
        steps = draw(st.lists(st.integers(1, 40), min_size=0, max_size=19))
        prices = [best, *(best + direction * int(s) for s in np.cumsum(steps))]
        return [(p, draw(st.integers(1, 3_000))) for p in prices]

    return side(best_bid, -1), side(best_bid + spread, +1)


def _priced(levels: Levels) -> list[tuple[Fraction, Fraction]]:
    return [(Fraction(p, 10), Fraction(v, 1000)) for p, v in levels]


@settings(deadline=None, max_examples=60)
@given(st.lists(books(), min_size=1, max_size=3))
def test_costs_equal_the_formula_in_fractions(many: list[tuple[Levels, Levels]]) -> None:
    found = costs.row_costs(book_rows(many), BTC, SIZES)
    total = costs.trade_cost_bps(found, costs.fees_of(BTC), "taker_taker")[0]
    value = costs.order_value_quote(found, BTC, SIZES)
    for i, (bids, asks) in enumerate(many):
        mid = Fraction(bids[0][0] + asks[0][0], 20)
        for j, size in enumerate(SIZES):
            lots = -(-Fraction(size) // (mid / 1000))  # whole lots, rounded up
            q = Fraction(lots, 1000)
            assert value[i, j] == pytest.approx(float(q * mid), rel=1e-12)
            for got, levels in ((found.buy_bps, asks), (found.sell_bps, bids)):
                paid = slippage_quote(_priced(levels), q)
                if paid is None:
                    assert np.isnan(got[i, j])
                else:
                    assert got[i, j] == pytest.approx(float(10_000 * paid / (q * mid)), rel=1e-12, abs=1e-12)
            cost = trade_cost_quote(_priced(bids), _priced(asks), q, Fraction(11, 2), Fraction(11, 2))
            if cost is None:
                assert np.isnan(total[i, j])
            else:
                assert total[i, j] == pytest.approx(float(10_000 * cost / (q * mid)), rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(books())
def test_cost_grows_with_size_and_truncation_stays(book: tuple[Levels, Levels]) -> None:
    found = costs.row_costs(book_rows([book]), BTC, SIZES)
    for values in (found.buy_bps[0], found.sell_bps[0]):
        known = values[~np.isnan(values)]
        assert np.all(np.diff(known) >= -1e-12)
        assert np.all(np.isnan(values[len(known) :])), "a larger size cannot be known where a smaller one is not"


@settings(deadline=None, max_examples=60)
@given(books())
def test_mirror_swaps_buying_and_selling(book: tuple[Levels, Levels]) -> None:
    bids, asks = book
    k = bids[0][0] + asks[0][0]  # keeps the mid, so sizes in lots stay the same
    mirrored = ([(k - p, v) for p, v in asks], [(k - p, v) for p, v in bids])
    a, b = (costs.row_costs(book_rows([x]), BTC, SIZES) for x in (book, mirrored))
    np.testing.assert_array_equal(a.buy_bps, b.sell_bps)
    np.testing.assert_array_equal(a.sell_bps, b.buy_bps)
    np.testing.assert_array_equal(a.spread_bps, b.spread_bps)


def test_one_level_book_has_no_slippage_until_it_runs_out() -> None:
    rows = book_rows([([(599_999, 1_000)], [(600_001, 1_000)])])  # 1 BTC a side, mid 60,000
    found = costs.row_costs(rows, BTC, (1_000, 60_000, 60_001))
    assert found.buy_bps[0].tolist()[:2] == [0.0, 0.0]
    assert np.isnan(found.buy_bps[0, 2])
    assert found.spread_bps[0] == pytest.approx(1e4 * 0.2 / 60_000)


def test_two_levels_by_hand() -> None:
    # 1 BTC at the touch and 1 BTC one quote unit above: 90,000 quote at mid 60,000 is 1.5 BTC, half of it 1.0 dearer
    rows = book_rows([([(599_995, 9_999)], [(600_005, 1_000), (600_015, 1_000)])])
    found = costs.row_costs(rows, BTC, (90_000,))
    assert found.buy_bps[0, 0] == pytest.approx(1e4 * 0.5 / 90_000)
    fees = costs.fees_of(BTC)
    long, short = costs.trade_cost_bps(found, fees, "maker_taker")
    half = 1e4 * 0.5 / 60_000
    assert long[0, 0] == pytest.approx(7.5 + half), "a long leaves by selling into a deep bid"
    assert short[0, 0] == pytest.approx(7.5 + half + 1e4 * 0.5 / 90_000), "a short leaves by buying"
    assert costs.trade_cost_bps(found, fees, "maker_maker")[0][0, 0] == 4.0


def test_styles_sum_the_base_fees_of_market_facts() -> None:
    assert [costs.style_fee_bps(costs.fees_of(BTC), s) for s in costs.STYLES] == [4.0, 7.5, 11.0]


def test_a_market_without_fees_stops_the_evaluator() -> None:
    with pytest.raises(BadInputError, match="has no fees"):
        costs.fees_of(dataclasses.replace(BTC, maker_fee_bps=None))


def test_a_quantile_among_truncated_rows_is_not_a_number_we_know() -> None:
    values = np.array([3.0, np.nan, 1.0, 2.0])
    assert costs.censored_quantiles(values, (0.25, 0.5, 0.75, 0.95)) == [1.0, 2.0, 3.0, None]
    assert costs.censored_quantiles(np.empty(0), (0.5,)) == [None]


def test_invalid_rows_are_left_out_and_the_summary_counts() -> None:
    good = ([(599_999, 500)], [(600_001, 500)])  # half a BTC: 10,000 quote fits, 100,000 does not
    crossed = ([(600_002, 500)], [(600_001, 500)])
    gathered = costs.CostAccumulator(BTC, costs.CostConfig(sizes_quote=(10_000, 100_000)))
    gathered.add(book_rows([good, crossed, good]))
    gathered.add(book_rows([good]))
    found = gathered.summary()
    assert found["valid_rows"] == 3
    assert found["every_kth_row"] == 1
    by = {(s["side"], s["size_quote"]): s for s in found["slippage"]}
    assert by["buy", 10_000]["truncated_share"] == 0.0
    assert by["buy", 10_000]["mean_bps"] == 0.0
    assert by["buy", 100_000]["truncated_share"] == 1.0
    assert by["buy", 100_000]["mean_bps"] is None
    assert by["buy", 100_000]["quantiles_bps"]["p50"] is None
    assert len(found["surface"]) == 3 * 2 * 2


def test_an_empty_accumulator_summarises_to_nothing() -> None:
    found = costs.CostAccumulator(BTC).summary()
    assert found["valid_rows"] == 0
    assert found["spread"]["quantiles_bps"]["p50"] is None


def test_thinning_keeps_every_kth_row_across_chunks() -> None:
    good = ([(599_999, 500)], [(600_001, 500)])
    one, many = (costs.CostAccumulator(BTC, costs.CostConfig(max_rows=5)) for _ in range(2))
    rows = book_rows([good] * 40)
    one.add(rows)
    for first in range(0, 40, 7):
        many.add({name: column[first : first + 7] for name, column in rows.items()})
    assert one.stride == many.stride == 8
    np.testing.assert_array_equal(one.costs().ts_ns, many.costs().ts_ns)
    np.testing.assert_array_equal(one.costs().ts_ns, rows["ts_ns"][::8])


def test_inverse_contracts_are_worth_their_face_value() -> None:
    perp = instrument(parse_market("binance-coinm.BTCUSD_PERP"))
    found = costs.row_costs(book_rows([([(599_999, 50)], [(600_001, 50)])]), perp, (1_050, 5_001))
    assert costs.order_value_quote(found, perp, (1_050, 5_001)).tolist() == [[1_100.0, 5_100.0]]
    assert np.isnan(found.buy_bps[0, 1])
