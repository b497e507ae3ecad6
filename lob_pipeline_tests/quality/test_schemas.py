"""Every rule of a declared table is enforced, on every row, across chunk borders."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, FIXED_TABLES, L2_EVENTS, TRADES, Column, Table
from lob_pipeline.quality.schemas import SchemaGate, check_schema

SMALL = Table(
    "small",
    1,
    clocked=True,
    key=("ts_ns", "side"),
    columns=(
        Column("ts_ns", minimum=0),
        Column("side", "int8", minimum=-1, maximum=1),
        Column("edge_bps", "float64", nullable=True, minimum=-5.0, maximum=5.0),
    ),
)


def small(ts: list[int], side: list[int], edge: list[float]) -> Columns:
    return {
        "ts_ns": np.array(ts, dtype=np.int64),
        "side": np.array(side, dtype=np.int8),
        "edge_bps": np.array(edge, dtype=np.float64),
    }


def plain(table: Table, rows: int) -> Columns:
    """Columns that keep every rule: each value at its minimum, keys ascending."""
    columns: Columns = {}
    for column in table.columns:
        if column.dtype == "string":
            columns[column.name] = pa.array(["x"] * rows)
        else:
            columns[column.name] = np.full(rows, column.minimum or 0, dtype=column.dtype)
    for name in table.key:
        columns[name] = np.arange(rows, dtype=columns[name].dtype)
    return columns


@pytest.mark.parametrize("table", FIXED_TABLES.values(), ids=lambda t: t.name)
def test_a_table_that_keeps_the_declaration_passes_and_every_broken_bound_is_refused(table: Table) -> None:
    good = check_schema(table, plain(table, 5))
    assert (good.status, good.rows_examined, good.rows_judged) == ("passed", 5, 5)
    for column in table.columns:
        for bound, step in ((column.minimum, -1), (column.maximum, 1)):
            if bound is None or column.name in table.key:
                continue
            columns = plain(table, 5)
            columns[column.name][3] = bound + step
            outcome = check_schema(table, columns)
            assert outcome.refuses, column.name
            assert column.name in outcome.message
            assert "row 3" in outcome.message


def test_names_order_and_dtypes_are_exact() -> None:
    columns = plain(L2_EVENTS, 3)
    assert check_schema(L2_EVENTS, dict(reversed(columns.items()))).refuses
    assert check_schema(L2_EVENTS, {**columns, "conn": columns["conn"].astype(np.int64)}).refuses
    assert check_schema(L2_EVENTS, {**columns, "extra": columns["conn"]}).refuses
    del columns["seq"]
    missing = check_schema(L2_EVENTS, columns)
    assert missing.refuses
    assert "seq" in missing.message


def test_nulls_are_refused_only_where_the_column_may_not_be_null() -> None:
    assert check_schema(SMALL, small([1, 2], [1, 1], [np.nan, 1.0])).status == "passed"
    strict = Table("s", 1, clocked=False, key=(), columns=(Column("x_bps", "float32"),))
    outcome = check_schema(strict, {"x_bps": np.array([0.0, np.nan], dtype=np.float32)})
    assert outcome.refuses
    assert "x_bps" in outcome.message
    trades = plain(TRADES, 2)
    trades["trade_id"] = pa.array(["a", None])
    assert check_schema(TRADES, trades).refuses


def test_a_masked_value_is_a_null_and_its_data_is_not_judged() -> None:
    values = np.ma.MaskedArray(np.array([1, 99], dtype=np.int8), mask=[False, True])
    may = Table("may", 1, clocked=False, key=(), columns=(Column("kind", "int8", nullable=True, maximum=4),))
    must = Table("must", 1, clocked=False, key=(), columns=(Column("kind", "int8", maximum=4),))
    assert check_schema(may, {"kind": values}).status == "passed"
    assert check_schema(must, {"kind": values}).refuses
    assert check_schema(may, {"kind": values.data}).refuses
    flags = np.ma.MaskedArray(np.array([True, False]), mask=[True, False])
    boolean = Table("boolean", 1, clocked=False, key=(), columns=(Column("filled", "bool", nullable=True),))
    assert check_schema(boolean, {"filled": flags}).status == "passed"


@pytest.mark.parametrize("minimum", [0, 1, 5])
def test_an_empty_table_never_passes(minimum: int) -> None:
    assert check_schema(BOOK_SNAPSHOTS, plain(BOOK_SNAPSHOTS, 0), minimum=minimum).status == "not_judged"


def test_a_frame_is_judged_as_its_columns_are_and_a_lazy_one_is_not_accepted() -> None:
    frame = pl.DataFrame(small([1, 2], [1, 1], [0.0, 9.0]))
    assert check_schema(SMALL, frame).refuses
    with pytest.raises(TypeError, match="lazy"):
        check_schema(SMALL, frame.lazy())  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.tuples(st.integers(0, 6), st.sampled_from([-1, 1])), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 11), max_size=3),
)
def test_the_key_must_ascend_strictly_however_the_table_is_cut(keys: list[tuple[int, int]], cuts: list[int]) -> None:
    gate = SchemaGate(SMALL)
    edges = sorted({0, len(keys), *(c for c in cuts if c < len(keys))})
    for start, stop in itertools.pairwise(edges):
        part = keys[start:stop]
        gate.add(small([k[0] for k in part], [k[1] for k in part], [0.0] * len(part)))
    sorted_and_unique = all(a < b for a, b in itertools.pairwise(keys))
    assert gate.outcome().refuses is not sorted_and_unique
    assert gate.outcome().rows_examined == len(keys)


def test_the_caller_may_reuse_its_arrays_and_a_chunk_of_another_dtype_is_refused() -> None:
    gate = SchemaGate(SMALL)
    columns = small([1, 2], [1, 1], [0.0, 0.0])
    gate.add(columns)
    columns["edge_bps"][:] = 99.0
    columns["ts_ns"] += 10
    assert gate.outcome().status == "passed"
    gate.add({**small([20], [1], [0.0]), "side": np.array([1], dtype=np.int64)})
    assert "side" in gate.outcome().message


def test_rows_are_numbered_from_the_start_of_the_partition() -> None:
    gate = SchemaGate(SMALL)
    gate.add(small([1, 2, 3], [1, 1, 1], [0.0] * 3))
    gate.add(small([4, 5], [1, 1], [0.0, 7.0]))
    assert "row 4: edge_bps is 7.0" in gate.outcome().message
