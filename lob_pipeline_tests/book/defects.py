"""The three historical bugs and their kin, injected into messages or into emitted rows."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.depth import ASK_LOTS, ASK_TICKS, BID_LOTS, BID_TICKS
from lob_pipeline.core.tables import LEVELS
from lob_pipeline_tests.naive.book import Message


def sides_inverted_on_snapshots(messages: list[Message]) -> list[Message]:
    """Swap bid and ask on snapshots and carried books only."""
    return [m._replace(levels=[(-s, p, n) for s, p, n in m.levels]) if m.kind in (1, 4) else m for m in messages]


def sides_inverted(messages: list[Message]) -> list[Message]:
    """Swap bid and ask everywhere: a consistent inversion."""
    return [m._replace(levels=[(-s, p, n) for s, p, n in m.levels]) for m in messages]


def deltas_as_snapshots(messages: list[Message]) -> list[Message]:
    """Let every delta replace the whole book."""
    return [m._replace(kind=1, prev_id=-1, recv=0) if m.kind == 2 else m for m in messages]


def one_side_frozen(messages: list[Message]) -> list[Message]:
    """Lose the asks of every delta."""
    return [m._replace(levels=[r for r in m.levels if r[0] > 0] or [(1, 1, 0)]) if m.kind == 2 else m for m in messages]


def zero_sizes_kept(messages: list[Message]) -> list[Message]:
    """Keep a deleted level as if one lot were left."""
    return [m._replace(levels=[(s, p, n or 1) for s, p, n in m.levels]) for m in messages]


def _shifted(rows: np.ndarray, by: int) -> np.ndarray:
    for first, empty in ((BID_TICKS, -1), (BID_LOTS, 0), (ASK_TICKS, -1), (ASK_LOTS, 0)):
        block = rows[:, first : first + LEVELS]
        block[:, : LEVELS - by] = block[:, by:].copy()
        block[:, LEVELS - by :] = empty
    return rows


def prices_ten_times_too_high(messages: list[Message]) -> list[Message]:
    """Read the book's prices, not those of the trades, with a tick of a tenth."""
    return [m._replace(levels=[(side, 10 * price, size) for side, price, size in m.levels]) for m in messages]


def depth_index_off_by_one(rows: np.ndarray) -> np.ndarray:
    """Store level k + 1 where level k belongs."""
    return _shifted(rows, 1)


def levels_unsorted(rows: np.ndarray) -> np.ndarray:
    """Store the levels in another order than by price."""
    for first in (BID_TICKS, BID_LOTS, ASK_TICKS, ASK_LOTS):
        rows[:, first : first + 3] = rows[:, [first + 2, first, first + 1]]
    return rows
