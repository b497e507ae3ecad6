"""The order log of simulated days: alone it gives the engine's queues, the published book and the trades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lob_pipeline.sim.config import FlowParams, SimConfig
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.engine import log_is_full
from lob_pipeline.sim.order_log import FILL, Queue, new_order_log, replay
from lob_pipeline.sim.publish import Messages
from lob_pipeline.sim.session import Session
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, CAPACITY, new_engine
from lob_pipeline_tests.sim.test_engine import queues

CONFIG = SimConfig(seed=8, days=1, minutes=3, edge_bps=8.0, order_log=True)
Book = dict[tuple[int, int], Queue]


def top(book: Book, side: int, depth: int) -> dict[int, int]:
    prices = sorted((price for at, price in book if at == side), reverse=side == BID_SIDE)[:depth]
    return {price: sum(lots for _, lots in book[side, price]) for price in prices}


def apply(shown: tuple[dict[int, int], dict[int, int]], messages: Messages, i: int) -> None:
    if messages.snapshot[i]:
        shown[0].clear()
        shown[1].clear()
    for row in range(messages.first_row[i], messages.first_row[i + 1]):
        levels = shown[BID_SIDE if messages.row_side[row] > 0 else ASK_SIDE]
        price, lots = int(messages.row_price[row]), int(messages.row_lots[row])
        if lots:
            levels[price] = lots
        else:
            del levels[price]


def follow(config: SimConfig, date: str, session: Session) -> tuple[int, int, int]:
    """Hold a day's log against everything else it shows; return (messages, log rows, trades) compared."""
    book: Book = {}
    shown: tuple[dict[int, int], dict[int, int]] = ({}, {})
    counts = np.zeros(3, np.int64)
    last_us = 0
    for chunk in run_day(config, date, session):
        log, tape, at, rows = chunk.orders, chunk.trades, 0, int(chunk.orders.n[0])
        times = log.t_us[:rows]
        assert np.all(np.diff(times) >= 0)
        assert rows == 0 or times[0] >= last_us
        last_us = int(times[-1]) if rows else last_us
        for i in range(chunk.messages.n[0]):
            until = int(np.searchsorted(times, chunk.messages.cts_ms[i] * 1000, side="right"))
            replay(log, book, slice(at, until))
            at = until
            apply(shown, chunk.messages, i)
            if i % 25 == 0 or chunk.messages.snapshot[i]:
                assert (top(book, 0, config.depth), top(book, 1, config.depth)) == shown
        replay(log, book, slice(at, rows))
        assert book == queues(session.engine)
        fills, n = np.flatnonzero(log.kind[:rows] == FILL), int(tape.n[0])
        assert len(fills) == n
        np.testing.assert_array_equal(log.t_us[fills], tape.t_us[:n])
        np.testing.assert_array_equal(log.order_id[fills], tape.maker_id[:n])
        np.testing.assert_array_equal(log.price[fills], tape.price[:n])
        np.testing.assert_array_equal(log.lots[fills], tape.lots[:n])
        np.testing.assert_array_equal(log.group[fills], tape.maker_group[:n])
        np.testing.assert_array_equal(np.where(log.side[fills] == ASK_SIDE, 1, -1), tape.side[:n])
        counts += [chunk.messages.n[0], rows, n]
    return int(counts[0]), int(counts[1]), int(counts[2])


def test_the_log_gives_the_queues_the_published_book_and_the_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lob_pipeline.sim.day.CHUNK_S", 20)
    messages, rows, trades = follow(CONFIG, CONFIG.first_day, new_session(CONFIG, CONFIG.first_day))
    assert messages > 1700
    assert rows > 10_000
    assert trades > 100


def test_each_day_has_a_log_of_its_own_where_days_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {name: rate / 20 for name, rate in FlowParams()._asdict().items() if name.endswith("_rate")}
    quiet = FlowParams(**{**rates, "noise_same_side": 0.1, "value_excitation": 0.1})
    config = SimConfig(seed=9, days=2, minutes=1440, message_ms=1000, flow=quiet, order_log=True)
    session = new_session(config, config.first_day)
    for _ in run_day(config, config.dates[0], session):
        pass
    held = queues(session.engine)
    monkeypatch.setattr("lob_pipeline.sim.day.DAY_US", 60_000_000)  # a second day of one minute
    book: Book = {}
    first = next(run_day(config, config.dates[1], session)).orders
    resting = sum(len(queue) for queue in held.values())
    replay(first, book, slice(0, resting))
    assert resting > 400
    assert book == held
    assert np.all(first.t_us[:resting] == first.t_us[0])
    assert first.t_us[resting] > first.t_us[0]


def test_the_log_changes_nothing_and_a_full_one_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(config: SimConfig) -> tuple[list[bytes], int, int]:
        found, chunks, rows = [], 0, 0
        for chunk in run_day(config, config.first_day, new_session(config, config.first_day)):
            found.append(chunk.messages.row_lots[: chunk.messages.n[1]].tobytes())
            chunks, rows = chunks + 1, rows + int(chunk.orders.n[0])
        return [b"".join(found)], chunks, rows

    silent, few, none = digest(replace(CONFIG, order_log=False))
    told, _, all_rows = digest(CONFIG)
    assert none == 0
    monkeypatch.setattr("lob_pipeline.sim.day._LOG_ROWS", 2 * CAPACITY + 5_000)
    parts, many, same_rows = digest(CONFIG)
    assert silent == told == parts
    assert many > few + 1
    assert all_rows == same_rows > 10_000


def test_a_log_without_rows_is_never_full() -> None:
    assert [log_is_full(new_engine(1, rows), 10) for rows in (0, 9, 10)] == [False, True, False]


def test_replay_refuses_what_the_book_contradicts() -> None:
    log = new_order_log(3)
    for i, (kind, order_id, lots) in enumerate([(0, 1, 5), (0, 2, 5), (FILL, 2, 1)]):
        log.kind[i], log.order_id[i], log.lots[i], log.price[i] = kind, order_id, lots, 100
    with pytest.raises(ValueError, match="place 1"):
        replay(log, {}, slice(0, 3))
    log.kind[2], log.lots[2] = 1, 4  # a cancel of less than the order has
    with pytest.raises(ValueError, match="1 left"):
        replay(log, {}, slice(0, 3))
    log.kind[2], log.order_id[2] = 1, 7
    with pytest.raises(ValueError, match="7"):
        replay(log, {}, slice(0, 3))
