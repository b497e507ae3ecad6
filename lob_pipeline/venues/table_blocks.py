"""From rows of a table to book messages: which rows are one message, and the ids that make them a chain.

A table of level changes that names no ids gets some: one more a message, so that every venue's rule of following holds;
a snapshot in mid-stream jumps by two, because nothing tells what was missed before it. They begin at the file's first
time in microseconds: two files of a market never share one, and no file continues another by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, Sequence
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.core.units import NS_PER_US
from lob_pipeline.venues import job as card
from lob_pipeline.venues import table_csv
from lob_pipeline.venues.block import BookMessages, DecodedBlock, Int64s, QuoteRows, TradeRows
from lob_pipeline.venues.job import Job, address
from lob_pipeline.venues.lines import UnreadableError
from lob_pipeline.venues.source import BLOCK_BYTES, open_source
from lob_pipeline.venues.table_kernel import LEVEL_PREV, LEVEL_SNAPSHOT, LEVEL_UPDATE, scan_block

_SAME_MESSAGE = (card.EVENT_NS, card.RECV_NS, LEVEL_SNAPSHOT, LEVEL_UPDATE)


def no_trades() -> TradeRows:
    """Return no trades."""
    none, small = np.empty(0, np.int64), np.empty(0, np.int8)
    return TradeRows(none, none, none, none, none, pa.array([], pa.string()), small, none, none, small)


def no_quotes() -> QuoteRows:
    """Return no quotes."""
    none = np.empty(0, np.int64)
    return QuoteRows(none, none, none, none, none, none, none, none, none)


class LevelMessages:
    """Joins level rows (columns of ``venues.job`` trades) into messages; the last one waits for what may follow."""

    def __init__(self, sequence: Sequence) -> None:
        self._sequence = sequence
        self._waiting = np.empty((0, card.TRADE_WIDTH), np.int64)
        self._last_id = -1
        self._begun = False

    def take(self, rows: Int64s, last: bool = False) -> BookMessages:
        """Return the messages that are complete; with ``last`` all of them."""
        rows = np.concatenate([self._waiting, rows])
        change = np.ones(len(rows), np.bool_)
        change[1:] = (rows[1:, _SAME_MESSAGE] != rows[:-1, _SAME_MESSAGE]).any(axis=1)
        starts = np.flatnonzero(change)
        cut = len(rows) if last or not len(starts) else int(starts[-1])
        self._waiting = rows[cut:].copy()
        starts = starts[starts < cut]
        rows = rows[:cut]
        heads = rows[starts]
        snapshot = heads[:, LEVEL_SNAPSHOT] == 1
        ids, prev = self._ids(heads, snapshot)
        return BookMessages(
            line=heads[:, card.LINE].copy(),
            offset=heads[:, card.OFFSET].copy(),
            ts_event_ns=heads[:, card.EVENT_NS].copy(),
            ts_recv_ns=heads[:, card.RECV_NS].copy(),
            update_id=ids,
            first_update_id=np.full(len(heads), -1, np.int64),
            prev_update_id=np.where(snapshot, -1, prev),
            seq=np.full(len(heads), -1, np.int64),
            kind=np.where(snapshot, KIND_SNAPSHOT, KIND_DELTA).astype(np.int8),
            level_start=np.append(starts, cut).astype(np.int64),
            side=rows[:, card.SIDE].astype(np.int8),
            price_ticks=rows[:, card.PRICE].copy(),
            size_lots=rows[:, card.SIZE].copy(),
        )

    def _ids(self, heads: Int64s, snapshot: np.ndarray) -> tuple[Int64s, Int64s]:
        """Return (update id, previous id) of messages, from the table or made."""
        own, claimed = heads[:, LEVEL_UPDATE], heads[:, LEVEL_PREV]
        if not len(heads):
            return own.copy(), claimed.copy()
        if (own >= 0).all():
            before = np.append(self._last_id, own[:-1]) if self._sequence != "plus_one" else own - 1
            self._last_id = int(own[-1])
            self._begun = True
            return own.copy(), np.where(claimed >= 0, claimed, before)
        steps = 1 + snapshot.astype(np.int64)
        if not self._begun:
            self._last_id, self._begun = int(heads[0, card.EVENT_NS]) // NS_PER_US - int(steps[0]), True
        made = self._last_id + np.cumsum(steps)
        self._last_id = int(made[-1])
        return made, made - 1


def csv_levels(path: Path, instrument: Instrument, _info: object) -> Iterator[DecodedBlock]:
    """Yield the rows of a CSV table of level changes (``Form.blocks``)."""
    job, messages = Job(instrument), LevelMessages(instrument.sequence)
    line = 0
    for data, size, offset in open_source(path, BLOCK_BYTES):
        job.renew(size)
        _scan(path, job, data, size, line, offset)
        rows = job.trades[: job.card[card.N_TRADES]]
        rows[:, card.LINE] += line
        rows[:, card.OFFSET] += offset
        _one_kind_of_ids(path, rows)
        yield _block(job, messages.take(rows), line, offset)
        line += int(job.card[card.N_LINES])
    job.renew(0)
    yield _block(job, messages.take(job.trades[:0], last=True), line, 0)


def _block(job: Job, book: BookMessages, line: int, offset: int) -> DecodedBlock:
    rounded, lines = int(job.card[card.N_ROUNDED]), int(job.card[card.N_LINES])
    return DecodedBlock(line, lines, offset, book, no_trades(), no_quotes(), rounded)


def _one_kind_of_ids(path: Path, rows: Int64s) -> None:
    named = rows[:, LEVEL_UPDATE] >= 0
    if named.any() and not named.all():
        row = rows[int(np.argmin(named))]
        raise BadInputError(
            f"{path}, line {row[card.LINE] + 1}, byte {row[card.OFFSET]} of the inflated data: expected an update_id "
            "as in other rows, found a row without one"
        )


def _scan(path: Path, job: Job, data: bytes | bytearray, size: int, first_line: int, offset: int) -> None:
    base, position = address(np.frombuffer(data, dtype=np.uint8)), 0
    while (position := scan_block(base, position, size, job.address)) < size:
        end = data.index(b"\n", position)
        try:
            table_csv.read_line(bytes(data[position:end]), position, job)
        except UnreadableError as error:
            line = first_line + int(job.card[card.N_LINES]) + 1
            raise BadInputError(
                f"{path}, line {line}, byte {offset + position + error.at} of the inflated data: {error}; nothing of "
                "the file was kept: repair or cut it there, or give the market it belongs to"
            ) from error
        job.card[card.N_LINES] += 1
        position = end + 1
