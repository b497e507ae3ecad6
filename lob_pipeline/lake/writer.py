"""Write one partition: rows stream to staging, are hashed on the way, and are published whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.core.tables import Table
from lob_pipeline.lake.beside import write_certificate
from lob_pipeline.lake.columns import TIME_COLUMNS, ContentHash, arrow_schema, null_mask, parquet_options, to_arrow
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.lake.manifest import FOOTER_KEY, Manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import quarantine
from lob_pipeline.lake.storage import replace_into, storing

# A row group is what a reader holds at once: about a million narrow rows, fewer of a wide table.
_GROUP_ROWS = 1 << 20
_GROUP_BYTES = 96 << 20
_ITEM_BYTES = {"int64": 8, "int32": 4, "int8": 1, "bool": 1, "float32": 4, "float64": 8, "string": 40}


def group_rows(table: Table) -> int:
    """Return the rows of one row group of ``table``."""
    width = sum(_ITEM_BYTES[c.dtype] for c in table.columns)
    return max(1 << 14, min(_GROUP_ROWS, _GROUP_BYTES // width))


OnRows = Callable[[Columns, dict[str, pa.Array]], None]


class PartitionWriter:
    """Context manager that holds the partition's lock and its staged file.

    ``write`` appends chunks of any size; ``commit`` publishes, or quarantines when a gate refuses; leaving the context
    without a commit removes what was staged, and the lake is as it was. ``path`` says where the commit put the file.
    ``on_rows`` sees the rows as they are written, a row group at a time: what a gate of many rows wants. It must not
    keep the arrays.
    """

    def __init__(self, home: Home, key: PartitionKey, table: Table, on_rows: OnRows | None = None) -> None:
        if table.name != key.table or table.clocked != (key.clock is not None):
            raise ValueError(f"{key} does not name a partition of table {table.name}")
        self.home, self.key, self.table = home, key, table
        self.path = key.path(home)
        self.rows = 0
        self._lock = WriterLock(home, key.lock_name, str(key))
        self._prefix = "__".join(p.replace("=", "-") for p in key.folder.parts) + "."
        self._staged = home.staging / f"{self._prefix}{os.getpid()}.{secrets.token_hex(4)}.parquet"
        self._on_rows = on_rows
        self._capacity = group_rows(table)
        self._buffer: Columns = {}
        self._held = 0
        self._strings: dict[str, list[pa.Array]] = {c.name: [] for c in table.columns if c.dtype == "string"}
        self._hash = ContentHash(table)
        self._coverage: tuple[int, int] | None = None
        self._time = next((c.name for c in table.columns if c.name in TIME_COLUMNS), None)
        self._writer: pq.ParquetWriter | None = None
        self._manifest: Manifest | None = None

    def __enter__(self) -> PartitionWriter:
        self._lock.__enter__()
        try:
            with storing(self._staged):
                for stale in self.home.staging.glob(f"{self._prefix}*.parquet"):
                    stale.unlink()  # we hold the lock, so its writer was killed
                self._writer = pq.ParquetWriter(
                    str(self._staged), arrow_schema(self.table), **parquet_options(self.table)
                )
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def write(self, columns: Columns, strings: dict[str, pa.Array] | None = None) -> None:
        """Append rows: every numeric column as an array of its declared dtype, string columns as Arrow arrays.

        The arrays are copied; the caller may reuse them. Raises ``ValueError`` on a wrong column set, dtype or length.
        """
        rows = self._check(columns, strings or {})
        done = 0
        while done < rows:
            take = min(rows - done, self._capacity - self._held)
            self._keep(columns, done, take)
            for name, parts in self._strings.items():
                parts.append((strings or {})[name].slice(done, take))
            self._held += take
            done += take
            if self._held == self._capacity:
                self.flush()
        self.rows += rows

    def _check(self, columns: Columns, strings: dict[str, pa.Array]) -> int:
        lengths = set()
        for column in self.table.columns:
            if column.dtype == "string":
                lengths.add(len(strings[column.name]))
                continue
            array = columns[column.name]
            if array.dtype != np.dtype(column.dtype) or array.ndim != 1:
                raise ValueError(
                    f"{self.table.name}.{column.name}: expected {column.dtype} (n,), got {array.dtype} {array.shape}"
                )
            lengths.add(int(array.shape[0]))
        if len(lengths) != 1 or set(columns) | set(strings) != set(self.table.names):
            raise ValueError(f"{self.table.name}: columns of lengths {sorted(lengths)} and names {sorted(columns)}")
        return lengths.pop()

    def _keep(self, columns: Columns, start: int, count: int) -> None:
        need = self._held + count
        for column in self.table.columns:
            if column.dtype == "string":
                continue
            buffer = self._buffer.get(column.name)
            if buffer is None or buffer.shape[0] < need:
                size = min(self._capacity, max(need, 2 * (0 if buffer is None else buffer.shape[0]), 4096))
                masked = column.nullable and not column.dtype.startswith("float")
                grown = np.empty(size, dtype=column.dtype)
                if masked:
                    grown = np.ma.MaskedArray(grown, mask=np.zeros(size, dtype=np.bool_))
                if buffer is not None:
                    grown[: self._held] = buffer[: self._held]
                self._buffer[column.name] = buffer = grown
            part = columns[column.name][start : start + count]
            mask = null_mask(column, part) if column.dtype == "float64" else None
            buffer[self._held : need] = part if mask is None else np.where(mask, np.nan, np.ma.getdata(part))

    def flush(self) -> None:
        """Write what is buffered as a row group and give its memory back."""
        if self._held and self._writer is not None:
            columns = {name: buffer[: self._held] for name, buffer in self._buffer.items()}
            strings = {n: pa.concat_arrays(parts) for n, parts in self._strings.items()}
            self._hash.add(columns, strings)
            self._cover(columns)
            if self._on_rows is not None:
                self._on_rows(columns, strings)
            with storing(self._staged):
                self._writer.write_table(to_arrow(self.table, columns, strings), row_group_size=self._held)
        self._buffer, self._held = {}, 0
        for parts in self._strings.values():
            parts.clear()

    def _cover(self, columns: Columns) -> None:
        if self._time is None:
            return
        times = columns[self._time].astype(np.int64, copy=False)
        times = times[times > 0]  # 0 is "no time"
        if times.shape[0]:
            low, high = int(times.min()), int(times.max())
            first, last = self._coverage or (low, high)
            self._coverage = (min(first, low), max(last, high))

    @property
    def content_sha256(self) -> str:
        """Return the content hash of the rows written so far."""
        self.flush()
        return self._hash.hexdigest()

    def seal(
        self,
        *,
        code_fingerprint: str,
        inputs: dict[str, str],
        outcomes: list[CheckOutcome],
        certificate: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Manifest:
        """Finish the staged file: rows, manifest, fsync. The lake is not touched; ``publish`` does that.

        Raises ``LobError`` when storage fails.
        """
        if self._writer is None or self._manifest is not None:
            raise ValueError(f"{self.key}: sealed outside the writer's context, or twice")
        manifest = Manifest(
            schema_version=self.table.version,
            table=self.table.name,
            market=str(self.key.market),
            date=self.key.date,
            clock=self.key.clock,
            rows=self.rows,
            content_sha256=self.content_sha256,
            coverage=self._coverage,
            code_fingerprint=code_fingerprint,
            inputs=dict(inputs),
            outcomes=tuple(outcomes),
            certificate=certificate,
            extra={**(extra or {}), **self.key.facts},
        )
        with storing(self._staged):
            self._writer.add_key_value_metadata({FOOTER_KEY: manifest.to_json()})
            self._writer.close()
            with self._staged.open("rb") as handle:
                os.fsync(handle.fileno())
        self._manifest = manifest
        return manifest

    def publish(self) -> Path:
        """Move the sealed file into the lake; when it is not usable, into quarantine with the standing partition.

        Durable on return. Returns where the file went.
        """
        if self._manifest is None:
            raise ValueError(f"{self.key}: published before it was sealed")
        if self._manifest.usable:
            replace_into(self._staged, self.path)
            write_certificate(self.path.parent, self._manifest)
        else:
            self.path = quarantine(self.home, self.key, self._staged, self._manifest)
        return self.path

    def commit(
        self,
        *,
        code_fingerprint: str,
        inputs: dict[str, str],
        outcomes: list[CheckOutcome],
        certificate: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Manifest:
        """Seal and publish at once: what a stage of one partition does. ``path`` says where the file went."""
        manifest = self.seal(
            code_fingerprint=code_fingerprint, inputs=inputs, outcomes=outcomes, certificate=certificate, extra=extra
        )
        self.publish()
        return manifest

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None and self._manifest is None:
                _abandon(self._writer)
            self._staged.unlink(missing_ok=True)
        finally:
            self._writer, self._buffer = None, {}
            self._lock.__exit__(kind, error, trace)


def _abandon(writer: pq.ParquetWriter) -> None:
    """Close a writer whose file is about to be removed; a disk that was full for its rows is for its footer too."""
    try:
        writer.close()
    except OSError:
        writer.is_open = False  # else its finaliser would write the footer again
