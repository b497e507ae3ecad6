"""LOBSTER read the slow way: dictionaries of levels, decimals of time, one message after the other."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

Side = dict[int, int]


@dataclass
class NaiveDay:
    """Level changes ``(line, side, price, size)``, trades ``(line, side, price, size, type)`` and what was compared."""

    changes: list[tuple[int, int, int, int]] = field(default_factory=list)
    trades: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    seconds: list[Decimal] = field(default_factory=list)
    from_messages: int = 0
    from_file: int = 0
    compared: int = 0
    equal: int = 0
    known: int = 0
    known_equal: int = 0


def read_zip(path: Path) -> tuple[str, str]:
    """Return the texts of the message and the book file."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        message, book = (next(n for n in names if kind in n) for kind in ("_message_", "_orderbook_"))
        return archive.read(message).decode(), archive.read(book).decode()


def _book_of(row: list[int]) -> dict[int, Side]:
    asks = {row[k]: row[k + 1] for k in range(0, len(row), 4) if row[k + 1]}
    bids = {row[k + 2]: row[k + 3] for k in range(0, len(row), 4) if row[k + 3]}
    return {1: bids, -1: asks}


def naive_day(messages: str, books: str, levels: int) -> NaiveDay:
    """Return the day: prices in the file's units of 1/10,000 USD."""
    day, book = NaiveDay(), {1: {}, -1: {}}
    looked_up: dict[int, set[int]] = {1: set(), -1: set()}
    pairs = zip(csv.reader(io.StringIO(messages)), csv.reader(io.StringIO(books)), strict=True)
    for line, (message, row) in enumerate(pairs):
        truth = _book_of([int(x) for x in row])
        day.seconds.append(Decimal(message[0]))
        kind, _, size, price, side = (int(x) for x in message[1:])
        if kind in (4, 5, 6):
            day.trades.append((line, -side, price, size, kind))
        if line == 0:
            book = truth
            day.changes += [(0, s, p, q) for s in (1, -1) for p, q in truth[s].items()]
            continue
        before = {s: dict(book[s]) for s in (1, -1)}
        if kind == 1:
            book[side][price] = book[side].get(price, 0) + size
            day.from_messages += 1
        elif kind in (2, 3, 4):
            assert price in book[side], "a message on a level that is not in view"
            book[side][price] -= size
            day.from_messages += 1
            if book[side][price] <= 0:
                del book[side][price]
                looked_up[side].discard(price)
        for s in (1, -1):
            ranked = sorted(book[s], key=lambda p, s=s: -s * p)
            for gone in ranked[levels:]:
                del book[s][gone]
                looked_up[s].discard(gone)
            worst = max((-s * p for p in book[s]), default=None)
            for p, q in truth[s].items():
                if p not in book[s] and (worst is None or -s * p > worst):
                    book[s][p] = q
                    looked_up[s].add(p)
                    day.from_file += 1
            for p in {**before[s], **book[s]}:
                if before[s].get(p, 0) != book[s].get(p, 0):
                    day.changes.append((line, s, p, book[s].get(p, 0)))
        day.compared += 1
        day.equal += book == truth
        if not looked_up[1] and not looked_up[-1]:
            day.known += 1
            day.known_equal += book == truth
    return day
