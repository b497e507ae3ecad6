"""LOBSTER: order-level messages beside ground-truth books, turned into level changes, trades and the file's own quotes.

A message changes the level it names; the book file opens the book, tells what comes into view, and judges every row
(``venues.lobster_book_kernel``). How many of its rows agree is the block's ``checksums``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import FLAG_NOT_MARKET, FLAG_RPI, KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.venues import lobster_book_kernel as book
from lob_pipeline.venues import lobster_view as state
from lob_pipeline.venues.block import BookMessages, DecodedBlock, Int64s, QuoteRows, TradeRows
from lob_pipeline.venues.form import Form, no_line
from lob_pipeline.venues.lobster_files import Pair, members, parse_name, unreadable
from lob_pipeline.venues.lobster_kernel import AT, DIRECTION, ORDER_ID, PRICE, SIZE, TIME_NS, TYPE
from lob_pipeline.venues.source import Container

if TYPE_CHECKING:
    from lob_pipeline.venues.detect import FileInfo

FORMAT = "lobster"
UNITS_A_DOLLAR = 10_000
GRID = ("0.01", "1")

FACTS = {
    "levels_from_messages": state.FROM_MESSAGES,
    "levels_from_book_file": state.FROM_FILE,
    "levels_left_view": state.LEFT_VIEW,
    "messages_on_unknown_levels": state.UNKNOWN_LEVEL,
    "messages_below_zero": state.BELOW_ZERO,
    "book_rows_compared": state.ROWS,
    "book_rows_equal": state.ROWS_EQUAL,
    "rows_without_new_level_compared": state.ROWS_SEEN,
    "rows_without_new_level_equal": state.ROWS_SEEN_EQUAL,
    "rows_known_from_messages_compared": state.ROWS_KNOWN,
    "rows_known_from_messages_equal": state.ROWS_KNOWN_EQUAL,
}
"""What is counted of a file: where level rows came from, and how many rows of the book equal the book file's."""


def pair_of(path: Path, info: FileInfo) -> Pair:
    """Return the two files that ``info`` speaks of. Raises ``BadInputError`` when the book file is missing."""
    found = members(path) if info.container == "zip" else None
    if found is not None:
        return Pair(path, *found, path)
    name = parse_name(info.name or path.name)
    if name is None or info.companion is None or not info.companion.is_file():
        where = f"{name.other()} is not beside it" if name else "its name does not say symbol, day and levels"
        raise BadInputError(
            f"{info.path}: {where}: keep LOBSTER's message and orderbook files together under their own names, or zip "
            "them"
        )
    return Pair(path, name, parse_name(name.other()) or name, info.companion)


def _sniff_file(path: Path, name: str, container: Container) -> FileInfo | None:
    """Recognise a zip of the two files, or either of them by its name: the message file then stands for both."""
    if container == "zip":
        found = members(path)
        said = found[0] if found else None
    else:
        said = parse_name(name)
    if said is None:
        return None
    from lob_pipeline.venues.detect import FileInfo  # it knows every form, this one too

    companion = None
    if container != "zip":
        beside = path.with_name(said.other())
        if said.kind == "orderbook":
            if not beside.is_file():
                raise BadInputError(f"{path}: its message file {said.other()} is not beside it: both are needed")
            path, beside, said = beside, path, parse_name(said.other()) or said
        companion = beside if beside.is_file() else None
    return FileInfo(
        path=path,
        container=container,
        format=FORMAT,
        family="lobster",
        symbols=(said.symbol,),
        streams=("book", "trades", "quotes"),
        grids={said.symbol: GRID},
        spot=True,
        companion=companion,
        name=said.text,
    )


def _units(instrument: Instrument) -> tuple[int, int]:
    """Return (file units a tick, shares a lot)."""
    units, lot = instrument.tick * UNITS_A_DOLLAR, instrument.lot
    if units != int(units) or lot != int(lot):
        raise BadInputError(
            f"tick {instrument.tick} and lot {lot} cannot be LOBSTER's: expected whole 1/10,000 USD and whole shares"
        )
    return int(units), int(lot)


def blocks(path: Path, instrument: Instrument, info: FileInfo) -> Iterator[DecodedBlock]:
    """Yield the rows of a day (``Form.blocks``)."""
    pair = pair_of(path, info)
    units, lot = _units(instrument)
    reader = _Reader(pair, units, lot)
    for line, offset, messages, rows in pair.pieces():
        yield reader.block(line, offset, messages, rows)


