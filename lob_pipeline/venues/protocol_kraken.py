"""Kraken's public stream, version 1: arrays that end in their channel and pair, no ids, times in seconds as text.

Books have no ids: only a checksum tells of a lost message, and it needs the book from its snapshot on.
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
)

DEPTH = 1000
_END = re.compile(rb'"([a-z]+(?:-\d+)?)"\s*,\s*"([^"]+)"\s*\]\s*\Z')
_SNAPSHOT = re.compile(rb'\{\s*"[ab]s"\s*:')
_TIME = re.compile(rb'"(\d{10}\.\d{3})\d*"')
_HEAD, _TAIL = 64, 256
_KINDS: dict[str, TopicKind] = {f"book-{DEPTH}": "book", "trade": "trades"}


def topics(instrument: Instrument) -> tuple[Topic, ...]:
    """Return the book, as deep as there is one, and the trades; as extra ticker and spread."""
    pair = instrument.market.symbol.replace("-", "/", 1)
    names = [*_KINDS, "ticker", "spread"]
    return tuple(
        Topic(
            f"{name}:{pair}",
            f"{name}:{pair}".encode(),
            instrument.market.symbol,
            "main" if name in _KINDS else "extra",
            _KINDS.get(name, "other"),
        )
        for name in names
    )


def subscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the texts that subscribe to topics: one a channel."""
    return _requests("subscribe", names, number)


def unsubscribe(names: Sequence[str], number: int) -> list[str]:
    """Return the texts that end subscriptions."""
    return _requests("unsubscribe", names, number)


def _requests(event: str, names: Sequence[str], number: int) -> list[str]:
    pairs: dict[str, list[str]] = {}
    for name in names:
        channel, _, pair = name.partition(":")
        pairs.setdefault(channel, []).append(pair)
    return [
        json.dumps({"event": event, "reqid": number, "pair": found, "subscription": _subscription(channel)})
        for channel, found in pairs.items()
    ]


def _subscription(channel: str) -> dict[str, object]:
    name, _, depth = channel.partition("-")
    return {"name": name, "depth": int(depth)} if depth else {"name": name}


def hear(frame: bytes) -> Heard:
    """Return what a frame is (``venues.protocol.Heard``). A trade's id is its time: the venue sends no other."""
    if not looks_whole(frame):
        return unread("cut short")
    if frame.lstrip()[:1] == b"{":
        return Heard(CONTROL) if b'"event"' in frame else unread("no event in it")
    found = _END.search(frame, max(0, len(frame) - _TAIL))
    if found is None:
        return unread("no channel and pair at its end")
    channel, pair = found[1], found[2].replace(b"\\/", b"/")
    key = channel + b":" + pair
    times = _TIME.findall(frame, max(0, len(frame) - _TAIL))
    event_ms = int(float(times[-1]) * 1000 + 0.5) if times else 0
    if channel == b"trade":
        if not times:
            return unread("no trade in it", key)
        first = _TIME.search(frame)
        last = times[-1].decode()
        return Heard(TRADES, key, last, NO_ID, event_ms, first[1].decode() if first else last)
    if not channel.startswith(b"book-"):
        return Heard(OTHER, key, event_ms=event_ms)
    return Heard(SNAPSHOT if _SNAPSHOT.search(frame, 0, _HEAD) else DELTA, key, NO_ID, NO_ID, event_ms)


PUBLIC = Protocol(
    url="wss://ws.kraken.com",
    rest_url="https://api.kraken.com",
    topics=topics,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    hear=hear,
    ping='{"event":"ping"}',
    fresh_start=True,
)
