"""Binance's raw ``stamp json`` lines: depth updates, REST snapshots, trades, best prices; USDT-M and spot."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from lob_pipeline.mutation.frames import DELTA, OTHER, QUOTE, SNAPSHOT, TRADE, Frame
from lob_pipeline.mutation.wire import Levels

REST_LEVELS = 1000


def payload(frame: Frame) -> Any:
    """Return the event inside its stream wrapper, or the bare body."""
    return frame.body.get("data", frame.body)


@dataclass(frozen=True)
class BinanceWire:
    """``spot``: the chain rule is U = u before + 1 and only ``E`` is a clock."""

    spot: bool
    drops_empty: bool = False

    @property
    def two_clocks(self) -> bool:
        """Return whether engine time and push time are apart."""
        return not self.spot

    def parse(self, line: bytes, file: str, recv: bytes) -> Frame:
        """Return the frame of a recorded line."""
        stamp, _, text = line.partition(b" ")
        body = json.loads(text)
        data = body.get("data", body)
        event = data.get("e")
        if "lastUpdateId" in data:
            kind = SNAPSHOT
        elif event == "depthUpdate":
            kind = DELTA
        elif event in ("trade", "aggTrade"):
            kind = TRADE
        else:
            kind = QUOTE if "B" in data and "A" in data else OTHER
        return Frame(kind, file, body, stamp + b" ", line, b"")

    def _keys(self, frame: Frame) -> tuple[str, str]:
        return ("bids", "asks") if frame.kind == SNAPSHOT else ("b", "a")

    def levels(self, frame: Frame) -> tuple[Levels, Levels]:
        """Return (bids, asks)."""
        bids, asks = self._keys(frame)
        return payload(frame)[bids], payload(frame)[asks]

    def set_levels(self, frame: Frame, bids: Levels, asks: Levels) -> None:
        """Put other levels into a book frame."""
        b, a = self._keys(frame)
        payload(frame)[b], payload(frame)[a] = bids, asks

    def ids(self, frame: Frame) -> tuple[int, int]:
        """Return (pu or U - 1, u), (-1, lastUpdateId) of a snapshot."""
        data = payload(frame)
        if frame.kind == SNAPSHOT:
            return -1, int(data["lastUpdateId"])
        return (int(data["U"]) - 1 if self.spot else int(data["pu"])), int(data["u"])

    def set_ids(self, frame: Frame, before: int, update_id: int) -> None:
        """Set the ids and what the event says it follows."""
        data = payload(frame)
        if frame.kind == SNAPSHOT:
            data["lastUpdateId"] = update_id
            return
        data["u"] = update_id
        data["U"] = before + 1 if self.spot else min(int(data["U"]), update_id)
        if not self.spot:
            data["pu"] = before

    def snapshot(self, like: Frame, bids: Levels, asks: Levels) -> Frame:
        """Return a REST snapshot answered just after ``like``."""
        data = payload(like)
        body: dict[str, Any] = {"lastUpdateId": self.ids(like)[1]}
        if not self.spot:
            body.update({"E": data["E"], "T": data["T"]})
        body.update({"bids": bids[:REST_LEVELS], "asks": asks[:REST_LEVELS]})
        return replace(like, kind=SNAPSHOT, body=body, raw=b"")

    def as_snapshot(self, frame: Frame) -> Frame:
        """Return the update as a REST answer."""
        return self.snapshot(frame, *self.levels(frame))

    def as_delta(self, frame: Frame, after: Frame) -> Frame:
        """Return a REST answer as a depth update."""
        old, before = frame.body, self.ids(after)[1]
        data = dict(payload(after))
        data.update({key: old[key] for key in ("E", "T") if key in old})
        data.update({"U": before + 1, "u": max(int(old["lastUpdateId"]), before + 1)})
        if not self.spot:
            data["pu"] = before
        data.update({"b": old["bids"], "a": old["asks"]})
        body = {**after.body, "data": data} if "data" in after.body else data
        return replace(frame, kind=DELTA, body=body, raw=b"")

    def times(self, frame: Frame) -> list[tuple[Any, Any]]:
        """Return the places of T and E; of spot depth and spot trades E comes first."""
        data = payload(frame)
        keys = ("E", "T") if self.spot else ("T", "E")
        return [(data, key) for key in keys if key in data]

    def engine_ms(self, frame: Frame) -> int:
        """Return T (spot: E) of an update or a trade."""
        places = self.times(frame) if frame.kind in (DELTA, TRADE) else []
        return int(places[0][0][places[0][1]]) if places else 0

    def trades(self, frame: Frame) -> list[Any]:
        """Return the one trade of the event."""
        return [payload(frame)]

    def flip(self, trade: Any) -> None:
        """Turn ``m``, whether the buyer was the maker."""
        trade["m"] = not trade["m"]

    def price_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the price stands."""
        return trade, "p"

    def size_at(self, trade: Any) -> tuple[Any, Any]:
        """Return where the size stands."""
        return trade, "q"

    def quoted(self, frame: Frame) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """Return where the best prices and their sizes stand."""
        data = payload(frame)
        return [(data, "b"), (data, "a")], [(data, "B"), (data, "A")]

    def unflag(self, trade: Any) -> bool:
        """Call the print a market trade."""
        had = trade.get("X", "MARKET") != "MARKET"
        trade["X"] = "MARKET"
        return had

    def flag(self, trade: Any, kind: str) -> None:
        """Call the print one of the insurance fund."""
        trade["X"] = "INSURANCE_FUND"

    def is_sell(self, trade: Any) -> bool:
        """Return whether the taker sold."""
        return bool(trade["m"])
