"""The local exchange speaks its venue's protocol, keeps a right book, and goes wrong exactly as its script says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.faults import KINDS, Fault, parse_fault, random_script, read_script, to_json
from lob_pipeline.sim.feed import BOOK as FEED_BOOK
from lob_pipeline.sim.feed import apply_levels
from lob_pipeline.sim.loop_book import difference
from lob_pipeline.sim.looped import LoopedFeed
from lob_pipeline.sim.looped_binance import BinanceLoop
from lob_pipeline.sim.recorded import recorded_files
from lob_pipeline.sim.sender_log import (
    DROPPED,
    DUPLICATED,
    FATES,
    HALF,
    MALFORMED,
    REORDERED,
    SENT,
    SILENCED,
    SNAPSHOT,
    WRONG_SYMBOL,
    Sent,
    read_sender_log,
)

BOOK, TRADES = "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"
TS = 1_786_310_818_129


def book_line(i: int, kind: str, bids: list[list[str]], asks: list[list[str]], topic: str = BOOK) -> str:
    data = {"s": topic.rpartition(".")[2], "b": bids, "a": asks, "u": 700 + i, "seq": 9000 + 10 * i}
    said = {"topic": topic, "type": kind, "ts": TS + 20 * i, "data": data, "cts": TS + 20 * i - 1}
    return json.dumps(said, separators=(",", ":"))


def trade_line(i: int) -> str:
    trade = {"T": TS + 20 * i - 1, "s": "BTCUSDT", "S": "Buy", "v": "0.004", "p": "100.10", "L": "PlusTick"}
    trade |= {"i": f"a9188a0a-82bc-50de-be60-{i:012x}", "BT": False, "RPI": False, "seq": 9000 + 10 * i}
    return json.dumps({"topic": TRADES, "type": "snapshot", "ts": TS + 20 * i, "data": [trade]}, separators=(",", ":"))


def recording(folder: Path, deltas: int = 40) -> Path:
    """One file: a snapshot, deltas that move the book away from it, and a trade behind every fifth."""
    lines = [book_line(0, "snapshot", [["100.00", "1"], ["99.90", "2"]], [["100.10", "1"], ["100.20", "2"]])]
    for i in range(1, deltas + 1):
        bids = [["99.90", f"{i}.5"], [f"{99 - i % 7}.00", "0" if i % 2 else "3"]]
        lines.append(book_line(i, "delta", bids, [["100.20", f"{i}"]]))
        if i % 5 == 0:
            lines.append(trade_line(i))
    path = folder / "market.ndjson"
    path.write_text("\n".join(lines) + "\n")
    return path


def binance_recording(folder: Path) -> Path:
    """Stamped lines: deltas, a REST snapshot that comes after the first of them, quotes and trades in between."""
    lines = []
    for i in range(1, 41):
        u, ms = 1_000 + i - 1, TS + 100 * i
        head = {"e": "depthUpdate", "E": ms, "T": ms - 1, "s": "BTCUSDT", "U": u, "u": u, "pu": u - 1}
        delta = {**head, "b": [["100.00", f"{i}"]], "a": [["100.10", f"{i}"], [f"{101 + i % 5}.00", f"{i % 2}"]]}
        lines.append(("depth@0ms", delta))
        if i == 10:
            book = {"bids": [["100.00", "9"], ["99.00", "5"]], "asks": [["100.10", "9"], ["101.00", "5"]]}
            lines.append(("depthSnapshot", {"lastUpdateId": 1_006, "E": ms, "T": ms - 1, **book}))
        if i % 2 == 0:
            quote = {"e": "bookTicker", "u": u, "s": "BTCUSDT", "b": "100.00", "B": f"{i}", "a": "100.10", "A": f"{i}"}
            lines.append(("bookTicker", {**quote, "T": ms - 1, "E": ms}))
        if i % 3 == 0:
            trade = {"e": "trade", "E": ms, "T": ms - 1, "s": "BTCUSDT", "t": 500 + i // 3, "p": "100.10", "q": "1"}
            lines.append(("trade", {**trade, "X": "MARKET", "m": False}))
    texts = []
    for i, (name, said) in enumerate(lines):
        body = said if name == "depthSnapshot" else {"stream": f"btcusdt@{name}", "data": said}
        texts.append(f"{(TS + 100 * i) * 1_000_000} {json.dumps(body, separators=(',', ':'))}")
    path = folder / "btcusdt_20260809.ndjson"
    path.write_text("\n".join(texts) + "\n")
    return path


class Listener:
    """A client that keeps what it hears and may subscribe again when something breaks."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.messages: list[dict[str, Any]] = []
        self.connections = 0
        self.refused = 0

    def take(self, frame: bytes) -> None:
        self.frames.append(frame)
        with contextlib.suppress(ValueError):
            self.messages.append(json.loads(frame))

    def books(self, topic: str = BOOK) -> list[dict[str, Any]]:
        return [m for m in self.messages if m.get("topic") == topic]

    def ids(self, topic: str = BOOK) -> list[int]:
        return [m["data"]["u"] for m in self.books(topic)]

    async def hear(self, url: str, enough: Callable[[Listener], bool], words: str) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidStatus

        while not enough(self):
            try:
                async with connect(url, compression=None, max_size=None, close_timeout=0.1) as socket:
                    self.connections += 1
                    await socket.send(words)
                    while not enough(self):
                        self.take(await asyncio.wait_for(socket.recv(decode=False), 60))
            except (ConnectionClosed, InvalidStatus, OSError) as error:
                self.refused += isinstance(error, InvalidStatus)
                await asyncio.sleep(0.02)


