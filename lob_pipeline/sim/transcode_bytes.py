"""Bybit's bytes of derived messages and trades: archive zip and csv.gz, websocket lines and receive times."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_NOT_MARKET, FLAG_RPI
from lob_pipeline.core.units import ASK, BID, NS_PER_MS, NS_PER_S
from lob_pipeline.sim.archive import GzipFile, ZipMember, write_whole
from lob_pipeline.sim.shown_book import Levels
from lob_pipeline.sim.wire import TRADES_HEADER

if TYPE_CHECKING:
    from lob_pipeline.sim.transcode import DerivedMessage

PUSH_MS = 4
"""A message is built one to this many milliseconds after the engine time it shows."""
_TRADES_A_MESSAGE = 1024


class DerivedTrade(NamedTuple):
    """A trade of the recording with the ``seq`` it gets."""

    ts_ns: int
    recv_ns: int
    side: int
    price_ticks: int
    size_lots: int
    flags: int
    seq: int
    trade_id: str


@dataclass(frozen=True)
class Writer:
    """How one market's numbers and messages are written."""

    instrument: Instrument

    @classmethod
    def of(cls, instrument: Instrument) -> Writer:
        """Return the writer of an instrument."""
        return cls(instrument)

    @property
    def symbol(self) -> str:
        """The symbol."""
        return self.instrument.market.symbol

    def price(self, ticks: int) -> str:
        """Return a price as the book shows it: one decimal more than the tick has."""
        return _decimal(ticks, self.instrument.tick) + "0"

    def size(self, lots: int) -> str:
        """Return a size with the lot's decimals; a deletion is ``0``."""
        return _decimal(lots, self.instrument.lot).removesuffix(".") if lots else "0"

    def _levels(self, levels: Levels) -> list[list[str]]:
        return [[self.price(price), self.size(lots)] for price, lots in levels]

    def book_line(self, depth: int, message: DerivedMessage) -> bytes:
        """Return a book message without line end."""
        ts_ms = message.cts_ms + 1 + message.update_id % PUSH_MS
        data = {
            "s": self.symbol,
            "b": self._levels(message.levels[BID]),
            "a": self._levels(message.levels[ASK]),
            "u": message.update_id,
            "seq": message.seq,
        }
        whole = {
            "topic": f"orderbook.{depth}.{self.symbol}",
            "type": "snapshot" if message.snapshot else "delta",
            "ts": ts_ms,
            "data": data,
            "cts": message.cts_ms,
        }
        return _json(whole)

    def _trade(self, trade: DerivedTrade) -> dict[str, Any]:
        return {
            "T": trade.ts_ns // NS_PER_MS,
            "s": self.symbol,
            "S": "Buy" if trade.side > 0 else "Sell",
            "v": self.size(trade.size_lots),
            "p": self.price(trade.price_ticks),
            "L": "PlusTick" if trade.side > 0 else "MinusTick",
            "i": trade.trade_id,
            "BT": bool(trade.flags & (FLAG_BLOCK | FLAG_NOT_MARKET)),  # the form knows no insurance trade
            "RPI": bool(trade.flags & FLAG_RPI),
            "seq": trade.seq,
        }

    def trades_ndjson(self, folder: Path, trades: list[DerivedTrade]) -> Path:
        """Write ``publicTrade.SYMBOL.ndjson`` and its receive times; trades received together share a message."""
        groups: list[list[DerivedTrade]] = []
        for trade in trades:
            joins = groups and groups[-1][0].recv_ns == trade.recv_ns and len(groups[-1]) < _TRADES_A_MESSAGE
            if joins and groups[-1][0].ts_ns == trade.ts_ns:
                groups[-1].append(trade)
            else:
                groups.append([trade])
        lines = [
            _json(
                {
                    "topic": f"publicTrade.{self.symbol}",
                    "type": "snapshot",
                    "ts": group[0].ts_ns // NS_PER_MS + 1,
                    "data": [self._trade(t) for t in group],
                }
            )
            for group in groups
        ]
        return _ndjson(folder, f"publicTrade.{self.symbol}", lines, [group[0].recv_ns for group in groups])

    def trades_csv(self, folder: Path, date: str, trades: list[DerivedTrade]) -> Path:
        """Write ``SYMBOLDATE.csv.gz``: what is no trade of the public book is marked in the column ``RPI``."""
        path = folder / f"{self.symbol}{date}.csv.gz"
        header = TRADES_HEADER.decode().rstrip("\n") + ",RPI\n"
        with GzipFile(path) as out:
            out.write(header.encode())
            for t in sorted(trades, key=lambda t: t.ts_ns):
                price, size = self.price(t.price_ticks), self.size(t.size_lots)
                side, tick = ("Buy", "PlusTick") if t.side > 0 else ("Sell", "MinusTick")
                stamp = f"{t.ts_ns // NS_PER_S}.{t.ts_ns % NS_PER_S // 100_000:04d}"
                value = t.price_ticks * t.size_lots * self.instrument.tick * self.instrument.lot
                what = f"{stamp},{self.symbol},{side},{size},{price},{tick},{t.trade_id}"
                out.write(f"{what},0,{size},{value},{int(t.flags != 0)}\n".encode())
        return path

    def instruments_info(self) -> dict[str, Any]:
        """Return Bybit's REST answer on the instrument, as far as it is read."""
        spot = self.instrument.contract == "spot"
        lot = {"basePrecision" if spot else "qtyStep": f"{self.instrument.lot:f}"}
        entry = {"symbol": self.symbol, "priceFilter": {"tickSize": f"{self.instrument.tick:f}"}, "lotSizeFilter": lot}
        return {"retCode": 0, "result": {"category": "spot" if spot else "linear", "list": [entry]}}


def _decimal(units: int, step: Decimal) -> str:
    """Return ``units * step`` with the step's decimals and always a point."""
    places = max(0, -int(step.as_tuple().exponent))
    whole = units * int(step.scaleb(places))
    return f"{whole // 10**places}.{whole % 10**places:0{places}d}" if places else f"{whole}."


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def write_archive_day(folder: Path, writer: Writer, date: str, depth: int, messages: Iterable[DerivedMessage]) -> Path:
    """Write ``DATE_SYMBOL_obDEPTH.data.zip``."""
    name = f"{date}_{writer.symbol}_ob{depth}.data"
    with ZipMember(folder / f"{name}.zip", name) as out:
        for message in messages:
            out.write(writer.book_line(depth, message) + b"\r\n")
    return folder / f"{name}.zip"


def write_websocket(folder: Path, writer: Writer, depth: int, messages: list[DerivedMessage]) -> Path:
    """Write ``orderbook.DEPTH.SYMBOL.ndjson`` and its receive times."""
    lines = [writer.book_line(depth, message) for message in messages]
    return _ndjson(folder, f"orderbook.{depth}.{writer.symbol}", lines, [m.recv_ns for m in messages])


def _ndjson(folder: Path, name: str, lines: list[bytes], recv_ns: list[int]) -> Path:
    path = folder / f"{name}.ndjson"
    write_whole(path, b"".join(line + b"\n" for line in lines))
    stamps = "".join(f"{t // NS_PER_S}.{t % NS_PER_S:09d}\n" for t in recv_ns)
    write_whole(folder / f"{name}.recv_ts.txt", stamps.encode())
    return path
