"""What a decoder hands over: the rows of one block of a recorded file, in file order, as numpy columns.

``venues.decode.decode_file`` yields these blocks; ``venues.detect.detect_file`` says what a file is. Three kinds of
rows share one file (book messages, trades, quotes) and each carries ``line``, the 0-based line of the file it came
from, so that streams can be merged in the order in which they were written. Rows of one line keep the order in which
they were sent; a line never yields two kinds, but for the best bid and ask that a checksum vouches for, which follow
their message. Times are nanoseconds UTC, 0 where unknown; ids are -1 where the venue has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_SNAPSHOT

Int64s = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]
Uint8s = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BookMessages:
    """Book messages (m) and their level rows (n).

    A message without levels stays in: it carries the chain's ids. ``kind``: 1 snapshot, 2 delta (core.tables).
    ``first_update_id``: the first id the message covers (Binance ``U``), -1 elsewhere and on snapshots.
    ``prev_update_id``: what it claims to follow (``u - 1``, ``pu``, ``U - 1``), -1 on snapshots.
    Level rows of message ``i`` are ``level_start[i]`` to ``level_start[i + 1]``.
    """

    line: Int64s  # (m,)
    offset: Int64s  # (m,) byte offset of the line in the inflated stream
    ts_event_ns: Int64s  # (m,) matching-engine time, 0 where the message has none (spot REST snapshots)
    ts_recv_ns: Int64s  # (m,)
    update_id: Int64s  # (m,)
    first_update_id: Int64s  # (m,)
    prev_update_id: Int64s  # (m,)
    seq: Int64s  # (m,)
    kind: Int8s  # (m,)
    level_start: Int64s  # (m + 1,)
    side: Int8s  # (n,) +1 bid, -1 ask
    price_ticks: Int64s  # (n,)
    size_lots: Int64s  # (n,) absolute, 0 deletes

    def __len__(self) -> int:
        return int(self.line.shape[0])

    @property
    def level_rows(self) -> int:
        """Number of level rows."""
        return int(self.price_ticks.shape[0])

    @property
    def snapshots(self) -> int:
        """Number of snapshot messages."""
        return int((self.kind == KIND_SNAPSHOT).sum())

    def level_columns(self) -> Columns:
        """Return one row a level: the L2_EVENTS columns but ``order`` and ``conn``, plus ``line`` and ``message``.

        ``message`` is the index into the message arrays. Messages without levels have no row here.
        """
        counts = np.diff(self.level_start)
        message = np.repeat(np.arange(len(self), dtype=np.int64), counts)
        first = np.zeros(self.level_rows, dtype=np.bool_)
        first[self.level_start[:-1][counts > 0]] = True
        out: Columns = {"line": self.line[message], "message": message}
        for name in ("ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id", "seq", "kind"):
            out[name] = getattr(self, name)[message]
        out.update(side=self.side, price_ticks=self.price_ticks, size_lots=self.size_lots, first_in_message=first)
        return out


@dataclass(frozen=True)
class TradeRows:
    """Public trades (t), as sent. ``side`` is the taker's: +1 bought, -1 sold. ``flags``: core.tables FLAG_*."""

    line: Int64s  # (t,)
    offset: Int64s  # (t,) byte offset of the line
    ts_event_ns: Int64s  # (t,)
    ts_recv_ns: Int64s  # (t,)
    seq: Int64s  # (t,)
    trade_id: pa.StringArray  # (t,)
    side: Int8s  # (t,)
    price_ticks: Int64s  # (t,)
    size_lots: Int64s  # (t,)
    flags: Int8s  # (t,)

    def __len__(self) -> int:
        return int(self.line.shape[0])


@dataclass(frozen=True)
class QuoteRows:
    """Best bid and ask as the venue itself published them (q). Certificate only."""

    line: Int64s  # (q,)
    offset: Int64s  # (q,) byte offset of the line
    ts_event_ns: Int64s  # (q,)
    ts_recv_ns: Int64s  # (q,)
    update_id: Int64s  # (q,)
    bid_ticks: Int64s  # (q,)
    bid_lots: Int64s  # (q,)
    ask_ticks: Int64s  # (q,)
    ask_lots: Int64s  # (q,)

    def __len__(self) -> int:
        return int(self.line.shape[0])


@dataclass(frozen=True)
class DecodedBlock:
    """The rows of ``lines`` consecutive lines of one file, starting with line ``first_line``.

    ``off_grid_lots`` counts sizes rounded down to whole lots (only where the instrument allows it). ``skipped`` counts
    lines that are no rows, by reason: ``control`` (acks, pongs), ``other_symbol`` (declared multi-symbol recordings),
    ``other_stream`` (mark prices), ``instrument_info``. Nothing else is ever skipped. ``checksums``: how many of the
    venue's own checksums of its book were compared and equal, None where the format has none. ``clocks``: messages with
    two clocks, of these with both equal, with one alone. ``facts``: what else a format counts, by name.
    """

    first_line: int
    lines: int
    offset: int
    book: BookMessages
    trades: TradeRows
    quotes: QuoteRows
    off_grid_lots: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    checksums: tuple[int, int] | None = None
    clocks: tuple[int, int, int] = (0, 0, 0)
    facts: dict[str, int] = field(default_factory=dict)
