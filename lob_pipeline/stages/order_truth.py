"""``lob truth``: the fate of every real order of a LOBSTER day, from the files that the day was ingested from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.labels.order_truth import BEHIND, IMPROVES, JOINS, ORDER_TRUTH, OrderMessages, order_truth, summary
from lob_pipeline.lake.columns import arrow_schema
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import storing
from lob_pipeline.stages.ingest_files import kept_file
from lob_pipeline.stages.ingest_sources import registered
from lob_pipeline.venues import lobster
from lob_pipeline.venues import lobster_view as state
from lob_pipeline.venues.block import Int64s
from lob_pipeline.venues.detect import FileInfo
from lob_pipeline.venues.lobster_kernel import DIRECTION, ORDER_ID, PRICE, SIZE, TIME_NS, TYPE


def truth_of_day(home: Home, market: Market, date: str) -> Columns:
    """Return ``ORDER_TRUTH`` of an ingested day.

    Raises ``BadInputError`` for a market whose recordings name no orders, and a day that was not ingested.
    """
    if market.venue != "lobster":
        raise BadInputError(
            f"{market}: the fate of real orders is known from LOBSTER recordings alone; of a simulated market name the "
            "probe truth (--probes FILE) or let markets be made (--seeds N)"
        )
    sources = registered(home).of_day(market, date)
    if not sources:
        raise BadInputError(f"no source of {market} on {date} is registered: run `lob ingest {market} PATH...`")
    file = kept_file(home, sources[0])
    grid = instrument(market, sources[0].tick, sources[0].lot, home.markets)
    return order_truth(order_messages(file.path, file.info, grid))


def order_messages(path: Path, info: FileInfo, grid: Instrument) -> OrderMessages:
    """Return the messages of a LOBSTER day with where each new order stood in the book before it."""
    pair = lobster.pair_of(path, info)
    units, lot = int(grid.tick * lobster.UNITS_A_DOLLAR), int(grid.lot)
    levels = pair.book.levels
    before = np.zeros((1, 4 * levels), np.int64)
    parts: list[tuple[Int64s, Int64s, Int64s]] = []
    for line, _, messages, rows in pair.pieces():
        ahead, placement = _placed(messages, np.concatenate([before, rows[:-1]]), levels)
        if line == 0:
            ahead[0] = -1
        parts.append((messages, ahead, placement))
        before = rows[-1:]
    m, ahead, placement = (np.concatenate([part[k] for part in parts]) for k in range(3))
    seq = np.arange(len(m))
    kind = m[:, TYPE]
    return OrderMessages(
        seq=seq,
        ts_ns=pair.messages.midnight_ns + m[:, TIME_NS],
        order_id=m[:, ORDER_ID],
        size_lots=m[:, SIZE] // lot,
        price_ticks=m[:, PRICE] // units,
        side=m[:, DIRECTION].astype(np.int8),
        places=kind == state.NEW,
        cancels=(kind == state.PARTIAL_CANCEL) | (kind == state.DELETE),
        executes=kind == state.EXECUTE,
        known=seq > 0,
        placement=placement.astype(np.int8),
        queue_ahead_lots=np.where(ahead > 0, ahead // lot, ahead),
    )


def _placed(m: Int64s, before: Int64s, levels: int) -> tuple[Int64s, Int64s]:
    """Return (size displayed at the message's price before it, its place against the best price of its side)."""
    buys = m[:, DIRECTION] == 1
    first = np.where(buys, 2, 0)
    at = np.arange(len(m))
    best = before[at, first]
    empty = before[at, first + 1] == 0
    ahead = np.full(len(m), -1, np.int64)
    shown = 0
    worst = best.copy()
    for k in range(levels):
        price, size = before[at, first + 4 * k], before[at, first + 4 * k + 1]
        ahead = np.where((price == m[:, PRICE]) & (size > 0), size, ahead)
        worst = np.where(size > 0, price, worst)
        shown = shown + (size > 0)
    better = np.where(buys, m[:, PRICE] - best, best - m[:, PRICE])
    inside = np.where(buys, m[:, PRICE] > worst, m[:, PRICE] < worst) | (shown < levels)
    ahead = np.where((ahead < 0) & inside, 0, ahead)  # inside of the view a level that is not shown is empty
    placement = np.where(empty | (better > 0), IMPROVES, np.where(better == 0, JOINS, BEHIND))
    return ahead, placement


def write_truth(home: Home, market: Market, date: str, out: Path | None = None) -> dict[str, Any]:
    """Write a day's ``ORDER_TRUTH`` as Parquet (default: ``HOME/reports/truth/``) and return its summary."""
    orders = truth_of_day(home, market, date)
    path = out or home.reports / "truth" / f"{market}-{date}.parquet"
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        schema = arrow_schema(ORDER_TRUTH)
        pq.write_table(pa.table([pa.array(orders[n]) for n in ORDER_TRUTH.names], schema=schema), part)
        os.replace(part, path)
    return {
        "market": str(market),
        "date": date,
        "path": str(path),
        "rows": int(orders["seq"].shape[0]),
        "orders": summary(orders),
    }