class _Reader:
    """One day's files: the view goes on from block to block."""

    def __init__(self, pair: Pair, units: int, lot: int) -> None:
        self._pair, self._units, self._lot = pair, units, lot
        self._levels = pair.book.levels
        self._view = state.new_view(self._levels)
        self._midnight_ns = pair.messages.midnight_ns
        self._next_id = 1

    def block(self, line: int, offset: int, m: Int64s, rows: Int64s) -> DecodedBlock:
        """Return the rows of messages ``m`` that begin at ``line`` of the file; ``rows``: the books after them."""
        self._check(line, offset, m)
        out, counts = state.new_level_rows(len(m), self._levels), np.zeros(state.COUNTS, np.int64)
        opening = line == 0
        if opening:
            book.look_up(self._view, self._levels, rows[0], 0, out, np.zeros(state.COUNTS, np.int64))
            self._view.looked_up[:] = 0
        book.rebuild(self._view, self._levels, m, rows, int(opening), out, counts)
        book_rows = self._book(line, offset, m, out, opening)
        at = book_rows.line - line
        on_grid = m[:, PRICE] % self._units == 0
        is_trade = (m[:, TYPE] == state.EXECUTE) | (m[:, TYPE] == state.HIDDEN) | (m[:, TYPE] == state.CROSS)
        skipped = {
            "hidden_off_grid": int(np.count_nonzero(is_trade & ~on_grid)),
            "trading_halt": int(np.count_nonzero(m[:, TYPE] == state.HALT)),
        }
        return DecodedBlock(
            first_line=line,
            lines=len(m),
            offset=offset,
            book=book_rows,
            trades=self._trades(line, offset, m, np.flatnonzero(is_trade & on_grid)),
            quotes=self._quotes(book_rows, rows[at]),
            skipped={why: count for why, count in skipped.items() if count},
            checksums=(int(counts[state.ROWS]), int(counts[state.ROWS_EQUAL])),
            facts={name: int(counts[k]) for name, k in FACTS.items()},
        )

    def _check(self, line: int, offset: int, m: Int64s) -> None:
        kind, price, size = m[:, TYPE], m[:, PRICE], m[:, SIZE]
        orders = (kind >= state.NEW) & (kind <= state.EXECUTE)
        checks = (
            ((kind < state.NEW) | (kind > state.HALT), "a type of 1 to 7"),
            (np.abs(m[:, DIRECTION]) != 1, "a direction of 1 or -1"),
            ((kind != state.HALT) & ((size <= 0) | (size % self._lot != 0)), f"a size in whole lots of {self._lot}"),
            ((kind != state.HALT) & (price <= 0), "a price above zero"),
            (orders & (price % self._units != 0), f"a price that is a multiple of {self._units} (the tick)"),
        )
        for wrong, expected in checks:
            if wrong.any():
                at = int(np.argmax(wrong))
                raise unreadable(self._pair.messages, line + at, offset + int(m[at, AT]), expected)

    def _book(self, line: int, offset: int, m: Int64s, out: state.LevelRows, opening: bool) -> BookMessages:
        n = int(out.n[0])
        message, starts = np.unique(out.message[:n], return_index=True)
        count = message.shape[0]
        price, size = out.price[:n], out.size[:n]
        wrong = (price % self._units != 0) | (size % self._lot != 0) | (price <= 0)
        if wrong.any():
            at = int(out.message[int(np.argmax(wrong))])
            raise BadInputError(
                f"{self._pair.book.text}, line {line + at + 1}: expected prices in whole ticks of {self._units} and "
                f"sizes in whole lots of {self._lot}; fetch the file again"
            )
        ids = self._next_id + np.arange(count, dtype=np.int64)
        self._next_id += count
        kind = np.full(count, KIND_DELTA, np.int8)
        prev = ids - 1
        if opening and count:
            kind[0], prev[0] = KIND_SNAPSHOT, -1
        return BookMessages(
            line=line + message,
            offset=offset + m[message, AT],
            ts_event_ns=self._midnight_ns + m[message, TIME_NS],
            ts_recv_ns=np.zeros(count, np.int64),
            update_id=ids,
            first_update_id=np.full(count, -1, np.int64),
            prev_update_id=prev,
            seq=line + message,
            kind=kind,
            level_start=np.append(starts, n).astype(np.int64),
            side=out.side[:n].copy(),
            price_ticks=price // self._units,
            size_lots=size // self._lot,
        )

    def _trades(self, line: int, offset: int, m: Int64s, at: Int64s) -> TradeRows:
        flags = np.zeros(at.shape[0], np.int8)
        flags[m[at, TYPE] == state.HIDDEN] = FLAG_RPI
        flags[m[at, TYPE] == state.CROSS] = FLAG_NOT_MARKET
        orders, numbers = m[at, ORDER_ID].tolist(), (line + at + 1).tolist()
        ids = [f"{order}-{number}" for order, number in zip(orders, numbers, strict=True)]
        return TradeRows(
            line=line + at,
            offset=offset + m[at, AT],
            ts_event_ns=self._midnight_ns + m[at, TIME_NS],
            ts_recv_ns=np.zeros(at.shape[0], np.int64),
            seq=line + at,
            trade_id=pa.array(ids, pa.string()),
            side=(-m[at, DIRECTION]).astype(np.int8),
            price_ticks=m[at, PRICE] // self._units,
            size_lots=m[at, SIZE] // self._lot,
            flags=flags,
        )

    def _quotes(self, messages: BookMessages, rows: Int64s) -> QuoteRows:
        both = np.flatnonzero((rows[:, 1] > 0) & (rows[:, 3] > 0))
        best = rows[both]
        return QuoteRows(
            line=messages.line[both],
            offset=messages.offset[both],
            ts_event_ns=messages.ts_event_ns[both],
            ts_recv_ns=np.zeros(both.shape[0], np.int64),
            update_id=messages.update_id[both],
            bid_ticks=best[:, 2] // self._units,
            bid_lots=best[:, 3] // self._lot,
            ask_ticks=best[:, 0] // self._units,
            ask_lots=best[:, 1] // self._lot,
        )


FORM = Form(
    name=FORMAT,
    family="lobster",
    sniff=no_line,
    sniff_file=_sniff_file,
    likely=lambda symbols, spot: ("lobster",),
    accepts=lambda venue, spot: venue == "lobster",
    blocks=blocks,
)
