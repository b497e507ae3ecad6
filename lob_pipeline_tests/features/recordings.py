"""Real Binance recordings as l2_events columns, by a plain JSON loop: independent of the decoders and the ingest."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT, L2_EVENTS

Message = dict[str, Any]


def book_messages(paths: list[Path]) -> Iterator[Message]:
    """Yield snapshots and depth updates in recorded order."""
    for path in paths:
        with gzip.open(path, "rt") as lines:
            for line in lines:
                stamp, text = line.split(" ", 1)
                if "depthUpdate" not in text and "lastUpdateId" not in text:
                    continue
                data = json.loads(text)
                data = data.get("data", data)
                recv_ns = int(stamp) * (1_000 if len(stamp) == 16 else 1)
                yield {**data, "recv": recv_ns, "snapshot": "lastUpdateId" in data}


def bridged(messages: list[Message]) -> list[Message]:
    """Return the first snapshot, the updates that it does not already hold, and what follows, in that order."""
    at = next(i for i, m in enumerate(messages) if m["snapshot"])
    snapshot = messages[at]
    futures = "pu" in next(m for m in messages if not m["snapshot"])
    least = snapshot["lastUpdateId"] + (0 if futures else 1)
    follow = [m for m in messages if not m["snapshot"] and m["u"] >= least]
    snapshot.setdefault("T", follow[0].get("T", follow[0]["E"]))
    return [snapshot, *follow]


def binance_events(paths: list[Path], market: Instrument) -> Columns:
    """Return the columns of L2_EVENTS of successive files of one stream."""
    rows: list[tuple[int, ...]] = []
    for i, m in enumerate(bridged(list(book_messages(paths)))):
        time_ns = m.get("T", m.get("E")) * 1_000_000
        kind = KIND_SNAPSHOT if m["snapshot"] else KIND_DELTA
        last = m["lastUpdateId"] if m["snapshot"] else m["u"]
        claims = -1 if m["snapshot"] else m.get("pu", m.get("U", 0) - 1)
        levels = [(1, *x) for x in m.get("bids", m.get("b"))] + [(-1, *x) for x in m.get("asks", m.get("a"))]
        for k, (side, price, size) in enumerate(levels):
            ticks, lots = int(Decimal(price) / market.tick), int(Decimal(size) / market.lot)
            rows.append((i, time_ns, m["recv"], last, claims, -1, 0, kind, side, ticks, lots, k == 0))
    table = np.array(rows, dtype=np.int64)
    return {c.name: table[:, i].astype(c.dtype) for i, c in enumerate(L2_EVENTS.columns)}
