"""Binance combined streams (``/stream``): ``SUBSCRIBE``, ``{"stream":…,"data":…}``, REST snapshots beside the stream.

A bare payload (the ``/ws`` endpoint) is told by its event and symbol. The chain of a book is ``pu`` on futures and
``U - 1`` on spot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.venues.protocol import (
    CONTROL,
    DELTA,
    NO_ID,
    OTHER,
    QUOTE,
    SNAPSHOT,
    TRADES,
    Heard,
    Protocol,
    Topic,
    TopicKind,
    looks_whole,
    unread,
    whole_number,
)

SNAPSHOT_KEY = b"snapshot"
"""Key of a REST snapshot that came over the stream: it names no symbol."""
_STREAM = re.compile(rb'"stream"\s*:\s*"([^"@]+@[^"@]+)[^"]*"')
_EVENT = re.compile(rb'"e"\s*:\s*"([A-Za-z]+)"')
_SYMBOL = re.compile(rb'"s"\s*:\s*"([^"]*)"')
_E = re.compile(rb'"E"\s*:\s*(\d{13})')
_FIRST = re.compile(rb'"U"\s*:\s*(\d+)')
_UPDATE = re.compile(rb'"u"\s*:\s*(\d+)')
_PREVIOUS = re.compile(rb'"pu"\s*:\s*(\d+)')
_TRADE = re.compile(rb'"t"\s*:\s*(\d+)')
_AGGREGATE = re.compile(rb'"a"\s*:\s*(\d+)')
_REST_ID = re.compile(rb'"lastUpdateId"\s*:\s*(\d+)')
_HEAD = 512
_NAMES = {
    b"depthUpdate": b"depth",
    b"trade": b"trade",
    b"aggTrade": b"aggTrade",
    b"bookTicker": b"bookTicker",
    b"markPriceUpdate": b"markPrice",
    b"forceOrder": b"forceOrder",
}
DAY_S = 24 * 3600.0


def topics(instrument: Instrument) -> tuple[Topic, ...]:
    """Return depth, trades and best bid and ask; as extra, on futures, mark prices and liquidations."""
    symbol = instrument.market.symbol
    kinds: list[tuple[str, TopicKind]] = [("depth@100ms", "book"), ("trade", "trades"), ("bookTicker", "quotes")]
    extra = [] if instrument.contract == "spot" else ["markPrice@1s", "forceOrder"]
    main = tuple(Topic(f"{symbol.lower()}@{name}", _key(symbol, name), symbol, "main", kind) for name, kind in kinds)
    return main + tuple(Topic(f"{symbol.lower()}@{n}", _key(symbol, n), symbol, "extra", "other") for n in extra)


def _key(symbol: str, name: str) -> bytes:
    return f"{symbol.lower()}@{name.partition('@')[0]}".encode()


def subscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the text that subscribes to streams."""
    return [json.dumps({"method": "SUBSCRIBE", "params": list(names), "id": number})]


def unsubscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the text that ends subscriptions."""
    return [json.dumps({"method": "UNSUBSCRIBE", "params": list(names), "id": number})]


def snapshot_id(body: bytes) -> int:
    """Return ``lastUpdateId`` of a REST snapshot, -1 where the body is none."""
    whole = looks_whole(body) and b'"bids"' in body and b'"asks"' in body
    return whole_number(_REST_ID, body) if whole else NO_ID


def hear(frame: bytes) -> Heard:
    """Return what a frame is (``venues.protocol.Heard``)."""
    if not looks_whole(frame):
        return unread("cut short")
    found = _STREAM.search(frame, 0, _HEAD)
    said = _SYMBOL.search(frame)
    if found is not None:
        key = found[1]
        name = key.partition(b"@")[2]
        if said is not None and said[1].lower() != key.partition(b"@")[0] and name != b"forceOrder":
            return unread("its data is of another symbol than its stream", key)
    else:
        event = _EVENT.search(frame, 0, _HEAD)
        if event is None and _REST_ID.search(frame, 0, _HEAD):
            update = snapshot_id(frame)
            return Heard(SNAPSHOT, SNAPSHOT_KEY, update) if update != NO_ID else unread("no book in it")
        if event is None and said is None:
            talk = b'"id"' in frame and (b'"result"' in frame or b'"error"' in frame)
            return Heard(CONTROL) if talk else unread("no stream in it")
        name = _NAMES.get(event[1], b"") if event else b"bookTicker"
        if said is None or not name:
            return unread("no known event of a symbol in it")
        key = said[1].lower() + b"@" + name
    event_ms = max(0, whole_number(_E, frame, 0, _HEAD))
    if name == b"depth":
        return _depth(frame, key, event_ms)
    if name == b"bookTicker":
        update = whole_number(_UPDATE, frame)
        return Heard(QUOTE, key, update, NO_ID, event_ms) if update != NO_ID else unread("no update id in it", key)
    if name in (b"trade", b"aggTrade"):
        number = whole_number(_TRADE if name == b"trade" else _AGGREGATE, frame)
        if number == NO_ID:
            return unread("no trade id in it", key)
        return Heard(TRADES, key, number, NO_ID, event_ms, number)
    return Heard(OTHER, key, event_ms=event_ms)


def _depth(frame: bytes, key: bytes, event_ms: int) -> Heard:
    first, update = whole_number(_FIRST, frame), whole_number(_UPDATE, frame)
    if first == NO_ID or update == NO_ID:
        return unread("no update ids in it", key)
    previous = whole_number(_PREVIOUS, frame, 0, _HEAD)
    return Heard(DELTA, key, update, first - 1 if previous == NO_ID else previous, event_ms, first)


def _protocol(host: str, rest_url: str, path: str, limit: int) -> Protocol:
    return Protocol(
        url=f"wss://{host}/stream",
        rest_url=rest_url,
        topics=topics,
        subscribe=subscribe,
        unsubscribe=unsubscribe,
        hear=hear,
        limit_s=DAY_S,
        snapshot_path=lambda symbol: f"{path}?symbol={symbol}&limit={limit}",
        trade_ids_rise_by_one=True,
        needle=lambda topic: b'"stream":"%b' % topic.key,
    )


USDM = _protocol("fstream.binance.com", "https://fapi.binance.com", "/fapi/v1/depth", 1000)
COINM = _protocol("dstream.binance.com", "https://dapi.binance.com", "/dapi/v1/depth", 1000)
SPOT = _protocol("stream.binance.com:9443", "https://api.binance.com", "/api/v3/depth", 5000)
