"""Schema gates: pandera models derived from the one table declaration, judged before a partition is published.

Nothing is declared here. Column names, order, dtypes, bounds and keys come from ``core.tables.Table`` (fixed tables)
or from the registries that produce the same type (features, labels).

Both judges derive from that declaration: one polars pass tells whether a batch is plainly sound, and pandera judges and
words everything that is not. Pandera alone costs milliseconds a column and call whatever the number of rows, three
quarters of the time a small partition takes from bytes to books.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import Table

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl

_SHOWN = 5
_BUFFERED_CELLS = 8_000_000  # pandera costs milliseconds a column and call: rows are judged in large batches


@lru_cache(maxsize=16)
def pandera_schema(table: Table) -> pa.DataFrameSchema:
    """Return the pandera schema of ``table``: strict, ordered, dtypes exact, bounds and nulls as declared."""
    import pandera.polars as pa

    columns = {}
    for column in table.columns:
        checks = []
        if column.minimum is not None:
            checks.append(pa.Check.ge(column.minimum))
        if column.maximum is not None:
            checks.append(pa.Check.le(column.maximum))
        columns[column.name] = pa.Column(_polars_dtype(column.dtype), checks=checks, nullable=column.nullable)
    return pa.DataFrameSchema(columns, name=table.name, strict=True, ordered=True)


class SchemaGate:
    """Judges a table that arrives in chunks; every row is examined, keys are compared across chunk borders too.

    >>> gate = SchemaGate(BOOK_SNAPSHOTS)
    >>> for columns in chunks:
    ...     gate.add(columns)
    >>> outcome = gate.outcome()
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows = 0
        self._failures: list[str] = []
        self._failed = 0
        self._last_key: tuple[int, ...] | None = None
        self._held: list[pl.DataFrame] = []
        self._held_rows = 0
        self._judged_rows = 0

    def add(self, columns: Columns) -> None:
        """Examine one chunk: one numpy array (or arrow string array) a column, all of one length. It is copied.

        A NaN and a masked value count as null. Failures are kept for the outcome; nothing is raised for bad data.
        """
        frame = _frame(columns)
        if self._held and frame.schema != self._held[0].schema:
            self._judge_held()
        self._held.append(frame)
        self._held_rows += len(frame)
        if self._held_rows * max(1, frame.width) >= _BUFFERED_CELLS:
            self._judge_held()
        if all(name in columns for name in self._table.key) and len(frame):
            self._check_key([np.asarray(columns[name], dtype=np.int64) for name in self._table.key])
        self._rows += len(frame)

    def outcome(self, minimum: int = 1) -> CheckOutcome:
        """Return the gate ``schema``: refused when any row of any chunk broke the declaration.

        ``minimum``: rows below which the table is not judged; an empty one never is (a day without quotes).
        """
        self._judge_held()
        return judge(
            "schema",
            not self._failed,
            examined=self._rows,
            judged=self._rows,
            minimum=minimum,
            message="; ".join(self._failures),
            facts={"table": self._table.name, "schema_version": self._table.version, "violations": self._failed},
        )

    def _judge_held(self) -> None:
        import polars as pl

        if self._held:
            for text in _violations(self._table, pl.concat(self._held), self._judged_rows):
                self._fail(text)
        self._judged_rows += self._held_rows
        self._held, self._held_rows = [], 0

    def _fail(self, text: str) -> None:
        self._failed += 1
        if len(self._failures) < _SHOWN:
            self._failures.append(text)

    def _check_key(self, key: list[np.ndarray[Any, Any]]) -> None:
        """Check that the key ascends strictly (lexicographic), from the previous chunk's last row on."""
        if not key:
            return
        first = tuple(int(part[0]) for part in key)
        if self._last_key is not None and first <= self._last_key:
            self._fail(f"row {self._rows}: key {first} does not follow {self._last_key}")
        ascends = np.zeros(len(key[0]) - 1, dtype=bool)
        tied = np.ones(len(key[0]) - 1, dtype=bool)
        for part in key:
            ascends |= tied & (part[1:] > part[:-1])
            tied &= part[1:] == part[:-1]
        bad = np.flatnonzero(~ascends)
        if len(bad):
            at = int(bad[0]) + 1
            shown = tuple(int(part[at]) for part in key)
            before = tuple(int(part[at - 1]) for part in key)
            self._fail(f"row {self._rows + at}: key {shown} does not follow {before} ({len(bad)} such rows)")
        self._last_key = tuple(int(part[-1]) for part in key)


