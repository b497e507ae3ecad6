"""The quick look at a table and pandera's judgement of it agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandera.errors as errors
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, QUOTES, TRADES, Column, Table
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.quality.schemas import _plainly_sound, _polars_dtype, pandera_schema

TABLES = (L2_EVENTS, TRADES, QUOTES, BOOK_SNAPSHOTS, FEATURES_TABLE, LABELS_TABLE)


def _sound(column: Column, rows: int) -> pl.Series:
    low = column.minimum if column.minimum is not None else (column.maximum if column.maximum is not None else 1)
    value: Any = {"string": "a", "bool": True}.get(column.dtype, low)
    return pl.Series(column.name, [value] * rows, dtype=_polars_dtype(column.dtype))


def _frame(table: Table, rows: int = 3) -> pl.DataFrame:
    return pl.DataFrame([_sound(column, rows) for column in table.columns])


def _pandera_accepts(table: Table, frame: pl.DataFrame) -> bool:
    try:
        pandera_schema(table).validate(frame, lazy=True)
    except (errors.SchemaErrors, errors.SchemaError):
        return False
    return True


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_a_table_as_declared_is_plainly_sound(table: Table) -> None:
    assert _plainly_sound(table, _frame(table))
    assert _pandera_accepts(table, _frame(table))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_quick_look_agrees_with_pandera(data: st.DataObject) -> None:
    table = data.draw(st.sampled_from((TRADES, QUOTES, L2_EVENTS)))
    column = data.draw(st.sampled_from(table.columns))
    frame = _frame(table)
    damage = data.draw(st.sampled_from(("null", "low", "high", "dtype", "dropped", "moved", "none")))
    values = frame[column.name].to_list()
    numeric = column.dtype not in ("string", "bool")
    if damage == "null":
        values[1] = None
    elif damage == "low" and numeric and column.minimum is not None and column.minimum > -100:
        values[1] = column.minimum - 1
    elif damage == "high" and numeric and column.maximum is not None and column.maximum < 100:
        values[1] = column.maximum + 1
    changed = frame.with_columns(pl.Series(column.name, values, dtype=frame[column.name].dtype))
    if damage == "dtype" and numeric:
        changed = changed.with_columns(pl.col(column.name).cast(pl.Float64 if column.dtype != "float64" else pl.Int64))
    elif damage == "dropped":
        changed = changed.drop(column.name)
    elif damage == "moved":
        changed = changed.select([*changed.columns[1:], changed.columns[0]])
    assert _plainly_sound(table, changed) == _pandera_accepts(table, changed)


def test_nan_is_what_it_is_to_pandera() -> None:
    column = next(c for c in LABELS_TABLE.columns if c.dtype == "float64" and c.minimum is not None)
    frame = _frame(LABELS_TABLE).with_columns(pl.Series(column.name, np.array([np.nan, 1.0, 1.0])))
    assert not _plainly_sound(LABELS_TABLE, frame)
    assert not _pandera_accepts(LABELS_TABLE, frame)


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_an_empty_table_is_judged_by_its_columns(table: Table) -> None:
    assert _plainly_sound(table, _frame(table, 0)) == _pandera_accepts(table, _frame(table, 0))
    assert not _plainly_sound(table, _frame(table, 0).drop(table.columns[0].name))