def listen(
    exchange: Exchange, enough: Callable[[Listener], bool], topics: tuple[str, ...] = (BOOK, TRADES)
) -> Listener:
    listener = Listener()
    with serving(exchange) as url:
        asyncio.run(listener.hear(url, enough, json.dumps({"op": "subscribe", "req_id": "7", "args": topics})))
    return listener


def market(tmp_path: Path, *faults: str, rate: float = 2_000) -> Exchange:
    script = [parse_fault(text) for text in faults]
    return Exchange([recording(tmp_path)], loop=True, rate=rate, faults=script, log=tmp_path / "log")


def sent_log(tmp_path: Path) -> Sent:
    return read_sender_log(tmp_path / "log")


def test_a_loop_goes_on_without_a_seam(tmp_path: Path) -> None:
    """u grows by one over every pass, clocks and seq never step back, trade ids are new, the books come round."""
    feed = LoopedFeed(recorded_files([recording(tmp_path)]))
    start = feed.book_at(BOOK, -1)
    bids, asks = dict(start[0]), dict(start[1])
    passes, trade_ids, last_u, last_seq, last_ts = 4, set(), 700, 9000, 0
    for _ in range(passes):
        for _ in feed.templates:
            message = feed.take()
            said = json.loads(message.payload)
            assert said["ts"] >= last_ts
            last_ts = said["ts"]
            if message.topic == TRADES:
                trade_ids.update(trade["i"] for trade in said["data"])
                assert said["data"][0]["seq"] > last_seq
                continue
            assert (said["type"], said["data"]["u"]) == ("delta", last_u + 1)
            assert said["data"]["seq"] > last_seq
            assert message.update_id == last_u + 1
            last_u, last_seq = said["data"]["u"], said["data"]["seq"]
            apply_levels(bids, said["data"]["b"])
            apply_levels(asks, said["data"]["a"])
            whole = json.loads(feed.snapshot(BOOK))["data"]
            assert (dict(whole["b"]), dict(whole["a"]), whole["u"]) == (bids, asks, last_u)
        assert (bids, asks) == start
    assert len(trade_ids) == passes * 8


def test_a_binance_loop_goes_on_without_a_seam(tmp_path: Path) -> None:
    """The chain of pu, quotes at their update ids, trade ids: over every pass, and REST answers are the book."""
    feed = BinanceLoop(recorded_files([binance_recording(tmp_path)]))
    bids, asks = (dict(side) for side in feed.book_at("BTCUSDT", -1))
    last_u, last_t, quotes, compared = 1_009, 0, 0, 0
    assert json.loads(feed.rest("BTCUSDT", 1000))["lastUpdateId"] == last_u
    for _ in range(3 * len(feed.templates)):
        message = feed.take()
        said = json.loads(message.payload)
        if message.kind == FEED_BOOK:
            assert (said["pu"], said["U"]) == (last_u, last_u + 1)
            assert message.update_id == said["u"] > last_u
            last_u = said["u"]
            apply_levels(bids, said["b"])
            apply_levels(asks, said["a"])
            rest = json.loads(feed.rest("BTCUSDT", 1000))
            assert (dict(rest["bids"]), dict(rest["asks"]), rest["lastUpdateId"]) == (bids, asks, last_u)
            compared += 1
        elif message.topic.endswith("@trade"):
            assert said["t"] == last_t + 1 or last_t == 0
            last_t = said["t"]
        else:
            quotes += said["u"] == last_u
            assert said["b"] == max(bids, key=float)
    assert (compared, quotes) == (3 * 31, 3 * 15)
    assert {feed.canonical("btcusdt@depth@100ms"), *feed.books()} == {"btcusdt@depth"}
    assert feed.offers("btcusdt@bookTicker")
    assert not feed.offers("ethusdt@depth@100ms")
    assert feed.rest("ETHUSDT", 10) == b""


