"""Audit snapshots: books that the venue sent and the chain did not need. The rebuilt book must equal them.

A snapshot can be compared where it shows the update that the book shows: the same ``update_id``. Where ids grow by one
a message, a snapshot may carry the id that follows the last delta's; it can then hold that one update's changes, so
equality counts as a match, less than half of the levels in common as a mismatch, anything between as nothing. Venues
with a bridge send snapshots of limited depth to books that never saw their far levels: there the 50 best levels a side
are compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.book.advance import Events
from lob_pipeline.book.grid import LAST_ID, WHOLE, GridState
from lob_pipeline.book.kernel import apply_delta, book_levels
from lob_pipeline.book.matches import digest
from lob_pipeline.book.pool import reserve
from lob_pipeline.book.sequence import BRIDGE, MODES, PLUS_ONE
from lob_pipeline.book.state import BookState, Int8Array, Int64Array, copy_book
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_CARRIED, KIND_SNAPSHOT

BRIDGE_LEVELS = 50
Levels = set[tuple[int, int, int]]


def _levels(side: Int8Array, price: Int64Array, size: Int64Array, best: int | None) -> Levels:
    """Return the levels as a set, of each side only the ``best`` ones."""
    out: Levels = set()
    for s in (1, -1):
        rows = np.flatnonzero((side == s) & (size > 0))
        rows = rows[np.argsort(-s * price[rows])][:best]
        out.update((s, int(p), int(n)) for p, n in zip(price[rows], size[rows], strict=True))
    return out


class Audits:
    """Compares audit messages as they come. ``match``: None until one could be compared, then whether all agree."""

    def __init__(self, instrument: Instrument) -> None:
        self.mode = MODES[instrument.sequence]
        self.match: bool | None = None
        self.compared = 0
        self.loose: list[int] = []
        self.books: list[dict[str, Any]] = []
        self._after: tuple[BookState, int] | None = None  # the book moved on by deltas after the day's end, and its id

    def see(self, book: BookState, grid: GridState, events: Events, lo: int, hi: int) -> None:
        """Take the audit message in the level rows [lo, hi): a snapshot, a delta after the day's end, a bare mark."""
        side, price, size = events.side[lo:hi], events.price_ticks[lo:hi], events.size_lots[lo:hi]
        update_id, prev_id = int(events.update_id[lo]), int(events.prev_update_id[lo])
        if hi - lo == 1 and price[0] == 0 and size[0] == 0:
            return
        if grid.meta[WHOLE] == 0:
            if prev_id < 0:
                self.loose.append(update_id)
            return
        at, last_id = self._after or (book, int(grid.meta[LAST_ID]))
        if prev_id >= 0:
            if prev_id == last_id:
                moved = reserve(copy_book(at), side, price, size)
                apply_delta(moved, side, price, size, 0, hi - lo)
                self._after = (moved, update_id)
            return
        self._compare(at, last_id, update_id, side, price, size)
        if self.mode != BRIDGE:  # one of limited depth is no closing book: the carried one holds far levels too
            self.books.append({"update_id": update_id, "sha256": digest(side, price, size)})

    def _compare(
        self, book: BookState, last_id: int, update_id: int, side: Int8Array, price: Int64Array, size: Int64Array
    ) -> None:
        best = BRIDGE_LEVELS if self.mode == BRIDGE else None
        sent, held = _levels(side, price, size, best), _levels(*book_levels(book), best)
        follows = self.mode == PLUS_ONE and update_id == last_id + 1
        decided = sent == held or 2 * len(sent & held) < max(len(sent), len(held))
        if update_id == last_id or (follows and decided):
            self.compared += 1
            self.match = self.match is not False and sent == held


def closing_books(book: BookState, grid: GridState, audits: Audits) -> list[dict[str, Any]]:
    """Return what the next day may compare its opening with: update id and digest of the closing book and of audits."""
    if grid.meta[WHOLE] == 0:
        return audits.books
    return [{"update_id": int(grid.meta[LAST_ID]), "sha256": digest(*book_levels(book))}, *audits.books]


def opening_depth(events: Events, starts: Int64Array) -> int:
    """Return the levels of the thinner side of the first snapshot or carried book of a chunk, 0 where there is none."""
    opens = np.flatnonzero(np.isin(events.kind[starts[:-1]], (KIND_SNAPSHOT, KIND_CARRIED)))
    if not len(opens):
        return 0
    rows = slice(starts[opens[0]], starts[opens[0] + 1])
    sides = events.side[rows][events.size_lots[rows] > 0]
    return int(min((sides > 0).sum(), (sides < 0).sum()))


def match_opening(closing: list[dict[str, Any]] | None, mode: int, events: Events, end: int) -> bool | None:
    """Return whether the opening book (level rows [0, end)) is the day before's closing book; None: not comparable."""
    if not closing or events.kind[0] not in (KIND_SNAPSHOT, KIND_CARRIED):
        return None
    update_id = int(events.update_id[0])
    sha256 = digest(events.side[:end], events.price_ticks[:end], events.size_lots[:end])
    same_id = [c["sha256"] == sha256 for c in closing if c["update_id"] == update_id]
    if same_id:
        return all(same_id)
    following = mode == PLUS_ONE and any(c["update_id"] + 1 == update_id and c["sha256"] == sha256 for c in closing)
    return True if following else None
