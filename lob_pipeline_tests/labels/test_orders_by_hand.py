"""Orders followed by hand: one small market a rule of LABELS.md, with the numbers worked out in the test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lob_pipeline.labels.day import DecisionRows, make_tape, run_day
from lob_pipeline.labels.spec import ALL_MODELS, LabelConfig
from lob_pipeline_tests.labels.streams import MS, event_columns, kernel_labels, row_at, trade_columns
from lob_pipeline_tests.naive.labels_naive import NS, Message, Settings, Trade

T0 = 1_000 * NS
BOOK = [(1, 100, 10), (1, 99, 20), (1, 98, 30), (-1, 101, 10), (-1, 102, 20), (-1, 103, 30)]


def fates(
    messages: list[Message], trades: list[Trade], row: tuple[int, int] = (100, 101), q: int = 1
) -> dict[str, list[Any]]:
    """(kind, delay in ms, lots) of the buy under (pessimistic, proportional, optimistic); it arrives at T0 + 50 ms."""
    rows = DecisionRows(*(np.array([v], np.int64) for v in (T0 - 100 * MS, T0, *row)))
    config = LabelConfig(q_lots=q)
    day = run_day(rows, event_columns(messages), make_tape(trade_columns(trades)), config, "plus_one", 100 * MS)
    buys = [0] * len(ALL_MODELS)
    delay = [int((day.fates.fill_ns[m, n] - day.fates.arrive_ns[0]) // MS) for m, n in enumerate(buys)]
    kind = [int(k) for k in day.fates.fill_kind[:, 0]]
    return {
        "kind": kind,
        "delay_ms": [d if k in (1, 2, 3) else None for d, k in zip(delay, kind, strict=True)],
        "lots": [int(v) for v in day.fates.lots[:, 0]],
    }


def at(ms: int, *levels: tuple[int, int, int], snapshot: bool = False) -> Message:
    return Message(T0 + ms * MS, -1, snapshot, list(levels))


def with_seq(message: Message, seq: int) -> Message:
    return replace(message, seq=seq)


def sold(ms: int, price: int, lots: int, flags: int = 0) -> Trade:
    return Trade(T0 + ms * MS, -1, -1, price, lots, flags)


OPEN = Message(T0 - NS, -1, True, BOOK)
END = at(40_000, (1, 90, 1))


def test_a_trade_through_the_price_fills_at_once() -> None:
    found = fates([OPEN, END], [sold(200, 99, 1)])
    assert found == {"kind": [1, 1, 1], "delay_ms": [150, 150, 150], "lots": [1, 1, 1]}


def test_the_queue_has_to_trade_away_first() -> None:
    assert fates([OPEN, END], [sold(200, 100, 10)])["kind"] == [0, 0, 0]  # F = 0: it is next, not filled
    found = fates([OPEN, END], [sold(200, 100, 10), sold(300, 100, 1)])
    assert found == {"kind": [2, 2, 2], "delay_ms": [250, 250, 250], "lots": [1, 1, 1]}


def test_cancels_help_as_far_as_the_model_says() -> None:
    """10 ahead, 4 cancelled, 5 bought by a sell at the bid: 10 - 5 = 5 left, 10 - 4 - 5 = 1, 6 - 5 - …"""
    trades = [sold(300, 100, 5)]
    # an add behind us first: D = 20, then 4 cancelled of 20: pess F = 10, prop F = 8, opt F = 6
    messages = [OPEN, at(150, (1, 100, 20)), at(200, (1, 100, 16)), END]
    assert fates(messages, trades)["kind"] == [0, 0, 0]
    assert fates(messages, [sold(300, 100, 7)])["kind"] == [0, 0, 2]  # opt: 6 - 7 < 0
    assert fates(messages, [sold(300, 100, 9)])["kind"] == [0, 2, 2]  # prop: 8 - 9 < 0
    assert fates(messages, [sold(300, 100, 11)])["kind"] == [2, 2, 2]


def test_what_traded_is_not_cancelled_too() -> None:
    """4 trade, then the level shows 6: nothing was cancelled. The next 6 bring the queue to its end."""
    messages = [OPEN, at(200, (1, 100, 6)), END]
    assert fates(messages, [sold(150, 100, 4), sold(300, 100, 6)])["kind"] == [0, 0, 0]
    assert fates(messages, [sold(150, 100, 4), sold(300, 100, 7)])["kind"] == [2, 2, 2]


def test_the_front_is_never_longer_than_the_level() -> None:
    messages = [OPEN, at(200, (1, 100, 3)), END]
    assert fates(messages, [sold(300, 100, 4)])["kind"] == [2, 2, 2]  # even pessimistic: F = min(10, 3)


def test_an_opposite_quote_at_the_price_fills() -> None:
    messages = [OPEN, at(200, (1, 100, 0), (-1, 100, 2)), END]
    assert fates(messages, []) == {"kind": [3, 3, 3], "delay_ms": [150, 150, 150], "lots": [1, 1, 1]}


def test_rejected_where_the_opposite_best_stands_at_arrival() -> None:
    messages = [OPEN, at(40, (1, 100, 0), (-1, 100, 2)), END]
    assert fates(messages, [sold(200, 99, 1)]) == {"kind": [4, 4, 4], "delay_ms": [None] * 3, "lots": [0, 0, 0]}


def test_an_order_whose_level_left_is_alone_there() -> None:
    messages = [OPEN, at(40, (1, 100, 0)), END]
    assert fates(messages, [sold(200, 100, 1)])["kind"] == [2, 2, 2]


def test_trades_up_to_the_arrival_do_not_count() -> None:
    assert fates([OPEN, END], [sold(50, 99, 1)])["kind"] == [0, 0, 0]
    assert fates([OPEN, END], [sold(51, 99, 1)])["kind"] == [1, 1, 1]


def test_the_last_instant_of_its_life_counts() -> None:
    assert fates([OPEN, END], [sold(30_050, 99, 1)])["kind"] == [1, 1, 1]
    assert fates([OPEN, END], [sold(30_051, 99, 1)])["kind"] == [0, 0, 0]


def test_buyers_do_not_fill_a_bid() -> None:
    assert fates([OPEN, END], [Trade(T0 + 200 * MS, -1, 1, 99, 5)])["kind"] == [0, 0, 0]


@pytest.mark.parametrize("flags", [1, 2, 4, 5])
def test_flagged_trades_touch_no_fill(flags: int) -> None:
    """RPI, block and non-market prints neither trade through nor advance a queue."""
    trades = [sold(200, 99, 100, flags), sold(250, 100, 100, flags)]
    assert fates([OPEN, END], trades)["kind"] == [0, 0, 0]


def test_a_partial_fill_is_reported_and_is_no_fill() -> None:
    found = fates([OPEN, END], [sold(200, 100, 13)], q=5)
    assert found == {"kind": [0, 0, 0], "delay_ms": [None] * 3, "lots": [3, 3, 3]}
    found = fates([OPEN, END], [sold(200, 100, 13), sold(300, 100, 1), sold(400, 100, 1)], q=5)
    assert found == {"kind": [2, 2, 2], "delay_ms": [350] * 3, "lots": [5, 5, 5]}


def test_a_repeated_size_is_an_update() -> None:
    """After a trade of 4 the level still shows 10: an add of 4 behind us, and the traded lots are forgotten."""
    messages = [OPEN, at(200, (1, 100, 10)), at(300, (1, 100, 6)), END]
    # at 200: c = max(0, 10 - 10 - 4) = 0, F = 6; at 300: c = 4 of 10: pess min(6, 6), prop 6 - 4·6/10, opt 2
    assert fates(messages, [sold(150, 100, 4), sold(400, 100, 3)])["kind"] == [0, 0, 2]
    assert fates(messages, [sold(150, 100, 4), sold(400, 100, 5)])["kind"] == [0, 2, 2]


def test_a_snapshot_updates_every_level() -> None:
    fresh = at(200, (1, 99, 5), (-1, 101, 5), snapshot=True)
    assert fates([OPEN, fresh, END], [sold(300, 100, 1)])["kind"] == [2, 2, 2]  # the level went to 0


def test_seq_decides_the_order_and_windows_stay_in_time() -> None:
    """A trade of its last instants that ``seq`` puts after a message of later time meets the order as it was."""

    def found(late: Message, trade: Trade) -> list[int]:
        return fates([with_seq(OPEN, 1), late, with_seq(END, 20)], [trade])["kind"]

    gone = with_seq(at(30_100, (1, 100, 0)), 10)  # after the order's life: no update for it
    assert found(gone, Trade(T0 + 30_040 * MS, 11, -1, 100, 1)) == [0, 0, 0]
    assert found(gone, Trade(T0 + 30_040 * MS, 11, -1, 99, 1)) == [1, 1, 1]
    gone = with_seq(at(200, (1, 100, 0)), 10)
    assert found(gone, Trade(T0 + 150 * MS, 11, -1, 100, 1)) == [2, 2, 2]  # after the update, though earlier
    assert found(gone, Trade(T0 + 250 * MS, 10, -1, 100, 1)) == [0, 0, 0]  # before it at equal seq
    # met before the message that the order sees when it arrives, and later in time than its arrival
    gone = with_seq(at(40, (1, 99, 7)), 10)
    assert found(gone, Trade(T0 + 60 * MS, 9, -1, 99, 1)) == [1, 1, 1]


def test_edges_of_one_filled_order() -> None:
    """Filled at 100 at once; 30 s later the bid is 104, the ask 106: the exit rests at 106 and is bought there."""
    rise = at(
        20_000, *((1, p, 0) for p in (98, 99, 100)), *((-1, p, 0) for p in (101, 102, 103)), (1, 104, 5), (-1, 106, 5)
    )
    messages = [OPEN, rise, at(95_000, (1, 90, 1)), at(150_000, (1, 90, 2))]
    bought = Trade(T0 + 40_000 * MS, -1, 1, 107, 1)
    own = Settings(maker_bps=2.0, taker_bps=5.0)
    labels = kernel_labels(
        event_columns(messages), trade_columns([sold(200, 99, 1), bought]), [(T0 - 100 * MS, T0, 100, 101)], own
    )
    sell, buy = row_at(labels, 0), row_at(labels, 1)
    assert buy["valid"]
    assert buy["side"] == 1
    assert buy["fill_kind"] == 1
    assert buy["edge_bps"] == pytest.approx(600 - 4)  # (106 - 100) / 100, both fees maker's
    assert buy["edge_cross_bps"] == pytest.approx(400 - 7)  # out at the bid of 104
    assert buy["edge_mid_bps"] == pytest.approx(500 - 4)
    assert buy["markout_5s_bps"] == pytest.approx(50)  # mid is still 100.5
    assert (buy["mfe_bps"], buy["mae_bps"]) == (pytest.approx(400), pytest.approx(400))  # one state in the span
    assert buy["adverse"] is False
    assert buy["entry"] is True
    assert sell["filled"]
    assert sell["fill_kind"] == 3  # the bid of 104 at 20 s meets an offer at 101
    assert buy["direction"] == sell["direction"] == 1
    assert buy["mid_return_bps"] == pytest.approx(1e4 * np.log(210 / 201))
    assert buy["taker_edge_30s_bps"] == pytest.approx(1e4 * np.log(104 / 101) - 10)
    assert sell["taker_edge_30s_bps"] == pytest.approx(-1e4 * np.log(106 / 100) - 10)


def test_an_unfilled_order_has_no_outcomes() -> None:
    messages = [OPEN, at(95_000, (1, 90, 1)), at(150_000, (1, 90, 2))]
    labels = kernel_labels(event_columns(messages), trade_columns([]), [(T0 - 100 * MS, T0, 100, 101)], Settings())
    buy = row_at(labels, 1)
    assert buy["valid"]
    assert (buy["filled"], buy["entry"], buy["adverse"], buy["fill_delay_ns"]) == (False, False, None, -1)
    null = [n for n in buy if n.startswith(("markout", "edge", "mfe", "mae"))]
    assert null
    assert all(buy[n] is None for n in null)
    assert buy["taker_edge_1s_bps"] is not None
    assert buy["mid_return_bps"] == 0


def test_a_row_without_its_whole_span_is_null() -> None:
    messages = [OPEN, at(80_000, (1, 90, 1))]
    labels = kernel_labels(event_columns(messages), trade_columns([]), [(T0 - 100 * MS, T0, 100, 101)], Settings())
    buy = row_at(labels, 1)
    assert not buy["valid"]
    assert buy["t_end_ns"] == T0 + 50 * MS + 30 * NS + 60 * NS + 50 * MS
    assert {n for n, v in buy.items() if v is not None} == {
        *("ts_ns", "side", "valid", "t_decide_ns", "t_arrive_ns", "t_end_ns")
    }
