"""Reference for venues whose books carry checksums: OKX and Kraken, read with ``json`` alone, written another way.

It shares no code with ``lob_pipeline``: the CRC32 is computed bit by bit into a table here, books are sorted from
scratch for every message, digits go through integers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import zip_longest
from typing import Any

Levels = dict[Decimal, tuple[str, str]]


def _table() -> list[int]:
    out = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        out.append(value)
    return out


_TABLE = _table()


def crc32(text: str) -> int:
    """Return the CRC32 (reflected 0x04C11DB7) of ASCII text, 0 to 2^32 - 1."""
    value = 0xFFFFFFFF
    for byte in text.encode("ascii"):
        value = value >> 8 ^ _TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


@dataclass
class TextBook:
    """A book of strings: +1 bids, -1 asks."""

    sides: dict[int, Levels] = field(default_factory=lambda: {1: {}, -1: {}})

    def put(self, side: int, price: str, size: str) -> None:
        """Set or delete a level."""
        self.sides[side].pop(Decimal(price), None)
        if Decimal(size) != 0:
            self.sides[side][Decimal(price)] = (price, size)

    def best(self, side: int, levels: int) -> list[tuple[str, str]]:
        """Return the best levels."""
        keys = sorted(self.sides[side], reverse=side == 1)
        return [self.sides[side][k] for k in keys[:levels]]

    def keep(self, depth: int) -> list[tuple[int, str]]:
        """Forget levels beyond ``depth``; return their side and price."""
        gone = []
        for side in (1, -1):
            if len(self.sides[side]) <= depth:
                continue
            for price, _ in self.best(side, 1 << 30)[depth:]:
                del self.sides[side][Decimal(price)]
                gone.append((side, price))
        return gone


def okx_checksum(book: TextBook) -> int:
    """OKX: 25 levels, bid and ask in turn, colons between all, as a signed number."""
    pairs = zip_longest(book.best(1, 25), book.best(-1, 25))
    text = ":".join(":".join(level) for pair in pairs for level in pair if level is not None)
    value = crc32(text)
    return int.from_bytes(value.to_bytes(4, "big"), "big", signed=True)


def kraken_checksum(book: TextBook) -> int:
    """Kraken: ten asks, then ten bids, the digits of price and size as whole numbers."""
    text = ""
    for side in (-1, 1):
        for level in book.best(side, 10):
            for number in level:
                whole, _, places = number.partition(".")
                text += str(int(whole + places))
    return crc32(text)


@dataclass
class Row:
    """A book message: time, whether a snapshot, levels (side, price, size), its checksum, and the best after it."""

    ts_ns: int
    snapshot: bool
    levels: list[tuple[int, str, str]]
    said: int | None
    equal: bool | None
    top: tuple[str, str, str, str] | None


@dataclass
class Recorded:
    """What a wrapped recording holds of one market; ``trades``: (time, side, price, size)."""

    rows: list[Row] = field(default_factory=list)
    trades: list[tuple[int, int, str, str]] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Messages with a checksum."""
        return sum(r.equal is not None for r in self.rows)


def received(text: str) -> Iterator[Any]:
    """Yield the venue's messages of a wrapped recording."""
    for line in text.splitlines():
        wrapper = json.loads(line)
        if wrapper["t"] == "recv":
            yield json.loads(wrapper["data"])


def _row(book: TextBook, row: Row, checksum: int | None) -> Row:
    row.equal = None if row.said is None else row.said == checksum
    bid, ask = book.best(1, 1), book.best(-1, 1)
    row.top = (*bid[0], *ask[0]) if bid and ask else None
    return row


def okx(messages: list[Any], symbol: str) -> Recorded:
    """Read the books and trades of one market; ``messages``: as ``received``."""
    out, book = Recorded(), TextBook()
    for message in messages:
        arg = message.get("arg", {})
        if arg.get("instId") != symbol or "data" not in message:
            continue
        for data in message["data"]:
            if arg["channel"] == "trades":
                side = {"buy": 1, "sell": -1}[data["side"]]
                out.trades.append((int(data["ts"]) * 10**6, side, data["px"], data["sz"]))
            elif arg["channel"] == "books":
                snapshot = message["action"] == "snapshot"
                book = TextBook() if snapshot else book
                levels = [(s, *r[:2]) for k, s in (("asks", -1), ("bids", 1)) for r in data[k]]
                for level in levels:
                    book.put(*level)
                row = Row(int(data["ts"]) * 10**6, snapshot, levels, data["checksum"], None, None)
                out.rows.append(_row(book, row, okx_checksum(book)))
    return out


def kraken(messages: list[Any], pair: str) -> Recorded:
    """Read the books (1000 levels) and trades of one pair."""
    out, book = Recorded(), TextBook()
    for message in messages:
        if not isinstance(message, list) or message[-1] != pair:
            continue
        if message[-2] == "trade":
            for price, size, time, side, *_ in message[1]:
                out.trades.append((int(Decimal(time) * 10**9), 1 if side == "b" else -1, price, size))
        elif message[-2].startswith("book-"):
            parts = [(k, v) for part in message[1:-2] for k, v in part.items()]
            snapshot = parts[0][0].endswith("s")
            book = TextBook() if snapshot else book
            rows = [(1 if k[0] == "b" else -1, *r) for k, v in parts if k != "c" for r in v]
            levels = [r[:3] for r in rows]
            for level in levels:
                book.put(*level)
            levels += [(side, price, "0") for side, price in book.keep(1000)]
            said = int(dict(parts)["c"]) if "c" in dict(parts) else None
            time = max((int(Decimal(r[3]) * 10**9) for r in rows), default=0)
            out.rows.append(_row(book, Row(time, snapshot, levels, said, None, None), kraken_checksum(book)))
    return out
