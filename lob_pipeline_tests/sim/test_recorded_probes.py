"""A recording that names its orders as an order log, the batched feed, and probes in the queue of a real one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.batched import batched
from lob_pipeline.sim.order_log import ADD, AMEND_DOWN, CANCEL, DROPPED, FILL, new_order_log, replay
from lob_pipeline.sim.probe_kernel import follow
from lob_pipeline.sim.probe_state import new_probe_book, new_probes, new_seen
from lob_pipeline.sim.probe_study import UNBATCHED, score
from lob_pipeline.sim.recorded_log import RecordedLog
from lob_pipeline.sim.recorded_study import recorded_look
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE
from lob_pipeline.sim.unbatched import UnbatchedFeed
from lob_pipeline.venues.lobster_files import Pair, members
from lob_pipeline.venues.lobster_view import DELETE, EXECUTE, HIDDEN, NEW, PARTIAL_CANCEL
from lob_pipeline_tests.sim.small_exchange import Command, SmallExchange, as_log
from lob_pipeline_tests.sim.test_probes import markets

BUY, SELL = 1, -1
STEP_NS = 7_000


def read(lines: list[tuple[int, int, int, int, int, int]], books: list[list[int]]) -> RecordedLog:
    recorded = RecordedLog(units=100, lot=1, midnight_us=0)
    recorded.read([(np.array(lines, np.int64), np.array(books, np.int64))])
    return recorded


def test_messages_become_the_log_that_they_mean() -> None:
    # ask price, size, bid price, size: two levels a side, prices in 1/100 of a cent
    opening = [10_100, 5, 10_000, 8, 10_200, 6, 9_900, 4]
    lines = [
        (1_000, NEW, 1, 8, 10_000, BUY),
        (2_000, NEW, 2, 3, 10_000, BUY),
        (3_000, PARTIAL_CANCEL, 2, 1, 10_000, BUY),
        (4_000, EXECUTE, 1, 8, 10_000, BUY),
        (5_000, HIDDEN, 0, 9, 10_050, BUY),
        (6_000, EXECUTE, 2, 2, 10_000, BUY),
        (7_000, DELETE, 77, 5, 10_100, SELL),
    ]
    books = [
        opening,
        [10_100, 5, 10_000, 11, 10_200, 6, 9_900, 4],
        [10_100, 5, 10_000, 10, 10_200, 6, 9_900, 4],
        [10_100, 5, 10_000, 2, 10_200, 6, 9_900, 4],
        [10_100, 5, 10_000, 2, 10_200, 6, 9_900, 4],
        [10_100, 5, 9_900, 4, 10_200, 6, 9_800, 7],
        [10_200, 6, 9_900, 4, 10_300, 1, 9_800, 7],
    ]
    recorded = read(lines, books)
    log = recorded.log()
    told = [
        (int(log.t_us[r]), int(log.kind[r]), int(log.side[r]), int(log.price[r]), int(log.lots[r]))
        for r in range(4, int(log.n[0]))
    ]
    assert told == [
        (2, ADD, BID_SIDE, 100, 3),
        (3, AMEND_DOWN, BID_SIDE, 100, 1),
        (4, FILL, BID_SIDE, 100, 8),
        (6, FILL, BID_SIDE, 100, 2),
        (6, ADD, BID_SIDE, 98, 7),
        (7, CANCEL, ASK_SIDE, 101, 5),
        (7, ADD, ASK_SIDE, 103, 1),
    ]
    assert recorded.facts == {"unnamed_orders": 6, "orders_forgotten": 0, "fills_out_of_turn": 0, "not_found": 0}


def test_who_is_passed_over_stands_behind_and_what_leaves_the_view_is_forgotten() -> None:
    books = [[10_200, 5, 10_000, 8], [10_200, 5, 10_000, 11], [10_200, 5, 10_000, 8], [10_200, 5, 10_100, 2]]
    lines = [
        (1_000, NEW, 1, 8, 10_000, BUY),
        (2_000, NEW, 2, 3, 10_000, BUY),
        (3_000, EXECUTE, 2, 3, 10_000, BUY),
        (4_000, NEW, 3, 2, 10_100, BUY),
    ]
    recorded = read(lines, books)
    assert recorded.facts["fills_out_of_turn"] == 1
    assert recorded.facts["orders_forgotten"] == 1
    book: dict[tuple[int, int], list[tuple[int, int]]] = {}
    replay(recorded.log(), book, slice(None))
    assert sorted((level, sum(lots for _, lots in queue)) for level, queue in book.items()) == [
        ((BID_SIDE, 101), 2),
        ((ASK_SIDE, 102), 5),
    ]


@settings(deadline=None, max_examples=150)
@given(markets)
def test_a_batched_feed_shows_at_every_step_what_the_events_led_to(commands: list[Command]) -> None:
    exchange = SmallExchange()
    for command in commands:
        exchange.do(command)
    rows = [row for row in exchange.rows if row[1] != DROPPED]
    if not rows:
        return
    log, seen = as_log(rows), new_seen(len(rows))
    follow(new_probe_book(), new_probes(1), log, 1, 1, seen)
    events = UnbatchedFeed().take(log, seen.shown)
    out = batched(events, STEP_NS)
    assert np.array_equal(np.unique(out["update_id"]), np.arange(1, 1 + int(np.sum(out["first_in_message"]))))
    shown: dict[tuple[int, int], int] = defaultdict(int)
    at = 0
    for stamp in np.unique(out["ts_event_ns"]).tolist():
        while at < len(out["ts_event_ns"]) and out["ts_event_ns"][at] == stamp:
            level, size = (int(out["side"][at]), int(out["price_ticks"][at])), int(out["size_lots"][at])
            assert shown[level] != size, "a level that has not changed is left out"
            shown[level] = size
            at += 1
        true: dict[tuple[int, int], int] = {}
        for k in np.flatnonzero(np.asarray(events["ts_event_ns"]) < stamp).tolist():
            true[int(events["side"][k]), int(events["price_ticks"][k])] = int(events["size_lots"][k])
        assert {k: v for k, v in shown.items() if v} == {k: v for k, v in true.items() if v}
    assert at == len(out["ts_event_ns"])


def test_a_recording_that_is_too_short_is_refused() -> None:
    with pytest.raises(BadInputError, match="nothing to stand behind"):
        recorded_look(new_order_log(0), "2012-06-21", 5, 1)
    recorded = read([(1_000, NEW, 1, 8, 10_000, BUY)], [[10_100, 5, 10_000, 8]])
    with pytest.raises(BadInputError, match="begin and end in it"):
        recorded_look(recorded.log(), "2012-06-21", 5, 1)


@pytest.mark.real
def test_in_a_real_queue_the_bounds_hold_for_every_order(real_data: Path) -> None:
    path = real_data / "lobster" / "LOBSTER_SampleFile_AAPL_2012-06-21_1.zip"
    found = members(path)
    assert found is not None
    pair = Pair(path, *found, path)
    recorded = RecordedLog(100, 1, pair.messages.midnight_ns // 1000)
    recorded.read((messages, books) for _, _, messages, books in pair.pieces())
    assert recorded.facts["not_found"] == 0
    exact = score([recorded_look(recorded.log(), "2012-06-21", 2000, 1)])["feeds"][UNBATCHED]
    assert exact["orders"] > 3000
    assert exact["bracket"]["orders_outside"] == 0
    assert exact["markets_held"] == 1
