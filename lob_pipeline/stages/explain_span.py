"""The stretch of a day's stream that one instant depends on: the book before it and the messages of an order's life."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lob_pipeline.book.pool import reserve
from lob_pipeline.book.state import BookState, new_book
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_AUDIT
from lob_pipeline.evaluation.trace import apply_messages, trades_before
from lob_pipeline.labels.states import Int64s, Tape
from lob_pipeline.labels.stream import NEEDED, MessageStream
from lob_pipeline.labels.truth import Messages


@dataclass(frozen=True)
class Span:
    """``messages`` of a stretch of time and the ``book`` before the first of them.

    ``met`` int64 (m,): trades that the truth clock meets before each message. ``update_id``, ``kind``, ``event_ns``
    (m,): as in ``l2_events``; ``messages.time_ns`` is the running maximum of the times.
    """

    book: BookState
    messages: Messages
    met: Int64s
    update_id: Int64s
    kind: Int64s
    event_ns: Int64s


def whole_messages(chunks: Iterable[Columns]) -> Iterator[Columns]:
    """Cut chunks of ``l2_events`` (``stream.NEEDED``) at message borders, audit messages left out."""
    held: Columns | None = None
    for chunk in chunks:
        columns = {n: np.asarray(chunk[n]) for n in NEEDED}
        if held is not None:
            columns = {n: np.concatenate([held[n], columns[n]]) for n in NEEDED}
        heads = np.flatnonzero(columns["first_in_message"])
        cut = int(heads[-1]) if len(heads) else 0
        yield _applied({n: columns[n][:cut] for n in NEEDED})
        held = {n: columns[n][cut:] for n in NEEDED}
    if held is not None:
        yield _applied(held)


def _applied(columns: Columns) -> Columns:
    heads = np.flatnonzero(columns["first_in_message"])
    if not len(heads):
        return columns
    keep = np.repeat(columns["kind"][heads] != KIND_AUDIT, np.diff(np.append(heads, len(columns["kind"]))))
    return columns if keep.all() else {n: column[keep] for n, column in columns.items()}


def read_span(chunks: Iterable[Columns], tape: Tape, sequence: str, from_ns: int, to_ns: int) -> Span:
    """Return the messages from the last one with time <= ``from_ns`` to the first one after ``to_ns``.

    ``chunks``: ``l2_events`` of the day in stream order, read only as far as needed. Where the stream begins later or
    ends earlier, so does the span.
    """
    stream, span, met_so_far = MessageStream(sequence), _empty(), 0
    for columns in whole_messages(chunks):
        heads = np.flatnonzero(columns["first_in_message"])
        if not len(heads):
            continue
        messages = stream.take(columns, last=True)
        met = np.empty(len(heads), np.int64)
        met_so_far = int(trades_before(messages.time_ns, messages.seq, tape, met_so_far, met))
        facts = [np.asarray(columns[n][heads], np.int64) for n in ("update_id", "kind", "ts_event_ns")]
        span = _joined(span, Span(span.book, messages, met, *facts))
        if messages.time_ns[-1] <= from_ns:
            span = _without(span, len(span.met) - 1)
        elif messages.time_ns[-1] > to_ns:
            break
    times = span.messages.time_ns
    span = _without(span, max(0, int(np.searchsorted(times, from_ns, side="right")) - 1))
    return _cut(span, 0, int(np.searchsorted(span.messages.time_ns, to_ns, side="right")) + 1)


def _empty() -> Span:
    none = np.empty(0, np.int64)
    small = np.empty(0, np.int8)
    return Span(
        new_book(), Messages(np.zeros(1, np.int64), none, none, small, small, none, none), none, none, none, none
    )


def _joined(one: Span, two: Span) -> Span:
    """Return both spans as one, over the book of the first."""
    a, b = one.messages, two.messages
    messages = Messages(
        start=np.concatenate([a.start[:-1], b.start + a.start[-1]]),
        time_ns=np.concatenate([a.time_ns, b.time_ns]),
        seq=np.concatenate([a.seq, b.seq]),
        action=np.concatenate([a.action, b.action]),
        side=np.concatenate([a.side, b.side]),
        price=np.concatenate([a.price, b.price]),
        size=np.concatenate([a.size, b.size]),
    )
    facts = (np.concatenate([getattr(one, n), getattr(two, n)]) for n in ("met", "update_id", "kind", "event_ns"))
    return Span(one.book, messages, *facts)


def _without(span: Span, count: int) -> Span:
    """Return the span after its first ``count`` messages were applied to its book."""
    m = span.messages
    book = reserve(span.book, m.side, m.price, m.size)
    apply_messages(book, m, 0, count)
    return _cut(Span(book, m, span.met, span.update_id, span.kind, span.event_ns), count, len(span.met))


def _cut(span: Span, first: int, last: int) -> Span:
    """Return messages ``first`` … ``last`` − 1 of the span; its book must be the one before ``first``."""
    m, last = span.messages, min(last, len(span.met))
    lo, hi = int(m.start[first]), int(m.start[last])
    messages = Messages(
        start=m.start[first : last + 1] - lo,
        time_ns=m.time_ns[first:last],
        seq=m.seq[first:last],
        action=m.action[first:last],
        side=m.side[lo:hi],
        price=m.price[lo:hi],
        size=m.size[lo:hi],
    )
    return Span(span.book, messages, *(a[first:last] for a in (span.met, span.update_id, span.kind, span.event_ns)))
