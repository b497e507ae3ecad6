"""One simulated order, event by event, in words: what ``lob explain`` prints and checks against the stored label.

The rules are LABELS.md's State; the queue rule itself (``front_after_update``) is the labels' own function. Everything
else is written out for one order at a time, so that a reader can follow it, and its result must equal the label that
the day's pass computed for thousands of orders at once.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lob_pipeline.book.kernel import apply_delta, best_price, lots_at, replace_book
from lob_pipeline.book.pool import reserve
from lob_pipeline.book.state import BookState, copy_book
from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fills import front_after_update
from lob_pipeline.labels.spec import KIND_CROSSED, KIND_QUEUE, KIND_REJECTED, KIND_THROUGH, KIND_UNFILLED
from lob_pipeline.labels.states import Int64s, Tape
from lob_pipeline.labels.truth import SKIP, SNAPSHOT, Messages


@dataclass(frozen=True)
class Order:
    """A passive order: ``side`` +1 buy, −1 sell; resting from ``t_arrive_ns`` to ``t_expire_ns`` at the exchange."""

    side: int
    limit_ticks: int
    t_arrive_ns: int
    t_expire_ns: int
    q_lots: int
    model: int


@dataclass
class Trace:
    """The fate of an order: ``fill_kind`` as in LABELS.md, ``fill_ns`` −1 where unfilled, ``events`` in true order."""

    order: Order
    queue_ahead_lots: int = 0
    fill_kind: int = KIND_UNFILLED
    fill_ns: int = -1
    filled_lots: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


@njit(cache=True)
def trades_before(time_ns: Int64s, seq: Int64s, tape: Tape, start: int, out: Int64s) -> int:
    """Write for each message how many trades the truth clock meets before it; return that of the last.

    ``start``: trades met before the first message. A trade comes first at equal time, or as ``seq`` says where both
    carry it.
    """
    k = start
    for i in range(time_ns.size):
        while k < tape.time_ns.size:
            by_seq = tape.seq[k] >= 0 and seq[i] >= 0
            first = tape.seq[k] <= seq[i] if by_seq else tape.time_ns[k] <= time_ns[i]
            if not first:
                break
            k += 1
        out[i] = k
    return k


@njit(cache=True)
def apply_messages(book: BookState, messages: Messages, first: int, last: int) -> None:
    """Apply messages ``first`` … ``last`` − 1 to a book that has room for them."""
    for i in range(first, last):
        lo, hi = messages.start[i], messages.start[i + 1]
        if messages.action[i] == SNAPSHOT:
            replace_book(book, messages.side, messages.price, messages.size, lo, hi)
        elif messages.action[i] != SKIP:
            apply_delta(book, messages.side, messages.price, messages.size, lo, hi)


class _Resting:
    """The state of one resting order: front F, displayed D, traded C, remaining R."""

    def __init__(self, trace: Trace, shown: int) -> None:
        self.trace, self.order = trace, trace.order
        self.front, self.shown, self.traded = float(shown), shown, 0
        self.left = self.order.q_lots

    def note(self, t_ns: int, what: str, text: str) -> None:
        self.trace.events.append(
            {"t_ns": t_ns, "after_arrival_ms": (t_ns - self.order.t_arrive_ns) / 1e6, "what": what, "text": text,
             "ahead_lots": self.front, "displayed_lots": self.shown, "left_lots": self.left}
        )  # fmt: skip

    def fill(self, lots: int, t_ns: int, kind: int) -> None:
        self.left -= lots
        self.trace.filled_lots = self.order.q_lots - self.left
        if self.left == 0:
            self.trace.fill_kind, self.trace.fill_ns = kind, t_ns

    def trade(self, t_ns: int, taker: int, price: int, lots: int) -> None:
        """A trade whose taker stands against us: through P fills, at P moves the queue."""
        side, limit = self.order.side, self.order.limit_ticks
        if taker == side or side * price > side * limit or not self.order.t_arrive_ns < t_ns <= self.order.t_expire_ns:
            return
        if price != limit:
            self.fill(self.left, t_ns, KIND_THROUGH)
            self.note(t_ns, "trade", f"{lots:,} lots trade at {price} ticks, through our price: filled")
            return
        self.traded += lots
        self.front -= lots
        filled = min(self.left, math.floor(-self.front)) if self.front < 0 else 0
        self.front = max(self.front, 0.0)
        if filled:
            self.fill(filled, t_ns, KIND_QUEUE)
        end = f": the queue is gone, {filled} of ours filled" if filled else ""
        self.note(t_ns, "trade", f"{lots:,} lots trade at our price{end}")

    def level(self, t_ns: int, now: int) -> None:
        """The displayed size at P becomes ``now``."""
        before, ahead = self.shown, self.front
        cancelled = max(0, before - now - self.traded)
        self.front = float(front_after_update(self.order.model, self.front, before, self.traded, now))
        self.shown, explained, self.traded = now, self.traded, 0
        if now > before - explained:
            text = f"displayed {before:,} → {now:,} lots: {now - before + explained:,} join behind us"
        elif cancelled:
            text = (
                f"displayed {before:,} → {now:,} lots: {cancelled:,} cancelled, {ahead - self.front:,.1f} of them ahead"
            )
        else:
            text = f"displayed {before:,} → {now:,} lots" + (", as traded" if explained else ", repeated")
        self.note(t_ns, "level", text)

    def quote(self, t_ns: int, opposite: int) -> None:
        """After a message: an opposite best at or through P would have met us."""
        side = self.order.side
        if self.left and opposite >= 0 and side * opposite <= side * self.order.limit_ticks:
            self.fill(self.left, t_ns, KIND_CROSSED)
            self.note(t_ns, "quote", f"the opposite best stands at {opposite} ticks, at or through our price: filled")


def trace_order(book: BookState, messages: Messages, met: Int64s, tape: Tape, order: Order) -> Trace:
    """Return the fate of one order.

    ``book``: before the first of ``messages`` (it is copied). ``messages`` must cover the order's life; ``met``
    int64 (m,): ``trades_before`` of each. The book at arrival is the one after the last message with time <= t_arrive.
    """
    book = reserve(copy_book(book), messages.side, messages.price, messages.size)
    own, other = (0, 1) if order.side > 0 else (1, 0)
    arrives = int(np.searchsorted(messages.time_ns, order.t_arrive_ns, side="right"))
    apply_messages(book, messages, 0, arrives)
    trace = Trace(order)
    opposite = best_price(book, other)
    if opposite >= 0 and order.side * opposite <= order.side * order.limit_ticks:
        trace.fill_kind = KIND_REJECTED
        return trace
    trace.queue_ahead_lots = int(lots_at(book, own, order.limit_ticks))
    resting = _Resting(trace, trace.queue_ahead_lots)
    at = int(np.searchsorted(tape.time_ns, order.t_arrive_ns, side="right"))
    last = int(np.searchsorted(messages.time_ns, order.t_expire_ns, side="right"))
    for i in range(arrives, last):
        at = _trades(resting, tape, at, int(met[i]))
        if resting.left == 0:
            return trace
        t_ns = int(messages.time_ns[i])
        if messages.action[i] != SKIP:
            _levels(resting, book, messages, i, own, t_ns)
            resting.quote(t_ns, int(best_price(book, other)))
            if resting.left == 0:
                return trace
    _trades(resting, tape, at, int(np.searchsorted(tape.time_ns, order.t_expire_ns, side="right")))
    if resting.left:
        resting.note(order.t_expire_ns, "expiry", "the order's life ends: taken back")
    return trace


def _trades(resting: _Resting, tape: Tape, at: int, end: int) -> int:
    while at < end and resting.left:
        resting.trade(int(tape.time_ns[at]), int(tape.side[at]), int(tape.price[at]), int(tape.lots[at]))
        at += 1
    return max(at, end)


def _levels(resting: _Resting, book: BookState, messages: Messages, i: int, own: int, t_ns: int) -> None:
    """Apply message ``i``; every row of it at our price is an update of the level, a snapshot is one of every level."""
    limit = resting.order.limit_ticks
    if messages.action[i] == SNAPSHOT:
        apply_messages(book, messages, i, i + 1)
        resting.level(t_ns, int(lots_at(book, own, limit)))
        return
    lo, hi = int(messages.start[i]), int(messages.start[i + 1])
    ours = (messages.side[lo:hi] == resting.order.side) & (messages.price[lo:hi] == limit)
    for row in np.flatnonzero(ours):
        resting.level(t_ns, int(messages.size[lo + row]))
    apply_messages(book, messages, i, i + 1)
