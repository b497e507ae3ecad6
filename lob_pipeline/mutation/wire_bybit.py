"""Bybit's websocket and archive messages."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from lob_pipeline.mutation.frames import DELTA, OTHER, SNAPSHOT, TRADE, Frame
from lob_pipeline.mutation.wire import Levels


@dataclass(frozen=True)
class BybitWire:
    """``orderbook.N.SYMBOL`` and ``publicTrade.SYMBOL``."""

    two_clocks: bool = True
    drops_empty: bool = False

    def parse(self, line: bytes, file: str, recv: bytes) -> Frame:
        """Return the frame of a recorded line."""
        body = json.loads(line)
        topic = str(body.get("topic", ""))
        kind = OTHER
        if topic.startswith("orderbook."):
            kind = SNAPSHOT if body["type"] == "snapshot" else DELTA
        elif topic.startswith("publicTrade."):
            kind = TRADE
        return Frame(kind, file, body, b"", line, recv)

    def levels(self, frame: Frame) -> tuple[Levels, Levels]:
        """Return (bids, asks)."""
        return frame.body["data"]["b"], frame.body["data"]["a"]

    def set_levels(self, frame: Frame, bids: Levels, asks: Levels) -> None:
        """Put other levels into a book frame."""
        frame.body["data"]["b"], frame.body["data"]["a"] = bids, asks

    def ids(self, frame: Frame) -> tuple[int, int]:
        """Return (u - 1, u), (-1, u) of a snapshot."""
        u = int(frame.body["data"]["u"])
        return (-1 if frame.kind == SNAPSHOT else u - 1), u

    def set_ids(self, frame: Frame, before: int, update_id: int) -> None:
        """Set ``u``; what it follows is u - 1 by rule."""
        frame.body["data"]["u"] = update_id

    def snapshot(self, like: Frame, bids: Levels, asks: Levels) -> Frame:
        """Return a snapshot message with the times and ids of ``like``."""
        body = {**like.body, "type": "snapshot", "data": {**like.body["data"], "b": bids, "a": asks}}
        return replace(like, kind=SNAPSHOT, body=body, raw=b"")

    def as_snapshot(self, frame: Frame) -> Frame:
        """Return the message with ``type`` snapshot."""
        return replace(frame, kind=SNAPSHOT, body={**frame.body, "type": "snapshot"}, raw=b"")

    def as_delta(self, frame: Frame, after: Frame) -> Frame:
        """Return the message with ``type`` delta and the next ``u``."""
        data = {**frame.body["data"], "u": self.ids(after)[1] + 1}
        return replace(frame, kind=DELTA, body={**frame.body, "type": "delta", "data": data}, raw=b"")

    def times(self, frame: Frame) -> list[tuple[Any, Any]]:
        """Return ``cts``, ``ts`` of a book message, the ``T`` of every trade and ``ts``."""
        own = [(frame.body, key) for key in ("cts", "ts") if key in frame.body]
        return [(t, "T") for t in frame.body["data"]] + own if frame.kind == TRADE else own

    def engine_ms(self, frame: Frame) -> int:
        """Return ``cts``, the first trade's ``T``."""
        if frame.kind == OTHER:
            return 0
        box, key = self.times(frame)[0]
        return int(box[key])

    def trades(self, frame: Frame) -> list[Any]:
        """Return the trades of the message."""
        return list(frame.body["data"])

    def flip(self, trade: Any) -> None:
        """Turn ``S``."""
        trade["S"] = {"Buy": "Sell", "Sell": "Buy"}[trade["S"]]

    def price_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the price stands."""
        return trade, "p"

    def size_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the size stands."""
        return trade, "v"

    def quoted(self, frame: Frame) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """Return nothing: the venue's best prices are no stream of these recordings."""
        return [], []

    def unflag(self, trade: Any) -> bool:
        """Set ``RPI`` and ``BT`` to false."""
        had = bool(trade.get("RPI") or trade.get("BT"))
        trade.update({"RPI": False, "BT": False})
        return had

    def flag(self, trade: Any, kind: str) -> None:
        """Set ``RPI`` or ``BT``."""
        trade["RPI" if kind == "rpi" else "BT"] = True

    def is_sell(self, trade: Any) -> bool:
        """Return whether the taker sold."""
        return bool(trade["S"] == "Sell")
