"""Tables of level changes and of trades as CSV, read completely: headers, and the rows that the scanner leaves over.

Column names mean the same in every table: those of Tardis (``incremental_book_L2``, ``trades``) and the plain ones of
docs/adding_a_venue.md are one vocabulary.
"""

from __future__ import annotations

import csv
from typing import Literal

from lob_pipeline.core.units import NS_PER_MS, NS_PER_US
from lob_pipeline.venues import job as card
from lob_pipeline.venues import table_kernel as kernel
from lob_pipeline.venues.form import Said
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import Reader, UnreadableError, add_trade, shown

Kind = Literal["levels", "trades"]

MEANINGS = {
    "timestamp": kernel.TIME,
    "ts": kernel.TIME,
    "ts_event_ns": kernel.TIME_NS,
    "local_timestamp": kernel.RECV,
    "ts_recv_ns": kernel.RECV_NS,
    "side": kernel.SIDE,
    "price": kernel.PRICE,
    "size": kernel.SIZE,
    "amount": kernel.SIZE,
    "is_snapshot": kernel.SNAPSHOT,
    "update_id": kernel.UPDATE_ID,
    "prev_update_id": kernel.PREV_ID,
    "id": kernel.ID,
    "trade_id": kernel.ID,
    "symbol": kernel.SYMBOL,
    "flags": kernel.MARKS,
}
"""Column name -> meaning; any other column is left alone."""

SIDES = {"bid": 1, "buy": 1, "b": 1, "1": 1, "+1": 1, "ask": -1, "sell": -1, "a": -1, "s": -1, "-1": -1}
_YES, _NO = ("true", "1"), ("false", "0")
_TARDIS = {"exchange", "symbol", "timestamp", "local_timestamp", "amount"}


def cells_of(line: bytes) -> list[str]:
    """Return the cells of a line. Raises ``UnreadableError`` for one that is no line of a CSV table."""
    text = line.removesuffix(b"\r")
    odd = [k for k, c in enumerate(text) if not 32 <= c <= 126]
    if odd:
        raise UnreadableError("printable ASCII text", f"byte {text[odd[0]]:#04x}", odd[0])
    try:
        return next(csv.reader([text.decode("ascii")], strict=True), [])
    except csv.Error as error:
        raise UnreadableError("comma-separated cells", str(error)) from error


def kind_of(names: list[str]) -> Kind | None:
    """Return what a table with these columns holds, None where it is neither levels nor trades."""
    meanings = [MEANINGS.get(name) for name in names]
    told = {m for m in meanings if m}
    needs = {kernel.SIDE, kernel.PRICE, kernel.SIZE}
    if not needs <= told or not told & {kernel.TIME, kernel.TIME_NS}:
        return None
    if kernel.SNAPSHOT in told:
        return "levels"
    return "trades" if kernel.ID in told else None


def is_tardis(names: list[str]) -> bool:
    """Return whether the columns are those of a Tardis file."""
    return set(names) >= _TARDIS


def check_names(names: list[str]) -> list[int]:
    """Return the meaning of each column. Raises ``UnreadableError`` where two columns mean the same.

    Level changes have no flags, trades no update ids: such columns are left alone there.
    """
    if len(names) > kernel.MAX_COLUMNS:
        raise UnreadableError(f"at most {kernel.MAX_COLUMNS} columns", str(len(names)))
    meanings = [MEANINGS.get(name, kernel.IGNORED) for name in names]
    other = (kernel.MARKS,) if kernel.SNAPSHOT in meanings else (kernel.UPDATE_ID, kernel.PREV_ID)
    meanings = [kernel.IGNORED if m in other else m for m in meanings]
    alone = [(m,) for m in range(kernel.SIDE, kernel.IGNORED)]
    for group in ((kernel.TIME, kernel.TIME_NS), (kernel.RECV, kernel.RECV_NS), *alone):
        same = [name for name, m in zip(names, meanings, strict=True) if m in group]
        if len(same) > 1:
            raise UnreadableError("one column of each meaning", " and ".join(same))
    return meanings


def sniff(line: bytes, said: Said, kind: Kind, tardis: bool) -> bool:
    """Recognise a table by its header; its first row tells the symbol where it has one."""
    if "header" not in said.scratch:
        try:
            names = cells_of(line)
        except UnreadableError:
            return False
        if kind_of(names) != kind or is_tardis(names) != tardis:
            return False
        check_names(names)
        said.scratch["header"] = names
        said.streams["book" if kind == "levels" else "trades"] = None
        said.complete = "symbol" not in names
        return True
    names, cells = said.scratch["header"], cells_of(line)
    if len(cells) == len(names):
        said.symbols[cells[names.index("symbol")].upper()] = None
    said.complete = True
    return True


