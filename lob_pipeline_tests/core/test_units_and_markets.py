"""Dates, clocks, markets: what a user types is either understood or refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, FIXED_TABLES, ROW_WIDTH
from lob_pipeline.core.units import (
    NS_PER_DAY,
    NS_PER_S,
    day_of_ns,
    day_start_ns,
    format_ns,
    parse_dates,
    parse_instant,
    row_day_of_ns,
    shift_date,
)


@given(st.integers(0, 4 * 10**18))
def test_every_instant_lies_in_its_day(t_ns: int) -> None:
    start = day_start_ns(day_of_ns(t_ns))
    assert start <= t_ns < start + NS_PER_DAY


def test_the_row_of_midnight_closes_its_day() -> None:
    midnight = day_start_ns("2024-08-09")
    assert row_day_of_ns(midnight) == "2024-08-08"
    assert row_day_of_ns(midnight + 1) == "2024-08-09"
    assert day_of_ns(midnight) == "2024-08-09"


def test_date_ranges_include_both_ends_and_cross_months() -> None:
    assert parse_dates("2024-02-28..2024-03-01") == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert shift_date("2024-03-01", -1) == "2024-02-29"


@pytest.mark.parametrize("text", ["", "2024-2-1", "2024-02-31", "../etc", "2024-01-01..2023-01-01", "2024-01-01\n"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="date"):
        parse_dates(text)


@pytest.mark.parametrize("text", ["BTCUSDT", "nasdaq.AAPL", "bybit-linear.", "bybit-linear.../x", "sim.btc", "sim.A\n"])
def test_what_is_no_market_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"expected venue\.SYMBOL"):
        parse_market(text)


@pytest.mark.parametrize("text", ["t0ms", "t7ms", "100ms", "tick", "t100"])
def test_what_is_no_clock_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="clock"):
        parse_clock(text)


@given(st.integers(0, 4 * 10**18))
def test_an_instant_survives_being_written_and_read(t_ns: int) -> None:
    assert parse_instant(format_ns(t_ns)) == t_ns == parse_instant(str(t_ns))


@pytest.mark.parametrize(
    "text", ["", "now", "2024-08-08", "2024-08-08T24:00:00Z", "-1", "2024-08-08T00:00:00.1234567890Z"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="instant"):
        parse_instant(text)


def test_window_rows_round_half_up_and_are_never_zero() -> None:
    assert parse_clock("t100ms").rows(5 * NS_PER_S) == 50
    assert parse_clock("t1s").rows(NS_PER_S // 10) == 1
    assert parse_clock("t1s").rows(NS_PER_S // 2 * 3) == 2


def test_instrument_of_a_known_and_an_unknown_market() -> None:
    nexo = instrument(parse_market("binance-spot.NEXOUSDT"))
    assert (str(nexo.tick), str(nexo.lot), nexo.clock) == ("0.001", "0.01", "t1s")
    with pytest.raises(BadInputError, match="--tick and --lot"):
        instrument(parse_market("binance-spot.NOSUCH"))
    assert str(instrument(parse_market("binance-spot.NOSUCH"), "0.10", "1").tick) == "0.1"


@given(
    st.integers(1, 10**9), st.sampled_from(["binance-spot.NEXOUSDT", "bybit-linear.BTCUSDT", "binance-spot.BTCUSDT"])
)
def test_order_lots_is_the_smallest_order_worth_the_amount(m2: int, name: str) -> None:
    it = instrument(parse_market(name))
    lots = it.order_lots(10_000, m2)
    value = it.tick * it.lot * m2 / 2
    assert lots * value >= 10_000 > (lots - 1) * value


def test_a_check_cannot_pass_on_nothing() -> None:
    assert judge("x", True, examined=5, judged=0).status == "not_judged"
    assert judge("x", False, examined=0, judged=0).refuses
    with pytest.raises(ValueError, match="cannot pass"):
        CheckOutcome("x", "passed", 0, 0)
    kept = judge("x", True, examined=5, judged=5, facts={"a": 1})
    assert CheckOutcome.from_json(kept.to_json()) == kept


def test_table_declarations_are_consistent() -> None:
    assert ROW_WIDTH == len(BOOK_SNAPSHOTS.columns) == len(set(BOOK_SNAPSHOTS.names))
    for table in FIXED_TABLES.values():
        assert set(table.key) <= set(table.names)
