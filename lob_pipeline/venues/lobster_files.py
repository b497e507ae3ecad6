"""LOBSTER's files: what their names say, and both of them read side by side, whether packed in one zip or not."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.memory import PADDING
from lob_pipeline.core.units import NS_PER_S, parse_date
from lob_pipeline.venues import lobster_kernel as kernel
from lob_pipeline.venues.job import address
from lob_pipeline.venues.source import BLOCK_BYTES, MAX_INFLATED_BYTES, MAX_LINE_BYTES, MAX_RATIO, Block, open_source

Int64s = npt.NDArray[np.int64]

EXCHANGE_ZONE = "America/New_York"
_NAME = re.compile(
    r"([A-Z][A-Z0-9]{0,15})_(\d{4}-\d{2}-\d{2})_(\d{1,8})_(\d{1,8})_(message|orderbook)_([1-9]\d{0,2})\.csv"
    r"(?:\.gz|\.zst)?\Z"
)
_PIECE_BYTES = 1 << 20
_SHORTEST_MESSAGE = 12  # "0,1,0,0,1,1" and a line end: bounds how many fit a block


@dataclass(frozen=True)
class Name:
    """What a LOBSTER file name says: symbol, local day, kind (``message`` or ``orderbook``), levels a side."""

    text: str
    symbol: str
    date: str
    kind: str
    levels: int

    @property
    def midnight_ns(self) -> int:
        """UTC nanosecond of 00:00 New York time of the day (clocks change on Sundays, when nothing trades)."""
        noon = dt.datetime.combine(parse_date(self.date), dt.time(12), ZoneInfo(EXCHANGE_ZONE))
        return (int(noon.timestamp()) - 12 * 3600) * NS_PER_S

    def other(self) -> str:
        """Return the name of the file that belongs to this one."""
        one, two = ("_message_", "_orderbook_") if self.kind == "message" else ("_orderbook_", "_message_")
        return self.text.replace(one, two)


def parse_name(text: str) -> Name | None:
    """Return what a file name says, None for names that are not LOBSTER's."""
    found = _NAME.match(text)
    if not found:
        return None
    parse_date(found[2])
    return Name(text, found[1], found[2], found[5], int(found[6]))


def members(path: Path) -> tuple[Name, Name] | None:
    """Return the names of the message and the book file in a zip, None where it holds no LOBSTER file (or is damaged).

    Raises ``BadInputError`` for a zip that holds anything but one of each, of one symbol and day.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for entry in archive.infolist() if (name := parse_name(entry.filename))]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError):
        return None  # what reads zip archives of messages says what is wrong with it
    if not names:
        return None
    messages = [n for n in names if n.kind == "message"]
    if len(names) != 2 or len(messages) != 1 or messages[0].other() not in [n.text for n in names]:
        raise BadInputError(
            f"{path} holds {', '.join(n.text for n in names)}: expected one message file and the orderbook file of the "
            "same symbol, day and levels; pack each day on its own"
        )
    return messages[0], next(n for n in names if n.kind == "orderbook")


def _member_blocks(path: Path, member: str) -> Iterator[Block]:
    """Yield the lines of a zip's member in blocks cut at line ends, its checksum verified by the end."""
    packed = path.stat().st_size
    held, offset, inflated = b"", 0, 0
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            while piece := file.read(_PIECE_BYTES):
                inflated += len(piece)
                if inflated > min(MAX_INFLATED_BYTES, max(MAX_RATIO * packed, 64 * _PIECE_BYTES)):
                    raise BadInputError(
                        f"{path}: {member} inflates to more than {inflated - len(piece)} bytes from {packed}: it looks "
                        "like a decompression bomb; nothing was read"
                    )
                held += piece
                cut = held.rfind(b"\n") + 1
                if cut >= BLOCK_BYTES:
                    yield Block(held[:cut] + b"\n" * PADDING, cut, offset)
                    held, offset = held[cut:], offset + cut
                elif len(held) > MAX_LINE_BYTES and not cut:
                    raise BadInputError(f"{path}: no line end in {len(held)} bytes of {member} from byte {offset}")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BadInputError(
            f"{path}: {member} is damaged before byte {offset + len(held)} ({error}): fetch it again"
        ) from error
    if held:
        whole = held if held.endswith(b"\n") else held + b"\n"
        yield Block(whole + b"\n" * PADDING, len(whole), offset)


@dataclass(frozen=True)
class Pair:
    """The message file and the book file of one symbol and day: two files, or one zip that holds both."""

    path: Path
    messages: Name
    book: Name
    book_path: Path

    def pieces(self) -> Iterator[tuple[int, int, Int64s, Int64s]]:
        """Yield (first line, byte of the block, messages (n, 7), book rows (n, 4·levels)) until both files end.

        Message columns as in ``lobster_kernel``. Raises ``BadInputError`` naming file, line and byte.
        """
        packed = self.path == self.book_path
        texts = _member_blocks(self.path, self.messages.text) if packed else open_source(self.path)
        books = _member_blocks(self.path, self.book.text) if packed else open_source(self.book_path)
        rows = _BookRows(self.book, books)
        line = 0
        for data, size, offset in texts:
            out = np.empty((size // _SHORTEST_MESSAGE + 1, kernel.MESSAGE_COLUMNS), np.int64)
            base = address(np.frombuffer(data, np.uint8))
            stopped, n, wrong = kernel.scan_messages(base, 0, size, address(out))
            if stopped != size:
                raise unreadable(self.messages, line + n, offset + wrong, "time,type,id,size,price,direction")
            yield line, offset, out[:n].copy(), rows.take(n, line)
            line += n
        rows.must_end(line)


def unreadable(name: Name, line: int, byte: int, expected: str) -> BadInputError:
    """Return the error for a line (counted from 0) that cannot be read."""
    return BadInputError(
        f"{name.text}, line {line + 1}, byte {byte} of the inflated data: expected {expected}; nothing of the file was "
        "kept: repair or fetch it again"
    )


class _BookRows:
    """The book file's rows, taken in the numbers in which messages come."""

    def __init__(self, name: Name, blocks: Iterator[Block]) -> None:
        self._name, self._blocks, self._columns = name, blocks, 4 * name.levels
        self._block = Block(b"", 0, 0)
        self._at = 0

    def take(self, count: int, line: int) -> Int64s:
        """Return the next ``count`` rows; ``line`` counts those taken before."""
        out = np.empty((count, self._columns), np.int64)
        have = 0
        while have < count:
            if self._at == self._block.size and not self._next():
                raise BadInputError(
                    f"{self._name.text} ends after {line + have} rows, its message file goes on: expected one row a "
                    "message; these files do not belong together"
                )
            data, size, offset = self._block
            base = address(np.frombuffer(data, np.uint8))
            room = address(out[have:])
            self._at, n, wrong = kernel.scan_book_rows(base, self._at, size, self._columns, count - have, room)
            have += n
            if wrong >= 0:
                raise unreadable(self._name, line + have, offset + wrong, f"{self._columns} whole numbers")
        return out

    def _next(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        self._block, self._at = block, 0
        return True

    def must_end(self, line: int) -> None:
        """Raise ``BadInputError`` where rows are left over; reads the checksums at the end of the file too."""
        if self._at < self._block.size or next(self._blocks, None) is not None:
            raise BadInputError(
                f"{self._name.text} has more rows than the {line} messages: these files do not belong together"
            )
