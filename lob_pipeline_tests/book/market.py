"""A small made-up market over two days: messages, trades and quotes that agree with each other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import L2_EVENTS, QUOTES, TRADES, Table
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline_tests.book.streams import to_columns
from lob_pipeline_tests.lake.helpers import gates_of
from lob_pipeline_tests.naive.book import Book, Message
from lob_pipeline_tests.naive.recordings import Recording

STEP = 100_000_000


def made_up(recording: Recording, last_date: str, next_date: str, messages: int, seed: int = 1) -> Recording:
    """Fill ``recording`` with a market that trades over the midnight between two days, ten messages a second."""
    rng = np.random.default_rng(seed)
    book, ts = Book(), day_start_ns(next_date) - messages // 2 * STEP + 7
    assert day_start_ns(next_date) - day_start_ns(last_date) == 24 * 3600 * 10**9
    mid = 600_000
    for u in range(1, messages + 1):
        mid += int(rng.integers(-3, 4)) if u % 5 == 0 else 0
        wanted = {(1, mid - 1 - k): int(rng.integers(1, 50)) for k in range(25)}
        wanted |= {(-1, mid + k): int(rng.integers(1, 50)) for k in range(25)}
        gone = [(s, p, 0) for s, sizes in book.sizes.items() for p in sizes if (s, p) not in wanted]
        levels = [*gone, *((s, p, n) for (s, p), n in wanted.items())]
        if not gone and u > 1:  # the mid stands still: a third of the levels changes
            levels = levels[::3]
        levels = [(s, p, n + (book.sizes[s].get(p) == n)) for s, p, n in levels]  # a level is named when it changes
        (book.replace if u == 1 else book.apply)(levels)
        recording.messages.append(Message(ts, 0, u, -1 if u == 1 else u - 1, 1 if u == 1 else 2, levels))
        bid, ask = book.best(1, 1)[0], book.best(-1, 1)[0]
        recording.quotes.append((u, *bid, *ask))
        side = int(rng.choice((1, -1)))
        recording.trades.append((ts + 11, side, ask[0] if side > 0 else bid[0], u))
        ts += STEP
    return recording


def publish_day(home: Home, market: Market, date: str, recording: Recording, messages: list[Message]) -> None:
    """Write a day's events, trades and quotes to the lake, as ingest would."""
    events = to_columns(messages)
    n = len(events["kind"])
    events["order"] = np.arange(n, dtype=np.int64)
    events["seq"] = np.full(n, -1, np.int64)
    events["conn"] = np.zeros(n, np.int32)
    _write(home, PartitionKey("l2_events", market, date), L2_EVENTS, events)
    t = np.array(recording.day_trades(date), np.int64).reshape(-1, 4)
    k = len(t)
    trades: Columns = {
        "order": np.arange(k, dtype=np.int64),
        "ts_event_ns": t[:, 0],
        "ts_recv_ns": np.zeros(k, np.int64),
        "seq": np.full(k, -1, np.int64),
        "side": t[:, 1].astype(np.int8),
        "price_ticks": t[:, 2],
        "size_lots": np.ones(k, np.int64),
        "flags": np.zeros(k, np.int8),
    }
    ids = pa.array([str(i) for i in t[:, 3]], pa.string())
    _write(home, PartitionKey("trades", market, date), TRADES, trades, {"trade_id": ids})
    q = np.array(recording.quotes, np.int64).reshape(-1, 5)
    zero = np.zeros(len(q), np.int64)
    names = ("update_id", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    quotes: Columns = {"order": np.arange(len(q), dtype=np.int64), "ts_event_ns": zero, "ts_recv_ns": zero}
    quotes.update(zip(names, q.T.copy(), strict=True))
    _write(home, PartitionKey("quotes", market, date), QUOTES, quotes)


def _write(home: Home, key: PartitionKey, table: Table, columns: Columns, strings: dict | None = None) -> None:
    with PartitionWriter(home, key, table) as writer:
        writer.write({c: columns[c] for c in table.names if c in columns}, strings)
        writer.commit(
            code_fingerprint="test",
            inputs={},
            outcomes=gates_of(table.name),
            extra={"tick": "0.1", "lot": "0.001"},
        )