@pytest.mark.parametrize("combined", [True, False])
def test_a_binance_client_bridges_the_loop(tmp_path: Path, combined: bool) -> None:
    """Subscribe, buffer, take the REST snapshot, drop what it holds already: the chain and the book follow."""
    exchange = Exchange([binance_recording(tmp_path)], loop=True, rate=1_000, log=tmp_path / "log")
    heard: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []

    async def talk(url: str) -> None:
        from websockets.asyncio.client import connect

        def ask() -> dict[str, Any]:
            target = url.replace("ws:", "http:") + "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
            with urllib.request.urlopen(target, timeout=20) as answer:
                return json.loads(answer.read())

        async with connect(url + ("/stream" if combined else "/ws"), compression=None, close_timeout=0.1) as socket:
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 9}))
            last = 0
            while len(rest) < 2 or last < rest[1]["lastUpdateId"]:
                heard.append(json.loads(await asyncio.wait_for(socket.recv(), 60)))
                last = (heard[-1].get("data") or heard[-1]).get("u", 0)
                if len(rest) < 2 and len(heard) in (20, 120):
                    rest.append(await asyncio.to_thread(ask))

    with serving(exchange) as url:
        asyncio.run(talk(url))
    assert heard[0] == {"result": None, "id": 9}
    if combined:
        assert {m["stream"] for m in heard[1:]} == {"btcusdt@depth@100ms"}
    deltas = [m["data"] if combined else m for m in heard[1:]]
    assert all(two["pu"] == one["u"] for one, two in pairwise(deltas))
    one, two = rest
    between = [d for d in deltas if one["lastUpdateId"] < d["u"] <= two["lastUpdateId"]]
    assert between[0]["U"] <= one["lastUpdateId"] + 1
    bids = dict(one["bids"])
    for delta in between:
        apply_levels(bids, delta["b"])
    assert between[-1]["u"] == two["lastUpdateId"]
    assert bids == dict(two["bids"])


def test_a_binance_recording_must_bridge(tmp_path: Path) -> None:
    path = binance_recording(tmp_path)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "lastUpdateId" not in line) + "\n")
    with pytest.raises(BadInputError, match="no REST snapshot bridges"):
        BinanceLoop(recorded_files([path]))
    lines = binance_recording(tmp_path).read_text().splitlines()
    del lines[[i for i, line in enumerate(lines) if "depthUpdate" in line][25]]
    path.write_text("\n".join(line for line in lines if "bookTicker" not in line) + "\n")
    with pytest.raises(BadInputError, match="has a gap behind update"):
        BinanceLoop(recorded_files([path]))


@pytest.mark.real
def test_a_real_binance_recording_loops(real_data: Path) -> None:
    feed = BinanceLoop(recorded_files([real_data / "binance_resync" / "raw_1772137284.ndjson.gz"]))
    assert sorted(feed.books()) == ["btcusdt@depth", "ethusdt@depth"]
    last: dict[str, int] = {}
    for _ in range(2 * len(feed.templates) + 5):
        message = feed.take()
        said = json.loads(message.payload)
        if message.kind == FEED_BOOK:
            assert said["pu"] == last.get(message.topic, said["pu"])
            last[message.topic] = said["u"]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rest = json.loads(feed.rest(symbol, 1000))
        assert rest["lastUpdateId"] == last[f"{symbol.lower()}@depth"]
        assert float(rest["bids"][0][0]) < float(rest["asks"][0][0])


def test_difference_is_what_a_delta_says() -> None:
    old, new = {"1": "5", "2": "6", "3": "7"}, {"2": "6", "3": "8", "4": "9"}
    changed = difference(old, new)
    assert changed == [["1", "0"], ["3", "8"], ["4", "9"]]
    apply_levels(old, changed)
    assert old == new


