"""Kraken's recorded format: its websocket messages in a recorder's wrapper, with a receive stamp in front, or alone."""

from __future__ import annotations

import re
from typing import Any

from lob_pipeline.venues import kraken, kraken_v2
from lob_pipeline.venues.form import Decoder, Form, Said, needs_begin, stop_at_once
from lob_pipeline.venues.wrapped import opened

_EVENTS = ("systemStatus", "subscriptionStatus", "heartbeat", "pong")
_CHANNEL = re.compile(r"(book-\d+|trade|ticker|spread|ohlc-\d+)\Z", re.ASCII)


def _likely(_symbols: tuple[str, ...], _spot: bool | None) -> tuple[str, ...]:
    return ("kraken",)


def _accepts(venue: str, _spot: bool | None) -> bool:
    return venue == "kraken"


def _is_message(found: Any) -> bool:
    if isinstance(found, dict):
        return found.get("event") in _EVENTS or _is_v2(found)
    named = isinstance(found, list) and len(found) >= 4 and all(isinstance(v, str) for v in found[-2:])
    return named and bool(_CHANNEL.match(found[-2]))


def _is_v2(found: dict[str, Any]) -> bool:
    if "method" in found:
        return "success" in found and isinstance(found["method"], str)
    return kraken_v2.is_message(found) and ("data" in found or found["channel"] == "heartbeat")


def _sniff(line: bytes, said: Said) -> bool:
    got = opened(line)
    known = bool(said.scratch.get("kraken"))
    if got.exchange != "KRAKEN" and (got.exchange or not (_is_message(got.found) or (known and got.kind == "send"))):
        return False
    said.scratch["kraken"] = said.several = True
    if got.kind == "http":
        said.grids.update(kraken.grids_of(got))
    if got.kind == "recv" and isinstance(got.found, list) and _is_message(got.found):
        channel, pair = got.found[-2:]
        if channel == "trade" or channel.startswith("book-"):
            said.symbols[kraken.symbol_of(pair)] = None
            said.streams["trades" if channel == "trade" else "book"] = None
    elif got.kind == "recv" and kraken_v2.is_message(got.found):
        _learn_v2(got.found, said)
    elif got.kind == "recv" and isinstance(got.found, dict) and isinstance(got.found.get("pair"), str):
        _acknowledged(got.found, said)
    return True


def _learn_v2(found: dict[str, Any], said: Said) -> None:
    data = found.get("data")
    told = found.get("result") if "method" in found else data[0] if isinstance(data, list) and data else None
    if not isinstance(told, dict):
        return
    channel = told.get("channel") if "method" in found else found.get("channel")
    if channel in ("book", "trade") and isinstance(told.get("symbol"), str):
        said.symbols[kraken_v2.symbol_of(told["symbol"])] = None
        said.streams["trades" if channel == "trade" else "book"] = None


def _acknowledged(found: dict[str, Any], said: Said) -> None:
    channel = str(found.get("channelName"))
    if found.get("status") == "subscribed" and (channel == "trade" or channel.startswith("book-")):
        said.symbols[kraken.symbol_of(found["pair"])] = None
        said.streams["trades" if channel == "trade" else "book"] = None


MESSAGES = Form(
    name="kraken_messages",
    family="kraken",
    sniff=_sniff,
    likely=_likely,
    accepts=_accepts,
    decoder=Decoder(stop_at_once, needs_begin, begin=kraken.BookReader),
    websocket_of=("kraken",),
)