def check_schema(table: Table, columns: Columns | pl.DataFrame, minimum: int = 1) -> CheckOutcome:
    """Return the gate ``schema`` of a table held whole (columns of numpy arrays, or a polars frame).

    Lazy frames are not accepted: pandera skips data checks on them in silence.
    """
    import polars as pl

    if isinstance(columns, pl.LazyFrame):
        raise TypeError("check_schema needs data: collect the lazy frame first, pandera would skip its data checks")
    gate = SchemaGate(table)
    if isinstance(columns, pl.DataFrame):
        gate.add({name: columns[name].to_numpy() for name in columns.columns})
    else:
        gate.add(columns)
    return gate.outcome(minimum)


def _polars_dtype(dtype: str) -> Any:
    import polars as pl

    return {
        "int64": pl.Int64,
        "int32": pl.Int32,
        "int8": pl.Int8,
        "bool": pl.Boolean,
        "float32": pl.Float32,
        "float64": pl.Float64,
        "string": pl.String,
    }[dtype]


def _frame(columns: Columns) -> pl.DataFrame:
    import polars as pl

    # polars keeps numpy arrays without copying them, and the caller may reuse its own.
    series = []
    for name, values in columns.items():
        if isinstance(values, np.ma.MaskedArray):
            mask = pl.Series(np.ma.getmaskarray(values).copy())
            series.append(pl.Series(name, np.ma.getdata(values).copy()).set(mask, None))
        elif isinstance(values, np.ndarray) and values.dtype != object:
            series.append(pl.Series(name, values.copy(), nan_to_null=values.dtype.kind == "f"))
        else:
            series.append(pl.Series(name, values, dtype=pl.String))
    return pl.DataFrame(series)


def _plainly_sound(table: Table, frame: pl.DataFrame) -> bool:
    """Return whether names, dtypes, nulls and bounds are as declared, told in one pass; pandera words what is not.

    Its fixed cost, milliseconds a column and call, is most of the time that a small partition takes.
    """
    import polars as pl

    if frame.columns != list(table.names) or frame.dtypes != [_polars_dtype(c.dtype) for c in table.columns]:
        return False
    wanted = []
    for c in table.columns:
        if not c.nullable:
            wanted.append(pl.col(c.name).null_count() == 0)
        if c.dtype.startswith("float"):
            wanted.append(~pl.col(c.name).is_nan().any())  # in no order to any bound
        if c.minimum is not None:
            wanted.append(pl.col(c.name).min() >= c.minimum)
        if c.maximum is not None:
            wanted.append(pl.col(c.name).max() <= c.maximum)
    rules = [rule.alias(str(k)) for k, rule in enumerate(wanted)]
    return not rules or not len(frame) or all(kept is not False for kept in frame.select(rules).row(0))


def _violations(table: Table, frame: pl.DataFrame, first_row: int) -> list[str]:
    """Return one sentence a violated rule: row, column, value, rule; at most one row a rule."""
    import pandera.polars as pa

    if _plainly_sound(table, frame):
        return []
    try:
        pandera_schema(table).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        found: dict[tuple[str, str], str] = {}
        for case in error.failure_cases.iter_rows(named=True):
            rule = (str(case["column"]), str(case["check"]))
            if rule not in found:
                row = "" if case["index"] is None else f"row {first_row + int(case['index'])}: "
                found[rule] = f"{row}{rule[0]} is {case['failure_case']}, expected {rule[1]}"
        return list(found.values())
    return []
