"""Segments of connections that overlapped hold some messages twice: each is kept once, from the segment that has it
first.

Book messages that the chain of the segment before already covers, quotes likewise, and trades by their id. A segment
whose predecessor ended in a gap keeps everything: its snapshot is what makes the book whole again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lob_pipeline.core.tables import KIND_DELTA
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.stages.ingest_blocks import Int64s, take_book, take_rows
from lob_pipeline.venues.block import BookMessages, DecodedBlock, QuoteRows, TradeRows

Days = tuple[Int64s, Int64s, Int64s]
Mask = npt.NDArray[np.bool_]

SLACK_NS = 5 * NS_PER_S
"""How much later than the first connection's last frame the second may still repeat what the first had."""
TRADES_KEPT = 20_000
TRADE_WINDOW_NS = 60 * NS_PER_S


class Overlap:
    """Follows the segments of one lane. ``begin`` a file, then ``without_repeats`` for each of its blocks."""

    def __init__(self, bridged: bool) -> None:
        self._bridged = bridged
        self._last_id = self._quote_id = -1
        self._whole = False
        self._latest_ns = 0
        self._ids: deque[pa.StringArray] = deque()
        self._ids_held = 0
        self._before_ns = 0
        self._before = (-1, -1, False)
        self._before_ids: pa.ChunkedArray | None = None
        self._first_ns = 0

    def begin(self) -> None:
        """A new segment: what was read so far is what it may repeat."""
        self._before_ns, self._before = self._latest_ns, (self._last_id, self._quote_id, self._whole)
        self._before_ids = pa.chunked_array(list(self._ids), type=pa.string()) if self._ids else None
        self._first_ns = 0

    def without_repeats(self, block: DecodedBlock, when: Int64s, days: Days) -> tuple[DecodedBlock, Int64s, Days]:
        """Return the block, its times and days without what the segments before held."""
        book, trades, quotes = block.book, block.trades, block.quotes
        times = [int(rows.ts_recv_ns.min()) for rows in (book, trades, quotes) if len(rows)]
        if not times:
            return block, when, days
        self._first_ns = self._first_ns or min(times)
        keep = self._new_book(book), self._new_trades(trades), self._new_quotes(quotes)
        if not all(mask.all() for mask in keep):
            index = [np.flatnonzero(mask) for mask in keep]
            book, when = take_book(book, index[0]), when[index[0]]
            trades, quotes = take_rows(trades, index[1]), take_rows(quotes, index[2])
            days = (days[0][index[0]], days[1][index[1]], days[2][index[2]])
            block = replace(block, book=book, trades=trades, quotes=quotes)
        self._learn(book, trades, quotes)
        return block, when, days

    def _overlaps(self) -> bool:
        return 0 < self._first_ns < self._before_ns

    def _new_book(self, book: BookMessages) -> Mask:
        last, _, whole = self._before
        if not (whole and self._overlaps()):
            return np.ones(len(book), dtype=np.bool_)
        repeated = (book.update_id <= last) & (book.ts_recv_ns <= self._before_ns + SLACK_NS)
        if self._bridged:
            repeated &= book.kind == KIND_DELTA  # a REST snapshot inside a whole chain is an audit of it
        return ~repeated

    def _new_quotes(self, quotes: QuoteRows) -> Mask:
        if not self._overlaps():
            return np.ones(len(quotes), dtype=np.bool_)
        late = quotes.ts_recv_ns > self._before_ns + SLACK_NS
        return late | (quotes.update_id > self._before[1])

    def _new_trades(self, trades: TradeRows) -> Mask:
        until_ns = max(self._before_ns, self._first_ns) + TRADE_WINDOW_NS
        if self._before_ids is None or not len(trades) or int(trades.ts_recv_ns[0]) > until_ns:
            return np.ones(len(trades), dtype=np.bool_)
        known = pc.is_in(trades.trade_id, value_set=self._before_ids.combine_chunks())
        return ~np.asarray(known, dtype=np.bool_)

    def _learn(self, book: BookMessages, trades: TradeRows, quotes: QuoteRows) -> None:
        for rows in (book, trades, quotes):
            if len(rows):
                self._latest_ns = max(self._latest_ns, int(rows.ts_recv_ns.max()))
        if len(trades):
            self._ids.append(trades.trade_id)
            self._ids_held += len(trades)
            while self._ids_held - len(self._ids[0]) > TRADES_KEPT:
                self._ids_held -= len(self._ids.popleft())
        if len(quotes):
            self._quote_id = int(quotes.update_id[-1])
        if len(book):
            self._follow(book)

    def _follow(self, book: BookMessages) -> None:
        """Find out whether the chain is whole at the block's end, and in which id it ends."""
        delta = book.kind == KIND_DELTA
        chain = np.flatnonzero(delta) if self._bridged else np.arange(len(book))
        snapshots = np.flatnonzero(~delta)
        last_snapshot = int(snapshots[-1]) if snapshots.shape[0] else -1
        last_break = -1
        if chain.shape[0]:
            ids = book.update_id[chain]
            follows = book.prev_update_id[chain] == np.concatenate([[self._last_id], ids[:-1]])
            follows[0] |= self._last_id < 0  # nothing is known of what came before
            broken = chain[~follows & delta[chain]]
            last_break = int(broken[-1]) if broken.shape[0] else -1
            self._last_id = int(ids[-1])
        if last_break >= 0 or last_snapshot >= 0:
            self._whole = last_snapshot > last_break or (self._whole and last_break < 0)

