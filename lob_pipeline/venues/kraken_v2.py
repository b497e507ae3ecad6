"""Kraken's public websocket, version 2: objects instead of arrays, numbers instead of text, checksums on snapshots too.

Numbers are sent with all their digits and are read as exact decimals, so the text under the checksum is that of version
1. Pairs have today's names (``BTC/USD``); markets keep those of version 1 and of the REST interface (``XBT-USD``). The
subscribed depth stands in the acknowledgement alone; without it, it is that which the snapshot fits into.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any, NamedTuple

from lob_pipeline.core.units import ASK, BID
from lob_pipeline.venues.checked_rows import changes_of
from lob_pipeline.venues.lines import Reader
from lob_pipeline.venues.string_book import Change
from lob_pipeline.venues.wrapped import message_object

_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z\Z", re.ASCII)
_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
_SIDES = {"asks": ASK, "bids": BID}


class Book(NamedTuple):
    """A book message, checked: ``ts_ns`` 0 where it has no time."""

    ts_ns: int
    changes: list[Change]
    snapshot: bool
    said: int
    levels: int  # of the deeper side


Trade = tuple[int, int, str, int, int, int, int]
"""Time, seq, id, side, ticks, lots, flags."""


def is_message(found: Any) -> bool:
    """Whether an object is one of version 2."""
    return isinstance(found, dict) and (isinstance(found.get("channel"), str) or isinstance(found.get("method"), str))


def symbol_of(pair: str) -> str:
    """Return a market's symbol of a pair: ``BTC/USD`` is ``XBT-USD``."""
    return "-".join(_OLD_NAMES.get(part, part) for part in pair.split("/"))


def depth_of(found: dict[str, Any]) -> tuple[str, int] | None:
    """Return (symbol, depth) of the acknowledgement of a book's subscription, None of anything else."""
    result = found.get("result")
    if not isinstance(result, dict) or result.get("channel") != "book" or not isinstance(result.get("symbol"), str):
        return None
    depth = result.get("depth")
    return (symbol_of(result["symbol"]), depth) if type(depth) is int else None


def only_symbol(reader: Reader, found: dict[str, Any]) -> str:
    """Return the symbol that all of a message's data are of."""
    data = reader.member(found, "data")
    if not isinstance(data, list) or not data:
        raise reader.wrong('"data" to be a list of messages', data)
    names = {reader.text(message_object(item), "symbol") for item in data}
    if len(names) != 1:
        raise reader.wrong("one pair a message", ", ".join(sorted(names)))
    return symbol_of(names.pop())


def read_book(reader: Reader, found: dict[str, Any]) -> Book:
    """Return a message of the channel ``book``. Raises ``UnreadableError`` for what is none."""
    snapshot = reader.text(found, "type", ("snapshot", "update")) == "snapshot"
    if len(found["data"]) != 1:
        raise reader.wrong("one book a message", found["data"])
    book = found["data"][0]
    changes: list[Change] = []
    levels = 0
    for name, side in _SIDES.items():
        rows = reader.member(book, name)
        if not isinstance(rows, list):
            raise reader.wrong("a list of levels", rows)
        texts = [[_text(reader, reader.member(message_object(row), key)) for key in ("price", "qty")] for row in rows]
        changes += changes_of(reader, texts, side, 2, 2)
        levels = max(levels, len(texts))
    said = reader.whole(book, "checksum")
    if said >= 1 << 32:
        raise reader.wrong('"checksum" to be a 32-bit number', said)
    ts_ns = _time_ns(reader, book["timestamp"]) if "timestamp" in book else 0
    return Book(ts_ns, changes, snapshot, said, levels)


def read_trades(reader: Reader, found: dict[str, Any]) -> list[Trade]:
    """Return the trades of an update of the channel ``trade``; a snapshot's are older than the subscription: none."""
    if reader.text(found, "type", ("snapshot", "update")) == "snapshot":
        return []
    rows: list[Trade] = []
    for trade in found["data"]:
        side = 1 if reader.text(trade, "side", ("buy", "sell")) == "buy" else -1
        ticks = reader.ticks(_text(reader, reader.member(trade, "price")))
        lots = reader.lots(_text(reader, reader.member(trade, "qty")))
        ts_ns = _time_ns(reader, reader.member(trade, "timestamp"))
        rows.append((ts_ns, -1, str(reader.whole(trade, "trade_id")), side, ticks, lots, 0))
    return rows


def _text(reader: Reader, value: object) -> str:
    """Return a number's digits as sent."""
    if type(value) is int and value >= 0:
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and value >= 0 and -40 < value.adjusted() < 40:
        return format(value, "f")
    raise reader.wrong("a price or size", value)


def _time_ns(reader: Reader, value: object) -> int:
    parts = _RFC3339.match(value) if isinstance(value, str) else None
    try:
        whole = dt.datetime.fromisoformat(parts[1] + "+00:00") if parts else None
    except ValueError:
        whole = None
    if parts is None or whole is None or not 2001 < whole.year < 2255:
        raise reader.wrong("a time such as 2023-10-06T17:35:55.440295Z", value)
    return int(whole.timestamp()) * 1_000_000_000 + int((parts[2] or "").ljust(9, "0"))
