"""Kraken's public websocket: books and trades as arrays, text for every number (version 2: ``venues.kraken_v2``).

A book message has no id. Each update carries a CRC32 of the best ten levels a side, the snapshot none. The venue tells
of as many levels as were subscribed and says nothing of those that fall out of view: they are cut off here, and come
back as levels marked ``r`` (republished, with the time of their last change). A message has no time but its levels'.
"""

from __future__ import annotations

import re
import zlib
from decimal import Decimal
from typing import Any

from lob_pipeline.core.units import ASK, BID
from lob_pipeline.venues import job as card
from lob_pipeline.venues import kraken_v2
from lob_pipeline.venues.checked_rows import CheckedReader, Place, changes_of, seconds_text_ns
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import Reader, UnreadableError, add_trade, shown
from lob_pipeline.venues.string_book import Change, StringBook, Text
from lob_pipeline.venues.wrapped import Opened, opened

CHECKSUM_LEVELS = 10
DEPTHS = (10, 25, 100, 500, 1000)
_BOOK = re.compile(r"book-(\d{1,4})\Z", re.ASCII)
_SNAPSHOT, _UPDATE = {"as": ASK, "bs": BID}, {"a": ASK, "b": BID}
_CRC = re.compile(r"\d{1,10}\Z", re.ASCII)


def _digits(text: Text) -> str:
    price, size = text
    return price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")


def checksum(book: StringBook) -> int:
    """Return Kraken's checksum: CRC32, unsigned, of the best ten asks then bids, prices and sizes without point and
    without leading zeros."""
    levels = book.asks.best(CHECKSUM_LEVELS) + book.bids.best(CHECKSUM_LEVELS)
    return zlib.crc32("".join(map(_digits, levels)).encode())


def symbol_of(pair: str) -> str:
    """Return a market's symbol of a pair: ``XBT/USD`` is ``XBT-USD``."""
    return pair.replace("/", "-")


def grids_of(found: Opened) -> dict[str, tuple[str, str]]:
    """Return symbol -> (tick, lot) from an answer of ``/public/AssetPairs``, nothing of any other answer."""
    if "/public/AssetPairs" not in found.url or not isinstance(found.found, dict):
        return {}
    pairs = found.found.get("result")
    if not isinstance(pairs, dict):
        raise UnreadableError('"result" to be the asset pairs', shown(pairs))
    grids = {}
    for entry in pairs.values():
        if not isinstance(entry, dict):
            raise UnreadableError("an asset pair", shown(entry))
        places = (entry.get("pair_decimals"), entry.get("lot_decimals"))
        if isinstance(entry.get("wsname"), str) and all(type(n) is int and 0 <= n <= 18 for n in places):
            grids[symbol_of(entry["wsname"])] = (_step(places[0]), _step(places[1]))
    return grids


def _step(places: Any) -> str:
    return format(Decimal(1).scaleb(-int(places)), "f")


