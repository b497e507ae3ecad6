"""OKX v5 public stream: ``{"op":"subscribe"}`` with a channel and an instrument, both named in every message.

Books carry ``seqId`` and ``prevSeqId``; a message where they are equal changes nothing and is a sign of life.
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

_ARG = re.compile(rb'"arg"\s*:\s*\{\s*"channel"\s*:\s*"([^"]+)"\s*,\s*"instId"\s*:\s*"([^"]+)"')
_ACTION = re.compile(rb'"action"\s*:\s*"(snapshot|update)"')
_SEQ = re.compile(rb'"seqId"\s*:\s*(\d+)')
_PREVIOUS = re.compile(rb'"prevSeqId"\s*:\s*(-?\d+)')
_TS = re.compile(rb'"ts"\s*:\s*"(\d{13})"')
_TRADE_ID = re.compile(rb'"tradeId"\s*:\s*"([^"]*)"')
_HEAD, _TAIL = 512, 256
_KINDS: dict[str, TopicKind] = {"books": "book", "trades": "trades"}


def topics(instrument: Instrument) -> tuple[Topic, ...]:
    """Return the book (400 levels) and the trades; as extra tickers, mark prices of derivatives, funding of swaps."""
    symbol = instrument.market.symbol
    extra = ["tickers"]
    if instrument.contract != "spot":
        extra.append("mark-price")
    if symbol.endswith("-SWAP"):
        extra.append("funding-rate")
    main = tuple(_topic(name, symbol) for name in _KINDS)
    return main + tuple(_topic(name, symbol) for name in extra)


def _topic(channel: str, symbol: str) -> Topic:
    name = f"{channel}:{symbol}"
    return Topic(name, name.encode(), symbol, "main" if channel in _KINDS else "extra", _KINDS.get(channel, "other"))


def subscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the text that subscribes to topics."""
    return _request("subscribe", names, number)


def unsubscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the text that ends subscriptions."""
    return _request("unsubscribe", names, number)


def _request(op: str, names: Sequence[str], number: int) -> list[str]:
    parts = [name.partition(":") for name in names]
    args = [{"channel": channel, "instId": symbol} for channel, _, symbol in parts]
    return [json.dumps({"id": str(number), "op": op, "args": args})]


def hear(frame: bytes) -> Heard:
    """Return what a frame is (``venues.protocol.Heard``)."""
    if frame.strip() == b"pong":
        return Heard(CONTROL)
    if not looks_whole(frame):
        return unread("cut short")
    found = _ARG.search(frame, 0, _HEAD)
    if frame.find(b'"event"', 0, _HEAD) >= 0:
        return Heard(CONTROL)
    if found is None:
        return unread("no channel in it")
    channel, symbol = found.groups()
    key = channel + b":" + symbol
    event_ms = max(0, whole_number(_TS, frame, max(0, len(frame) - _TAIL)))
    if channel == b"trades":
        return _trades(frame, key, event_ms)
    if channel != b"books":
        return Heard(OTHER, key, event_ms=event_ms)
    action = _ACTION.search(frame, 0, _HEAD)
    if action is None:
        return unread("no action in it", key)
    tail = max(0, len(frame) - _TAIL)
    update, previous = whole_number(_SEQ, frame, tail), whole_number(_PREVIOUS, frame, tail)
    if action[1] == b"snapshot":
        return Heard(SNAPSHOT, key, update, NO_ID, event_ms)
    if update != NO_ID and update == previous:
        return Heard(OTHER, key, event_ms=event_ms)
    return Heard(DELTA, key, update, previous, event_ms)


def _trades(frame: bytes, key: bytes, event_ms: int) -> Heard:
    first = _TRADE_ID.search(frame)
    last = _TRADE_ID.search(frame, max(0, frame.rfind(b'"tradeId"')))
    if first is None or last is None:
        return unread("no trade id in it", key)
    return Heard(TRADES, key, last[1].decode("ascii", "replace"), NO_ID, event_ms, first[1].decode("ascii", "replace"))


PUBLIC = Protocol(
    url="wss://ws.okx.com:8443/ws/v5/public",
    rest_url="https://www.okx.com",
    topics=topics,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    hear=hear,
    ping="ping",
)
