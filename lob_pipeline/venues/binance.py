"""Binance recordings, read completely: what ``venues.binance_kernel`` leaves over, and the words for its errors.

Futures (USDT-M, COIN-M) give the matching-engine time ``T`` and chain by ``pu``. Spot has neither: the time of depth
and trades alike is ``E``, and an update claims to follow ``U - 1``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from lob_pipeline.core.tables import FLAG_NOT_MARKET, KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.core.units import ASK, BID, NS_PER_MS, NS_PER_S, NS_PER_US
from lob_pipeline.venues import binance_fields as f
from lob_pipeline.venues import job as card
from lob_pipeline.venues.binance_kernel import FIRST_SPEED, PLAIN_DEPTH
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import (
    Reader,
    UnreadableError,
    add_message,
    add_quote,
    add_trade,
    parse_object,
    shown,
)

_STAMP = re.compile(rb"([0-9]+) [ \t\r]*")
_STREAM = re.compile(r"([a-z0-9_]+)@(depth|trade|aggTrade|bookTicker|markPrice)(?:@(\d{1,18})(ms|s))?\Z", re.ASCII)
_KINDS = {
    "depthUpdate": f.DEPTH,
    "trade": f.TRADE,
    "aggTrade": f.AGG_TRADE,
    "bookTicker": f.TICKER,
    "markPriceUpdate": f.MARK_PRICE,
}
_STREAM_KINDS = {
    "depth": f.DEPTH,
    "trade": f.TRADE,
    "aggTrade": f.AGG_TRADE,
    "bookTicker": f.TICKER,
    "markPrice": f.MARK_PRICE,
}
_WRAPPER = {"ts_local", "symbol", "type", "data"}
_TICKER_MEMBERS = {"u", "s", "b", "B", "a", "A"}
_INFO_MEMBERS = {"symbol", "tickSize", "stepSize"}


class Said(NamedTuple):
    """What one message says of its file."""

    symbol: str | None
    stream: Literal["book", "trades", "quotes"] | None
    spot: bool | None
    grid: tuple[str, str] | None
    wrapped: bool


class _Envelope(NamedTuple):
    payload: dict[str, Any]
    kind: int | None  # what the envelope names; None where it names none
    speed: int
    symbol: str | None
    info: bool  # exchangeInfo
    wrapped: bool


def stamp_end(line: bytes) -> int:
    """Return where the JSON of a stamped line begins, 0 where the line has no stamp."""
    found = _STAMP.match(line)
    return found.end() if found else 0


def kind_of(payload: dict[str, Any]) -> int | None:
    """Return the kind of a payload (``binance_fields``), None when it is none that is known."""
    if "e" in payload:
        return _KINDS.get(payload["e"]) if isinstance(payload["e"], str) else None
    if "lastUpdateId" in payload:
        return f.SNAPSHOT
    return f.TICKER if payload.keys() >= _TICKER_MEMBERS else None


def is_message(found: dict[str, Any]) -> bool:
    """Whether an object without a stamp is a Binance message or wrapper."""
    combined = isinstance(found.get("stream"), str) and "data" in found
    return combined or found.keys() >= _WRAPPER or kind_of(found) is not None


def is_control(found: dict[str, Any]) -> bool:
    """Whether a message is the connection's answer to a request, not market data."""
    return "id" in found and ("result" in found or "error" in found)


def _stream(reader: Reader, text: object) -> tuple[str, int, int]:
    """Return (symbol, kind, speed id) of a stream's name."""
    found = _STREAM.match(text) if isinstance(text, str) else None
    if (
        found is None
        or (found[3] and found[2] not in ("depth", "markPrice"))
        or (found[2] == "depth" and found[4] == "s")
    ):
        raise reader.wrong("a stream <symbol>@depth[@<n>ms], @trade, @aggTrade, @bookTicker or @markPrice", text)
    speed = 0
    if found[2] == "depth":
        speed = FIRST_SPEED + int(found[3]) if found[3] else PLAIN_DEPTH
    return found[1].upper(), _STREAM_KINDS[found[2]], speed


