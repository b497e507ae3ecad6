"""Tables of level changes and of trades as Parquet: the columns of the CSV forms, typed; errors name the row.

Prices and sizes are exact: strings, decimals and whole numbers as they are; a float only where it is the float next to
a multiple of the tick or lot, which is what writing that multiple as a float gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.units import NS_PER_MS, NS_PER_US
from lob_pipeline.venues import job as card
from lob_pipeline.venues import table_kernel as kernel
from lob_pipeline.venues.block import BookMessages, DecodedBlock, Int64s, TradeRows
from lob_pipeline.venues.lines import UnreadableError, shown
from lob_pipeline.venues.source import Container
from lob_pipeline.venues.table_blocks import LevelMessages, no_quotes, no_trades
from lob_pipeline.venues.table_csv import MEANINGS, SIDES, Kind, check_names, kind_of

if TYPE_CHECKING:
    from lob_pipeline.venues.detect import FileInfo

_MAGIC = b"PAR1"
_BATCH_ROWS = 1 << 17
_EXACT = 10**15  # up to here the float next to a multiple of a step names that multiple alone
_LARGEST = 10**18


def sniff_file(path: Path, _name: str, container: Container) -> FileInfo | None:
    """Recognise a Parquet file of level changes or trades (``Form.sniff_file``)."""
    if container != "plain":
        return None
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            return None
    from lob_pipeline.venues.detect import FileInfo  # it knows every form, this one too

    table = _open(path)
    names = table.schema_arrow.names
    kind = _kind(path, names)
    symbols: tuple[str, ...] = ()
    if "symbol" in names and table.metadata.num_rows:
        first = next(table.iter_batches(1, columns=["symbol"])).column(0)[0].as_py()
        symbols = (str(first).upper(),)
    stream = ("book",) if kind == "levels" else ("trades",)
    return FileInfo(path, container, "parquet_table", "table", symbols, stream)  # type: ignore[arg-type]


def _kind(path: Path, names: list[str]) -> Kind:
    kind = kind_of(names)
    if kind is None:
        raise BadInputError(
            f"{path} has the columns {shown(', '.join(names))}: expected ts_event_ns (or timestamp), side, price, size "
            "(or amount) and is_snapshot for level changes, or id for trades"
        )
    return kind


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise BadInputError(f"{path} is no whole Parquet file ({why}): write it again") from error


def blocks(path: Path, instrument: Instrument, _info: object) -> Iterator[DecodedBlock]:
    """Yield the rows of a table (``Form.blocks``). ``line`` and errors count rows, ``offset`` is the row too."""
    table = _open(path)
    names = table.schema_arrow.names
    kind = _kind(path, names)
    try:
        meanings = check_names(names)
    except UnreadableError as error:
        raise BadInputError(f"{path}: {error}") from error
    wanted = [n for n, m in zip(names, meanings, strict=True) if m != kernel.IGNORED]
    messages = LevelMessages(instrument.sequence)
    row = 0
    try:
        for batch in table.iter_batches(_BATCH_ROWS, columns=wanted):
            rows = _Rows(path, instrument, batch, row)
            if kind == "levels":
                yield _block(row, len(batch), rows.rounded_off, book=messages.take(rows.levels()))
            else:
                yield _block(row, len(batch), rows.rounded_off, trades=rows.trades())
            row += len(batch)
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())
        raise BadInputError(f"{path} is damaged after row {row} ({why}): write it again") from error
    if kind == "levels":
        yield _block(row, 0, [0], book=messages.take(np.empty((0, card.TRADE_WIDTH), np.int64), last=True))


def _block(
    row: int, rows: int, rounded: list[int], book: BookMessages | None = None, trades: TradeRows | None = None
) -> DecodedBlock:
    if book is None:
        book = LevelMessages("none").take(np.empty((0, card.TRADE_WIDTH), np.int64), last=True)
    return DecodedBlock(row, rows, row, book, trades or no_trades(), no_quotes(), sum(rounded))


class _Rows:
    """The rows of a batch as the columns of ``venues.job``."""

    def __init__(self, path: Path, instrument: Instrument, batch: pa.RecordBatch, first: int) -> None:
        self._path, self._instrument, self._batch, self._first = path, instrument, batch, first
        self.rounded_off: list[int] = []

    def _wrong(self, at: int, name: str, expected: str) -> BadInputError:
        value = self._batch.column(name)[at].as_py()
        return BadInputError(
            f"{self._path}, row {self._first + at + 1}, column {name}: expected {expected}, found {shown(value)!r}; "
            "nothing of the file was kept: repair it there, or give the market it belongs to"
        )

    def _check(self, good: npt.NDArray[np.bool_], name: str, expected: str) -> None:
        if not good.all():
            raise self._wrong(int(np.argmin(good)), name, expected)

    def _name(self, *meanings: int) -> str | None:
        return next((n for n in self._batch.schema.names if MEANINGS.get(n) in meanings), None)

    def _common(self) -> Int64s:
        out = np.zeros((len(self._batch), card.TRADE_WIDTH), np.int64)
        out[:, card.LINE] = out[:, card.OFFSET] = self._first + np.arange(len(self._batch))
        time, recv = self._name(kernel.TIME, kernel.TIME_NS), self._name(kernel.RECV, kernel.RECV_NS)
        out[:, card.EVENT_NS] = self._time(str(time))
        out[:, card.RECV_NS] = self._time(recv, empty=True) if recv else 0
        out[:, card.SIDE] = self._side(str(self._name(kernel.SIDE)))
        grid = self._instrument
        price, size = str(self._name(kernel.PRICE)), str(self._name(kernel.SIZE))
        out[:, card.PRICE] = self._units(price, grid.tick, floor=False)
        self._check(out[:, card.PRICE] > 0, price, "a price above zero")
        out[:, card.SIZE] = self._units(size, grid.lot, floor=grid.round_off_grid_lots)
        self._symbol()
        return out

    def levels(self) -> Int64s:
        """Return level rows as ``LevelMessages`` takes them."""
        out = self._common()
        mark = str(self._name(kernel.SNAPSHOT))
        values = self._values(mark)
        self._check(np.isin(values, [True, False, 0, 1]), mark, "true or false")
        out[:, kernel.LEVEL_SNAPSHOT] = values.astype(np.int64)
        for meaning, column in ((kernel.UPDATE_ID, kernel.LEVEL_UPDATE), (kernel.PREV_ID, kernel.LEVEL_PREV)):
            name = self._name(meaning)
            out[:, column] = -1 if name is None else self._ids(name)
        named = out[:, kernel.LEVEL_UPDATE] >= 0
        if named.any():
            self._check(named, str(self._name(kernel.UPDATE_ID)), "an update id, as other rows have")
        return out

    def trades(self) -> TradeRows:
        """Return trades."""
        rows = self._common()
        name = str(self._name(kernel.ID))
        ids = self._batch.column(name).cast(pa.string())
        marks = self._name(kernel.MARKS)
        flags = self._values(marks).astype(np.int64) if marks else np.zeros(len(rows), np.int64)
        self._check((flags >= 0) & (flags < 8), str(marks), "flags of 0 to 7")
        self._check(~_nulls(ids) & (np.asarray(pc.fill_null(pc.binary_length(ids), 0)) > 0), name, "a trade id")
        return TradeRows(
            line=rows[:, card.LINE].copy(),
            offset=rows[:, card.OFFSET].copy(),
            ts_event_ns=rows[:, card.EVENT_NS].copy(),
            ts_recv_ns=rows[:, card.RECV_NS].copy(),
            seq=np.full(len(rows), -1, np.int64),
            trade_id=ids,
            side=rows[:, card.SIDE].astype(np.int8),
            price_ticks=rows[:, card.PRICE].copy(),
            size_lots=rows[:, card.SIZE].copy(),
            flags=flags.astype(np.int8),
        )

    def _values(self, name: str) -> npt.NDArray[Any]:
        column = self._batch.column(name)
        self._check(~_nulls(column), name, "a value")
        is_number = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating)
        if not any(test(column.type) for test in is_number):
            raise self._wrong(0, name, "numbers")
        return np.asarray(column.to_numpy(zero_copy_only=False))

    def _ids(self, name: str) -> Int64s:
        column = self._batch.column(name)
        if not pa.types.is_integer(column.type) and not pa.types.is_null(column.type):
            raise self._wrong(0, name, "integer ids")
        values = np.asarray(pc.fill_null(column.cast(pa.int64()), -1).to_numpy(zero_copy_only=False), np.int64)
        self._check((values >= -1) & (values < _LARGEST), name, "a non-negative id")
        return values

    def _time(self, name: str, empty: bool = False) -> Int64s:
        column = self._batch.column(name)
        if pa.types.is_timestamp(column.type):
            unit = {"s": 10**9, "ms": NS_PER_MS, "us": NS_PER_US, "ns": 1}[column.type.unit]
            raw = pc.fill_null(column.cast(pa.int64()), 0)
            value = np.asarray(raw.to_numpy(zero_copy_only=False), np.int64)
            self._check(np.abs(value) < 9 * 10**18 // unit, name, "a time from 2001 to 2255")
            value = value * unit
        elif pa.types.is_integer(column.type):
            raw = pc.fill_null(column.cast(pa.int64()), 0)
            value = np.asarray(raw.to_numpy(zero_copy_only=False), np.int64)
            ms, us = (value >= 10**12) & (value < 9 * 10**12), (value >= 10**15) & (value < 9 * 10**15)
            if MEANINGS[name] in (kernel.TIME_NS, kernel.RECV_NS):
                ms = us = np.zeros(len(value), np.bool_)
            value = np.where(ms, value * NS_PER_MS, np.where(us, value * NS_PER_US, value))
        else:
            raise self._wrong(0, name, "a timestamp, or an integer of 13 (ms), 16 (µs) or 19 digits (ns)")
        known = (value >= 10**18) & (value < 9 * 10**18)
        self._check(known | ((value == 0) & empty), name, "a time from 2001 to 2255 (an integer's digits are its unit)")
        return value

    def _side(self, name: str) -> Int64s:
        column = self._batch.column(name)
        if pa.types.is_integer(column.type):
            values = self._values(name).astype(np.int64)
            self._check(np.abs(values) == 1, name, "1 (bid, buy) or -1 (ask, sell)")
            return values
        texts = column.cast(pa.string()).dictionary_encode()
        known = np.array([SIDES.get(str(t.as_py()).lower(), 0) for t in texts.dictionary] or [0], np.int64)
        index = np.asarray(pc.fill_null(texts.indices, -1).to_numpy(zero_copy_only=False), np.int64)
        values = np.where(index < 0, 0, known[index])
        self._check(values != 0, name, "bid or ask (of a trade: buy or sell, the taker's)")
        return values

    def _symbol(self) -> None:
        name = self._name(kernel.SYMBOL)
        if name is None:
            return
        symbol = self._instrument.market.symbol
        texts = np.asarray(self._batch.column(name).cast(pa.string()).to_pylist(), dtype=object)
        self._check(np.array([str(t).upper() == symbol for t in texts], np.bool_), name, f"symbol {symbol}")

    def _units(self, name: str, step: Decimal, floor: bool) -> Int64s:
        """Return a column of numbers in whole steps."""
        column = self._batch.column(name)
        self._check(~_nulls(column), name, "a number")
        if pa.types.is_floating(column.type):
            units, exact = _float_units(np.asarray(column.to_numpy(zero_copy_only=False), np.float64), step)
        else:
            texts = column.cast(pa.string()).dictionary_encode()
            found = [_decimal_units(str(t.as_py()), step) for t in texts.dictionary]
            index = np.asarray(texts.indices.to_numpy(zero_copy_only=False), np.int64)
            units = np.array([u for u, _ in found] or [0], np.int64)[index]
            exact = np.array([e for _, e in found] or [True], np.bool_)[index]
        self._check(units >= 0, name, f"a number from 0 to {_LARGEST} steps of {step}")
        if floor:
            self.rounded_off.append(int(np.count_nonzero(~exact)))
        else:
            self._check(exact, name, f"a multiple of {step}")
        return units


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False), np.bool_)


def _decimal_units(text: str, step: Decimal) -> tuple[int, bool]:
    """Return (whole steps, exact) of a decimal text; -1 steps for what is no such number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return -1, False
    if not value.is_finite() or not 0 <= value < _LARGEST * step or not text.isascii() or "_" in text:
        return -1, False
    numerator, denominator = (value / step).as_integer_ratio() if value.adjusted() > -200 else (0, 2)
    units = numerator // denominator
    return units, units * step == value


def _float_units(values: npt.NDArray[np.float64], step: Decimal) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Return (whole steps, exact) of floats; -1 steps for what is no number that a float tells apart.

    ``n / 10**s`` of whole numbers below 2**53 is the float next to that decimal, so equality is exactness.
    """
    places = max(0, -int(step.as_tuple().exponent))
    whole, scale = int(step.scaleb(places)), float(10**places)
    good = np.isfinite(values) & (values >= 0) & (values * scale < _EXACT)
    near = np.rint(np.where(good, values, 0) * scale / whole).astype(np.int64)
    exact = (near * whole).astype(np.float64) / scale == values
    floor = np.where(exact, near, np.floor(np.where(good, values, 0) * scale / whole).astype(np.int64))
    return np.where(good, floor, -1), exact
