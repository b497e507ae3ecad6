"""Probes of a simulated day: the unbatched feed is the published book, the truth is the naive queue's, bytes repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.day import Chunk, new_session, run_day
from lob_pipeline.sim.order_log import FILL
from lob_pipeline.sim.probe_day import ProbeDay, draw_instants
from lob_pipeline.sim.probe_study import PUBLISHED, UNBATCHED, look, study
from lob_pipeline.sim.probe_table import PROBES
from lob_pipeline.sim.unbatched import UnbatchedFeed
from lob_pipeline_tests.naive.probes import Row, probe_fate

CONFIG = SimConfig(seed=11, days=1, minutes=6, order_log=True)
DATE = CONFIG.first_day


def copied(chunk: Chunk) -> list[Row]:
    log, n = chunk.orders, int(chunk.orders.n[0])
    columns = (log.t_us, log.kind, log.order_id, log.side, log.price, log.lots)
    return list(zip(*(column[:n].tolist() for column in columns), strict=True))


def test_the_fates_are_those_of_the_naive_queue_and_no_other_run_changes_them() -> None:
    probes, rows = ProbeDay(CONFIG, DATE, 40), []
    for chunk in run_day(CONFIG, DATE, new_session(CONFIG, DATE)):
        rows += copied(chunk)
        probes.add(chunk)
    truth = probes.truth()
    assert list(truth) == list(PROBES.names)
    assert len(truth["ts_ns"]) > 60
    kinds = set()
    life_ns = LabelConfig().order_life_ns
    for i in range(0, len(truth["ts_ns"]), 8):
        side, arrive_ns = int(truth["side"][i] < 0), int(truth["t_arrive_ns"][i])
        fate = probe_fate(rows, arrive_ns, side, int(truth["price_ticks"][i]), life_ns)
        delay = fate.fill_ns - arrive_ns if fate.fill_ns >= 0 else -1
        assert (int(truth["fill_kind"][i]), int(truth["fill_delay_ns"][i])) == (fate.kind, delay)
        assert int(truth["queue_ahead_lots"][i]) == fate.ahead
        kinds.add(fate.kind)
    assert len(kinds) > 1
    again = look(CONFIG, 40).truth
    for name in PROBES.names:
        old, new = np.ma.filled(truth[name], 0), np.ma.filled(again[name], 0)
        assert np.array_equal(old, new, equal_nan=old.dtype == np.float64)


def test_the_unbatched_feed_leads_to_every_published_book() -> None:
    book: dict[tuple[int, int], int] = {}
    feed, probes = UnbatchedFeed(), ProbeDay(CONFIG, DATE, 1)
    shown = 0
    for chunk in run_day(CONFIG, DATE, new_session(CONFIG, DATE)):
        events = feed.take(chunk.orders, probes.add(chunk).shown)
        fills = np.flatnonzero(chunk.orders.kind[: int(chunk.orders.n[0])] == FILL)
        assert np.array_equal(chunk.trades.lots[: int(chunk.trades.n[0])], chunk.orders.lots[fills])
        times, at = events["ts_event_ns"], 0
        side, price, size = (np.asarray(events[name]).tolist() for name in ("side", "price_ticks", "size_lots"))
        messages = chunk.messages
        for i in range(int(messages.n[0])):
            end = int(np.searchsorted(times, messages.cts_ms[i] * 1_000_000, side="right"))
            for row in range(at, end):
                book[side[row], price[row]] = size[row]
            at = end
            for r in range(int(messages.first_row[i]), int(messages.first_row[i + 1])):
                level = (int(messages.row_side[r]), int(messages.row_price[r]))
                if messages.row_lots[r] or messages.snapshot[i]:
                    assert book[level] == messages.row_lots[r]
                    shown += 1
        for row in range(at, len(times)):
            book[side[row], price[row]] = size[row]
    assert shown > 10_000
    assert len(feed.trades()["seq"]) > 100


def test_on_both_feeds_the_same_orders_are_judged_and_the_bounds_hold_event_by_event() -> None:
    report = study(replace(CONFIG, order_log=False), [3, 4], 150)
    exact, published = report["feeds"][UNBATCHED], report["feeds"][PUBLISHED]
    assert exact["orders"] == published["orders"] > 500
    assert exact["bracket"]["orders_outside"] == 0
    assert exact["markets_held"] == 2
    assert exact["true_fill_rate"] == published["true_fill_rate"]
    assert set(report["blur"]) == {"pessimistic", "proportional", "optimistic"}


def test_instants_are_drawn_once_each_within_the_day() -> None:
    labels = LabelConfig()
    some, most = draw_instants(CONFIG, DATE, 100, labels), draw_instants(CONFIG, DATE, 1800, labels)
    for drawn, count in ((some, 100), (most, 1800)):
        assert len(np.unique(drawn)) == len(drawn) == count
        assert np.all(np.diff(drawn) > 0)
        assert np.all(drawn % 100_000_000 == 0)
    assert not np.array_equal(some, draw_instants(replace(CONFIG, seed=12), DATE, 100, labels))
    with pytest.raises(BadInputError, match="instants whose labels begin and end within the day"):
        draw_instants(CONFIG, DATE, 5000, labels)


def test_a_log_that_contradicts_itself_stops_the_run() -> None:
    probes = ProbeDay(CONFIG, DATE, 5)
    chunk = next(run_day(CONFIG, DATE, new_session(CONFIG, DATE)))
    chunk.orders.lots[int(chunk.orders.n[0]) - 1] += 1 << 40
    chunk.orders.kind[int(chunk.orders.n[0]) - 1] = FILL
    with pytest.raises(LobError, match="did not keep price-time priority"):
        probes.add(chunk)

