"""Frames by hand: where each goes, when a segment ends, which REST snapshot counts, and who records what."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lob_pipeline.capture.config import RecordConfig
from lob_pipeline.capture.connection import Connection, Line
from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.ledger import SegmentLedger
from lob_pipeline.capture.recorder import RecordOptions, lines_of
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import KIND_AUDIT, KIND_SNAPSHOT
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.venues.protocols import protocol_of
from lob_pipeline_tests.capture.helpers import MARKET, lines, recorded, recording, require_sound_ledger, segments
from lob_pipeline_tests.capture.test_segment_ingest import events

USDM = "binance-usdm.BTCUSDT"


def connected(home: Home, market: str = MARKET, **protocol: object) -> Connection:
    """Return a connection that takes frames by hand; two of one home share its desk through ``desk_of``."""
    grid = instrument(parse_market(market))
    told = dataclasses.replace(protocol_of(grid.market), **protocol)
    desk = Desk(home, RecordConfig(), SegmentLedger(home), "test")
    return Connection(desk, Line("ws://x", "http://x", told, (grid,)), desk.next_conn())


def book(kind: str, update: int, depth: str = "200") -> bytes:
    data = {"s": "BTCUSDT", "b": [["1.0", "2"]], "a": [], "u": update, "seq": 7}
    said = {"topic": f"orderbook.{depth}.BTCUSDT", "type": kind, "ts": 1786310818130, "data": data}
    return json.dumps({**said, "cts": 1786310818128}, separators=(",", ":")).encode()


def depth(first: int, update: int, previous: int) -> bytes:
    data = {"e": "depthUpdate", "E": 1700000000000, "T": 1700000000000, "s": "BTCUSDT", "U": first, "u": update}
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": {**data, "pu": previous, "b": [], "a": []}}).encode()


def test_extra_topics_have_a_lane_of_their_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    connection = connected(home)
    tickers = b'{"topic":"tickers.BTCUSDT","type":"delta","ts":1786310818130,"data":{"symbol":"BTCUSDT"}}'
    frames = [book("snapshot", 5), tickers, book("snapshot", 9, depth="rpi"), book("delta", 6)]
    for frame in frames:
        connection.take(frame)
    connection.let_go()
    assert [line.frame for line in recorded(home)] == [frames[0], frames[3]]
    assert [line.frame for line in recorded(home, "extra")] == frames[1:3]
    assert connection.ready.is_set()
    closed = {line["lane"]: line["topics"] for line in lines(home, "closed")}
    assert closed["main"]["orderbook.200.BTCUSDT"]["last_id"] == 6
    assert set(closed["extra"]) == {"tickers.BTCUSDT", "orderbook.rpi.BTCUSDT"}


def test_a_topic_that_nobody_asked_for_and_a_refusal_are_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    connection = connected(home)
    strange = book("delta", 5, depth="50")
    refusal = b'{"success":false,"ret_msg":"error:handler not found,topic:orderbook.rpi.BTCUSDT","op":"subscribe"}'
    connection.take(strange)
    connection.take(refusal)
    connection.let_go()
    assert [(line.frame, line.readable) for line in recorded(home)] == [(strange, False), (refusal, True)]
    assert "was not subscribed to" in lines(home, "unread")[0]["why"]
    assert lines(home, "refused")[0]["text"] == refusal.decode()


def test_a_feed_of_garbage_does_not_fill_the_ledger(tmp_path: Path) -> None:
    home = Home(tmp_path)
    connection = connected(home)
    for _ in range(500):
        connection.take(b"{")
    connection.let_go()
    connection.desk.say_rest()
    said = lines(home, "unread")
    assert len(said) == 101
    assert said[-1]["count"] == 400
    assert len(recorded(home)) == 500


def test_books_without_ids_begin_every_segment_with_a_snapshot(tmp_path: Path) -> None:
    home = Home(tmp_path)
    connection = connected(home, fresh_start=True)
    asked: list[str] = []
    connection.mender.resync = lambda track, why: asked.append(track.topic.name)  # type: ignore[method-assign]
    for frame in (book("snapshot", 1), book("delta", 2)):
        connection.take(frame)
    hour_later = connection.lanes[0].segment.opened_ns + 3_600_000_000_000  # type: ignore[union-attr]
    connection.flush(hour_later)
    connection.flush(hour_later)
    for frame in (book("delta", 3), book("snapshot", 4), book("delta", 5)):
        connection.take(frame)
    connection.let_go()
    assert asked == ["orderbook.200.BTCUSDT"]
    assert [(c["reason"], c["frames"]) for c in lines(home, "closed")] == [("rotation", 3), ("reconnect", 2)]


def test_only_a_snapshot_that_reaches_the_updates_counts(tmp_path: Path) -> None:
    """One that is older is kept, but not as a message: no book could begin with it."""
    home = Home(tmp_path)
    connection = connected(home, USDM)
    connection.mender.mend = lambda track, mono_ns: None  # type: ignore[method-assign]
    connection.take(depth(10, 12, 9))
    track = connection.tracks[b"btcusdt@depth"]
    bodies = [b'{"lastUpdateId":%d,"bids":[],"asks":[]}' % update for update in (8, 9)]
    assert not connection.mender.write_snapshot(track, 1, 1, bodies[0])
    assert not connection.ready.is_set()
    assert not connection.mender.write_snapshot(track, 1, 1, b"<html>busy</html>")
    assert connection.mender.write_snapshot(track, 1, 1, bodies[1])
    assert connection.ready.is_set()
    connection.let_go()
    assert [line.readable for line in recorded(home)] == [True, False, False, True]
    assert len(lines(home, "snapshot_failed")) == 2


def test_two_connections_that_do_not_meet_leave_a_span_unknown(tmp_path: Path) -> None:
    home = Home(tmp_path)
    old = connected(home)
    new = Connection(old.desk, old.line, old.desk.next_conn())
    old.take(book("snapshot", 5))
    new.take(book("snapshot", 9))
    old.cause = "rollover"
    old.let_go()
    (unknown,) = lines(home, "unknown")
    assert (unknown["last_id"], unknown["next_id"], unknown["cause"]) == (5, 9, "rollover")
    third = Connection(old.desk, old.line, old.desk.next_conn())
    third.take(book("snapshot", 9))
    new.take(book("delta", 10))
    new.let_go()
    assert len(lines(home, "unknown")) == 1


def test_markets_are_dealt_out_over_connections() -> None:
    names = ["bybit-linear.BTCUSDT", "bybit-linear.ETHUSDT", "bybit-linear.SOLUSDT", "bybit-spot.BTCUSDT", USDM]
    found = lines_of([parse_market(n) for n in [*names, names[0]]], RecordOptions(), 2)
    assert [line.markets for line in found] == [
        ["bybit-linear.BTCUSDT", "bybit-linear.SOLUSDT"], ["bybit-linear.ETHUSDT"], ["bybit-spot.BTCUSDT"], [USDM],
    ]  # fmt: skip
    assert found[3].rest_url == "https://fapi.binance.com"
    (local,) = lines_of([parse_market(USDM)], RecordOptions("ws://127.0.0.1:5"), 2)
    assert local.rest_url == "http://127.0.0.1:5"
    for markets, options, why in (
        ([], RecordOptions(), "no market was given"),
        ([parse_market("sim.BTCUSDT")], RecordOptions(), "no public address"),
        ([parse_market(USDM)], RecordOptions(rest_url="ftp://x"), "no REST address"),
    ):
        with pytest.raises(BadInputError, match=why):
            lines_of(markets, options, 1)


@pytest.mark.real
def test_a_bridged_market_gets_its_snapshot_from_rest(real_data: Path, tmp_path: Path) -> None:
    """The recorder fetches a snapshot once the stream has begun; the day that is ingested has an unbroken chain."""
    home = Home(tmp_path / "home")
    files = [real_data / "binance_usdm" / "btcusdt_20230404.gz"]
    with serving(Exchange(files, speed=20.0)) as url, recording(home, url, USDM) as live:
        live.saw("resync")
        live.frames(3_000)
    require_sound_ledger(home)
    assert lines(home, "gap", "unknown", "reconnect", "unread") == []
    fetched = [line.frame for line in recorded(home) if line.frame.startswith(b'{"lastUpdateId"')]
    assert fetched
    report = ingest(home, parse_market(USDM), segments(home))
    assert not any(part.refused for part in report.partitions)
    rows = events(home, USDM, "2023-04-04")
    chain = ~((rows["kind"] == KIND_SNAPSHOT) | (rows["kind"] == KIND_AUDIT))
    assert (rows["kind"] == KIND_SNAPSHOT).sum() >= 1
    assert (rows["prev_update_id"][chain][1:] == rows["update_id"][chain][:-1]).all()
