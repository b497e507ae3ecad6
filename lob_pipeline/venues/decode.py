"""Entry of the room: a recorded file, or one live message, to integer rows through the same scanners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.memory import PADDING
from lob_pipeline.venues import job as card
from lob_pipeline.venues.block import DecodedBlock, Int64s
from lob_pipeline.venues.depths import DepthPlan, DepthReader, deepest
from lob_pipeline.venues.detect import FileInfo, detect_file
from lob_pipeline.venues.form import Decoder, FileReader, Format
from lob_pipeline.venues.forms import decoder_of, form_of
from lob_pipeline.venues.job import Job, address, finish
from lob_pipeline.venues.lines import UnreadableError
from lob_pipeline.venues.segment import Tolerant, unwrapped
from lob_pipeline.venues.source import BLOCK_BYTES, open_source
from lob_pipeline.venues.stamps import scan_seconds_lines

_BYBIT = "bybit_messages"
_LINE_END = b"\n" * (1 + PADDING)


def decode_file(
    path: Path,
    instrument: Instrument,
    recv_times: Int64s | None = None,
    info: FileInfo | None = None,
    depths: DepthPlan | None = None,
) -> Iterator[DecodedBlock]:
    """Yield the rows of a recorded file, block by block, in file order.

    ``recv_times``: nanoseconds, one a line of the file (``read_recv_times``); without it rows have the receive time
    that stands in their line, else 0. ``info``: what ``detect_file`` said, when it was asked before.
    ``depths``: which depth of a Bybit book is the book; without it the deepest that the file begins with.
    Raises ``BadInputError`` for anything that is not a message of ``instrument`` in the file's format, naming file,
    line, byte of the inflated data, what was expected and what was found; blocks before it may have been yielded.
    """
    info = info or detect_file(path)
    info.require(instrument.market)
    form = form_of(info.format)
    if form.blocks is not None:
        yield from form.blocks(path, instrument, info)
        return
    if info.segment is not None:
        yield from _decode_segment(path, instrument, info, depths)
        return
    decoder = decoder_of(info.format)
    job = Job(instrument, decoder.spelling)
    read, reader = _file_reader(path, info, decoder, job, depths)
    line = 0
    for data, size, offset in open_source(path, BLOCK_BYTES):
        job.renew(size)
        _scan(path, decoder, read, job, data, size, line, offset)
        lines = int(job.card[card.N_LINES])
        if recv_times is not None and line + lines > len(recv_times):
            raise BadInputError(_recv_mismatch(path, len(recv_times), f"at least {line + lines}"))
        block = finish(job, np.frombuffer(data, dtype=np.uint8), line, offset, recv_times)
        facts = _facts(info, job, block, reader)
        yield replace(block, checksums=reader.checksums() if reader else None, facts=facts)
        line += lines
    if recv_times is not None and line != len(recv_times):
        raise BadInputError(_recv_mismatch(path, len(recv_times), str(line)))


def _decode_segment(
    path: Path, instrument: Instrument, info: FileInfo, depths: DepthPlan | None
) -> Iterator[DecodedBlock]:
    """Yield the rows of a recorder's segment: the venue's messages with the recorder's receive times."""
    decoder = decoder_of(info.format)
    job = Job(instrument, decoder.spelling)
    read, reader = _file_reader(path, info, decoder, job, depths)
    tolerant = Tolerant(path, read, job)
    line = known = 0
    for (data, size, offset), recv_ns, unread in unwrapped(path, BLOCK_BYTES):
        job.renew(size)
        _scan(path, decoder, tolerant, job, data, size, line, offset)
        block = finish(job, np.frombuffer(data, dtype=np.uint8), line, offset, None)
        for rows in (block.book, block.trades, block.quotes):
            rows.ts_recv_ns[:] = recv_ns[rows.line - line]
        skipped = {"unread": unread, "unreadable": tolerant.unreadable - known}
        known, line = tolerant.unreadable, line + int(job.card[card.N_LINES])
        yield replace(
            block,
            skipped={**block.skipped, **{why: count for why, count in skipped.items() if count}},
            checksums=reader.checksums() if reader else None,
            facts=_facts(info, job, block, reader),
        )
    tolerant.judge(line)


def _facts(info: FileInfo, job: Job, block: DecodedBlock, reader: FileReader | None) -> dict[str, int]:
    """Return what was counted of a block: by its form's reader, and the two clocks of Bybit's messages."""
    counted = reader.facts() if reader else {}
    if info.format != _BYBIT or not len(block.book):
        return counted
    return {**counted, **{name: int(job.card[k]) for name, k in card.CLOCKS.items()}}


def _recv_mismatch(path: Path, times: int, lines: str) -> str:
    return (
        f"{path} has {lines} lines but {times} receive times: expected one a line; these files do not belong together"
    )


