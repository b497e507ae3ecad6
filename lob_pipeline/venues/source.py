"""Recorded files as a stream of byte blocks cut at line ends: zip (one member), gzip, zstd or plain, by content.

Everything is inflated piece by piece, checked against its checksum, and refused when it is cut short or when it
inflates beyond reason: the memory held is a few blocks, whatever the file.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

import zstandard
from isal import isal_zlib

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.memory import PADDING

_IsalError = cast("type[Exception]", isal_zlib.IsalError)

Container = Literal["zip", "gzip", "zstd", "plain"]

BLOCK_BYTES = 2 << 20
MAX_LINE_BYTES = 64 << 20
MAX_INFLATED_BYTES = 64 << 30
MAX_RATIO = 200
"""Deflate reaches 1032; recorded books inflate 4 to 12 times. Judged once more than ``RATIO_FLOOR_BYTES`` came out."""
RATIO_FLOOR_BYTES = 64 << 20

_READ_BYTES = 256 << 10
_PIECE_BYTES = 1 << 20
_ZSTD_READ_BYTES = 1 << 10  # a zstd block of 4 bytes may inflate to 128 KiB, so 1 KiB to 32 MiB
_ZSTD_WINDOW_BYTES = 128 << 20
_SAFE_MEMBER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. @+-]*\Z")


class Block(NamedTuple):
    """Whole lines: ``data[:size]``, which ends in a newline. At least ``PADDING`` bytes of no meaning follow.

    ``data`` is reused: it is valid until the next block is asked for. ``offset``: position of the first byte in the
    inflated stream.
    """

    data: bytes | bytearray
    size: int
    offset: int


def container_of(path: Path) -> Container:
    """Return how ``path`` is packed, from its first bytes. Raises ``BadInputError`` when it is absent or empty."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror}): give a recorded file") from error
    if not head:
        raise BadInputError(f"{path} is empty (0 bytes): expected recorded market data")
    if head in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head == b"\x28\xb5\x2f\xfd":
        return "zstd"
    return "plain"


