"""OKX's public messages in the recorder's wrapper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, OTHER, SNAPSHOT, TRADE, Frame
from lob_pipeline.mutation.wire import Levels
from lob_pipeline.mutation.wrapped import unwrapped


@dataclass(frozen=True)
class OkxWire:
    """Books with a checksum and without ids (2022). A snapshot shows the book of a message: it carries its checksum."""

    two_clocks: bool = False
    drops_empty: bool = False

    def parse(self, line: bytes, file: str, recv: bytes) -> Frame:
        """Return the frame of a recorded line."""
        body, prefix = unwrapped(line)
        kind = OTHER
        if isinstance(body, dict) and "data" in body:
            channel = str(body.get("arg", {}).get("channel"))
            if channel == "books":
                kind = SNAPSHOT if body["action"] == "snapshot" else DELTA
            elif channel == "trades":
                kind = TRADE
        return Frame(kind, file, body, prefix, line, b"", quoted=True)

    def levels(self, frame: Frame) -> tuple[Levels, Levels]:
        """Return (bids, asks)."""
        return frame.body["data"][0]["bids"], frame.body["data"][0]["asks"]

    def set_levels(self, frame: Frame, bids: Levels, asks: Levels) -> None:
        """Put other levels into a book frame."""
        frame.body["data"][0].update({"bids": bids, "asks": asks})

    def ids(self, frame: Frame) -> tuple[int, int]:
        """Return (-1, -1): there are none."""
        return -1, -1

    def set_ids(self, frame: Frame, before: int, update_id: int) -> None:
        """Do nothing."""

    def snapshot(self, like: Frame, bids: Levels, asks: Levels) -> Frame:
        """Return a snapshot message with the time and the checksum of ``like``."""
        data = [{**like.body["data"][0], "bids": bids, "asks": asks}]
        return replace(like, kind=SNAPSHOT, body={**like.body, "action": "snapshot", "data": data}, raw=b"")

    def as_snapshot(self, frame: Frame) -> Frame:
        """Return the message with ``action`` snapshot."""
        return replace(frame, kind=SNAPSHOT, body={**frame.body, "action": "snapshot"}, raw=b"")

    def as_delta(self, frame: Frame, after: Frame) -> Frame:
        """Return the message with ``action`` update."""
        return replace(frame, kind=DELTA, body={**frame.body, "action": "update"}, raw=b"")

    def times(self, frame: Frame) -> list[tuple[Any, Any]]:
        """Return the ``ts`` of the book or of every trade."""
        return [(data, "ts") for data in frame.body["data"]]

    def engine_ms(self, frame: Frame) -> int:
        """Return ``ts``."""
        return int(frame.body["data"][0]["ts"]) if frame.kind in (*BOOK_KINDS, TRADE) else 0

    def trades(self, frame: Frame) -> list[Any]:
        """Return the trades of the message."""
        return list(frame.body["data"])

    def flip(self, trade: Any) -> None:
        """Turn ``side``."""
        trade["side"] = {"buy": "sell", "sell": "buy"}[trade["side"]]

    def is_sell(self, trade: Any) -> bool:
        """Return whether the taker sold."""
        return bool(trade["side"] == "sell")

    def price_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the price stands."""
        return trade, "px"

    def size_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the size stands."""
        return trade, "sz"

    def quoted(self, frame: Frame) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """Return nothing."""
        return [], []

    def unflag(self, trade: Any) -> bool:
        """Return False: no print is marked."""
        return False

    def flag(self, trade: Any, kind: str) -> None:
        """Do nothing."""
