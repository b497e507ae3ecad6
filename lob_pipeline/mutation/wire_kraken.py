"""Kraken's version 1 messages in the recorder's wrapper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from lob_pipeline.mutation.frames import DELTA, OTHER, SNAPSHOT, TRADE, Frame
from lob_pipeline.mutation.wire import Levels
from lob_pipeline.mutation.wrapped import unwrapped

DEPTH = 1000


@dataclass(frozen=True)
class KrakenWire:
    """Arrays ``[channel, {levels}, …, "book-N", pair]``; the time of a message is its newest level's."""

    two_clocks: bool = False
    drops_empty: bool = True

    def parse(self, line: bytes, file: str, recv: bytes) -> Frame:
        """Return the frame of a recorded line."""
        body, prefix = unwrapped(line)
        kind = OTHER
        if isinstance(body, list) and len(body) >= 4:
            if str(body[-2]).startswith("book-"):
                kind = SNAPSHOT if "as" in body[1] or "bs" in body[1] else DELTA
            elif body[-2] == "trade":
                kind = TRADE
        return Frame(kind, file, body, prefix, line, b"", quoted=True)

    def _parts(self, frame: Frame) -> dict[str, Any]:
        return {key: value for part in frame.body[1:-2] for key, value in part.items()}

    def levels(self, frame: Frame) -> tuple[Levels, Levels]:
        """Return (bids, asks)."""
        parts = self._parts(frame)
        return parts.get("bs", parts.get("b", [])), parts.get("as", parts.get("a", []))

    def set_levels(self, frame: Frame, bids: Levels, asks: Levels) -> None:
        """Put other levels into a book frame."""
        crc = self._parts(frame).get("c")
        frame.body[1:-2] = self._content(frame.kind == SNAPSHOT, bids, asks, crc)

    def _content(self, snapshot: bool, bids: Levels, asks: Levels, crc: str | None) -> list[dict[str, Any]]:
        if snapshot:
            return [{"as": asks, "bs": bids}]
        parts: list[dict[str, Any]] = [{key: side} for key, side in (("a", asks), ("b", bids)) if side] or [{}]
        if crc is not None:
            parts[-1]["c"] = crc
        return parts

    def ids(self, frame: Frame) -> tuple[int, int]:
        """Return (-1, -1): there are none."""
        return -1, -1

    def set_ids(self, frame: Frame, before: int, update_id: int) -> None:
        """Do nothing."""

    def snapshot(self, like: Frame, bids: Levels, asks: Levels) -> Frame:
        """Return a snapshot; the newest level keeps the time of ``like`` at least."""
        body = [like.body[0], *self._content(True, bids[:DEPTH], asks[:DEPTH], None), *like.body[-2:]]
        body[1] = {key: [level[:3] for level in side] for key, side in body[1].items()}
        return replace(like, kind=SNAPSHOT, body=body, raw=b"")

    def as_snapshot(self, frame: Frame) -> Frame:
        """Return the update's levels as a snapshot."""
        bids, asks = self.levels(frame)
        return self.snapshot(frame, bids, asks)

    def as_delta(self, frame: Frame, after: Frame) -> Frame:
        """Return the snapshot's levels as an update, without a checksum, as snapshots have none."""
        bids, asks = self.levels(frame)
        body = [frame.body[0], *self._content(False, bids, asks, None), *frame.body[-2:]]
        return replace(frame, kind=DELTA, body=body, raw=b"")

    def times(self, frame: Frame) -> list[tuple[Any, Any]]:
        """Return the time of every level or trade."""
        if frame.kind == TRADE:
            return [(trade, 2) for trade in frame.body[1]]
        return [(level, 2) for side in self.levels(frame) for level in side]

    def engine_ms(self, frame: Frame) -> int:
        """Return the newest time in ms."""
        times = [Decimal(box[key]) for box, key in self.times(frame)]
        return int(max(times) * 1000) if times else 0

    def trades(self, frame: Frame) -> list[Any]:
        """Return the trades of the message."""
        return list(frame.body[1])

    def flip(self, trade: Any) -> None:
        """Turn the side."""
        trade[3] = {"b": "s", "s": "b"}[trade[3]]

    def is_sell(self, trade: Any) -> bool:
        """Return whether the taker sold."""
        return bool(trade[3] == "s")

    def price_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the price stands."""
        return trade, 0

    def size_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the size stands."""
        return trade, 1

    def quoted(self, frame: Frame) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """Return nothing."""
        return [], []

    def unflag(self, trade: Any) -> bool:
        """Return False: no print is marked."""
        return False

    def flag(self, trade: Any, kind: str) -> None:
        """Do nothing."""