def _open(reader: Reader, found: dict[str, Any]) -> _Envelope:
    if found.keys() >= _WRAPPER:
        name = found["type"]
        symbol = reader.text(found, "symbol")
        kind = _KINDS.get(name) if isinstance(name, str) else None
        if name == "snapshot":
            kind = f.SNAPSHOT
        if kind is None and name != "exchangeInfo":
            raise reader.wrong("a type exchangeInfo, snapshot, depthUpdate, trade, aggTrade or bookTicker", name)
        payload = found["data"]
        envelope = _Envelope(payload, kind, 0, symbol, name == "exchangeInfo", wrapped=True)
    elif "stream" in found:
        symbol, kind, speed = _stream(reader, found["stream"])
        payload = reader.member(found, "data")
        envelope = _Envelope(payload, kind, speed, symbol, info=False, wrapped=False)
    else:
        payload = found
        envelope = _Envelope(found, None, 0, None, info=False, wrapped=False)
    if not isinstance(payload, dict):
        raise reader.wrong("a payload object", payload)
    return envelope


def describe(found: dict[str, Any]) -> Said:
    """Return what a message says of its file. Raises ``UnreadableError`` when it is no Binance message."""
    if is_control(found):
        return Said(None, None, None, None, wrapped=False)
    wrapped = found.keys() >= _WRAPPER
    payload = found["data"] if wrapped or ("stream" in found and "data" in found) else found
    if not isinstance(payload, dict):
        raise UnreadableError("a payload object", shown(payload))
    kind = kind_of(payload)
    symbol = payload.get("s") or payload.get("symbol") or found.get("symbol")
    if symbol is None and isinstance(found.get("stream"), str):
        symbol = found["stream"].partition("@")[0].upper()
    symbol = symbol if isinstance(symbol, str) else None
    if wrapped and payload.keys() >= _INFO_MEMBERS:
        return Said(symbol, None, None, (str(payload["tickSize"]), str(payload["stepSize"])), wrapped=True)
    if kind is None:
        raise UnreadableError("a Binance market message", shown(", ".join(payload)))
    spot = None
    if kind == f.DEPTH:
        spot = "pu" not in payload
    elif kind == f.TRADE:
        spot = "M" in payload
    stream: dict[int, Literal["book", "trades", "quotes"]] = {
        f.DEPTH: "book",
        f.SNAPSHOT: "book",
        f.TRADE: "trades",
        f.AGG_TRADE: "trades",
        f.TICKER: "quotes",
    }
    return Said(symbol, stream.get(kind), spot, None, wrapped)


def read_line(line: bytes, offset: int, job: Job) -> None:
    """Append the rows of one line to the job's. Raises ``UnreadableError``, and then has appended nothing."""
    start = stamp_end(line)
    recv_ns = int(job.card[card.RECV_NS_HERE])
    if start:
        recv_ns = _stamp_ns(line[:start].strip())
    found = parse_object(line, start)
    reader = Reader(line, job)
    if is_control(found):
        job.card[card.SKIPPED_CONTROL] += 1
        return
    envelope = _open(reader, found)
    ours = job.instrument.market.symbol
    if envelope.wrapped:
        recv_ns = _local_ns(reader, found["ts_local"])
        if envelope.symbol != ours:
            job.card[card.SKIPPED_OTHER_SYMBOL] += 1
            return
    if envelope.info:
        job.card[card.SKIPPED_INFO] += 1
        return
    symbols = [envelope.symbol, envelope.payload.get("s"), envelope.payload.get("symbol")]
    for symbol in symbols:
        if symbol not in (None, ours):
            raise reader.wrong(f"symbol {ours}", symbol)
    kind = kind_of(envelope.payload)
    if kind is None or envelope.kind not in (None, kind) or (kind == f.SNAPSHOT and envelope.speed):
        raise UnreadableError(
            "a depth update, trade, aggregate trade, book ticker, mark price or REST snapshot, as its envelope says",
            shown(", ".join(envelope.payload)),
        )
    if kind in (f.DEPTH, f.SNAPSHOT):
        _read_book(reader, envelope, kind, recv_ns, offset, job)
    elif kind in (f.TRADE, f.AGG_TRADE):
        _read_trade(reader, envelope.payload, kind, recv_ns, offset, job)
    elif kind == f.TICKER:
        _read_quote(reader, envelope.payload, recv_ns, offset, job)
    else:
        job.card[card.SKIPPED_OTHER_STREAM] += 1


def _stamp_ns(digits: bytes) -> int:
    value = int(digits) if len(digits) < 20 else 0
    if digits[:1] not in (b"0", b"9") and len(digits) in (16, 19):
        return value * NS_PER_US if len(digits) == 16 else value
    raise UnreadableError("a receive stamp of 16 digits (microseconds) or 19 (nanoseconds)", shown(digits.decode()))


