"""The real recordings, read with nothing but json and decimal: what the venues' documentation says, step by step."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.units import NS_PER_DAY, day_start_ns, row_day_of_ns
from lob_pipeline_tests.naive.book import Book, Message

MS = 1_000_000


@dataclass
class Recording:
    """A market's whole recorded stream. ``trades`` are (ts, side, price, id), ``quotes`` (id, bid, lots, ask, lots)."""

    instrument: Instrument
    messages: list[Message] = field(default_factory=list)
    trades: list[tuple[int, int, int, int]] = field(default_factory=list)
    quotes: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def ticks(self, text: str) -> int:
        value = Decimal(text) / self.instrument.tick
        assert value == int(value), text
        return int(value)

    def lots(self, text: str) -> int:
        value = Decimal(text) / self.instrument.lot
        assert self.instrument.round_off_grid_lots or value == int(value), text
        return int(value)

    def levels(self, bids: list[list[str]], asks: list[list[str]]) -> list[tuple[int, int, int]]:
        return [(side, self.ticks(p), self.lots(n)) for side, rows in ((1, bids), (-1, asks)) for p, n in rows]

    def days(self) -> dict[str, list[Message]]:
        """Cut into UTC days: a closing mark at the crossing message, then the carried book at midnight."""
        out: dict[str, list[Message]] = {}
        book, running, today, last_id = Book(), 0, "", -1
        for m in self.messages:
            running = max(running, m.ts)
            day = row_day_of_ns(running)
            if today and day != today:
                out[today].append(Message(m.ts, m.recv, m.update_id, m.prev_id, 3, [(1, 0, 0)]))
                rows = [(s, p, n) for s, sizes in book.sizes.items() for p, n in sizes.items()]
                out[day] = [Message(day_start_ns(day), 0, last_id, -1, 4, rows)]
            out.setdefault(day, []).append(m)
            today, last_id = day, m.update_id
            if m.kind == 1:
                book.replace(m.levels)
            elif m.kind == 2:
                book.apply(m.levels)
        return out

    def day_trades(self, date: str) -> list[tuple[int, int, int, int]]:
        start = day_start_ns(date)
        return [t for t in self.trades if start < t[0] <= start + NS_PER_DAY]


def _bridge(recording: Recording, first_ids: list[int], stream: list[Message], spot: bool) -> list[Message]:
    """Put each REST snapshot that an event bridges before the events that survive it; later ones are audits."""
    out: list[Message] = []
    names = dict(zip(map(id, (m for m in stream if m.kind == 2)), first_ids, strict=True))
    chained = False
    for m in stream:
        if m.kind == 2:
            out.append(m)
            continue
        deltas = [d for d in stream if d.kind == 2 and d.update_id >= m.update_id]
        joins = deltas and names[id(deltas[0])] <= m.update_id + (1 if spot else 0)
        if chained:
            out.append(m._replace(kind=3))
            continue
        survivors = [d for d in out if d.update_id >= m.update_id] if joins else []
        out = [d for d in out if d not in survivors]
        later = survivors[0] if survivors else next(iter(deltas), m)
        out.append(m if m.ts else m._replace(ts=later.ts))
        out.extend(survivors)
        chained = bool(joins)
    return out


def _binance_lines(paths: list[Path]) -> Iterator[tuple[int, dict[str, Any]]]:
    for path in paths:
        with gzip.open(path, "rt") as handle:
            for line in handle:
                stamp, _, body = line.partition(" ")
                data = json.loads(body)
                yield int(stamp) * (1000 if len(stamp) == 16 else 1), data.get("data", data)


def binance(root: Path, market: str, names: list[str]) -> Recording:
    """Read raw ``stamp json`` files of one Binance market."""
    rec = Recording(instrument(parse_market(market)))
    spot = "spot" in market
    folder = root / ("binance_spot" if spot else "binance_usdm")
    stream: list[Message] = []
    first_ids: list[int] = []
    for recv, d in _binance_lines([folder / n for n in names]):
        if "lastUpdateId" in d:
            levels = rec.levels(d["bids"], d["asks"])
            stream.append(Message(d.get("T", 0) * MS, recv, d["lastUpdateId"], -1, 1, levels))
        elif d.get("e") == "depthUpdate":
            prev = d["U"] - 1 if spot else d["pu"]
            ts = d["E" if spot else "T"] * MS
            stream.append(Message(ts, recv, d["u"], prev, 2, rec.levels(d["b"], d["a"])))
            first_ids.append(d["U"])
        elif d.get("e") == "trade" and d.get("X", "MARKET") == "MARKET":
            ts = d["E" if spot else "T"] * MS
            rec.trades.append((ts, -1 if d["m"] else 1, rec.ticks(d["p"]), d["t"]))
        elif "B" in d:  # bookTicker; on spot it names no event type
            b, a = (rec.ticks(d["b"]), rec.lots(d["B"])), (rec.ticks(d["a"]), rec.lots(d["A"]))
            rec.quotes.append((d["u"], *b, *a))
    rec.messages = _bridge(rec, first_ids, stream, spot)
    return rec


