"""OKX v5 public messages: books (``books``, ``books-l2-tbt``, ``books50-l2-tbt``) and trades.

Every book message carries a CRC32 of the best 25 levels a side (0: the venue no longer computes it). Newer messages
also carry ``seqId`` and ``prevSeqId``; before that the checksum is all that tells of a lost message.
"""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import Any

from lob_pipeline.core.tables import FLAG_RPI
from lob_pipeline.core.units import ASK, BID
from lob_pipeline.venues import job as card
from lob_pipeline.venues.checked_rows import (
    CheckedReader,
    Ids,
    Place,
    changes_of,
    contracts_as_lots,
    decimal_of,
    ms_text_ns,
)
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import Reader, UnreadableError, add_trade, shown
from lob_pipeline.venues.string_book import StringBook
from lob_pipeline.venues.wrapped import Opened, message_object, opened

BOOKS = {"books": 1, "books-l2-tbt": 2, "books50-l2-tbt": 3}
TRADES = {"trades": 1, "trades-all": 2}
CHECKSUM_LEVELS = 25
_SIDES = {"asks": ASK, "bids": BID}


def checksum(book: StringBook) -> int:
    """Return OKX's checksum: CRC32, signed, of ``bid:size:ask:size:…`` of the best 25 levels as sent.

    Where one side is shorter the other side's levels follow alone.
    """
    bids, asks = book.bids.best(CHECKSUM_LEVELS), book.asks.best(CHECKSUM_LEVELS)
    words: list[str] = []
    for k in range(max(len(bids), len(asks))):
        for side in (bids, asks):
            words.extend(side[k] if k < len(side) else ())
    value = zlib.crc32(":".join(words).encode())
    return value - (1 << 32) if value >> 31 else value


def instruments_of(found: Opened) -> list[dict[str, Any]]:
    """Return the entries of an answer of ``/public/instruments``, none of any other answer."""
    if "/public/instruments" not in found.url or not isinstance(found.found, dict):
        return []
    entries = found.found.get("data")
    if not isinstance(entries, list) or not all(map(_is_instrument, entries)):
        raise UnreadableError('"data" to be a list of instruments', shown(entries))
    return entries


def _is_instrument(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("instId"), str)


def grid_of(entry: dict[str, Any]) -> tuple[str, str] | None:
    """Return (tick, lot) of an instrument; None for one that is not read (options, or a step that is no number).

    The lot of a linear derivative is in base units: contracts times the value of one.
    """
    tick, lot = decimal_of(entry.get("tickSz")), decimal_of(entry.get("lotSz"))
    if not tick or not lot or entry.get("instType") == "OPTION":
        return None
    value = contract_value(entry)
    if entry.get("ctType") == "linear" and value:
        lot *= value
    return str(tick), format(lot.normalize(), "f")


def contract_value(entry: dict[str, Any]) -> Decimal | None:
    """Return what one contract is worth (in ``ctValCcy``), None for what has no contracts."""
    value, times = decimal_of(entry.get("ctVal")), decimal_of(entry.get("ctMult"))
    return value * (times or 1) if value else None


