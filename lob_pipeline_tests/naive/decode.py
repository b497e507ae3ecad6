"""Reference decoder: one line at a time with ``json`` and ``Decimal``, as slow and as obvious as it can be.

It shares no code with ``lob_pipeline.venues``. Rows are plain tuples, in file order:

- message: (line, ts_event_ns, ts_recv_ns, update_id, first_id, prev_id, seq, kind, ((side, ticks, lots), …))
- trade: (line, ts_event_ns, ts_recv_ns, seq, trade_id, side, ticks, lots, flags)
- quote: (line, ts_event_ns, ts_recv_ns, update_id, bid_ticks, bid_lots, ask_ticks, ask_lots)
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from typing import Any

_WIDE = Context(prec=800)


class NaiveError(Exception):
    """The reference cannot read a line."""


@dataclass
class NaiveRows:
    """What a file holds."""

    messages: list[tuple[Any, ...]] = field(default_factory=list)
    trades: list[tuple[Any, ...]] = field(default_factory=list)
    quotes: list[tuple[Any, ...]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    rounded: int = 0

    def skip(self, why: str) -> None:
        self.skipped[why] = self.skipped.get(why, 0) + 1


def _units(text: Any, step: Decimal, rows: NaiveRows, floor: bool) -> int:
    if not isinstance(text, str) or not text or text[0] not in "0123456789" or "_" in text or text.endswith("."):
        raise NaiveError(f"no decimal: {text!r}")
    try:
        units = _WIDE.divide(Decimal(text), step)
    except InvalidOperation as error:
        raise NaiveError(f"no decimal: {text!r}") from error
    if units != int(units):
        if not floor:
            raise NaiveError(f"{text} is no multiple of {step}")
        rows.rounded += 1
    return int(units)


def _lines(data: bytes) -> list[str]:
    lines = data.decode().split("\n")
    return lines if lines[-1] else lines[:-1]


def _ns(text: str, unit: int) -> int:
    value = _WIDE.multiply(Decimal(text), Decimal(unit))
    if value != int(value):
        raise NaiveError(f"finer than a nanosecond: {text}")
    return int(value)


def _binance_ns(time: int) -> int:
    return time * {13: 10**6, 16: 10**3}[len(str(time))]


class NaiveDecoder:
    """Reads the lines of one market's file."""

    def __init__(self, symbol: str, tick: str, lot: str, spot: bool = False, floor: bool = False) -> None:
        self.symbol, self.tick, self.lot, self.spot, self.floor = symbol, Decimal(tick), Decimal(lot), spot, floor
        self.rows = NaiveRows()

    def _ticks(self, text: Any) -> int:
        return _units(text, self.tick, self.rows, floor=False)

    def _lots(self, text: Any) -> int:
        return _units(text, self.lot, self.rows, self.floor)

    def _sides(self, data: dict[str, Any], bids: str, asks: str) -> tuple[tuple[int, int, int], ...]:
        out = []
        for key, levels in data.items():
            if key in (bids, asks):
                out += [(1 if key == bids else -1, self._ticks(p), self._lots(q)) for p, q in levels]
        return tuple(out)

    def bybit(self, data: bytes, recv: list[str] | None = None) -> NaiveRows:
        """Read websocket or archive lines; ``recv``: one decimal second a line.

        Of several depths of the symbol the deepest is the book; each other one is applied to a dictionary of its own.
        """
        texts = _lines(data)
        depths = {int(d) for d in re.findall(rf'"orderbook\.([1-9]\d{{0,5}})\.{self.symbol}"', "\n".join(texts))}
        known = depths & {1, 25, 50, 100, 200, 500, 1000}
        book = max(known or depths, default=0)
        others: dict[int, dict[str, Any]] = {}
        for line, text in enumerate(texts):
            at = _ns(recv[line], 10**9) if recv else 0
            message = json.loads(text, parse_float=Decimal)
            if "topic" not in message:
                self.rows.skip("control")
                continue
            name, *_, symbol = message["topic"].split(".")
            body = message["data"]
            if symbol != self.symbol:
                raise NaiveError(f"symbol {symbol}")
            if name == "orderbook":
                if body["s"] != symbol:
                    raise NaiveError(f"symbol {body['s']}")
                kind = {"snapshot": 1, "delta": 2}[message["type"]]
                ts = message.get("cts", message["ts"]) * 10**6
                prev = body["u"] - 1 if kind == 2 else -1
                rounded = self.rows.rounded
                levels = self._sides(body, "b", "a")
                depth = int(message["topic"].split(".")[1])
                if depth != book:
                    if depth not in known:
                        raise NaiveError(f"depth {depth} beside {book}")
                    self.rows.rounded = rounded
                    other = others.setdefault(depth, {"u": None, 1: {}, -1: {}})
                    if self._witnessed(other, kind, body["u"], levels) and "seq" in body:
                        bid, ask = max(other[1]), min(other[-1])
                        top = (bid, other[1][bid], ask, other[-1][ask])
                        self.rows.quotes.append((line, ts, at, body["seq"], *top))
                    continue
                self.rows.messages.append((line, ts, at, body["u"], -1, prev, body.get("seq", -1), kind, levels))
            else:
                for t in body:
                    side = {"Buy": 1, "Sell": -1}[t["S"]]
                    flags = (1 if t.get("RPI") else 0) + (2 if t.get("BT") else 0)
                    price, size = self._ticks(t["p"]), self._lots(t["v"])
                    row = (line, t["T"] * 10**6, at, t.get("seq", -1), t["i"], side, price, size, flags)
                    self.rows.trades.append(row)
        return self.rows

    @staticmethod
    def _witnessed(other: dict[Any, Any], kind: int, number: int, levels: tuple[tuple[int, int, int], ...]) -> bool:
        """Apply a message of another depth; return whether it tells a best bid and ask."""
        last = other["u"]
        if kind == 2 and (last is None or number <= last):
            return False
        other["u"] = None if kind == 2 and number > last + 1 else number
        if other["u"] is None:
            return False
        if kind == 1:
            other[1], other[-1] = {}, {}
        for side, price, size in levels:
            other[side][price] = size
            if size == 0:
                del other[side][price]
        return bool(other[1] and other[-1])

    def bybit_csv(self, data: bytes) -> NaiveRows:
        """Read a trade archive."""
        header, *lines = (text.removesuffix("\r").split(",") for text in _lines(data))
        for line, cells in enumerate(lines, start=1):
            t = dict(zip(header, cells, strict=True))
            if t["symbol"] != self.symbol:
                raise NaiveError(f"symbol {t['symbol']}")
            side = {"Buy": 1, "Sell": -1}[t["side"]]
            price, size = self._ticks(t["price"]), self._lots(t["size"])
            flags = int(t.get("RPI") or 0)
            row = (line, _ns(t["timestamp"], 10**9), 0, -1, t["trdMatchID"], side, price, size, flags)
            self.rows.trades.append(row)
        return self.rows

    def binance(self, data: bytes) -> NaiveRows:
        """Read stamped lines, bare lines and wrappers."""
        for line, text in enumerate(_lines(data)):
            recv = 0
            if text.lstrip()[0] != "{":
                stamp, text = text.split(" ", 1)
                recv = int(stamp) * {16: 1000, 19: 1}[len(stamp)]
            message = json.loads(text, parse_float=Decimal)
            if "ts_local" in message:
                stamp = str(message["ts_local"])
                recv = _ns(stamp, 10**9 if Decimal(stamp) < 10**11 else 10**6)
                if message["symbol"] != self.symbol:
                    self.rows.skip("other_symbol")
                    continue
                if message["type"] == "exchangeInfo":
                    self.rows.skip("instrument_info")
                    continue
            self._payload(line, recv, message.get("data", message))
        return self.rows

    def _payload(self, line: int, recv: int, body: dict[str, Any]) -> None:
        what = body.get("e", "snapshot" if "lastUpdateId" in body else "bookTicker")
        if body.get("s", self.symbol) != self.symbol:
            raise NaiveError(f"symbol {body['s']}")
        if what == "markPriceUpdate":
            self.rows.skip("other_stream")
        elif what == "snapshot":
            ts = _binance_ns(body["T"]) if "T" in body and not self.spot else 0
            levels = self._sides(body, "bids", "asks")
            self.rows.messages.append((line, ts, recv, body["lastUpdateId"], -1, -1, -1, 1, levels))
        elif what == "depthUpdate":
            ts = _binance_ns(body["E" if self.spot else "T"])
            prev = body["U"] - 1 if self.spot else body["pu"]
            self.rows.messages.append((line, ts, recv, body["u"], body["U"], prev, -1, 2, self._sides(body, "b", "a")))
        elif what == "bookTicker":
            ts = _binance_ns(body["T"]) if "T" in body and not self.spot else 0
            best = (self._ticks(body["b"]), self._lots(body["B"]), self._ticks(body["a"]), self._lots(body["A"]))
            self.rows.quotes.append((line, ts, recv, body["u"], *best))
        elif what in ("trade", "aggTrade"):
            ts = _binance_ns(body["E" if self.spot else "T"])
            number = str(body["t" if what == "trade" else "a"])
            side = -1 if body["m"] else 1
            flags = 4 if body.get("X", "MARKET") != "MARKET" else 0
            price, size = self._ticks(body["p"]), self._lots(body["q"])
            self.rows.trades.append((line, ts, recv, -1, number, side, price, size, flags))
        else:
            raise NaiveError(f"event {what}")
