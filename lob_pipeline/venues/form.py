"""What a recorded format is to the rest: how it is recognised, whose markets it holds, how it becomes rows.

One declaration a format (``Form``), listed in ``venues.forms.FORMS``; ``venues.detect`` and ``venues.decode`` know no
format by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.venues.block import DecodedBlock
from lob_pipeline.venues.job import Job

if TYPE_CHECKING:
    from lob_pipeline.venues.detect import FileInfo
    from lob_pipeline.venues.source import Container

Format = str
"""The name of a form."""
Stream = Literal["book", "trades", "quotes"]


@dataclass
class Said:
    """What the lines of a file said so far; a form's ``sniff`` writes it.

    ``symbols``, ``streams``: in order of appearance. ``grids``: symbol -> (tick, lot) as decimal strings. ``spot``:
    whether the market is a spot market, None where messages do not tell. ``several``: the format says of each line
    which symbol it is of. ``complete``: further lines would add nothing. ``scratch``: what a form keeps between lines.
    """

    path: Path
    symbols: dict[str, None] = field(default_factory=dict)
    streams: dict[Stream, None] = field(default_factory=dict)
    grids: dict[str, tuple[str, str]] = field(default_factory=dict)
    spot: bool | None = None
    several: bool = False
    complete: bool = False
    scratch: dict[str, Any] = field(default_factory=dict)


class FileReader(Protocol):
    """A reader with a memory of its file: what one line means depends on those before it."""

    def read(self, line: bytes, offset: int) -> None:
        """Append the rows of one line to the job's; raise ``UnreadableError``, and then have changed nothing."""

    def checksums(self) -> tuple[int, int] | None:
        """Return (compared, equal) of the venue's checksums since the last call, None where it sent none."""

    def facts(self) -> dict[str, int]:
        """Return what else was counted since the last call, by name."""


def no_line(_line: bytes, _said: Said) -> bool:
    """The ``sniff`` of a form that is not told by its lines."""
    return False


class Decoder(NamedTuple):
    """How lines are read: ``scan`` (kernel: base, start, end, job -> position) and, for what it leaves, ``read``.

    ``begin`` instead of ``read``: makes the reader of one file, which lives as long as the job.
    """

    scan: Callable[[int, int, int, int], int]
    read: Callable[[bytes, int, Job], None]
    spelling: tuple[str, ...] = ()
    begin: Callable[[Job], FileReader] | None = None


def stop_at_once(_base: int, start: int, _end: int, _job: int) -> int:
    """A ``scan`` that understands nothing: every line goes to the reader."""
    return start


def needs_begin(_line: bytes, _offset: int, _job: Job) -> None:
    """The ``read`` of a form whose lines mean nothing without those before them."""
    raise NotImplementedError("this form is read through Decoder.begin")


@dataclass(frozen=True)
class Form:
    """One recorded format.

    ``sniff(line, said)``: whether the line (not empty) is of this format; what it tells goes into ``said``, which is
    left as it was otherwise. Raises ``UnreadableError`` for a line that cannot be read. The first form whose ``sniff``
    takes the file's first line is the file's form.
    ``likely(symbols, spot)``: the venues whose market it may be, likeliest first.
    ``accepts(venue, spot)``: whether a market of ``venue`` may be read from it.
    ``websocket_of``: venues whose public websocket speaks it.
    ``sniff_file(path, name, container)``: recognises files that are not told by their lines (a zip of several members,
    a binary table, a table told by its header and name); asked before ``sniff``, of every form that has it. ``name``
    is what the file is called: bytes kept by their hash are not called so any more.
    ``decoder``: for formats of one message a line. ``blocks``: for all others, yields a file's rows itself; errors are
    ``BadInputError`` with file, line and byte, as those of ``venues.decode``.
    """

    name: Format
    family: str
    sniff: Callable[[bytes, Said], bool]
    likely: Callable[[tuple[str, ...], bool | None], tuple[str, ...]]
    accepts: Callable[[str, bool | None], bool]
    decoder: Decoder | None = None
    blocks: Callable[[Path, Instrument, FileInfo], Iterator[DecodedBlock]] | None = None
    websocket_of: tuple[str, ...] = ()
    sniff_file: Callable[[Path, str, Container], FileInfo | None] | None = None
