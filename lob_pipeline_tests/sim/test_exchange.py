"""The local exchange speaks its venue's protocol to every client alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.feed import describe
from lob_pipeline.sim.sender_log import (
    SENT,
)
from lob_pipeline.sim.talk import Said, hear_binance
from lob_pipeline.sim.talk_checked import hear_kraken, hear_okx
from lob_pipeline_tests.sim.exchange_client import BOOK, TRADES, Listener, gaps, listen, market, recording, sent_log


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

            await socket.send("no JSON")
            assert json.loads(await asyncio.wait_for(socket.recv(), 20))["success"] is False
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
            said.clear()
            assert (await ask(op="subscribe", args=[BOOK]))["success"] is True
            while len(fresh := [m for m in said if m["topic"] == BOOK]) < 3:
                said.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))
            assert [m["type"] for m in fresh] == ["snapshot", "delta", "delta"]
            assert [m["data"]["u"] - fresh[0]["data"]["u"] for m in fresh] == [0, 1, 2]
            assert {m["topic"] for m in said} <= {BOOK, "allLiquidation.BTCUSDT"}

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


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lob_pipeline.sim.audience.MAX_BEHIND_BYTES", 10_000)
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




@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "words", "key", "kinds"),
    [
        (
            "OKX",
            [{"op": "subscribe", "id": "1", "args": [{"channel": "books", "instId": "BTC-USDT"}]}],
            "books:BTC-USDT",
            ("snapshot", "update"),
        ),
        (
            "KRAKEN",
            [{"event": "subscribe", "pair": ["XMR/USD"], "subscription": {"name": "book", "depth": 1000}}],
            "book-1000:XMR/USD",
            ("as", "b"),
        ),
    ],
)
def test_checked_venues_are_played_once(
    real_data: Path, name: str, words: list[dict[str, Any]], key: str, kinds: tuple[str, str]
) -> None:
    """Acknowledged in the venue's words; only what was subscribed to; the book's snapshot first."""
    exchange = Exchange([real_data / "checksum_venues" / f"{name}.jsonl.zst"])
    listener = Listener()

    async def talk(url: str) -> None:
        from websockets.asyncio.client import connect

        async with connect(url, compression=None, max_size=None, close_timeout=0.1) as socket:
            if name == "OKX":
                await socket.send("ping")
                assert await asyncio.wait_for(socket.recv(), 20) == "pong"
            for word in words:
                await socket.send(json.dumps(word))
            while len(listener.frames) < 60:
                listener.take(await asyncio.wait_for(socket.recv(decode=False), 20))

    with serving(exchange) as url:
        asyncio.run(talk(url))
    first = listener.messages[0]
    assert first["event"] in ("subscribe", "subscriptionStatus")
    assert {describe(frame)[0] for frame in listener.frames[1:]} == {key}
    assert kinds[0].encode() in listener.frames[1][:150]
    assert all(kinds[0].encode() not in frame[:150] or kinds[1].encode() in frame for frame in listener.frames[2:])


@pytest.mark.parametrize(
    ("hear", "words", "answer"),
    [
        (hear_okx, {"op": "login"}, b'"event": "error"'),
        (hear_kraken, {"event": "ping", "reqid": 5}, b'{"event": "pong", "reqid": 5}'),
        (hear_kraken, {"event": "subscribe"}, b"Malformed request"),
        (lambda words: hear_binance(words, ["a@b"]), {"method": "LIST_SUBSCRIPTIONS", "id": 3}, b'["a@b"]'),
        (lambda words: hear_binance(words, []), {"method": "NOSUCH", "id": 3}, b"unknown variant NOSUCH"),
    ],
)
def test_other_words_are_answered(hear: Callable[..., Said], words: dict[str, Any], answer: bytes) -> None:
    said = hear(words)
    assert answer in said.answers[0]
    assert not said.subscribed


def test_extra_topics_have_their_form(tmp_path: Path) -> None:
    """Tickers: a snapshot, then deltas; the RPI book: three numbers a level, at the touch of the book itself."""
    topics = tuple(f"{name}.BTCUSDT" for name in ("tickers", "orderbook.rpi", "allLiquidation"))
    exchange = Exchange([recording(tmp_path)], loop=True, rate=2_000, log=tmp_path / "log", extras=True)
    listener = listen(exchange, lambda c: len(c.books(topics[0])) > 2, (BOOK, *topics))
    tickers, rpi, marks = (listener.books(topic) for topic in topics)
    assert [m["type"] for m in tickers[:3]] == ["snapshot", "delta", "delta"]
    assert {"lastPrice", "bid1Price"} <= set(tickers[0]["data"])
    assert all(len(level) == 3 for m in rpi for level in m["data"]["b"] + m["data"]["a"])
    assert {m["data"]["b"][0][0] for m in rpi} == {"100.00"}
    assert [m["data"]["u"] - rpi[0]["data"]["u"] for m in rpi] == list(range(len(rpi)))
    assert marks[0]["data"][0]["S"] == "Buy"
    assert gaps(listener.ids()) == []
    assert sent_log(tmp_path).topics == [BOOK, TRADES]