class BookReader(CheckedReader):
    """Reads the lines of one file: a memory of the book, as its checksums need it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, checksum)
        self._last_trade = ("", 0)
        self._depth = 0  # version 2: as acknowledged, else as the snapshot fits
        self._acknowledged = False

    def read(self, line: bytes, offset: int) -> None:
        """Append the rows of one line to the job's. Raises ``UnreadableError``, and then has changed nothing."""
        got = opened(line)
        numbers = self._job.card
        if got.kind == "http":
            numbers[card.SKIPPED_INFO] += 1
            return
        if got.kind != "recv" or (isinstance(got.found, dict) and isinstance(got.found.get("event"), str)):
            numbers[card.SKIPPED_CONTROL] += 1
            return
        reader = Reader(line, self._job)
        found = got.found
        place = Place(offset, got.recv_ns or int(numbers[card.RECV_NS_HERE]))
        if kraken_v2.is_message(found):
            self._read_v2(reader, found, place)
            return
        if not isinstance(found, list) or len(found) < 4 or not all(isinstance(v, str) for v in found[-2:]):
            raise reader.wrong("[channel id, content, channel, pair]", found)
        channel, pair = found[-2:]
        depth = _BOOK.match(channel)
        if depth is None and channel != "trade":
            numbers[card.SKIPPED_OTHER_STREAM] += 1
            return
        if symbol_of(pair) != self._symbol:
            numbers[card.SKIPPED_OTHER_SYMBOL] += 1
            return
        if depth is None:
            self._read_trades(reader, found[1:-2], place)
        else:
            self._read_book(reader, found[1:-2], int(depth[1]), place)

    def _read_book(self, reader: Reader, parts: list[Any], depth: int, place: Place) -> None:
        known = int(self._job.card[card.BOOK_STREAM])
        if depth not in DEPTHS or known not in (0, depth):
            raise reader.wrong(f"a depth of {known or DEPTHS}: two depths are two books", depth)
        if not 1 <= len(parts) <= 2 or not all(isinstance(part, dict) for part in parts):
            raise reader.wrong("one or two objects of levels", parts)
        snapshot = any(name in part for part in parts for name in _SNAPSHOT)
        names = _SNAPSHOT if snapshot else _UPDATE
        changes: list[Change] = []
        times: list[int] = []
        said: int | None = None
        for part in parts:
            for name, rows in part.items():
                if name in names:
                    changes += changes_of(reader, rows, names[name], 3, 4)
                    times += [seconds_text_ns(reader, row[2]) for row in rows]
                    if any(len(row) == 4 and row[3] != "r" for row in rows):
                        raise reader.wrong('a level\'s fourth member to be "r"', rows)
                elif name == "c" and said is None:
                    said = _crc(reader, rows)
                else:
                    raise reader.wrong("levels of one snapshot or one update, and a checksum", name)
        if not snapshot and not changes:
            raise reader.wrong("an update of at least one level", parts)
        self._job.card[card.BOOK_STREAM] = depth
        ts_ns = max(times, default=0)
        self.add_book(reader, place, ts_ns, changes, snapshot=snapshot, said=said, depth=depth)

    def _read_v2(self, reader: Reader, found: dict[str, Any], place: Place) -> None:
        numbers = self._job.card
        channel = found.get("channel")
        if channel in (None, "status", "heartbeat", "pong"):
            told = kraken_v2.depth_of(found)
            if told is not None and told[0] == self._symbol:
                self._depth, self._acknowledged = told[1], True
            numbers[card.SKIPPED_CONTROL] += 1
        elif channel not in ("book", "trade"):
            numbers[card.SKIPPED_OTHER_STREAM] += 1
        elif kraken_v2.only_symbol(reader, found) != self._symbol:
            numbers[card.SKIPPED_OTHER_SYMBOL] += 1
        elif channel == "trade":
            rows = kraken_v2.read_trades(reader, found)
            numbers[card.SKIPPED_CONTROL] += not rows
            self._add_trades(reader, rows, place)
        else:
            book = kraken_v2.read_book(reader, found)
            if book.snapshot and not self._acknowledged:
                self._depth = next((d for d in DEPTHS if d >= book.levels), DEPTHS[-1])
            self.add_book(
                reader,
                place,
                book.ts_ns,
                book.changes,
                snapshot=book.snapshot,
                said=book.said,
                depth=self._depth,
            )

    def _read_trades(self, reader: Reader, parts: list[Any], place: Place) -> None:
        if len(parts) != 1 or not isinstance(parts[0], list) or not parts[0]:
            raise reader.wrong("a list of trades", parts)
        rows: list[kraken_v2.Trade] = []
        last = self._last_trade
        for trade in parts[0]:
            if not isinstance(trade, list) or len(trade) < 5 or trade[3] not in ("b", "s"):
                raise reader.wrong('a trade ["price", "size", "time", "b" or "s", "m" or "l", ""]', trade)
            ts_ns = seconds_text_ns(reader, trade[2])
            last = (trade[2], last[1] + 1 if last[0] == trade[2] else 0)
            side = 1 if trade[3] == "b" else -1
            rows.append((ts_ns, -1, f"{last[0]}#{last[1]}", side, reader.ticks(trade[0]), reader.lots(trade[1]), 0))
        self._last_trade = last
        self._add_trades(reader, rows, place)

    def _add_trades(self, reader: Reader, rows: list[kraken_v2.Trade], place: Place) -> None:
        self._job.card[card.N_ROUNDED] += reader.rounded
        for row in rows:
            add_trade(self._job, place.offset, place.recv_ns, *row)


def _crc(reader: Reader, value: object) -> int:
    if not isinstance(value, str) or not _CRC.match(value) or int(value) >= 1 << 32:
        raise reader.wrong('"c" to be a 32-bit checksum as text', value)
    return int(value)
