"""Put a day's book messages into the order in which they make a book, and say what each of them is.

Where updates chain (Bybit) the order is that of arrival. Where a REST snapshot bridges buffered deltas (Binance), those
that arrived before a book was whole are held back until a snapshot comes: what survives its bridge follows it, all
others keep their place and are never applied. A snapshot inside an unbroken chain is an audit; whether the chain is
unbroken there, only the next delta tells, so a snapshot waits for it: where that delta shows a gap, the snapshot may be
the one that mends it. Verdicts are ``book.sequence``'s; nothing here knows a rule of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.sequence import BRIDGE, DUPLICATE, FOLLOWS, MODES, REPLACES, STALE, judge_message
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import KIND_AUDIT, KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.stages.ingest_blocks import Int64s, concat_books, slice_book, take_book
from lob_pipeline.venues.block import BookMessages

HELD_LEVEL_ROWS = 1 << 20
"""Level rows held back for a snapshot to come, or for the delta that says what a snapshot is; what goes beyond that is
let go as never applied."""

WHOLE, UNBRIDGED, LAST_ID, LAST_NS = 0, 1, 2, 3
CARRIED_UNBRIDGED = 2
"""``UNBRIDGED`` of a carried book that waits for its first event: a carried book is stored as one that needs none, so
that event is stored as following it."""


@dataclass(frozen=True)
class Batch:
    """Book messages with what the lake stores of them; all arrays have one entry a message.

    ``when``: own time or the next message's. ``ts_ns``, ``prev_id``, ``kind``: as stored. ``applied``: in the book.
    """

    book: BookMessages
    when: Int64s
    order: Int64s
    ts_ns: Int64s
    prev_id: Int64s
    kind: npt.NDArray[np.int8]
    applied: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.order.shape[0])

    def cut(self, lo: int, hi: int) -> Batch:
        """Return messages [lo, hi)."""
        rest = {f.name: getattr(self, f.name)[lo:hi] for f in fields(self) if f.name != "book"}
        return Batch(book=slice_book(self.book, lo, hi), **rest)

    def take(self, index: Int64s) -> Batch:
        """Return the messages ``index`` in that order."""
        rest = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "book"}
        return Batch(book=take_book(self.book, index), **rest)

    def followed_by(self, other: Batch) -> Batch:
        """Return these messages, then those of ``other``."""
        if len(self) == 0 or len(other) == 0:
            return other if len(self) == 0 else self
        names = [f.name for f in fields(self) if f.name != "book"]
        rest = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}
        return Batch(book=concat_books(self.book, other.book), **rest)


def new_batch(book: BookMessages, when: Int64s, order: Int64s) -> Batch:
    """Return messages as they came: nothing applied yet. The arrays that are rewritten are copies."""
    return Batch(
        book,
        when,
        order,
        np.where(book.ts_event_ns > 0, book.ts_event_ns, when),
        book.prev_update_id.copy(),
        book.kind.copy(),
        np.zeros(len(book), dtype=np.bool_),
    )


def _audits(batch: Batch) -> Batch:
    """Return the messages with their snapshots as audits."""
    batch.kind[batch.kind == KIND_SNAPSHOT] = KIND_AUDIT
    return batch


@njit(cache=True)
def follow(  # pragma: no cover - compiled
    mode: int,
    chain: npt.NDArray[np.int64],
    kind: npt.NDArray[np.int8],
    update_id: npt.NDArray[np.int64],
    prev_id: npt.NDArray[np.int64],
    ts_ns: npt.NDArray[np.int64],
    applied: npt.NDArray[np.bool_],
) -> int:
    """Walk messages while the chain holds; return how many are settled.

    ``chain`` int64[4]: whole, unbridged, last id, last time; updated. ``applied`` is set. Where ids rise by one a
    snapshot replaces the book, a gap lasts until the next one, and all messages are settled. On a bridged venue a
    snapshot that a delta of the chain follows becomes an audit (``kind`` rewritten); the walk ends before the delta
    that breaks the chain, and messages from a snapshot on that no such delta follows are not settled.
    """
    waiting = -1  # the first snapshot since the last delta of the chain
    for i in range(kind.shape[0]):
        if kind[i] != KIND_DELTA and mode == BRIDGE:
            waiting = i if waiting < 0 else waiting
            continue
        verdict = judge_message(
            mode,
            chain[WHOLE],
            chain[UNBRIDGED],
            chain[LAST_ID],
            chain[LAST_NS],
            kind[i],
            update_id[i],
            prev_id[i],
            ts_ns[i],
        )
        if verdict in (FOLLOWS, REPLACES):
            if waiting >= 0:
                for k in range(waiting, i):
                    if kind[k] != KIND_DELTA:
                        kind[k] = KIND_AUDIT
                waiting = -1
            if chain[UNBRIDGED] == CARRIED_UNBRIDGED:
                prev_id[i] = chain[LAST_ID]
            applied[i] = True
            chain[WHOLE] = 1
            chain[UNBRIDGED] = 0
            chain[LAST_ID] = update_id[i]
            chain[LAST_NS] = max(chain[LAST_NS], ts_ns[i])
        elif kind[i] == KIND_DELTA and verdict != DUPLICATE and verdict != STALE:
            chain[WHOLE] = 0
            if mode == BRIDGE:
                return waiting if waiting >= 0 else i
    return waiting if waiting >= 0 else kind.shape[0]


class Sequencer:
    """Takes a day's book messages in arrival order, hands them on in stored order.

    ``chain``: where the book stands (``follow``). ``shifts`` of the last ``push``: (place, count) pairs, in the order
    in which they apply: every item of the day after that place moves back by count, to make room for survivors.
    """

    def __init__(self, sequence: str, chain: npt.NDArray[np.int64] | None = None) -> None:
        self._mode = MODES[sequence]
        self.chain = np.zeros(4, dtype=np.int64) if chain is None else chain.copy()
        self._held: Batch | None = None
        self._scan = 0  # messages of _held before this one are no snapshot that may still bridge
        self._empty_end: tuple[int, int] | None = None
        self.shifts: list[tuple[int, int]] = []
        self.without_levels = 0

    @property
    def end_id(self) -> int:
        """Return the id in which the book's chain ends, messages without levels included."""
        last = int(self.chain[LAST_ID])
        return self._empty_end[0] if self._empty_end and self._empty_end[1] == last else last

    def push(self, book: BookMessages, when: Int64s, order: Int64s) -> list[Batch]:
        """Take messages with their ``order``; return those that are settled, in stored order."""
        self.shifts = []
        rest = self._without_empty(new_batch(book, when, order))
        if self._held is not None:
            rest, self._held = self._held.followed_by(rest), None
        out: list[Batch] = []
        while len(rest):
            if self._mode != BRIDGE or self.chain[WHOLE]:
                rest = self._pass_on(rest, out)
                if len(rest) and self.chain[WHOLE]:
                    self._wait(rest, out)
                    break
            else:
                found = self._seek(rest, out)
                if found is None:
                    break
                rest = found
        return out

    def flush(self) -> list[Batch]:
        """Return what is still held, at the end of the day: nothing can bridge it any more."""
        if self._held is None:
            return []
        held, self._held = self._held, None
        if self.chain[WHOLE]:
            return [_audits(held)]
        waiting = np.flatnonzero(held.kind[self._scan :] == KIND_SNAPSHOT)
        if waiting.shape[0]:  # a snapshot that is ahead of every delta so far is the book
            at = self._scan + int(waiting[0])
            held.applied[at] = True
            self._stand_on(held, at)
        self._scan = 0
        return [held]

    def _without_empty(self, batch: Batch) -> Batch:
        """Leave out messages without levels; the delta that followed one claims to follow what that one followed."""
        empty = np.diff(batch.book.level_start) == 0
        if not self._empty_end and not empty.any():
            return batch
        for i in np.flatnonzero(batch.kind == KIND_DELTA).tolist():
            if self._empty_end and batch.prev_id[i] == self._empty_end[0]:
                batch.prev_id[i] = self._empty_end[1]
            self._empty_end = (int(batch.book.update_id[i]), int(batch.prev_id[i])) if empty[i] else None
        self.without_levels += int(empty.sum())
        return batch.take(np.flatnonzero(~empty))

    def _pass_on(self, rest: Batch, out: list[Batch]) -> Batch:
        n = follow(self._mode, self.chain, rest.kind, rest.book.update_id, rest.prev_id, rest.ts_ns, rest.applied)
        if n:
            out.append(rest.cut(0, n))
        return rest.cut(n, len(rest))

    def _stand_on(self, batch: Batch, at: int) -> None:
        self.chain[:] = (1, 1, batch.book.update_id[at], batch.ts_ns[at])

    def _seek(self, rest: Batch, out: list[Batch]) -> Batch | None:
        """Look for a snapshot that bridges. Return the messages after it, or None when all are held."""
        ids = rest.book.update_id
        while True:
            found = np.flatnonzero(rest.kind[self._scan :] == KIND_SNAPSHOT)
            if not found.shape[0]:
                self._scan = len(rest)
                self._hold(rest, out)
                return None
            at = self._scan + int(found[0])
            deltas = np.flatnonzero(rest.kind[:at] == KIND_DELTA)
            alive = deltas[ids[deltas] >= ids[at]]
            if alive.shape[0]:
                if rest.prev_id[alive[0]] <= ids[at]:
                    return self._bridge(rest, at, deltas[deltas >= alive[0]], out)
                self._scan = at + 1  # the snapshot is older than every delta: of no use, it stays where it is
                continue
            after = np.flatnonzero((rest.kind[at + 1 :] != KIND_DELTA) | (ids[at + 1 :] >= ids[at]))
            if not after.shape[0]:
                self._scan = at
                self._hold(rest, out)
                return None
            nxt = at + 1 + int(after[0])
            if rest.kind[nxt] == KIND_DELTA and rest.prev_id[nxt] <= ids[at]:
                return self._bridge_ahead(rest, at, nxt, out)
            self._scan = at + 1

    def _bridge_ahead(self, rest: Batch, at: int, first: int, out: list[Batch]) -> Batch:
        """The snapshot is ahead of all deltas before it; ``first`` is the first one it bridges."""
        if rest.book.ts_event_ns[at] == 0:
            rest.ts_ns[at] = rest.ts_ns[first]
        rest.applied[at] = True
        out.append(rest.cut(0, at + 1))
        self._stand_on(rest, at)
        self._scan = 0
        return rest.cut(at + 1, len(rest))

    def _bridge(self, rest: Batch, at: int, survivors: Int64s, out: list[Batch]) -> Batch:
        """Let ``survivors``, deltas that arrived before the snapshot ``at``, follow it."""
        if rest.book.ts_event_ns[at] == 0:
            rest.ts_ns[at] = rest.ts_ns[survivors[0]]
        rest.applied[at] = True
        out.append(rest.take(np.setdiff1d(np.arange(at + 1), survivors)))
        self._stand_on(rest, at)
        self._scan = 0
        place, count = int(rest.order[at]), survivors.shape[0]
        self.shifts.append((place, count))
        moved = replace(rest.take(survivors), order=place + 1 + np.arange(count))
        later = rest.cut(at + 1, len(rest))
        return moved.followed_by(replace(later, order=later.order + count))

    def _wait(self, rest: Batch, out: list[Batch]) -> None:
        """Keep a snapshot, and what is no part of the chain after it, until a delta says whether the chain goes on."""
        if rest.book.level_start[-1] > HELD_LEVEL_ROWS:
            out.append(_audits(rest))
        else:
            self._held = rest

    def _hold(self, rest: Batch, out: list[Batch]) -> None:
        """Keep messages for a snapshot to come, the oldest beyond the bound let go."""
        rows = rest.book.level_start
        if rows[-1] > HELD_LEVEL_ROWS:
            gone = min(int(np.searchsorted(rows, rows[-1] - HELD_LEVEL_ROWS // 2)), self._scan)
            out.append(rest.cut(0, gone))
            rest = rest.cut(gone, len(rest))
            self._scan -= gone
        self._held = rest
