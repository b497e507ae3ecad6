"""Small recordings to ingest: book messages as arrays, Bybit websocket lines, and what a lake holds afterwards."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT, Table
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.reader import open_partition, read_manifest
from lob_pipeline.venues.block import BookMessages
from lob_pipeline_tests.naive.bridge import Arrived

DAY = "2024-08-08"
MIDNIGHT_MS = day_start_ns("2024-08-09") // 1_000_000


def book_messages(messages: list[Arrived]) -> BookMessages:
    """Return messages whose levels are asks at prices equal to their arrival number."""
    n = len(messages)
    counts = np.array([m.levels for m in messages], dtype=np.int64)
    rows = int(counts.sum())

    def column(values: list[int]) -> npt.NDArray[np.int64]:
        return np.array(values, dtype=np.int64)

    return BookMessages(
        line=np.arange(n, dtype=np.int64),
        offset=np.zeros(n, dtype=np.int64),
        ts_event_ns=column([m.ts for m in messages]),
        ts_recv_ns=np.zeros(n, dtype=np.int64),
        update_id=column([m.update_id for m in messages]),
        first_update_id=np.full(n, -1, dtype=np.int64),
        prev_update_id=column([m.prev_id for m in messages]),
        seq=np.full(n, -1, dtype=np.int64),
        kind=np.array([KIND_SNAPSHOT if m.snapshot else KIND_DELTA for m in messages], dtype=np.int8),
        level_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        side=np.full(rows, -1, dtype=np.int8),
        price_ticks=np.repeat(column([m.at for m in messages]), counts),
        size_lots=np.ones(rows, dtype=np.int64),
    )


def bybit_book(ts_ms: int, u: int, *, snapshot: bool = False, symbol: str = "BTCUSDT", **levels: Any) -> str:
    """Return a Bybit book message; ``b`` and ``a`` are lists of (price, size) strings."""
    data = {"s": symbol, "b": levels.get("b", []), "a": levels.get("a", []), "u": u, "seq": u * 3}
    kind = "snapshot" if snapshot else "delta"
    return json.dumps({"topic": f"orderbook.200.{symbol}", "type": kind, "ts": ts_ms + 3, "data": data, "cts": ts_ms})


def bybit_trade(ts_ms: int, number: int, symbol: str = "BTCUSDT") -> str:
    """Return a Bybit trade message of one trade."""
    trade = {"T": ts_ms, "s": symbol, "S": "Buy", "v": "0.010", "p": "100.10", "i": f"id-{number}", "BT": False}
    return json.dumps({"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": ts_ms + 1, "data": [trade]})


def bybit_stream(
    count: int, *, first_ms: int, step_ms: int = 100, first_u: int = 10, open_book: bool = True
) -> list[str]:
    """Return a chained Bybit stream: a snapshot (unless not ``open_book``), then deltas of one to three levels."""
    lines = []
    for i in range(count):
        ts, u = first_ms + i * step_ms, first_u + i
        if i == 0 and open_book:
            side = [[f"{100 - k / 10:.2f}", f"{k + 1}.000"] for k in range(5)]
            other = [[f"{100.1 + k / 10:.2f}", f"{k + 2}.500"] for k in range(5)]
            lines.append(bybit_book(ts, u, snapshot=True, b=side, a=other))
            continue
        b = [[f"{100 - (u * 7 + k) % 9 / 10:.2f}", f"{(u * k) % 4}.{u % 1000:03d}"] for k in range(u % 3)]
        a = [[f"{100.1 + (u * 5) % 9 / 10:.2f}", f"{u % 5}.000"]]
        lines.append(bybit_book(ts, u, b=b, a=a))
    return lines


def write_lines(path: Path, lines: list[str], ending: str = "\n") -> Path:
    """Write lines, gzipped when the name ends in .gz."""
    data = "".join(line + ending for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def contents(home: Home, market: Market) -> dict[str, str]:
    """Return the content hash of every partition of a market in the lake."""
    found = {}
    for key in list_partitions(home):
        if key.market == market:
            found[f"{key.table} {key.date}"] = read_manifest(key.path(home)).content_sha256
    return found


def rows(home: Home, market: Market, table: Table, date: str = DAY) -> Columns:
    """Return a partition's numeric columns."""
    with open_partition(home, PartitionKey(table.name, market, date), table) as partition:
        return partition.read()