class BookReader(CheckedReader):
    """Reads the lines of one file: a memory of the book, as its checksums need it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, checksum)
        if job.instrument.contract == "linear":
            contracts_as_lots(job)

    def read(self, line: bytes, offset: int) -> None:
        """Append the rows of one line to the job's. Raises ``UnreadableError``, and then has changed nothing."""
        got = opened(line)
        numbers = self._job.card
        if got.kind == "http":
            self._require_contract(instruments_of(got))
            numbers[card.SKIPPED_INFO] += 1
            return
        if got.kind != "recv":
            numbers[card.SKIPPED_CONTROL] += 1
            return
        found = message_object(got.found)
        if "event" in found:
            numbers[card.SKIPPED_CONTROL] += 1
            return
        reader = Reader(line, self._job)
        arg = message_object(reader.member(found, "arg"))
        channel = reader.text(arg, "channel")
        if channel not in BOOKS and channel not in TRADES:
            numbers[card.SKIPPED_OTHER_STREAM] += 1
            return
        if reader.text(arg, "instId") != self._symbol:
            numbers[card.SKIPPED_OTHER_SYMBOL] += 1
            return
        place = Place(offset, got.recv_ns or int(numbers[card.RECV_NS_HERE]))
        data = reader.member(found, "data")
        if not isinstance(data, list) or not data:
            raise reader.wrong('"data" to be a list of messages', data)
        if channel in BOOKS:
            self._one_stream(card.BOOK_STREAM, BOOKS[channel], channel)
            self._read_book(reader, found, data, place)
            numbers[card.BOOK_STREAM] = BOOKS[channel]
        else:
            self._one_stream(card.TRADE_STREAM, TRADES[channel], channel)
            self._read_trades(reader, data, place)
            numbers[card.TRADE_STREAM] = TRADES[channel]

    def _one_stream(self, slot: int, number: int, channel: str) -> None:
        if self._job.card[slot] not in (0, number):
            raise UnreadableError("one channel of the book and one of trades a file, as before", channel)

    def _require_contract(self, entries: list[dict[str, Any]]) -> None:
        """Raise ``UnreadableError`` where the recording's own instrument is another contract than was assumed."""
        ours = self._job.instrument
        for entry in entries:
            if entry["instId"] != self._symbol:
                continue
            kind = entry.get("ctType") or "spot"
            value = contract_value(entry)
            if kind == "inverse" and value is not None:
                value *= ours.lot
            if kind != ours.contract or (kind != "spot" and value != ours.contract_value):
                raise UnreadableError(
                    f"{self._symbol} to be {ours.contract} with contract value {ours.contract_value}, as markets.toml "
                    "says (correct it there)",
                    f"{kind}, {value}",
                )

    def _read_book(self, reader: Reader, found: dict[str, Any], data: list[Any], place: Place) -> None:
        snapshot = reader.text(found, "action", ("snapshot", "update")) == "snapshot"
        if len(data) != 1:
            raise reader.wrong("one book a message", data)
        book = message_object(data[0])
        ts_ns = ms_text_ns(reader, reader.member(book, "ts"))
        for name in _SIDES:
            reader.member(book, name)
        changes = [c for name in book if name in _SIDES for c in changes_of(reader, book[name], _SIDES[name], 2, 4)]
        said = book.get("checksum")
        if said is not None and (type(said) is not int or not -(1 << 31) <= said < 1 << 32):
            raise reader.wrong('"checksum" to be a 32-bit number', said)
        if said is not None and said >> 31 > 0:
            said -= 1 << 32
        own = _ids(reader, book)
        if own is not None and own.update_id == own.prev_id and not changes and not snapshot:
            self._job.card[card.SKIPPED_CONTROL] += 1  # nothing changed: a sign of life
            return
        self.add_book(reader, place, ts_ns, changes, snapshot=snapshot, said=said or None, own=own)

    def _read_trades(self, reader: Reader, data: list[Any], place: Place) -> None:
        rows: list[tuple[int, int, str, int, int, int, int]] = []
        for item in data:
            trade = message_object(item)
            if reader.text(trade, "instId") != self._symbol:
                raise reader.wrong(f"trades of {self._symbol}", trade["instId"])
            rows.append(
                (
                    ms_text_ns(reader, reader.member(trade, "ts")),
                    -1,
                    reader.text(trade, "tradeId"),
                    1 if reader.text(trade, "side", ("buy", "sell")) == "buy" else -1,
                    reader.ticks(reader.member(trade, "px")),
                    reader.lots(reader.member(trade, "sz")),
                    # Enhanced liquidity: like RPI orders, not shown in the public book.
                    FLAG_RPI if trade.get("source", "0") not in ("0", "") else 0,
                )
            )
        self._job.card[card.N_ROUNDED] += reader.rounded
        for row in rows:
            add_trade(self._job, place.offset, place.recv_ns, *row)


def _ids(reader: Reader, book: dict[str, Any]) -> Ids | None:
    """Return the message's own ids, None in recordings from before there were any."""
    if "seqId" not in book:
        return None
    prev = reader.member(book, "prevSeqId")
    first = type(prev) is int and prev == -1  # a snapshot follows nothing
    return Ids(reader.whole(book, "seqId"), -1 if first else reader.whole(book, "prevSeqId"))
