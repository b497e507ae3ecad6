"""The archive's files: a zip with one streamed member, a gzip stream. Same input, same bytes: no clock, no host name.

Both are written beside their target and renamed when complete, so a file that exists is whole.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from isal import isal_zlib

from lob_pipeline.core.errors import LobError

LEVEL = 1
_VERSION, _DEFLATED, _UTF8 = 20, 8, 0x0800
_EPOCH_TIME, _EPOCH_DATE = 0, 0x21  # 1980-01-01 00:00, the earliest a zip can say
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LIMIT = 2**32 - 1


class _Staged:
    """A file that appears under its name only when it was closed without an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._file: BinaryIO = self._part.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
                self._file.flush()
                os.fsync(self._file.fileno())
        except BaseException:
            self._file.close()
            self._part.unlink()
            raise
        self._file.close()
        if kind is None:
            os.replace(self._part, self.path)
        else:
            self._part.unlink()

    def _finish(self) -> None:
        raise NotImplementedError


class ZipMember(_Staged):
    """Writes a zip archive with one deflated member, fed piece by piece (use as a context manager)."""

    def __init__(self, path: Path, member: str) -> None:
        super().__init__(path)
        self._name = member.encode("utf-8")
        self._deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -15)
        self._crc, self._plain, self._packed = 0, 0, 0
        self._file.write(self._local())

    def _fields(self) -> tuple[int, ...]:
        return (_UTF8, _DEFLATED, _EPOCH_TIME, _EPOCH_DATE, self._crc, self._packed, self._plain, len(self._name), 0)

    def _local(self) -> bytes:
        return _LOCAL.pack(0x04034B50, _VERSION, *self._fields()) + self._name

    def write(self, data: bytes | memoryview) -> None:
        """Append to the member."""
        self._crc = isal_zlib.crc32(data, self._crc)
        self._plain += len(data)
        self._packed += self._file.write(self._deflate.compress(data))

    def _finish(self) -> None:
        self._packed += self._file.write(self._deflate.flush())
        start = self._file.tell()
        if max(start, self._plain) > _LIMIT:
            raise LobError(f"{self.path.name} would exceed 4 GiB, the limit of a plain zip: make fewer minutes a day")
        central = _CENTRAL.pack(0x02014B50, _VERSION, _VERSION, *self._fields(), 0, 0, 0, 0, 0) + self._name
        self._file.write(central)
        self._file.write(_END.pack(0x06054B50, 0, 0, 1, 1, len(central), start, 0))
        self._file.seek(0)
        self._file.write(self._local())


class GzipFile(_Staged):
    """Writes a gzip file piece by piece (use as a context manager)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, 31)

    def write(self, data: bytes | memoryview) -> None:
        """Append to the stream."""
        self._file.write(self._deflate.compress(data))

    def _finish(self) -> None:
        self._file.write(self._deflate.flush())


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it is whole or absent."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)