def test_subscription_is_answered_as_the_venue_answers(tmp_path: Path) -> None:
    exchange = market(tmp_path)
    said: list[dict[str, Any]] = []

    async def talk(url: str) -> None:
        from websockets.asyncio.client import connect

        async with connect(url, compression=None, close_timeout=0.1) as socket:

            async def ask(**words: Any) -> dict[str, Any]:
                await socket.send(json.dumps(words))
                while "topic" in (answer := json.loads(await asyncio.wait_for(socket.recv(), 20))):
                    said.append(answer)
                return answer

            answer = await ask(op="ping", req_id="1")
            assert (answer["ret_msg"], answer["op"], answer["req_id"]) == ("pong", "ping", "1")
            answer = await ask(op="subscribe", req_id="2", args=["orderbook.50.NOSUCH", BOOK])
            assert (answer["success"], answer["req_id"]) == (False, "2")
            assert answer["ret_msg"] == "error:handler not found,topic:orderbook.50.NOSUCH"
            assert (await ask(op="subscribe", args=[BOOK, "allLiquidation.BTCUSDT"]))["success"] is True
            answer = await ask(op="subscribe", args=[BOOK])
            assert answer["ret_msg"] == f"error:already subscribed,topic:{BOOK}"
            assert (await ask(op="unsubscribe", args=[BOOK]))["success"] is True
            await asyncio.sleep(0.05)
            before = len(said)
            assert (await ask(op="subscribe", args=[BOOK]))["success"] is True
            while len(said) < before + 3:
                said.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))
            fresh = [m for m in said[before:] if m["topic"] == BOOK]
            assert [m["type"] for m in fresh] == ["snapshot", "delta", "delta"]
            assert [m["data"]["u"] - fresh[0]["data"]["u"] for m in fresh] == [0, 1, 2]
            assert all(m["topic"] == BOOK for m in said)

    with serving(exchange) as url:
        asyncio.run(talk(url))
    assert [words.get("op") for words in exchange.received[:2]] == ["ping", "subscribe"]


def test_two_clients_hear_the_same_market(tmp_path: Path) -> None:
    exchange = market(tmp_path)
    first, second = Listener(), Listener()
    words = json.dumps({"op": "subscribe", "args": [BOOK]})

    async def both(url: str) -> None:
        one = asyncio.create_task(first.hear(url, lambda c: len(second.frames) > 200, words))
        while len(first.frames) < 100:
            await asyncio.sleep(0.01)
        await second.hear(url, lambda c: len(c.frames) > 200, words)
        await one

    with serving(exchange) as url:
        asyncio.run(both(url))
    heard = {m["data"]["u"]: m for m in first.books() if m["type"] == "delta"}
    late = second.books()
    assert late[0]["type"] == "snapshot"
    shared = [m for m in late[1:] if m["data"]["u"] in heard]
    assert len(shared) > 50
    assert all(heard[m["data"]["u"]] == m for m in shared)


def test_nothing_is_missing_without_faults(tmp_path: Path) -> None:
    listener = listen(market(tmp_path), lambda c: len(c.frames) > 1_000)
    ids = listener.ids()
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    log = sent_log(tmp_path)
    rows = log.frames[log.frames["fate"] == SENT]
    books = rows[rows["topic"] == log.topics.index(BOOK)]
    assert books["update_id"][: len(ids) - 1].tolist() == ids[1:]
    assert (log.frames["number"] == range(1, len(log.frames) + 1)).all()
    assert all(e["event"] != "fault" for e in log.events)


def after(number: int) -> Callable[[Listener], bool]:
    return lambda c: len(c.frames) > number


def fates(tmp_path: Path, fate: int, flags: int | None = None) -> list[int]:
    rows = sent_log(tmp_path).frames
    chosen = rows["fate"] == fate
    if flags is not None:
        chosen &= (rows["flags"] & flags) != 0
    return [int(u) for u in rows["update_id"][chosen]]


def gaps(ids: list[int]) -> list[int]:
    return [i for one, two in pairwise(ids) for i in range(one + 1, two)]


def test_dropped_messages_are_those_the_log_names(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "drop@100x3", "drop@0.3sx2"), after(1_200))
    assert gaps(listener.ids()) == fates(tmp_path, DROPPED)
    assert len(fates(tmp_path, DROPPED)) == 5
    assert not any(u == -1 for u in fates(tmp_path, DROPPED))


