"""Small recordings for the local exchange, and a client that hears it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.faults import parse_fault
from lob_pipeline.sim.sender_log import (
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