def _file_reader(
    path: Path, info: FileInfo, decoder: Decoder, job: Job, depths: DepthPlan | None
) -> tuple[Callable[[bytes, int], None], FileReader | None]:
    """Return the reader of a whole file: of Bybit's, one that keeps other depths of the symbol as witnesses."""
    if info.format != _BYBIT:
        return _reader(decoder, job)
    reader = DepthReader(job, depths or DepthPlan(deepest(path, job.instrument.market.symbol)))
    return reader.read, reader


def _reader(decoder: Decoder, job: Job) -> tuple[Callable[[bytes, int], None], FileReader | None]:
    """Return what reads the lines that the scan leaves, and the reader with a memory where the form has one."""
    if decoder.begin is None:
        return partial(_read_stateless, decoder, job), None
    reader = decoder.begin(job)
    return reader.read, reader


def _read_stateless(decoder: Decoder, job: Job, line: bytes, offset: int) -> None:
    decoder.read(line, offset, job)


def _scan(
    path: Path,
    decoder: Decoder,
    read: Callable[[bytes, int], None],
    job: Job,
    data: bytes | bytearray,
    size: int,
    first_line: int,
    offset: int,
) -> None:
    base = address(np.frombuffer(data, dtype=np.uint8))
    position = 0
    while (position := decoder.scan(base, position, size, job.address)) < size:
        end = data.index(b"\n", position)
        try:
            read(bytes(data[position:end]), position)
        except UnreadableError as error:
            line = first_line + int(job.card[card.N_LINES]) + 1
            raise BadInputError(
                f"{path}, line {line}, byte {offset + position + error.at} of the inflated data: {error}; nothing of "
                f"the file was kept: repair or cut it there, or give the market it belongs to"
            ) from error
        job.card[card.N_LINES] += 1
        position = end + 1


def read_recv_times(path: Path) -> Int64s:
    """Return the receive times of a ``*.recv_ts.txt`` file: decimal seconds a line, exact to the nanosecond.

    int64 (lines,). Raises ``BadInputError`` with the byte offset of a line that is no such time.
    """
    parts = []
    for data, size, offset in open_source(path):
        out = np.empty(data.count(b"\n", 0, size), dtype=np.int64)
        base = address(np.frombuffer(data, dtype=np.uint8))
        stopped, _ = scan_seconds_lines(base, base + size, address(out))
        if stopped != base + size:
            raise BadInputError(
                f"{path}, byte {offset + stopped - base}: expected a receive time in decimal seconds a line, such as "
                "1786310819.720003; recreate the file or leave it out"
            )
        parts.append(out)
    return np.concatenate(parts)


class LiveDecoder:
    """Decodes one message at a time with the scanners of ``decode_file``, into buffers that it reuses.

    After ``decode`` the rows stand in ``job`` (``venues.job``: ``messages``, ``sides``, ``prices``, ``sizes``,
    ``trades``, ``quotes`` and the counters on ``card``) until the next call; ``block`` is a copy of them.
    """

    def __init__(self, instrument: Instrument, format: Format, max_bytes: int = 1 << 20) -> None:
        self._decoder = decoder_of(format)
        self._buffer = np.zeros(max_bytes + len(_LINE_END), dtype=np.uint8)
        self._bytes = memoryview(self._buffer.data)
        self._base = address(self._buffer)
        self._max_bytes = max_bytes
        self.job = Job(instrument, self._decoder.spelling)
        self.job.renew(max_bytes)
        self._read, self._reader = _reader(self._decoder, self.job)
        self._counters = self.job.card[card.COUNTERS]

    def decode(self, message: bytes, recv_ns: int = 0) -> Job:
        """Decode one message (no newline in it) received at ``recv_ns``; return the job that holds its rows.

        Raises ``BadInputError`` as ``decode_file`` does, naming the byte of the message.
        """
        size = len(message)
        if size > self._max_bytes or b"\n" in message:
            raise BadInputError(f"a live message of {size} bytes: expected one line of at most {self._max_bytes} bytes")
        self._bytes[:size] = message
        self._bytes[size : size + len(_LINE_END)] = _LINE_END
        self._counters.fill(0)
        self.job.card[card.RECV_NS_HERE] = recv_ns
        if self._decoder.scan(self._base, 0, size + 1, self.job.address) <= size:
            try:
                self._read(message, 0)
            except UnreadableError as error:
                raise BadInputError(f"live message, byte {error.at}: {error}") from error
            self.job.card[card.N_LINES] += 1
        return self.job

    def block(self) -> DecodedBlock:
        """Return the last message's rows as a block of its own."""
        found = finish(self.job, self._buffer, 0, 0, None)
        if self._reader is None:
            return found
        return replace(found, checksums=self._reader.checksums(), facts=self._reader.facts())
