"""The book against another depth of itself that was recorded beside it, at equal ``seq``.

``venues.depths`` keeps the other depth as a book of its own and writes its best bid and ask into ``quotes``, with the
message's ``seq`` as the id. At equal ``seq`` both show one instant of the matching engine, so best prices and sizes
must be equal, in every message and in every row; a side or a level that is read wrongly, however consistently, differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.advance import M_ASK, M_ASK_LOTS, M_BID, M_BID_LOTS
from lob_pipeline.book.seen import Seen
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT, ROW

MINIMUM = 20  # messages compared, below which agreement shows nothing
_COUNT = "second_depth_messages"  # as venues.depths counts them
_NAMES = ("update_id", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
_TOP = [ROW[n] for n in ("bid_ticks_1", "bid_lots_1", "ask_ticks_1", "ask_lots_1")]
_MARKS = [M_BID, M_BID_LOTS, M_ASK, M_ASK_LOTS]
_VALID = ROW["valid"]
_NONE = np.empty((0, 5), np.int64)

Mask = npt.NDArray[np.bool_]


def has_second_depth(events_extra: dict[str, Any]) -> bool:
    """Return whether the sources of a day held another depth of its book, so that ``quotes`` are that depth's."""
    return bool((events_extra.get("decoder_facts") or {}).get(_COUNT))


class DepthAgreement:
    """Compares the book with the other depth; ``chunks``: of ``quotes``, ids (``seq``) about ascending.

    Two messages of one ``seq`` are held together: a row of the other depth agrees when it equals one of them.
    """

    def __init__(self, chunks: Iterator[Columns]) -> None:
        self._chunks = chunks
        self._done = False
        self._other = _NONE  # seq and touch, sorted by seq
        self._held, self._held_rows = _NONE, _NONE  # not yet compared: of the book's last seq
        self._rows: list[Int64Array] = []  # emitted since the last chunk: update id and touch
        self._seq_of = np.empty((0, 2), np.int64)  # update id -> seq of the last messages
        self.compared = self.equal = self.rows_compared = self.rows_equal = 0

    def show(self, rows: Int64Array, ids: Int64Array) -> None:
        """Take emitted rows (ids >= 0 where the book is whole) before the chunk of messages that closed them."""
        seen = (rows[:, _VALID] != 0) & (ids >= 0)
        if seen.any():
            self._rows.append(np.column_stack([ids[seen], rows[seen][:, _TOP]]))

    def chunk(self, seen: Seen) -> None:
        """Compare what came up to the last but one ``seq``."""
        kind = seen.events.kind[seen.first]
        use = seen.applied & np.isin(kind, (KIND_SNAPSHOT, KIND_DELTA)) & (seen.seq >= 0)
        seq = seen.seq[use]
        ids = np.concatenate([self._seq_of, np.column_stack([seen.events.update_id[seen.first][use], seq])])
        self._seq_of = ids[-1:]
        shown = np.concatenate([self._held, np.column_stack([seq, seen.marks[use][:, _MARKS]])])
        rows = np.concatenate([self._held_rows, *_at_seq(self._rows, ids)])
        self._rows = []
        if not len(shown):
            return
        last = int(shown[:, 0].max())
        now, rows_now = shown[:, 0] < last, rows[:, 0] < last
        self._held, self._held_rows = shown[~now], rows[~rows_now]
        self._compare(shown[now], rows[rows_now])

    def _compare(self, shown: Int64Array, rows: Int64Array) -> None:
        if not len(shown):
            return
        other = self._upto(int(shown[:, 0].max()))
        at, same = _pairs(other, shown)
        hit, equal = np.zeros(len(other), bool), np.zeros(len(other), bool)
        hit[at[:, 0]] = True
        equal[at[same, 0]] = True
        self.compared += int(hit.sum())
        self.equal += int(equal.sum())
        if len(rows):
            at, same = _pairs(rows, other)
            hit, equal = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
            hit[at[:, 0]] = True
            equal[at[same, 0]] = True
            self.rows_compared += int(hit.sum())
            self.rows_equal += int(equal.sum())
        self._other = other[np.searchsorted(other[:, 0], int(shown[:, 0].max()), side="left") :]

    def _upto(self, seq: int) -> Int64Array:
        """Return the other depth's touches that are held, after reading on until they pass ``seq``."""
        parts = [self._other]
        while not self._done and (not len(parts[-1]) or parts[-1][:, 0].max() <= seq):
            chunk = next(self._chunks, None)
            if chunk is None:
                self._done = True
            else:
                parts.append(np.column_stack([chunk[n] for n in _NAMES]).astype(np.int64))
        if len(parts) > 1:
            table = np.concatenate(parts)
            self._other = table[np.argsort(table[:, 0], kind="stable")]
        return self._other

    def _finish(self) -> None:
        shown, rows = self._held, self._held_rows
        self._held, self._held_rows = _NONE, _NONE
        self._compare(shown, rows)

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``depth_agreement``."""
        self._finish()
        differ, rows = self.compared - self.equal, self.rows_compared - self.rows_equal
        message = (
            f"best prices or sizes of {differ} of {self.compared} messages and {rows} of {self.rows_compared} rows "
            "differ from another depth of the book at the same seq"
        )
        ok = differ == rows == 0
        return [
            judge(
                "depth_agreement",
                ok,
                examined=self.compared + self.rows_compared,
                judged=self.compared,
                minimum=MINIMUM,
                message="" if ok else message,
                facts={"equal": self.equal, "rows": self.rows_compared, "rows_equal": self.rows_equal},
            )
        ]

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``depth_agreement``: None where no ``seq`` occurs in both."""
        self._finish()
        return {"depth_agreement": {"compared": self.compared, "equal": self.equal} if self.compared else None}


def _at_seq(parts: list[Int64Array], ids: Int64Array) -> list[Int64Array]:
    """Return rows with the ``seq`` of their message in place of its update id, but those of no known message."""
    if not parts or not len(ids):
        return []
    rows = np.concatenate(parts)
    known = ids[np.argsort(ids[:, 0], kind="stable")]
    at = np.searchsorted(known[:, 0], rows[:, 0], side="right") - 1
    hit = (at >= 0) & (known[at, 0] == rows[:, 0])
    return [np.column_stack([known[at[hit], 1], rows[hit, 1:]])]


def _pairs(one: Int64Array, two: Int64Array) -> tuple[Int64Array, Mask]:
    """Return the pairs of rows with equal first column, int64 (pairs, 2), and which of them are equal altogether."""
    order = np.argsort(two[:, 0], kind="stable")
    keys = two[order, 0]
    lo, hi = np.searchsorted(keys, one[:, 0], side="left"), np.searchsorted(keys, one[:, 0], side="right")
    counts = hi - lo
    first = np.repeat(np.arange(len(one)), counts)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = order[np.repeat(lo, counts) + offset]
    return np.column_stack([first, second]), (one[first] == two[second]).all(axis=1)
