"""The order told event by event ends as the label kernel says, order by order, in every queue model."""

from __future__ import annotations

import numpy as np
import pytest

from lob_pipeline.book.state import new_book
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.evaluation.trace import Order, trace_order, trades_before
from lob_pipeline.labels.day import DecisionRows, make_tape, run_day
from lob_pipeline.labels.spec import ALL_MODELS, FILL_KINDS, LabelConfig
from lob_pipeline.labels.stream import NEEDED, MessageStream

START = 1_700_000_000 * NS_PER_S
LIFE = 3 * NS_PER_S


def market(seed: int, n: int, with_seq: bool) -> tuple[Columns, Columns, DecisionRows]:
    """A small market on a narrow grid: messages every 20 to 200 ms, trades in between, decisions after each message.

    Sizes are small, so that queues run empty, prices are traded through and quotes cross resting orders often.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, int, int, int, bool]] = []  # ts, seq, kind, side, price, size, first
    trades: list[tuple[int, int, int, int, int]] = []  # ts, seq, side, price, lots
    decisions: list[tuple[int, int, int, int]] = []
    books: dict[int, dict[int, int]] = {1: {}, -1: {}}
    mid, t, seq = 1_000, START, 100

    def send(kind: int, changes: list[tuple[int, int, int]]) -> None:
        for i, (side, price, size) in enumerate(changes):
            rows.append((t, seq, kind, side, price, size, i == 0))
            if size:
                books[side][price] = size
            else:
                books[side].pop(price, None)

    send(KIND_SNAPSHOT, [(s, mid - s * (k + 1), 20) for s in (1, -1) for k in range(8)])
    for _ in range(n):
        before_ms = int(rng.integers(20, 200))
        for _ in range(int(rng.integers(0, 3))):
            seq += int(rng.integers(0, 3))
            side = int(rng.choice([-1, 1]))
            touch = min(books[-1]) if side > 0 else max(books[1])
            price = touch + side * int(rng.choice([0, 0, 0, 1, 2]))
            stamp = t + int(rng.integers(0, before_ms + 1)) * NS_PER_MS
            trades.append((stamp, seq, side, price, int(rng.integers(1, 15))))
        t += before_ms * NS_PER_MS
        seq += int(rng.integers(0, 4))
        mid += int(rng.choice([-3, -1, 0, 0, 0, 1, 3]))
        changes = [(1, p, 0) for p in books[1] if p >= mid] + [(-1, p, 0) for p in books[-1] if p <= mid]
        for side in (1, -1):
            for _ in range(int(rng.integers(1, 5))):
                changes.append((side, mid - side * int(rng.integers(1, 6)), int(rng.choice([0, 3, 8, 12, 20, 30]))))
            if not any(s == side and v > 0 for s, _, v in changes) and len(books[side]) < 4:
                changes.append((side, mid - side, 10))
            changes.append((side, mid - 6 * side, 25))
        send(KIND_DELTA, changes)
        decisions.append((t + NS_PER_MS, t + 2 * NS_PER_MS, max(books[1]), min(books[-1])))
    columns = np.array([r[:6] for r in rows], np.int64)
    first = np.array([r[6] for r in rows], np.bool_)
    ids = np.cumsum(first)
    events: Columns = {
        "ts_event_ns": columns[:, 0], "ts_recv_ns": np.zeros(len(rows), np.int64), "update_id": ids,
        "prev_update_id": ids - 1, "seq": columns[:, 1] if with_seq else np.full(len(rows), -1),
        "kind": columns[:, 2].astype(np.int8), "side": columns[:, 3].astype(np.int8), "price_ticks": columns[:, 4],
        "size_lots": columns[:, 5], "first_in_message": first,
    }  # fmt: skip
    told = np.array(trades, np.int64)
    tape: Columns = {
        "ts_event_ns": told[:, 0], "seq": told[:, 1] if with_seq else np.full(len(told), -1),
        "side": told[:, 2].astype(np.int8), "price_ticks": told[:, 3], "size_lots": told[:, 4],
        "flags": np.zeros(len(told), np.int8),
    }  # fmt: skip
    decided = np.array(decisions, np.int64)
    return events, tape, DecisionRows(*(decided[:, i].copy() for i in range(4)))


@pytest.mark.parametrize(("seed", "with_seq", "lots"), [(1, False, 1), (2, True, 1), (3, True, 4), (4, False, 3)])
def test_the_told_order_ends_like_the_label(seed: int, with_seq: bool, lots: int) -> None:
    events, trades, rows = market(seed, 400, with_seq)
    config = LabelConfig(order_life_ns=LIFE, q_lots=lots, outcomes=False)
    tape = make_tape(trades)
    day = run_day(rows, [{n: events[n] for n in NEEDED}], tape, config, "plus_one", 100 * NS_PER_MS)
    messages = MessageStream("plus_one").take({n: events[n] for n in NEEDED}, last=True)
    met = np.empty(len(messages.time_ns), np.int64)
    trades_before(messages.time_ns, messages.seq, tape, 0, met)
    kinds = dict.fromkeys(FILL_KINDS, 0)
    n = len(rows.ts_ns)
    for row in range(0, n, 2):
        arrive = int(day.fates.arrive_ns[row])
        for side in (1, -1):
            number = row if side > 0 else n + row
            for m, model in enumerate(ALL_MODELS):
                limit = int((rows.bid_ticks if side > 0 else rows.ask_ticks)[row])
                told = trace_order(
                    new_book(), messages, met, tape, Order(side, limit, arrive, arrive + LIFE, lots, model)
                )
                kernel = (day.fates.fill_kind[m, number], day.fates.fill_ns[m, number], day.fates.lots[m, number])
                assert (told.fill_kind, told.fill_ns, told.filled_lots) == kernel, (row, side, model, told.events)
                kinds[told.fill_kind] += 1
    assert all(count >= 5 for count in kinds.values()), kinds


def test_the_story_of_one_order_by_hand() -> None:
    """Join 20 lots; 5 trade; 10 leave, a third of those ahead go with them; the rest trades away and we are filled."""
    zero = np.zeros
    ms = START + np.array([0, 1_000, 2_000]) * NS_PER_MS
    sizes = [(0, 1, 100, 20), (0, -1, 101, 9), (1, 1, 100, 5), (2, 1, 99, 4)]
    message = np.array([s[0] for s in sizes])
    events: Columns = {
        "ts_event_ns": ms[message], "ts_recv_ns": zero(4, np.int64), "update_id": message + 1,
        "prev_update_id": message.astype(np.int64), "seq": np.full(4, -1), "kind": np.array([1, 1, 2, 2], np.int8),
        "side": np.array([s[1] for s in sizes], np.int8), "price_ticks": np.array([s[2] for s in sizes]),
        "size_lots": np.array([s[3] for s in sizes]), "first_in_message": np.array([True, False, True, True]),
    }  # fmt: skip
    trades: Columns = {
        "ts_event_ns": START + np.array([500, 1_500]) * NS_PER_MS, "seq": np.full(2, -1),
        "side": np.array([-1, -1], np.int8), "price_ticks": np.array([100, 100]), "size_lots": np.array([5, 7]),
        "flags": zero(2, np.int8),
    }  # fmt: skip
    tape = make_tape(trades)
    messages = MessageStream("plus_one").take(events, last=True)
    met = np.empty(3, np.int64)
    trades_before(messages.time_ns, messages.seq, tape, 0, met)
    arrive = START + 100 * NS_PER_MS
    proportional = trace_order(new_book(), messages, met, tape, Order(1, 100, arrive, arrive + LIFE, 1, 1))
    assert proportional.queue_ahead_lots == 20
    assert [e["what"] for e in proportional.events] == ["trade", "level", "trade"]
    # 20 − 5 traded = 15 ahead of 15; 10 cancelled of those 15, all ahead: 5 left; 7 trade: filled
    assert [e["ahead_lots"] for e in proportional.events] == [15.0, 5.0, 0.0]
    assert "10 cancelled, 10.0 of them ahead" in proportional.events[1]["text"]
    assert FILL_KINDS[proportional.fill_kind] == "queue traded away"
    assert proportional.fill_ns == START + 1_500 * NS_PER_MS
    early = trace_order(new_book(), messages, met, tape, Order(-1, 100, arrive, arrive + LIFE, 1, 1))
    assert FILL_KINDS[early.fill_kind] == "rejected at arrival"