def test_duplicates_come_twice(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "duplicate@100x4"), after(400))
    ids = listener.ids()
    twice = [u for u in dict.fromkeys(ids) if ids.count(u) == 2]
    assert twice == fates(tmp_path, SENT, DUPLICATED)
    assert len(twice) == 4


def test_reordered_messages_come_in_reversed_order(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "reorder@100x3"), after(400))
    late = fates(tmp_path, SENT, REORDERED)
    ids = listener.ids()
    at = ids.index(late[-1])
    assert ids[at : at + 3] == late[::-1]
    assert sorted(ids) == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize(("kind", "fate"), [("malformed", MALFORMED), ("wrong_symbol", WRONG_SYMBOL)])
def test_damaged_messages(tmp_path: Path, kind: str, fate: int) -> None:
    listener = listen(market(tmp_path, f"{kind}@100x2"), after(400))
    assert gaps(listener.ids()) == fates(tmp_path, fate)
    broken = [f for f in listener.frames if f[-1:] != b"}"]
    others = [m for m in listener.messages if m.get("topic") not in (BOOK, TRADES, None)]
    assert (len(broken), len(others)) == ((2, 0) if kind == "malformed" else (0, 2))
    assert all(m["topic"] == "orderbook.50.OTHERUSDT" and m["data"]["s"] == "OTHERUSDT" for m in others)


def test_half_a_frame_and_the_connection_is_gone(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "half_frame@300"), lambda c: c.connections == 2 and after(400)(c))
    (lost,) = fates(tmp_path, HALF)
    fresh = [m["data"]["u"] for m in listener.books() if m["type"] == "snapshot"]
    assert len(fresh) == 2
    assert fresh[1] >= lost


def test_a_restart_counts_from_one_behind_a_snapshot(tmp_path: Path) -> None:
    feed = LoopedFeed(recorded_files([recording(tmp_path)]))
    listener = listen(market(tmp_path, "restart@200"), after(500))
    ids = listener.ids()
    at = ids.index(1)
    assert ids[at:] == list(range(1, len(ids) - at + 1))
    assert gaps(ids[:at]) == []
    assert [m["type"] for m in listener.books()[at : at + 2]] == ["snapshot", "delta"]
    seqs = [m["data"]["seq"] for m in listener.books()]
    assert seqs == sorted(set(seqs))
    assert fates(tmp_path, SENT, SNAPSHOT) == [1]
    assert feed.books() == [BOOK]


def test_a_snapshot_in_mid_stream_is_the_book(tmp_path: Path) -> None:
    feed = LoopedFeed(recorded_files([recording(tmp_path)]))
    listener = listen(market(tmp_path, "midstream_snapshot@200x2"), after(500))
    assert gaps(listener.ids()) == []
    whole = [m for m in listener.books() if m["type"] == "snapshot"][1:]
    assert [m["data"]["u"] for m in whole] == fates(tmp_path, SENT, SNAPSHOT)
    rows = sent_log(tmp_path).frames
    for said in whole:
        template = int(rows["template"][rows["update_id"] == said["data"]["u"]][0])
        assert (dict(said["data"]["b"]), dict(said["data"]["a"])) == feed.book_at(BOOK, template)


def test_one_topic_falls_silent(tmp_path: Path) -> None:
    exchange = market(tmp_path, f"silence@200x0.2s,topic={BOOK}")
    listener = listen(exchange, lambda c: len(c.frames) % 50 == 0 and bool(gaps(c.ids())))
    assert gaps(listener.ids()) == fates(tmp_path, SILENCED)
    assert len(fates(tmp_path, SILENCED)) > 50
    assert len(listener.books(TRADES)) > 0


def test_a_new_subscription_ends_the_silence(tmp_path: Path) -> None:
    exchange = market(tmp_path, f"silence@50x60s,topic={BOOK}")
    words = [{"op": "unsubscribe", "args": [BOOK]}, {"op": "subscribe", "args": [BOOK]}]
    heard: list[dict[str, Any]] = []

    async def talk(url: str) -> None:
        from websockets.asyncio.client import connect

        async with connect(url, compression=None, close_timeout=0.1) as socket:
            await socket.send(json.dumps({"op": "subscribe", "args": [BOOK, TRADES]}))
            while sum(m.get("topic") == TRADES for m in heard) < 20:
                heard.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))
            silent = len(heard)
            for word in words:
                await socket.send(json.dumps(word))
            while sum(m.get("topic") == BOOK for m in heard[silent:]) < 20:
                heard.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))

    with serving(exchange) as url:
        asyncio.run(talk(url))
    books = [m for m in heard if m.get("topic") == BOOK]
    assert [m["type"] for m in books].count("snapshot") == 2


