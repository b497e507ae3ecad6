"""Hand-made book rows for the tests of this room: columns of ``book_snapshots`` from plain level lists."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, LEVELS

Levels = list[tuple[int, int]]

_NUMPY = {"int64": np.int64, "bool": np.bool_}


def book_rows(
    books: list[tuple[Levels, Levels]], *, start_ns: int = 1_700_000_000_000_000_000, step_ns: int = 100_000_000
) -> Columns:
    """Return the columns of one row a book: each book is (bids, asks), best first, as (ticks, lots)."""
    n = len(books)
    columns: Columns = {c.name: np.zeros(n, _NUMPY[c.dtype]) for c in BOOK_SNAPSHOTS.columns}
    columns["ts_ns"][:] = start_ns + step_ns * np.arange(n)
    columns["close_ns"][:] = columns["ts_ns"] + 1_000_000
    for side, which in (("bid", 0), ("ask", 1)):
        for k in range(LEVELS):
            for i, book in enumerate(books):
                present = k < len(book[which])
                columns[f"{side}_ticks_{k + 1}"][i] = book[which][k][0] if present else -1
                columns[f"{side}_lots_{k + 1}"][i] = book[which][k][1] if present else 0
    both = (columns["bid_ticks_1"] >= 0) & (columns["ask_ticks_1"] > columns["bid_ticks_1"])
    columns["valid"][:] = both
    columns["decidable"][:] = True
    for side in ("bid", "ask"):
        for bps in (1, 2, 4):
            columns[f"{side}_depth_{bps}bps_lots"][:] = columns[f"{side}_lots_1"]
    columns["messages"][:] = 1
    return columns