def resync(root: Path, symbol: str) -> Recording:
    """Read one symbol of the recording whose first REST snapshot does not bridge."""
    rec = Recording(instrument(parse_market(f"binance-usdm.{symbol}")))
    stream: list[Message] = []
    first_ids: list[int] = []
    with gzip.open(next((root / "binance_resync").glob("*.gz")), "rt") as handle:
        for line in handle:
            whole = json.loads(line)
            d = whole["data"]
            recv = int(Decimal(str(whole["ts_local"])) * (10**9 if whole["ts_local"] < 10**11 else MS))
            if whole["symbol"] != symbol:
                continue
            if whole["type"] == "snapshot":
                levels = rec.levels(d["bids"], d["asks"])
                stream.append(Message(d.get("T", 0) * MS, recv, d["lastUpdateId"], -1, 1, levels))
            elif d.get("e") == "depthUpdate":
                stream.append(Message(d["T"] * MS, recv, d["u"], d["pu"], 2, rec.levels(d["b"], d["a"])))
                first_ids.append(d["U"])
            elif d.get("e") == "aggTrade":
                rec.trades.append((d["T"] * MS, -1 if d["m"] else 1, rec.ticks(d["p"]), d["a"]))
    rec.messages = _bridge(rec, first_ids, stream, spot=False)
    return rec


def bybit(root: Path, symbol: str) -> Recording:
    """Read a Bybit linear recording: websocket lines of BTCUSDT or SOLUSDT, the archive zip of XRPUSDT."""
    rec = Recording(instrument(parse_market(f"bybit-linear.{symbol}")))
    if symbol == "XRPUSDT":
        with zipfile.ZipFile(next((root / "bybit_archive").glob("*.zip"))) as archive:
            lines = archive.read(archive.namelist()[0]).decode().splitlines()
        trades = []
    else:
        folder = root / "bybit_linear_ws"
        lines = (folder / f"orderbook.200.{symbol}.ndjson").read_text().splitlines()
        trades = (folder / f"publicTrade.{symbol}.ndjson").read_text().splitlines()
    for line in lines:
        whole = json.loads(line)
        d, is_new = whole["data"], whole["type"] == "snapshot"
        prev = -1 if is_new else d["u"] - 1
        rec.messages.append(Message(whole["cts"] * MS, 0, d["u"], prev, 1 if is_new else 2, rec.levels(d["b"], d["a"])))
    for line in trades:
        for d in json.loads(line)["data"]:
            rec.trades.append((d["T"] * MS, 1 if d["S"] == "Buy" else -1, rec.ticks(d["p"]), -1))
    return rec


def recordings(root: Path) -> dict[str, Recording]:
    """Return every recording of a supported venue."""
    return {
        "usdm-2023": binance(root, "binance-usdm.BTCUSDT", ["btcusdt_20230404.gz", "btcusdt_20230405.gz"]),
        "usdm-2024": binance(root, "binance-usdm.BTCUSDT", ["btcusdt_20240808.gz"]),
        "spot-btc": binance(root, "binance-spot.BTCUSDT", ["btcusdt_20240808.gz", "btcusdt_20240809.gz"]),
        "spot-nexo": binance(root, "binance-spot.NEXOUSDT", ["nexousdt_20240723.gz", "nexousdt_20240724.gz"]),
        "bybit-btc": bybit(root, "BTCUSDT"),
        "bybit-sol": bybit(root, "SOLUSDT"),
        "bybit-xrp": bybit(root, "XRPUSDT"),
        "resync-btc": resync(root, "BTCUSDT"),
        "resync-eth": resync(root, "ETHUSDT"),
    }
