"""Between numpy chunks and Arrow: types, encodings, nulls, and the content hash of a table's values.

Nulls: a nullable float64 column holds null where the array is NaN; a nullable integer or boolean column is given and
returned as ``numpy.ma.MaskedArray`` (mask = null). float32 columns are features: NaN is stored as NaN.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import Column, Table

_ARROW = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "int8": pa.int8(),
    "bool": pa.bool_(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
}
# Neighbouring levels differ in the low bytes of price and size only: split by byte, zstd sees that (a third smaller
# than delta-packed on recordings); so does a sequence that all rows of a message repeat. Times and ids rise in steps
# and pack better as differences. A side is a bit: as a dictionary it is stored as one.
_SPLIT_BY_BYTE = ("price_ticks", "size_lots", "seq")
_AS_DICTIONARY = ("side",)
_PACKED_HARDER = ("price_ticks", "seq")  # zstd 3 for what it makes smaller; the others stay at 1
TIME_COLUMNS = ("ts_event_ns", "ts_ns", "ts_recv_ns")


def arrow_schema(table: Table) -> pa.Schema:
    """Return the stored schema of ``table``: its columns in order, nullable where declared."""
    return pa.schema([pa.field(c.name, _ARROW[c.dtype], nullable=c.nullable) for c in table.columns])


def parquet_options(table: Table) -> dict[str, Any]:
    """Return how ``table`` is encoded: delta-packed integers, plain floats, zstd, statistics where someone prunes."""
    encoding = {c.name: "DELTA_BINARY_PACKED" for c in table.columns if c.dtype.startswith("int")}
    encoding |= {name: "BYTE_STREAM_SPLIT" for name in _SPLIT_BY_BYTE if name in encoding}
    encoding |= {c.name: "DELTA_BYTE_ARRAY" for c in table.columns if c.dtype == "string"}
    encoding |= {c.name: "PLAIN" for c in table.columns if c.dtype.startswith("float")}
    names = [c.name for c in table.columns]
    dictionary = [name for name in names if name in _AS_DICTIONARY]
    for name in dictionary:
        del encoding[name]
    return {
        "compression": "zstd",
        "compression_level": {name: 3 if name in _PACKED_HARDER else 1 for name in names},
        "use_dictionary": dictionary or False,
        "column_encoding": encoding,
        "write_statistics": [c.name for c in table.columns if c.name in TIME_COLUMNS or c.name == "order"],
        "write_page_index": False,
        "store_schema": False,
    }


def null_mask(column: Column, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return where ``values`` are null, None where the column's declaration rules nulls out."""
    if not column.nullable or column.dtype in ("float32", "string"):
        return None
    if column.dtype == "float64":
        return np.asarray(np.isnan(np.ma.getdata(values)) | np.ma.getmaskarray(values))
    return np.asarray(np.ma.getmaskarray(values))


class ContentHash:
    """SHA-256 over a table's values, column by column in schema order.

    Independent of how the rows are cut into chunks, of what lies under a null, and of footer, codec and clock.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._values = [hashlib.sha256() for _ in table.columns]
        self._nulls = [hashlib.sha256() for _ in table.columns]
        self._rows = 0

    def add(self, columns: Columns, strings: dict[str, pa.Array]) -> None:
        """Take in the next rows: numpy columns of the declared dtypes and Arrow arrays for the string columns."""
        for i, column in enumerate(self._table.columns):
            if column.dtype == "string":
                self._add_strings(i, strings[column.name])
                continue
            values = columns[column.name]
            mask = null_mask(column, values)
            data = np.ma.getdata(values)
            if mask is not None:
                self._nulls[i].update(mask.view(np.uint8).data)
                data = np.where(mask, np.zeros(1, dtype=data.dtype), data)
            self._values[i].update(np.ascontiguousarray(data).view(np.uint8).data)
        self._rows += _length(self._table, columns, strings)

    def _add_strings(self, i: int, array: pa.Array) -> None:
        offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
        if len(array) == 0:
            return
        self._nulls[i].update(
            np.diff(offsets).astype(np.int32).view(np.uint8).data
        )  # lengths: "ab","c" is not "a","bc"
        data = array.buffers()[2]
        if data is not None:
            self._values[i].update(memoryview(data)[offsets[0] : offsets[-1]])

    def hexdigest(self) -> str:
        """Return the hash of everything added so far."""
        parts = [
            [c.name, c.dtype, v.hexdigest(), n.hexdigest()]
            for c, v, n in zip(self._table.columns, self._values, self._nulls, strict=True)
        ]
        return hashlib.sha256(json.dumps([self._table.name, self._rows, parts]).encode()).hexdigest()


def _length(table: Table, columns: Columns, strings: dict[str, pa.Array]) -> int:
    first = table.columns[0]
    return len(strings[first.name]) if first.dtype == "string" else int(columns[first.name].shape[0])


def to_arrow(table: Table, columns: Columns, strings: dict[str, pa.Array]) -> pa.Table:
    """Return the rows as an Arrow table of ``arrow_schema``; numbers without nulls are not copied."""
    arrays = []
    for column in table.columns:
        if column.dtype == "string":
            arrays.append(strings[column.name])
            continue
        values = columns[column.name]
        arrays.append(pa.array(np.ma.getdata(values), type=_ARROW[column.dtype], mask=null_mask(column, values)))
    return pa.Table.from_arrays(arrays, schema=arrow_schema(table))


def to_numpy(table: Table, data: pa.Table, names: list[str]) -> Columns:
    """Return the named columns of an Arrow table as the arrays that were written (see the module's word on nulls)."""
    out: Columns = {}
    for name in names:
        column = table.columns[table.index[name]]
        array = data.column(name)
        array = (
            array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks or [pa.array([], array.type)])
        )
        if column.nullable and column.dtype not in ("float32", "float64"):
            mask = array.is_null().to_numpy(zero_copy_only=False)
            filled = array.fill_null(False if column.dtype == "bool" else 0).to_numpy(zero_copy_only=False)
            out[name] = np.ma.MaskedArray(filled, mask=mask)
        else:
            out[name] = array.to_numpy(zero_copy_only=False)
    return out
