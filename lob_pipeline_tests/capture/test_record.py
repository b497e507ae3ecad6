"""The recorder against the local exchange: exact bytes, and a ledger that states what is missing, fault by fault."""

from __future__ import annotations

import errno
from itertools import pairwise
from pathlib import Path

import pytest

from lob_pipeline.capture import segments as segments_module
from lob_pipeline.capture.heartbeat import read_heartbeat
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.lake import chain
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.faults import Fault
from lob_pipeline.sim.recorded import frames, recorded_files
from lob_pipeline.venues.protocol import CONTROL
from lob_pipeline.venues.protocols import PROTOCOLS
from lob_pipeline_tests.capture.helpers import (
    BOOK,
    MARKET,
    bybit_files,
    lines,
    recorded,
    recorded_ids,
    recording,
    require_sound_ledger,
    require_true_statement,
    segments,
    wait_for,
)

pytestmark = pytest.mark.real
RATE = 400.0


def looped(real_data: Path, log: Path, *faults: Fault, rate: float = RATE) -> Exchange:
    return Exchange(bybit_files(real_data), loop=True, rate=rate, faults=list(faults), log=log)


def test_every_byte_of_a_stream_is_recorded(real_data: Path, tmp_path: Path) -> None:
    home, files = Home(tmp_path), bybit_files(real_data)
    sent = [frame.payload for frame in frames(recorded_files(files))]
    with serving(Exchange(files)) as url, recording(home, url, first_wait_s=30.0) as live:
        live.frames(len(sent) + 1)
    hear = PROTOCOLS["bybit-linear"].hear
    got = recorded(home)
    assert [line.frame for line in got if hear(line.frame).kind != CONTROL] == sent
    assert all(one.wall_ns <= two.wall_ns and one.mono_ns <= two.mono_ns for one, two in pairwise(got))
    assert live.report["frames"] == len(got)
    require_sound_ledger(home)
    assert lines(home, "gap", "unknown", "unread", "duplicate") == []
    assert lines(home, "stopped")[0]["frames"] == len(got)