def read_line(line: bytes, offset: int, job: Job) -> None:
    """Append the row of one line to the job's. Raises ``UnreadableError``, and then has appended nothing.

    The first line must be the header: it is written to the job's card and yields no row.
    """
    meanings = [int(m) for m in job.card[card.FIELDS :] if m]
    cells = cells_of(line)
    if not meanings:
        if kind_of(cells) is None:
            raise UnreadableError(
                "a header with timestamp (or ts_event_ns), side, price, size (or amount) and is_snapshot (or id)",
                shown(line.decode("ascii")),
            )
        for k, meaning in enumerate(check_names(cells)):
            job.card[card.FIELDS + k] = meaning
        return
    if len(cells) != len(meanings):
        raise UnreadableError(f"{len(meanings)} columns as in the header", f"{len(cells)}: {shown(line.decode())}")
    cell = dict(zip(meanings, cells, strict=True))
    reader = Reader(line, job)
    symbol = job.instrument.market.symbol
    if cell.get(kernel.SYMBOL, symbol) not in (symbol, symbol.lower()):
        raise reader.wrong(f"symbol {symbol}", cell[kernel.SYMBOL])
    side = SIDES.get(cell[kernel.SIDE].lower())
    if side is None:
        raise reader.wrong("side bid or ask (of a trade: buy or sell, the taker's)", cell[kernel.SIDE])
    ts_ns = _time(reader, cell, kernel.TIME, kernel.TIME_NS)
    recv_ns = _time(reader, cell, kernel.RECV, kernel.RECV_NS) or int(job.card[card.RECV_NS_HERE])
    if not ts_ns:
        raise reader.wrong("a time", "")
    ticks, lots = reader.ticks(cell[kernel.PRICE]), reader.lots(cell[kernel.SIZE])
    if kernel.SNAPSHOT in cell:
        _add_level(reader, job, offset, cell, (ts_ns, recv_ns, side, ticks, lots))
    elif not cell[kernel.ID]:
        raise UnreadableError("a trade id", "an empty cell")
    else:
        marks = cell.get(kernel.MARKS, "0")
        if marks not in "01234567" or len(marks) != 1:
            raise reader.wrong("flags of 0 to 7", marks)
        add_trade(job, offset, recv_ns, ts_ns, -1, cell[kernel.ID], side, ticks, lots, int(marks))
    job.card[card.N_ROUNDED] += reader.rounded


def _add_level(
    reader: Reader, job: Job, offset: int, cell: dict[int, str], what: tuple[int, int, int, int, int]
) -> None:
    mark = cell[kernel.SNAPSHOT].lower()
    if mark not in (*_YES, *_NO):
        raise reader.wrong("is_snapshot true or false", cell[kernel.SNAPSHOT])
    ts_ns, recv_ns, side, ticks, lots = what
    ids = [_id(reader, cell.get(m, "")) for m in (kernel.UPDATE_ID, kernel.PREV_ID)]
    row = [int(job.card[card.N_LINES]), offset, ts_ns, recv_ns, ids[0], ids[1], 0, side, ticks, lots, int(mark in _YES)]
    job.trades[job.card[card.N_TRADES]] = row
    job.card[card.N_TRADES] += 1


def _id(reader: Reader, text: str) -> int:
    if text == "":
        return -1
    if not text.isdigit() or len(text) > 18:
        raise reader.wrong("a non-negative integer id", text)
    return int(text)


def _time(reader: Reader, cell: dict[int, str], any_unit: int, ns: int) -> int:
    """Return a time in nanoseconds: the number of digits is the unit."""
    text = cell.get(any_unit) or cell.get(ns) or ""
    if text == "":
        return 0
    scale = {13: NS_PER_MS, 16: NS_PER_US, 19: 1}.get(len(text), 0) if text.isdigit() else 0
    if not scale or text[0] in "09" or (scale != 1 and ns in cell):
        expected = "nanoseconds (19 digits)" if ns in cell else "a time of 13 (ms), 16 (µs) or 19 digits (ns)"
        raise reader.wrong(expected, text)
    return int(text) * scale