def _local_ns(reader: Reader, value: object) -> int:
    """Return a wrapper's ``ts_local`` in nanoseconds: seconds or milliseconds, told apart by size."""
    if type(value) is int or isinstance(value, Decimal):
        for low, unit in ((10**9, NS_PER_S), (10**12, NS_PER_MS)):
            if low <= value < 9 * low and value * unit == int(value * unit):
                return int(value * unit)
    raise reader.wrong('"ts_local" in seconds or milliseconds, no finer than a nanosecond', value)


def _event_ns(reader: Reader, payload: dict[str, Any], job: Job) -> int:
    """Return a depth update's or trade's time: ``T`` on futures, ``E`` on spot."""
    event_ns = reader.ms(payload, "E", or_us=True)
    return event_ns if job.card[card.IS_SPOT] else reader.ms(payload, "T", or_us=True)


def _read_book(reader: Reader, envelope: _Envelope, kind: int, recv_ns: int, offset: int, job: Job) -> None:
    payload = envelope.payload
    spot = bool(job.card[card.IS_SPOT])
    if kind == f.SNAPSHOT:
        levels = reader.levels(payload, {"bids": BID, "asks": ASK})
        ts_ns = reader.ms(payload, "T", or_us=True) if "T" in payload and not spot else 0
        ids = (reader.whole(payload, "lastUpdateId"), -1, -1, -1)
        job.card[card.N_ROUNDED] += reader.rounded
        add_message(job, offset, recv_ns, ts_ns, ids, KIND_SNAPSHOT, levels)
        return
    if spot and ("pu" in payload or "T" in payload):
        raise reader.wrong('a spot depth update, which has no "pu" and no "T" (this is a futures recording)', payload)
    known = int(job.card[card.BOOK_STREAM])
    if envelope.speed and known not in (0, envelope.speed):
        raise UnreadableError("one depth stream a file (two speeds are two chains)", "another depth stream")
    reader.text(payload, "s")
    levels = reader.levels(payload, {"b": BID, "a": ASK})
    ts_ns = _event_ns(reader, payload, job)
    first = reader.whole(payload, "U")
    prev = first - 1 if spot else reader.whole(payload, "pu")
    ids = (reader.whole(payload, "u"), first, prev, -1)
    if envelope.speed:
        job.card[card.BOOK_STREAM] = envelope.speed
    job.card[card.N_ROUNDED] += reader.rounded
    add_message(job, offset, recv_ns, ts_ns, ids, KIND_DELTA, levels)


def _read_trade(reader: Reader, payload: dict[str, Any], kind: int, recv_ns: int, offset: int, job: Job) -> None:
    known = int(job.card[card.TRADE_STREAM])
    if known not in (0, kind):
        raise UnreadableError("one trade stream a file (trade and aggTrade are the same trades)", "the other one")
    reader.text(payload, "s")
    trade_id = reader.whole(payload, "t" if kind == f.TRADE else "a")
    ts_ns = _event_ns(reader, payload, job)
    side = -1 if reader.flag(payload, "m") else 1
    not_market = "X" in payload and reader.text(payload, "X") != "MARKET"
    ticks = reader.ticks(reader.member(payload, "p"), zero=not_market)
    lots = reader.lots(reader.member(payload, "q"))
    job.card[card.TRADE_STREAM] = kind
    if ticks == 0:
        if lots:
            raise reader.wrong("a price above zero", payload["p"])
        job.card[card.SKIPPED_EMPTY_TRADE] += 1  # the venue announces some non-market trades with neither
        return
    job.card[card.N_ROUNDED] += reader.rounded
    flags = FLAG_NOT_MARKET if not_market else 0
    add_trade(job, offset, recv_ns, ts_ns, -1, str(trade_id), side, ticks, lots, flags)


def _read_quote(reader: Reader, payload: dict[str, Any], recv_ns: int, offset: int, job: Job) -> None:
    reader.text(payload, "s")
    ts_ns = reader.ms(payload, "T", or_us=True) if "T" in payload and not job.card[card.IS_SPOT] else 0
    values = (
        reader.ticks(reader.member(payload, "b"), zero=True),
        reader.lots(reader.member(payload, "B")),
        reader.ticks(reader.member(payload, "a"), zero=True),
        reader.lots(reader.member(payload, "A")),
    )
    job.card[card.N_ROUNDED] += reader.rounded
    add_quote(job, offset, recv_ns, ts_ns, reader.whole(payload, "u"), values)
