"""A recording that goes round keeps its books, its ids and its clocks."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.feed import BOOK as FEED_BOOK
from lob_pipeline.sim.feed import apply_levels
from lob_pipeline.sim.loop_book import difference
from lob_pipeline.sim.looped import LoopedFeed
from lob_pipeline.sim.looped_binance import BinanceLoop
from lob_pipeline.sim.recorded import recorded_files
from lob_pipeline.sim.sender_log import (
    FATES,
)
from lob_pipeline_tests.sim.exchange_client import (
    BOOK,
    TRADES,
    binance_recording,
    recording,
)


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
