"""Bybit v5 public messages, read completely: what ``venues.bybit_kernel`` leaves over, and the words for its errors.

A message without ``cts`` (older archives) takes its matching-engine time from ``ts``.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_RPI, KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.core.units import ASK, BID
from lob_pipeline.venues import job as card
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import Level, Reader, UnreadableError, add_message, add_trade, parse_object, shown


class BookMessage(NamedTuple):
    """A book message of one topic: matching-engine time, ``u``, ``seq`` (-1 where it has none), kind, levels."""

    ts_ns: int
    update_id: int
    seq: int
    kind: int
    levels: list[Level]


_BOOK_TOPIC = re.compile(r"orderbook\.([1-9]\d{0,5})\.([A-Z0-9_-]+)\Z", re.ASCII)
_TRADE_TOPIC = re.compile(r"publicTrade\.([A-Z0-9_-]+)\Z", re.ASCII)


def is_control(found: dict[str, Any]) -> bool:
    """Whether a message is the connection's talk (subscription acknowledgement, pong), not market data."""
    return "topic" not in found and ("op" in found or "ret_msg" in found)


def topic_of(text: str) -> tuple[str, int]:
    """Return (symbol, depth) of a topic, depth 0 for trades. Raises ``UnreadableError`` for other topics."""
    if book := _BOOK_TOPIC.match(text):
        return book[2], int(book[1])
    if trade := _TRADE_TOPIC.match(text):
        return trade[1], 0
    raise UnreadableError("a topic orderbook.<depth>.<symbol> or publicTrade.<symbol>", shown(text))


def read_line(line: bytes, offset: int, job: Job) -> None:
    """Append the rows of one line to the job's. Raises ``UnreadableError``, and then has appended nothing."""
    found = parse_object(line)
    if is_control(found):
        job.card[card.SKIPPED_CONTROL] += 1
        return
    reader = Reader(line, job)
    topic = reader.text(found, "topic")
    symbol, depth = topic_of(topic)
    _same_symbol(reader, symbol, job)
    ts_ns = reader.ms(found, "ts")
    kind = KIND_SNAPSHOT if reader.text(found, "type", ("snapshot", "delta")) == "snapshot" else KIND_DELTA
    if depth:
        _read_book(reader, found, ts_ns, kind, depth, offset, job)
    else:
        _read_trades(reader, found, offset, job)


def _same_symbol(reader: Reader, symbol: str, job: Job) -> None:
    if symbol != job.instrument.market.symbol:
        raise reader.wrong(f"symbol {job.instrument.market.symbol}", symbol)


def book_of_line(line: bytes, found: dict[str, Any], job: Job) -> BookMessage:
    """Return a line's book message, whatever its depth; nothing is appended. Raises ``UnreadableError``."""
    reader = Reader(line, job)
    symbol, _ = topic_of(reader.text(found, "topic"))
    _same_symbol(reader, symbol, job)
    ts_ns = reader.ms(found, "ts")
    kind = KIND_SNAPSHOT if reader.text(found, "type", ("snapshot", "delta")) == "snapshot" else KIND_DELTA
    return _book_message(reader, found, ts_ns, kind, job)


def _book_message(reader: Reader, found: dict[str, Any], ts_ns: int, kind: int, job: Job) -> BookMessage:
    data = reader.member(found, "data")
    if not isinstance(data, dict):
        raise reader.wrong('"data" to be a book', data)
    _same_symbol(reader, reader.text(data, "s"), job)
    levels = reader.levels(data, {"b": BID, "a": ASK})
    update_id = reader.whole(data, "u")
    seq = reader.whole(data, "seq") if "seq" in data else -1
    if "cts" in found:
        ts_ns = reader.ms(found, "cts")
    return BookMessage(ts_ns, update_id, seq, kind, levels)


def _read_book(reader: Reader, found: dict[str, Any], ts_ns: int, kind: int, depth: int, offset: int, job: Job) -> None:
    known = int(job.card[card.BOOK_STREAM])
    if known not in (0, depth):
        raise reader.wrong(f"depth {known} as before: two depths are two books, subscribe to one", found["topic"])
    built_ns = ts_ns
    ts_ns, update_id, seq, kind, levels = _book_message(reader, found, ts_ns, kind, job)
    ids = (update_id, -1, -1 if kind == KIND_SNAPSHOT else update_id - 1, seq)
    job.card[card.BOOK_STREAM] = depth
    job.card[card.CLOCK_PAIRS if "cts" in found else card.CLOCK_ALONE] += 1
    job.card[card.CLOCK_EQUAL] += "cts" in found and built_ns == ts_ns
    job.card[card.N_ROUNDED] += reader.rounded
    add_message(job, offset, int(job.card[card.RECV_NS_HERE]), ts_ns, ids, kind, levels)


def _read_trades(reader: Reader, found: dict[str, Any], offset: int, job: Job) -> None:
    data = reader.member(found, "data")
    if not isinstance(data, list) or not data:
        raise reader.wrong('"data" to be a list of trades', data)
    rows: list[tuple[int, int, str, int, int, int, int]] = []
    for trade in data:
        if not isinstance(trade, dict):
            raise reader.wrong("a trade", trade)
        _same_symbol(reader, reader.text(trade, "s"), job)
        flags = 0
        for name, flag in (("BT", FLAG_BLOCK), ("RPI", FLAG_RPI)):
            if name in trade and reader.flag(trade, name):
                flags |= flag
        rows.append(
            (
                reader.ms(trade, "T"),
                reader.whole(trade, "seq") if "seq" in trade else -1,
                reader.text(trade, "i"),
                1 if reader.text(trade, "S", ("Buy", "Sell")) == "Buy" else -1,
                reader.ticks(reader.member(trade, "p")),
                reader.lots(reader.member(trade, "v")),
                flags,
            )
        )
    job.card[card.N_ROUNDED] += reader.rounded
    for row in rows:
        add_trade(job, offset, int(job.card[card.RECV_NS_HERE]), *row)