def test_segments_turn_over_by_size_and_lose_nothing(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    with serving(looped(real_data, log)) as url, recording(home, url, segment_bytes=20_000) as live:
        live.saw("closed", 3)
    assert [line["reason"] for line in lines(home, "closed")][:3] == ["rotation"] * 3
    _, lost = require_true_statement(home, log)
    assert lost == set()
    require_sound_ledger(home)


def test_the_hour_turns_a_segment_over(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lob_pipeline.capture.lane.hour_of", lambda wall_ns: wall_ns // 500_000_000)
    home = Home(tmp_path / "home")
    with serving(looped(real_data, tmp_path / "log")) as url, recording(home, url) as live:
        live.saw("closed", 2)
    assert lines(home, "closed")[1]["reason"] == "rotation"
    require_sound_ledger(home)


def test_dropped_messages_are_named_and_a_fresh_snapshot_follows(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    faults = (Fault(200, "drop", 3), Fault(500, "reorder", 3), Fault(700, "duplicate", 2))
    with serving(looped(real_data, log, *faults)) as url, recording(home, url, resync_s=0.1) as live:
        live.saw("late", 1)
        live.saw("duplicate", 2)
        live.frames(900)
    _, lost = require_true_statement(home, log)
    assert len(lost) >= 3
    gaps = lines(home, "gap")
    assert (gaps[0]["got"] - gaps[0]["expected"], gaps[0]["snapshot"]) == (3, False)
    resyncs = lines(home, "resync")
    assert resyncs[0]["topic"] == BOOK
    _, snapshots = recorded_ids(home)
    assert max(snapshots) > gaps[0]["id"]


@pytest.mark.parametrize("kind", ["abrupt_close", "half_frame"])
def test_a_break_is_followed_by_another_connection(real_data: Path, tmp_path: Path, kind: str) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    with serving(looped(real_data, log, Fault(300, kind))) as url, recording(home, url) as live:
        live.saw("unknown", 2)
        live.frames(500)
    require_true_statement(home, log)
    assert {line["cause"] for line in lines(home, "unknown")} == {"reconnect"}
    (reconnect,) = lines(home, "reconnect")
    assert reconnect["why"]
    assert reconnect["markets"] == [MARKET]
    assert {line["conn"] for line in lines(home, "closed")} == {1, 2}
    require_sound_ledger(home)


def test_refused_connections_are_tried_again_after_longer_waits(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    exchange = looped(real_data, log, Fault(200, "refuse_connections", 2.0))
    with serving(exchange) as url, recording(home, url) as live:
        live.saw("unknown", 1)
    waits = [line["wait_s"] for line in lines(home, "reconnect")]
    assert len(waits) >= 2
    assert all(0.75 * 0.05 * 2**i <= wait <= 1.25 * 0.05 * 2**i for i, wait in enumerate(waits))
    require_true_statement(home, log)


def test_a_silent_book_is_subscribed_to_anew(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    exchange = looped(real_data, log, Fault(200, "silence", 60.0, topic=BOOK))
    with serving(exchange) as url, recording(home, url, book_silence_s=0.5) as live:
        (silence, *_) = live.saw("silence")
        live.saw("gap")
    assert (silence["topic"], silence["action"]) == (BOOK, "resubscribe")
    assert silence["silent_s"] >= 0.5
    _, lost = require_true_statement(home, log)
    assert lost


def test_a_server_that_says_nothing_at_all_is_left(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    exchange = looped(real_data, tmp_path / "log", Fault(100, "slow", 60.0))
    with serving(exchange) as url, recording(home, url, ping_s=0.2, pong_s=0.5, book_silence_s=60.0) as live:
        live.saw("opened")
        pings = wait_for(lambda: [said for said in exchange.received if said.get("op") == "ping"], "pings")
        assert pings
        if not any(line["why"].startswith("no word") for line in lines(home, "reconnect")):
            return  # this exchange answers pings while it is slow: the connection is alive
    require_sound_ledger(home)


def test_a_connection_is_replaced_without_a_gap(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    with serving(looped(real_data, log)) as url, recording(home, url, roll_s=0.5) as live:
        live.saw("rollover", 2)
    deltas, lost = require_true_statement(home, log)
    assert lost == set()
    assert sorted(deltas) == list(range(min(deltas), max(deltas) + 1))
    assert lines(home, "gap", "unknown", "reconnect") == []
    assert len(segments(home)) >= 3
    require_sound_ledger(home)


def test_what_is_no_message_is_kept_and_said(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    faults = (Fault(150, "malformed", 2), Fault(300, "wrong_symbol", 2))
    with serving(looped(real_data, log, *faults)) as url, recording(home, url, resync_s=0.1) as live:
        live.saw("unread", 4)
        live.frames(500)
    require_true_statement(home, log)
    kept = [line for line in recorded(home) if not line.readable]
    assert [len(line.frame) for line in kept] == [line["bytes"] for line in lines(home, "unread")]
    assert len(kept) == 4


def test_a_restarted_service_and_a_snapshot_in_mid_stream_are_no_loss_of_sync(
    real_data: Path, tmp_path: Path
) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    faults = (Fault(150, "midstream_snapshot"), Fault(300, "restart"))
    with serving(looped(real_data, log, *faults)) as url, recording(home, url) as live:
        live.saw("restart")
        live.frames(450)
    assert len(lines(home, "replaced")) == 1
    assert lines(home, "restart")[0]["id"] == 1
    assert lines(home, "gap", "resync", "reconnect") == []


def test_the_clocks_difference_is_measured(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    exchange = looped(real_data, tmp_path / "log", Fault(1, "clock_step", ms=-2_500))
    with serving(exchange) as url, recording(home, url, clock_s=0.3) as live:
        clock = live.saw("clock", 2)[1]  # the opening snapshot was made before the step
    assert clock["samples"] > 10
    assert 2_400_000_000 < clock["offset_ns"] < 4_000_000_000


def test_the_heartbeat_says_how_it_is(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert read_heartbeat(home) is None
    with serving(looped(real_data, tmp_path / "log")) as url, recording(home, url):
        beat = wait_for(lambda: (b := read_heartbeat(home)) and b["frames"] > 100 and b, "a beat")
        assert beat["alive"]
        assert beat["connections"] == 1
        assert beat["topics"][MARKET][BOOK]["frames"] > 50
        assert 0 < beat["lag_ms"] < 60_000
    ended = read_heartbeat(home)
    assert ended is not None
    assert (ended["state"], ended["alive"]) == ("stopped", False)


def test_a_full_disk_stops_loudly_and_loses_nothing_earlier(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    write, room = segments_module.write_whole, 30_000

    def full(handle: int, data: bytes, end: int) -> None:
        if end + len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(handle, data, end)

    monkeypatch.setattr(segments_module, "write_whole", full)
    with serving(looped(real_data, log)) as url, recording(home, url) as live:
        wait_for(lambda: live.error, "the end")
    assert isinstance(live.error, LobError)
    assert live.error.exit_code == 1
    assert "No space left on device" in str(live.error)
    (said,) = lines(home, "full")
    assert said["error"] == "No space left on device"
    assert lines(home, "stopped")[0]["reason"] == "full"
    assert lines(home, "closed")[0]["reason"] == "full"
    require_sound_ledger(home)
    _, lost = require_true_statement(home, log)
    assert lost == set()


def test_a_ledger_that_has_no_room_stops_loudly_too(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line that says so is written into the reserve; what it could not list is entered at the next start."""
    home = Home(tmp_path / "home")
    write, reserve = chain._write, home.root / "segments" / ".reserve"

    def full(handle: int, data: bytes, end: int, *, durable: bool = True) -> None:
        if end > 1_500 and reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(handle, data, end, durable=durable)

    monkeypatch.setattr(chain, "_write", full)
    exchange = looped(real_data, tmp_path / "log")
    with serving(exchange) as url, recording(home, url, segment_bytes=5_000) as live:
        wait_for(lambda: live.error, "the end")
    assert isinstance(live.error, LobError)
    assert [line["kind"] for line in lines(home)][-2:] == ["full", "stopped"]
    monkeypatch.undo()
    with serving(looped(real_data, tmp_path / "again")) as url, recording(home, url) as live:
        live.saw("opened", 2)
    require_sound_ledger(home)


def test_several_markets_share_a_connection_or_have_their_own(real_data: Path, tmp_path: Path) -> None:
    other = "bybit-linear.SOLUSDT"
    folder, kinds = real_data / "bybit_linear_ws", ("orderbook.200", "publicTrade")
    files = [folder / f"{kind}.{name}.ndjson" for name in ("BTCUSDT", "SOLUSDT") for kind in kinds]
    for connections in (1, 2):
        home = Home(tmp_path / str(connections))
        exchange = Exchange(files, loop=True, rate=RATE, log=tmp_path / f"log{connections}")
        with serving(exchange) as url, recording(home, url, MARKET, other, connections=connections) as live:
            live.frames(300)
        closed = lines(home, "closed")
        assert {line["market"] for line in closed} == {MARKET, other}
        assert {line["conn"] for line in closed} == set(range(1, connections + 1))
        for line in closed:
            assert {topic.rpartition(".")[2] for topic in line["topics"]} == {line["market"].partition(".")[2]}
        require_sound_ledger(home)


def test_a_market_that_the_venue_does_not_know_costs_the_others_nothing(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    exchange = looped(real_data, tmp_path / "log")
    other = "bybit-linear.ETHUSDT"
    with serving(exchange) as url, recording(home, url, other, MARKET, book_silence_s=0.3, roll_s=1.0) as live:
        live.saw("refused")
        live.saw("silence", 2)
        live.saw("rollover")
    assert {line["action"] for line in lines(home, "silence") if "ETHUSDT" in line["topic"]} == {"resubscribe"}
    assert any(text.startswith("recording bybit-linear.BTCUSDT, bybit-linear.ETHUSDT") for text in live.said)
    assert any(text.startswith("refused: ") for text in live.said)
    assert any("ETHUSDT" in line["text"] for line in lines(home, "refused"))
    assert any(BOOK in line["topics"] for line in lines(home, "closed"))


def test_one_recorder_a_home(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with serving(looped(real_data, tmp_path / "log")) as url, recording(home, url) as first:
        first.saw("opened")
        with recording(home, url) as second:
            wait_for(lambda: second.error, "the refusal")
    assert isinstance(second.error, BadInputError)
    assert "another process writes segments" in str(second.error)
    assert first.error is None


@pytest.mark.parametrize(
    ("url", "market", "why"),
    [
        ("http://127.0.0.1:9", MARKET, "no websocket address"),
        ("ws://127.0.0.1:9", "lobster.GOOG", "no stream that can be listened to"),
    ],
)
def test_bad_addresses_and_markets_are_bad_input(tmp_path: Path, url: str, market: str, why: str) -> None:
    with recording(Home(tmp_path), url, market) as live:
        wait_for(lambda: live.error, "the refusal")
    assert isinstance(live.error, BadInputError)
    assert why in str(live.error)