def open_source(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the lines of ``path`` in blocks of about ``block_bytes``, each cut at a line end.

    Raises ``BadInputError`` for a file that is absent, empty, truncated, corrupt, encrypted, a bomb, or whose lines
    are longer than ``MAX_LINE_BYTES``. Checksums are known at the end only: keep nothing before the iteration ends.
    """
    container = container_of(path)
    if container == "plain":
        with path.open("rb", buffering=0) as file:
            yield from _blocks(path, _PlainFile(path, file, block_bytes), block_bytes)
    else:
        inflate = {"zip": _zip, "gzip": _gzip, "zstd": _zstd}[container]
        yield from _blocks(path, _Inflated(_bounded(path, inflate(path))), block_bytes)


class _PlainFile:
    """A file as it is: read straight to where its lines are cut."""

    def __init__(self, path: Path, file: FileIO, block_bytes: int) -> None:
        self._path, self._file, self._block_bytes, self._total = path, file, block_bytes, 0

    def append(self, buffer: bytearray, held: int) -> tuple[bytearray, int]:
        """Read on behind the ``held`` bytes of a buffer; return it, or a larger one, and how much it holds then."""
        more = max(self._block_bytes - held, _READ_BYTES)
        buffer = _with_room(buffer, held, more)
        with memoryview(buffer) as whole, whole[held : held + more] as room:
            found = self._file.readinto(room) or 0
        self._total += found
        if self._total > MAX_INFLATED_BYTES:
            raise BadInputError(f"{self._path} is larger than {MAX_INFLATED_BYTES} bytes: give its days as files")
        return buffer, held + found


class _Inflated:
    """A packed file, piece by piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def append(self, buffer: bytearray, held: int) -> tuple[bytearray, int]:
        """As ``_PlainFile.append``."""
        piece = next(self._pieces, b"")
        buffer = _with_room(buffer, held, len(piece))
        buffer[held : held + len(piece)] = piece
        return buffer, held + len(piece)


def _with_room(buffer: bytearray, held: int, more: int) -> bytearray:
    if held + more + PADDING > len(buffer):
        return buffer[:held] + bytearray(2 * (more + PADDING) + held)
    return buffer


def _blocks(path: Path, source: _PlainFile | _Inflated, block_bytes: int) -> Iterator[Block]:
    buffer = bytearray(block_bytes + _PIECE_BYTES + PADDING)
    offset = 0
    held = 0
    while True:
        before = held
        buffer, held = source.append(buffer, held)
        if held == before:
            break
        if held < block_bytes:
            continue
        cut = buffer.rfind(b"\n", 0, held) + 1
        if cut:
            yield Block(buffer, cut, offset)
            buffer[: held - cut] = buffer[cut:held]
            offset += cut
            held -= cut
        elif held > MAX_LINE_BYTES:
            raise BadInputError(
                f"{path}: no line end in the {held} bytes from byte {offset} of the inflated data: "
                "expected one message a line"
            )
    if offset == 0 and not held:
        raise BadInputError(f"{path} holds no data once inflated: expected recorded market data")
    if held:
        last = bytes(buffer[:held])
        lines = last if last.endswith(b"\n") else last + b"\n"
        yield Block(lines + b"\n" * PADDING, len(lines), offset)


def _bounded(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    packed = path.stat().st_size
    inflated = 0
    for piece in pieces:
        inflated += len(piece)
        if inflated > MAX_INFLATED_BYTES or (inflated > RATIO_FLOOR_BYTES and inflated > MAX_RATIO * packed):
            raise BadInputError(
                f"{path} inflates to more than {inflated - len(piece)} bytes from {packed}: it looks like a "
                f"decompression bomb (limits: {MAX_RATIO} times, {MAX_INFLATED_BYTES} bytes); nothing was read"
            )
        yield piece


def _truncated(path: Path, what: str, offset: int) -> BadInputError:
    return BadInputError(
        f"{path}: the {what} ends at byte {offset}, in the middle of its data: the file is truncated; fetch it again"
    )


def _corrupt(path: Path, what: str, offset: int, error: Exception) -> BadInputError:
    return BadInputError(f"{path}: the {what} is corrupt before byte {offset} ({error}): fetch the file again")


def _gzip(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        member = isal_zlib.decompressobj(wbits=31)
        fresh = True  # no byte of this member was seen yet
        waiting = b""
        while waiting or (waiting := file.read(_READ_BYTES)):
            if fresh and not waiting.strip(b"\0"):  # zero padding behind the last member is allowed by gzip
                waiting = b""
                continue
            fresh = False
            try:
                piece = member.decompress(waiting, _PIECE_BYTES)
            except _IsalError as error:
                raise _corrupt(path, "gzip stream", file.tell(), error) from error
            waiting = member.unconsumed_tail
            if piece:
                yield piece
            if member.eof:
                waiting = member.unused_data
                member = isal_zlib.decompressobj(wbits=31)
                fresh = True
        if not fresh:
            raise _truncated(path, "gzip stream", file.tell())


def _zstd(path: Path) -> Iterator[bytes]:
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    with path.open("rb") as file:
        frame = context.decompressobj()
        fresh = True
        waiting = b""
        while waiting or (waiting := file.read(_ZSTD_READ_BYTES)):
            fresh = False
            try:
                piece = frame.decompress(waiting)
            except zstandard.ZstdError as error:
                raise _corrupt(path, "zstd stream", file.tell(), error) from error
            waiting = b""
            if piece:
                yield piece
            if frame.eof:
                waiting = frame.unused_data
                frame = context.decompressobj()
                fresh = True
        if not fresh:
            raise _truncated(path, "zstd stream", file.tell())


def _member(path: Path, file: BinaryIO) -> zipfile.ZipInfo:
    """Return the archive's one member, refusing everything that an exchange's archive never is."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        size = path.stat().st_size
        raise BadInputError(
            f"{path} is not a whole zip archive ({error}; {size} bytes): it is truncated or damaged; fetch it again"
        ) from error
    if len(members) != 1:
        raise BadInputError(f"{path} holds {len(members)} members: expected exactly one file of messages")
    member = members[0]
    if not _SAFE_MEMBER.match(member.filename):
        raise BadInputError(
            f"{path}: member {member.filename!r} is no plain file name: a member with a path is not read; unpack it "
            "yourself if you trust it"
        )
    if member.flag_bits & 1:
        raise BadInputError(f"{path}: member {member.filename!r} is encrypted: expected an open archive")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadInputError(
            f"{path}: member {member.filename!r} uses compression method {member.compress_type}: expected stored (0) "
            "or deflate (8)"
        )
    return member


def _zip(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        member = _member(path, file)
        file.seek(member.header_offset)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise BadInputError(f"{path}: no local header at byte {member.header_offset}: the zip is damaged")
        file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
        crc = 0
        inflated = 0
        for piece in _zip_pieces(path, file, member):
            inflated += len(piece)
            crc = isal_zlib.crc32(piece, crc)
            if inflated > member.file_size:
                break
            yield piece
        if inflated != member.file_size or crc != member.CRC:
            raise BadInputError(
                f"{path}: member {member.filename!r} inflates to {inflated} bytes with checksum {crc:08x}: expected "
                f"{member.file_size} bytes, {member.CRC:08x}; fetch it again"
            )


def _zip_pieces(path: Path, file: BinaryIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    left = member.compress_size
    stream = isal_zlib.decompressobj(wbits=-15) if member.compress_type == zipfile.ZIP_DEFLATED else None
    while left:
        waiting = file.read(min(left, _READ_BYTES))
        if not waiting:
            raise _truncated(path, "zip member", file.tell())
        left -= len(waiting)
        if stream is None:
            yield waiting
            continue
        while waiting and not stream.eof:
            try:
                piece = stream.decompress(waiting, _PIECE_BYTES)
            except _IsalError as error:
                raise _corrupt(path, "zip member", file.tell(), error) from error
            waiting = stream.unconsumed_tail
            if piece:
                yield piece
    if stream is not None and not stream.eof:
        raise _truncated(path, "zip member", file.tell())
