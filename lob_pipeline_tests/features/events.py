"""A random stream of book messages in l2_events columns: a snapshot, deltas, a gap and its recovery."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT, L2_EVENTS


def random_events(messages: int, seed: int, start_ns: int, mean_gap_ns: int, gap_at: int | None = None) -> Columns:
    """Return the columns of L2_EVENTS: ids chain by one; before message ``gap_at`` two ids are lost.

    Ten messages after the gap a snapshot replaces the book.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, ...]] = []
    now, update_id, fair = start_ns + 1, 10, 500_000
    for i in range(messages):
        now += int(rng.exponential(mean_gap_ns))
        fair += int(rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1]))
        snapshot = i == 0 or (gap_at is not None and i == gap_at + 10)
        previous = update_id
        update_id += 3 if i == gap_at else 1
        levels: dict[tuple[int, int], int] = {}
        if snapshot:
            for k in range(30):
                levels[(1, fair - k)] = int(rng.integers(1, 5_000))
                levels[(-1, fair + 1 + k)] = int(rng.integers(1, 5_000))
        else:
            for k in range(int(rng.integers(1, 6))):
                side = int(rng.choice([-1, 1]))
                price = fair - k if side > 0 else fair + 1 + k
                levels[(side, price)] = 0 if rng.random() < 0.2 and k else int(rng.integers(1, 5_000))
            levels.update({(-1, fair - j): 0 for j in range(3)})
            levels.update({(1, fair + 1 + j): 0 for j in range(3)})
            levels[(1, fair)], levels[(-1, fair + 1)] = (int(x) for x in rng.integers(1, 5_000, 2))
        kind = KIND_SNAPSHOT if snapshot else KIND_DELTA
        for k, ((side, price), lots) in enumerate(levels.items()):
            claims = -1 if snapshot else (update_id - 1 if i == gap_at else previous)
            rows.append((i, now, now, update_id, claims, -1, 0, kind, side, price, lots, k == 0))
    table = np.array(rows, dtype=np.int64)
    return {c.name: table[:, i].astype(c.dtype) for i, c in enumerate(L2_EVENTS.columns)}
