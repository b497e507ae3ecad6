"""Bybit v5 public streams: ``{"op":"subscribe"}``, topics named in every message, ``u`` one higher a message."""

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
    SNAPSHOT,
    TRADES,
    Heard,
    Protocol,
    Topic,
    looks_whole,
    unread,
    whole_number,
)

_MOST_TOPICS = 10
"""Topics a request: the spot endpoint takes no more."""
_OPENING = b'{"topic":"'
_TOPIC = re.compile(rb'"topic"\s*:\s*"([^"]+)"')
_TS = re.compile(rb'"ts"\s*:\s*(\d{13})')
_TYPE = re.compile(rb'"type"\s*:\s*"(snapshot|delta)"')
_UPDATE = re.compile(rb'"u"\s*:\s*(\d+)')
_SYMBOL = re.compile(rb'"s"\s*:\s*"([^"]*)"')
_TRADE_ID = re.compile(rb'"i"\s*:\s*"([^"]*)"')
_TAIL = 160
"""``u``, ``seq`` and ``cts`` stand in the last bytes of a book message."""
_HEAD = 512


def topics(instrument: Instrument) -> tuple[Topic, ...]:
    """Return the book at the market's depth and the trades; as extra the book with RPI, tickers and liquidations."""
    symbol = instrument.market.symbol
    extra = ["orderbook.rpi", "tickers"]
    if instrument.contract != "spot":
        extra.append("allLiquidation")
    main = (
        _topic(f"orderbook.{instrument.depth_limit}.{symbol}", symbol, "book"),
        _topic(f"publicTrade.{symbol}", symbol, "trades"),
    )
    names = [f"{name}.{symbol}" for name in extra]
    return main + tuple(Topic(name, name.encode(), symbol, "extra", "other") for name in names)


def _topic(name: str, symbol: str, kind: str) -> Topic:
    return Topic(name, name.encode(), symbol, "main", "book" if kind == "book" else "trades")


def subscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the texts that subscribe to topics."""
    return _requests("subscribe", names, number)


def unsubscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the texts that end subscriptions."""
    return _requests("unsubscribe", names, number)


def _requests(op: str, names: Sequence[str], number: int) -> list[str]:
    parts = [list(names[i : i + _MOST_TOPICS]) for i in range(0, len(names), _MOST_TOPICS)]
    return [json.dumps({"req_id": str(number), "op": op, "args": part}) for part in parts]


def hear(frame: bytes) -> Heard:
    """Return what a frame is (``venues.protocol.Heard``)."""
    if frame.startswith(_OPENING):
        end = frame.find(b'"', len(_OPENING))
        key = frame[len(_OPENING) : end]
    else:
        found = _TOPIC.search(frame)
        if found is None:
            talk = looks_whole(frame) and (b'"op"' in frame or b'"ret_msg"' in frame)
            return Heard(CONTROL) if talk else unread("no topic in it")
        key, end = found[1], found.end()
    if end < 0 or not looks_whole(frame):
        return unread("cut short", key)
    name, _, symbol = key.rpartition(b".")
    event_ms = max(0, whole_number(_TS, frame, 0, _HEAD))
    if not name.startswith(b"orderbook.") and name != b"publicTrade":
        return Heard(OTHER, key, event_ms=event_ms)
    said = _SYMBOL.search(frame, 0, _HEAD) or _SYMBOL.search(frame)
    if said is None or said[1] != symbol:
        return unread("its data is of another symbol than its topic" if said else "no symbol in it", key)
    if name == b"publicTrade":
        return _trades(frame, key, event_ms)
    kind = _TYPE.search(frame, 0, _HEAD) or _TYPE.search(frame)
    update = whole_number(_UPDATE, frame, max(0, len(frame) - _TAIL))
    if update == NO_ID:
        update = whole_number(_UPDATE, frame)
    if kind is None or update == NO_ID:
        return unread("no type or no update id in it", key)
    if name == b"orderbook.rpi":
        return Heard(OTHER, key, update, event_ms=event_ms)
    if kind[1] == b"snapshot":
        return Heard(SNAPSHOT, key, update, NO_ID, event_ms)
    return Heard(DELTA, key, update, update - 1, event_ms)


def _trades(frame: bytes, key: bytes, event_ms: int) -> Heard:
    first = _TRADE_ID.search(frame)
    last = _TRADE_ID.search(frame, max(0, frame.rfind(b'"i"')))
    if first is None or last is None:
        return unread("no trade id in it", key)
    return Heard(TRADES, key, last[1].decode("ascii", "replace"), NO_ID, event_ms, first[1].decode("ascii", "replace"))


def _protocol(category: str) -> Protocol:
    return Protocol(
        url=f"wss://stream.bybit.com/v5/public/{category}",
        rest_url="https://api.bybit.com",
        topics=topics,
        subscribe=subscribe,
        unsubscribe=unsubscribe,
        hear=hear,
        ping='{"op":"ping"}',
        refuses_whole=True,
        needle=lambda topic: b'"%b"' % topic.key,
    )


LINEAR, SPOT = _protocol("linear"), _protocol("spot")
