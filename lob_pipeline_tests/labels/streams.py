"""Markets for label tests: random streams, decision rows by the grid rule, and the comparison with the naive labels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.labels.day import DecisionRows, label_day, make_tape
from lob_pipeline.labels.spec import LABELS_TABLE, Fees, LabelConfig
from lob_pipeline_tests.naive.labels_naive import Market, Message, Settings, Trade

MS = 1_000_000


def random_market(
    seed: int, seconds: int = 75, *, with_seq: bool = False, wild: bool = False
) -> tuple[list[Message], list[Trade]]:
    """A small, busy market: a random walk of a few ticks, sizes of a few lots, trades at, inside and through the best.

    ``with_seq``: messages and trades carry ``seq``, times of the two streams disagree with it now and then. ``wild``:
    snapshots in mid-stream, sides that empty, books that cross, times that step back, gaps, flagged trades, silences.
    """
    rng = np.random.default_rng(seed)
    messages: list[Message] = []
    trades: list[Trade] = []
    book: dict[int, dict[int, int]] = {1: {}, -1: {}}
    mid, now, seq = 1000, 1_000_000 * MS, 10
    end = now + seconds * 1000 * MS

    def levels_of(target: int) -> list[tuple[int, int, int]]:
        return [(s, target - s * k, int(rng.integers(1, 9))) for s in (1, -1) for k in range(1, 7)]

    first = levels_of(mid)
    messages.append(Message(now, seq if with_seq else -1, True, first))
    for side, price, size in first:
        book[side][price] = size
    while now < end:
        now += int(rng.integers(1, 120)) * MS if rng.random() < 0.98 else int(rng.integers(1000, 4000)) * MS
        seq += int(rng.integers(1, 3))
        own_seq = seq if with_seq else -1
        jitter = int(rng.integers(-400, 400)) * MS if (with_seq and rng.random() < 0.2) else 0
        if rng.random() < 0.55:
            side = int(rng.choice([1, -1]))
            near = min(book[-1], default=mid + 1) if side == 1 else max(book[1], default=mid - 1)
            through = int(rng.integers(1, 4)) if rng.random() < 0.15 else 0
            flags = int(rng.choice([1, 2, 4])) if wild and rng.random() < 0.05 else 0
            for _ in range(int(rng.integers(1, 3))):
                trades.append(Trade(now + jitter, own_seq, side, near + side * through, int(rng.integers(0, 7)), flags))
            continue
        if wild and rng.random() < 0.03:
            mid += int(rng.integers(-2, 3))
            rows = [r for r in levels_of(mid) if rng.random() < 0.8]
            gap = rng.random() < 0.05
            messages.append(Message(now, own_seq, True, rows or levels_of(mid), gap))
            book = {1: {}, -1: {}}
            rows = messages[-1].levels
        else:
            if rng.random() < 0.25:
                mid += int(rng.choice([-1, 1]))
            rows = []
            for side in (1, -1):
                for price in list(book[side]):
                    crossing = side * price >= side * mid
                    if crossing and not (wild and rng.random() < 0.001):
                        rows.append((side, price, 0))
                for _ in range(int(rng.integers(0, 5))):
                    price = mid - side * int(rng.integers(1, 5))
                    rows.append((side, price, 0 if rng.random() < 0.15 else int(rng.integers(1, 12))))
                if wild and rng.random() < 0.003:
                    rows += [(side, price, 0) for price in book[side]]
            if not rows:
                rows = [(1, mid - 1, int(rng.integers(1, 9)))]
            back = int(rng.integers(0, 60)) * MS if wild and rng.random() < 0.05 else 0
            messages.append(Message(now - back + jitter, own_seq, False, rows))
        for side, price, size in rows:
            if size:
                book[side][price] = size
            else:
                book[side].pop(price, None)
    return messages, trades


def event_columns(messages: list[Message], rng: np.random.Generator | None = None) -> list[Columns]:
    """The messages as chunks of ``l2_events`` columns, a ``plus_one`` chain with its gaps, cut at random rows."""
    rows: list[tuple[int, ...]] = []
    update = 100
    for message in messages:
        if message.gap_before:
            update += 5
            rows.append((message.time_ns, update + 1, update, message.seq, KIND_DELTA, 1, 1, 1, 1))  # judged a gap
            update += 1
        update += 1
        kind, previous = (KIND_SNAPSHOT, -1) if message.snapshot else (KIND_DELTA, update - 1)
        for i, (side, price, size) in enumerate(message.levels):
            rows.append((message.time_ns, update, previous, message.seq, kind, side, price, size, i == 0))
    table = np.array(rows, np.int64)
    names = ("ts_event_ns", "update_id", "prev_update_id", "seq", "kind", "side", "price_ticks", "size_lots")
    columns: Columns = {name: table[:, i].copy() for i, name in enumerate(names)}
    columns["ts_recv_ns"] = np.zeros(len(table), np.int64)
    columns["kind"] = columns["kind"].astype(np.int8)
    columns["side"] = columns["side"].astype(np.int8)
    columns["first_in_message"] = table[:, 8].astype(np.bool_)
    if rng is None:
        return [columns]
    cuts = np.unique(np.concatenate([[0, len(table)], rng.integers(0, len(table), 5)]))
    return [{n: v[a:b] for n, v in columns.items()} for a, b in pairwise(cuts)]


def trade_columns(trades: list[Trade]) -> Columns:
    """The trades as ``trades`` columns."""
    return {
        "ts_event_ns": np.array([t.time_ns for t in trades], np.int64),
        "seq": np.array([t.seq for t in trades], np.int64),
        "side": np.array([t.side for t in trades], np.int8),
        "price_ticks": np.array([t.price for t in trades], np.int64),
        "size_lots": np.array([t.lots for t in trades], np.int64),
        "flags": np.array([t.flags for t in trades], np.int8),
    }


def grid_rows(market: Market, step_ns: int, whole_ns: int | None = None) -> list[tuple[int, int, int, int]]:
    """(t, close, bid, ask) of the rows that decide, by the grid rule: the last row each message closes."""
    rows = []
    following = (market.times[0] if whole_ns is None else whole_ns) // step_ns + 1
    for j in range(1, len(market.times)):
        last = (market.times[j] - 1) // step_ns
        if last < following:
            continue
        following = last + 1
        bid, ask = market.best[j - 1][1], market.best[j - 1][-1]
        if bid is not None and ask is not None and bid < ask and not market.messages[j].gap_before:
            rows.append((last * step_ns, market.times[j], bid, ask))
    return rows


def kernel_labels(
    chunks: list[Columns],
    trades: Columns,
    rows: list[tuple[int, int, int, int]],
    settings: Settings,
    sequence: str = "plus_one",
    chunk_rows: int = 100_000,
) -> Columns:
    """The labels of the kernels, whole."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    config = LabelConfig(
        latency_ns=settings.latency_ns,
        order_life_ns=settings.life_ns,
        horizon_ns=settings.horizon_ns,
        q_lots=settings.q,
        adverse_below_bps=settings.adverse_below_bps,
        entry_floor_bps=settings.floor_bps,
    )
    parts = list(
        label_day(
            DecisionRows(*(np.ascontiguousarray(table[:, i]) for i in range(4))),
            chunks,
            make_tape(trades),
            config,
            Fees(settings.maker_bps, settings.taker_bps),
            sequence,
            settings.step_ns,
            np.array(settings.trade_gaps_ns, np.int64).reshape(-1, 2),
            chunk_rows,
        )
    )
    return {c.name: np.ma.concatenate([p[c.name] for p in parts]) for c in LABELS_TABLE.columns}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Say where a kernel row (None where null) differs from a naive one: whole numbers exactly, floats to 1e-9."""
    wrong = []
    for column in LABELS_TABLE.columns:
        a, b = found[column.name], expected.get(column.name)
        same = a == b
        if column.dtype == "float64" and a is not None and b is not None:
            same = abs(a - b) <= 1e-9 * max(1.0, abs(b))
        if not same:
            wrong.append(f"{column.name}: kernel {a}, naive {b}")
    return wrong


def row_at(labels: Columns, i: int) -> dict[str, Any]:
    """Row ``i`` as plain values, None where null."""
    row = {}
    for column in LABELS_TABLE.columns:
        value = labels[column.name][i]
        null = value is np.ma.masked or (column.dtype == "float64" and np.isnan(value))
        row[column.name] = None if null else value.item()
    return row