@pytest.mark.parametrize("kind", ["abrupt_close", "refuse_connections"])
def test_connections_are_cut_and_refused(tmp_path: Path, kind: str) -> None:
    fault = f"{kind}@300x0.3s" if "refuse" in kind else f"{kind}@300"
    listener = listen(market(tmp_path, fault), lambda c: c.connections == 2 and after(500)(c))
    fresh = [i for i, m in enumerate(listener.books()) if m["type"] == "snapshot"]
    assert len(fresh) == 2
    assert listener.refused > 0 if kind == "refuse_connections" else listener.refused == 0
    ids = listener.ids()
    assert gaps(ids[: fresh[1]]) == gaps(ids[fresh[1] :]) == []


def test_a_slow_sender_keeps_everything(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "slow@100x0.2s"), after(800))
    assert gaps(listener.ids()) == []


def test_the_exchange_s_clock_steps(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "clock_step@200,ms=-5000"), after(500))
    stamps = [m["ts"] for m in listener.books()]
    steps = [two - one for one, two in pairwise(stamps)]
    assert min(steps) < -4_000
    assert sum(step < 0 for step in steps) == 1


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lob_pipeline.sim.exchange.MAX_BEHIND_BYTES", 10_000)
    exchange = market(tmp_path, rate=50_000)

    async def sleep_on(url: str) -> None:
        import socket

        host, port = url.removeprefix("ws://").split(":")
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect((host, int(port)))
        head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        peer.sendall((head + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
        words = json.dumps({"op": "subscribe", "args": [BOOK]}).encode()
        peer.sendall(b"\x81" + bytes((0x80 | len(words),)) + b"\0\0\0\0" + words)
        for _ in range(400):
            await asyncio.sleep(0.025)
            if any(e["event"] == "slow_consumer" for e in sent_log(tmp_path).events):
                break
        peer.close()

    with serving(exchange) as url:
        asyncio.run(sleep_on(url))
    assert any(e["event"] == "slow_consumer" for e in sent_log(tmp_path).events)


def test_a_recording_once_may_go_wrong_too(tmp_path: Path) -> None:
    """Paced by its client, resumed after a cut with the book as it stands; a restart shifts the ids that follow."""
    script = [parse_fault(text) for text in ("drop@10", "abrupt_close@20", "restart@30", "clock_step@40,ms=1000")]
    last = TS + 20 * 40 + 1_000

    def done(client: Listener) -> bool:
        return client.messages[-1:] != [] and client.messages[-1].get("ts") == last

    listener = listen(Exchange([recording(tmp_path)], faults=script), done)
    ids = listener.ids()
    at = ids.index(1)
    assert gaps(ids[:at]) == [ids[0] + 8]
    assert listener.connections == 2
    books = listener.books()
    assert ids[at:] == list(range(1, len(ids) - at + 1))
    assert [m["type"] for m in books].count("snapshot") == 3
    bids: dict[str, str] = {}
    for said in books[at:]:
        bids = dict(said["data"]["b"]) if said["type"] == "snapshot" else bids
        apply_levels(bids, said["data"]["b"])
    feed = LoopedFeed(recorded_files([recording(tmp_path)]))
    assert bids == feed.book_at(BOOK, len(feed.templates) - 2)[0]


def test_every_kind_of_fault_is_in_a_random_script() -> None:
    script = random_script(7, 120.0)
    assert {fault.kind for fault in script} == set(KINDS)
    assert script == random_script(7, 120.0)
    assert script != random_script(8, 120.0)
    assert all(two.at > one.at for one, two in pairwise(script))
    assert all(fault.at < 120 for fault in script)


def test_scripts_are_read_as_they_are_written(tmp_path: Path) -> None:
    script = random_script(3, 60.0)
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([*to_json(script), "drop@1000x3", "silence@2.5sx4s,topic=a.b"]))
    read = read_script(path)
    assert read[:-2] == script
    assert read[-2] == Fault(1000, "drop", 3)
    assert read[-1] == Fault(2.5, "silence", 4, topic="a.b", timed=True)


@pytest.mark.parametrize("text", ["drop", "drop@", "drop@5x0", "nosuch@5", "drop@5x1.5", "clock_step@5", "drop@5,a=b"])
def test_a_fault_that_is_none_is_bad_input(text: str) -> None:
    with pytest.raises(BadInputError, match=r"fault"):
        parse_fault(text)


def test_a_script_that_is_none_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    for text in ("{", '[{"kind": "drop"}]', "[5]"):
        path.write_text(text)
        with pytest.raises(BadInputError):
            read_script(path)
    with pytest.raises(BadInputError, match="cannot be read"):
        read_script(tmp_path / "none.json")


def test_what_cannot_be_looped_is_bad_input(tmp_path: Path) -> None:
    path = recording(tmp_path)
    with pytest.raises(BadInputError, match="--rate"):
        Exchange([path], loop=True)
    path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(BadInputError, match="begins without a snapshot"):
        Exchange([path], loop=True, rate=10)
    assert len(FATES) == 7


@pytest.mark.real
def test_real_books_keep_their_depth_in_the_loop(real_data: Path) -> None:
    """Two symbols side by side: 200 levels a side after every message, and no delete of a level that is not there."""
    folder = real_data / "bybit_linear_ws"
    names = [f"{topic}.{s}" for s in ("BTCUSDT", "SOLUSDT") for topic in ("orderbook.200", "publicTrade")]
    paths = [folder / f"{name}.ndjson" for name in names]
    feed = LoopedFeed(recorded_files(paths))
    books = {topic: feed.book_at(topic, -1) for topic in feed.books()}
    assert len(books) == 2
    deletes = 0
    for _ in range(2 * len(feed.templates)):
        message = feed.take()
        if message.topic not in books:
            continue
        data = json.loads(message.payload)["data"]
        for side, name in zip(books[message.topic], ("b", "a"), strict=True):
            deletes += sum(size == "0" for _, size in data[name])
            assert all(price in side for price, size in data[name] if size == "0")
            apply_levels(side, data[name])
            assert len(side) == 200
    assert deletes > 1_000


@pytest.mark.real
def test_binance_s_rest_snapshot_bridges(real_data: Path) -> None:
    """GET on the websocket's port gives the book as it stands: the next delta follows it, its levels are right."""
    path = real_data / "binance_resync" / "raw_1772137284.ndjson.gz"
    exchange = Exchange([path], speed=3.0)
    heard: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []

    async def talk(url: str) -> None:
        from websockets.asyncio.client import connect

        async with connect(url, compression=None, max_size=None, close_timeout=0.1) as socket:
            last = 0
            while len(rest) < 2 or last < rest[1]["lastUpdateId"]:
                said = json.loads(await asyncio.wait_for(socket.recv(), 20))
                heard.append(said)
                if said.get("type") == "depthUpdate" and said["symbol"] == "BTCUSDT":
                    last = said["data"]["u"]
                if len(heard) in (250, 900):
                    target = url.replace("ws:", "http:") + "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
                    rest.append(await asyncio.to_thread(get, target))

    def get(target: str) -> dict[str, Any]:
        with urllib.request.urlopen(target, timeout=20) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            return json.loads(answer.read())

    with serving(exchange) as url:
        asyncio.run(talk(url))
        for bad, code in (("symbol=NOSUCH", -1121), ("symbol=BTCUSDT&limit=0", -1130)):
            with pytest.raises(urllib.error.HTTPError) as error:
                get(url.replace("ws:", "http:") + f"/fapi/v1/depth?{bad}")
            assert json.loads(error.value.read())["code"] == code
    one, two = rest
    deltas = [m["data"] for m in heard if m.get("type") == "depthUpdate" and m["symbol"] == "BTCUSDT"]
    between = [d for d in deltas if one["lastUpdateId"] < d["u"] <= two["lastUpdateId"]]
    assert len(between) > 1
    assert between[0]["pu"] == one["lastUpdateId"]
    sides = {"b": dict(one["bids"]), "a": dict(one["asks"])}
    for delta in between:
        for name, side in sides.items():
            apply_levels(side, delta[name])
    best = max(sides["b"], key=float), min(sides["a"], key=float)
    assert best == (two["bids"][0][0], two["asks"][0][0])
    assert sides["b"][best[0]] == two["bids"][0][1]
