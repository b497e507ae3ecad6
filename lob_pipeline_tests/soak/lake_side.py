"""What came out of a soak: the messages and levels of an ingested market, and the recorder's own ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Messages:
    """Book messages of a partition, one row a message, with their level rows: row ``start[i]`` to ``start[i + 1]``."""

    update_id: Int64s
    seq: Int64s
    kind: Int64s
    recv_ns: Int64s
    start: Int64s
    side: Int64s
    price_ticks: Int64s
    size_lots: Int64s


def partition_files(home: Path, table: str, market: str) -> list[Path]:
    """Return a market's partition files, by day, wherever a gate let them go."""
    venue, _, symbol = market.partition(".")
    found = sorted((home / "lake" / table / f"venue={venue}" / f"symbol={symbol}").glob("date=*/part-0.parquet"))
    if not found:
        raise RuntimeError(f"{table} of {market} was not published under {home}")
    return found


def batches(home: Path, market: str, rows: int = 4_000_000) -> Iterator[Messages]:
    """Yield the market's book messages in order, whole messages only, about ``rows`` level rows at a time."""
    names = ("update_id", "seq", "kind", "ts_recv_ns", "first_in_message", "side", "price_ticks", "size_lots")
    held: dict[str, Int64s] = {name: np.empty(0, np.int64) for name in names}
    for path in partition_files(home, "l2_events", market):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1 << 20, columns=list(names)):
            for name in names:
                column = batch.column(batch.schema.get_field_index(name)).to_numpy(zero_copy_only=False)
                held[name] = np.concatenate([held[name], column.astype(np.int64)])
            if len(held["seq"]) >= rows:
                last = int(np.flatnonzero(held["first_in_message"])[-1])
                yield _messages({name: column[:last] for name, column in held.items()})
                held = {name: column[last:] for name, column in held.items()}
    if len(held["seq"]):
        yield _messages(held)


def _messages(held: dict[str, Int64s]) -> Messages:
    start = np.flatnonzero(held["first_in_message"])
    return Messages(
        update_id=held["update_id"][start],
        seq=held["seq"][start],
        kind=held["kind"][start],
        recv_ns=held["ts_recv_ns"][start],
        start=np.append(start, len(held["seq"])),
        side=held["side"],
        price_ticks=held["price_ticks"],
        size_lots=held["size_lots"],
    )


def trades(home: Path, market: str) -> dict[str, Any]:
    """Return the market's trades: ``trade_id`` (list), ``seq`` and ``recv_ns`` (int64)."""
    ids: list[str] = []
    seq: list[Int64s] = []
    recv_ns: list[Int64s] = []
    for path in partition_files(home, "trades", market):
        table = pq.read_table(path, columns=["trade_id", "seq", "ts_recv_ns"], partitioning=None)
        ids += table["trade_id"].to_pylist()
        seq.append(table["seq"].to_numpy())
        recv_ns.append(table["ts_recv_ns"].to_numpy())
    return {"trade_id": ids, "seq": np.concatenate(seq), "recv_ns": np.concatenate(recv_ns)}


def ledger_lines(home: Path) -> list[dict[str, Any]]:
    """Return the recorder's ledger, oldest line first."""
    text = (home / "ledgers" / "segments.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]
