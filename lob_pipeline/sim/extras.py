"""Bybit topics that no recording at hand holds, made from the book as it stands: tickers, the book with RPI, marks.

They give a recorder's extra lane something real in form. Their content means nothing, they are not in the sender's log
and no fault concerns them.
"""

from __future__ import annotations

import json
from typing import Any

from lob_pipeline.sim.feed import Feed

EVERY_S = 1.0
_SHOWN = 50


class Extras:
    """Makes the messages of extra topics. ``feed`` must be a looped Bybit recording."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._ticks = 0
        self._books = {topic.rpartition(".")[2]: topic for topic in feed.books()}
        self._seen: dict[str, dict[str, Any]] = {}

    def look(self) -> None:
        """Look at the books anew, for the next messages."""
        self._seen.clear()
        self._ticks += 1

    def message(self, topic: str, *, first: bool) -> bytes:
        """Return the next message of ``topic``, or what a subscription opens with; empty where there is none.

        Ids count the looks: who subscribes gets the last one's and goes on with everybody else.
        """
        symbol = topic.rpartition(".")[2]
        if symbol not in self._books:
            return b""
        if symbol not in self._seen:
            self._seen[symbol] = json.loads(self._feed.snapshot(self._books[symbol]))
        book = self._seen[symbol]
        data = book["data"]
        if topic == f"tickers.{symbol}":
            return _text(topic, first, book["ts"], _ticker(symbol, data, first), cs=self._ticks)
        if topic == f"orderbook.rpi.{symbol}":
            sides = {side: [[price, size, "0"] for price, size in data[side][:_SHOWN]] for side in ("b", "a")}
            rpi = {"s": symbol, **sides, "u": self._ticks, "seq": data["seq"]}
            return _text(topic, True, book["ts"], rpi, cts=book["cts"])
        if topic == f"allLiquidation.{symbol}" and not first:
            price, size = data["b"][0]
            return _text(topic, True, book["ts"], [{"T": book["cts"], "s": symbol, "S": "Buy", "v": size, "p": price}])
        return b""


def _ticker(symbol: str, data: dict[str, Any], first: bool) -> dict[str, str]:
    (bid, bid_size), (ask, ask_size) = data["b"][0], data["a"][0]
    best = {"bid1Price": bid, "bid1Size": bid_size, "ask1Price": ask, "ask1Size": ask_size}
    still = {"lastPrice": ask, "markPrice": bid, "indexPrice": bid, "fundingRate": "0.0001", "openInterest": "1000"}
    return {"symbol": symbol, **(still if first else {}), **best}


def _text(topic: str, whole: bool, ts: int, data: object, **more: int) -> bytes:
    said = {"topic": topic, "type": "snapshot" if whole else "delta", "ts": ts, "data": data, **more}
    return json.dumps(said, separators=(",", ":")).encode()
