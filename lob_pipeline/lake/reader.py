"""Open a partition: the one way in which anything reads the lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.tables import Table
from lob_pipeline.lake.columns import arrow_schema, to_numpy
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import ABSENT, Manifest, damaged, manifest_of_metadata, read_manifest
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.quarantine import newest_refusal

__all__ = [
    "Partition",
    "content_or_absent",
    "list_partitions",
    "must_follow",
    "open_file",
    "open_partition",
    "open_standing",
    "read_manifest",
]

_COMMAND = {
    "l2_events": "lob ingest {market} PATH",
    "trades": "lob ingest {market} PATH",
    "quotes": "lob ingest {market} PATH",
    "book_snapshots": "lob books {market} {date}",
    "seasonal_profile": "lob profile {market} {date}",
    "features": "lob features {market} {date}",
    "labels": "lob labels {market} {date}",
    "predictions": "lob predict {market} {date} --bundle DIR",
}


class Partition:
    """An open partition file. Manifest and rows come from one file handle, so a replace meanwhile mixes nothing.

    A context manager; string columns are read by ``strings``, all others by ``read`` and ``chunks``.
    """

    def __init__(self, path: Path, table: Table, key: PartitionKey) -> None:
        self.path, self.table, self.key = path, table, key
        try:
            self._source = pa.memory_map(str(path))
            self._file = pq.ParquetFile(self._source)
        except pa.ArrowInvalid as error:
            raise damaged(path, error) from error
        self.manifest: Manifest = manifest_of_metadata(self._file.metadata.metadata, path)
        _must_be_of(self.manifest, key, path)
        stored = self._file.schema_arrow
        expected = arrow_schema(table)
        if (
            self.manifest.schema_version != table.version
            or stored.names != expected.names
            or ([f.type for f in stored] != [f.type for f in expected])
        ):
            raise RefusedError(
                f"{path} has another schema than {table.name} version {table.version}: rebuild it with {_command(key)}"
            )

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return int(self._file.metadata.num_rows)

    def read(self, columns: list[str] | None = None) -> Columns:
        """Return whole columns as numpy arrays; all but the string columns when none are named."""
        names = self._names(columns)
        return to_numpy(self.table, self._file.read(columns=names, use_threads=True), names)

    def chunks(self, rows: int, columns: list[str] | None = None) -> Iterator[Columns]:
        """Yield the columns in stream order, at most ``rows`` rows at a time, holding one row group in memory."""
        names = self._names(columns)
        for group in range(self._file.num_row_groups):
            data = self._file.read_row_group(group, columns=names, use_threads=True)
            whole = to_numpy(self.table, data, names)
            for start in range(0, data.num_rows, rows):
                yield {name: whole[name][start : start + rows] for name in names}

    def tail(self, rows: int, columns: list[str] | None = None) -> Columns:
        """Return the last ``rows`` rows (fewer where there are fewer), reading only the row groups that hold them."""
        names = self._names(columns)
        first, found = self._file.num_row_groups, 0
        while first > 0 and found < rows:
            first -= 1
            found += self._file.metadata.row_group(first).num_rows
        data = self._file.read_row_groups(list(range(first, self._file.num_row_groups)), columns=names)
        return {n: v[max(0, found - rows) :] for n, v in to_numpy(self.table, data, names).items()}

    def stretch(self, start: int, stop: int, columns: list[str] | None = None) -> Columns:
        """Return the rows [start, stop), reading only the row groups that hold them; string columns where named."""
        names = columns or [c.name for c in self.table.columns]
        first = groups_start = 0
        groups: list[int] = []
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if first < stop and first + rows > start:
                groups_start = first if not groups else groups_start
                groups.append(group)
            first += rows
        data = self._file.read_row_groups(groups, columns=names)
        found = to_numpy(self.table, data, names)
        return {n: v[start - groups_start : stop - groups_start] for n, v in found.items()}

    def strings(self, column: str) -> pa.StringArray:
        """Return a string column."""
        return self._file.read(columns=[column]).column(column).combine_chunks()

    def _names(self, columns: list[str] | None) -> list[str]:
        return columns or [c.name for c in self.table.columns if c.dtype != "string"]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._source.close()

    def __enter__(self) -> Partition:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _must_be_of(manifest: Manifest, key: PartitionKey, path: Path) -> None:
    """Raise ``RefusedError`` for a file copied or moved here: it has passed no gate of this partition."""
    if not manifest.is_of(key):
        what = " ".join(part for part in (manifest.table, manifest.market, manifest.date, manifest.clock) if part)
        raise RefusedError(f"{path} holds another partition ({what}): remove it and run {_command(key)}")


def _command(key: PartitionKey) -> str:
    command = _COMMAND.get(key.table, "lob run --market {market}").format(market=key.market, date=key.date)
    clock = f" --clock {key.clock}" if key.clock and key.table in _COMMAND else ""
    return f"`{command}{clock}`"


def open_partition(home: Home, key: PartitionKey, table: Table, require_usable: bool = True) -> Partition:
    """Open the partition of ``key`` in the lake.

    Raises ``RefusedError`` (exit 3) when it is absent (saying what to run, or why it was refused), of another schema,
    or, with ``require_usable``, when its gates are absent or one of them refused.
    """
    path = key.path(home)
    try:
        partition = Partition(path, table, key)
    except FileNotFoundError:
        refused = newest_refusal(home, key)
        if refused is not None:
            why = read_manifest(refused).refusal
            raise RefusedError(f"{key} was refused ({why}): see {refused.parent}") from None
        raise RefusedError(f"{key} is not in the lake {home.lake}: run {_command(key)}") from None
    if require_usable and not partition.manifest.usable:
        why = partition.manifest.refusal
        partition.close()
        raise RefusedError(f"{key} may not be used: {why}; rebuild it with {_command(key)}")
    return partition


def open_standing(home: Home, key: PartitionKey, table: Table) -> Partition | None:
    """Open a partition that an ingest need not have made: None where it never stood.

    Raises ``RefusedError`` as ``open_partition`` where it was refused, or stands and may not be used: a stage that
    went on without it would drop a check.
    """
    if not key.path(home).exists() and newest_refusal(home, key) is None:
        return None
    return open_partition(home, key, table)


def must_follow(made: Partition, source: Partition) -> None:
    """Raise ``RefusedError`` when ``made`` records another content of ``source`` than the one that stands."""
    recorded = made.manifest.inputs.get(f"{source.key.table}/{source.key.date}")
    if recorded not in (None, source.manifest.content_sha256):
        raise RefusedError(
            f"{made.key} was built from other {source.key.table} than the lake holds now: run {_command(made.key)}"
        )


def open_file(path: Path, table: Table, key: PartitionKey) -> Partition:
    """Open a partition file wherever it lies (``lob verify`` reads quarantined ones), whatever its gates say."""
    return Partition(path, table, key)


def content_or_absent(home: Home, key: PartitionKey) -> str:
    """Return the content SHA-256 of a usable partition, ``absent`` when there is none: what ``inputs`` records.

    A damaged file, or one of another partition, is none.
    """
    path = key.path(home)
    try:
        manifest = read_manifest(path)
        _must_be_of(manifest, key, path)
    except (FileNotFoundError, RefusedError):
        return ABSENT
    return manifest.content_sha256 if manifest.usable else ABSENT
