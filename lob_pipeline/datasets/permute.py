"""The placebo: outcomes permuted in blocks of time, so that nothing in the features can know them.

A pipeline that finds an edge here finds it in its own mistakes. Blocks (not rows) are moved, so the outcomes keep their
overlap and their clusters, and the policy meets the same runs of fills (METHODS.md, placebo and power).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.instants import Instants, Orders

Int64s = npt.NDArray[np.int64]

BLOCK_NS = 15 * 60 * 1_000_000_000


def permute_blocks(instants: Instants, seed: int, block_ns: int = BLOCK_NS) -> Instants:
    """Return the same instants with the outcomes of other blocks; times, prices and features stay.

    Scored rows are cut into successive stretches of as many rows as ``block_ns`` holds; whole stretches change places
    (the last, shorter one stays). Raises ``BadInputError`` with fewer than 8 of them: that would be no permutation.
    """
    rows = np.flatnonzero(instants.scored)
    span = int(instants.step_ns) * max(1, instants.ts_ns.size)
    a_block = max(1, int(rows.size * block_ns / span))
    blocks = rows.size // a_block
    if blocks < 8:
        raise BadInputError(
            f"{rows.size:,} scored rows hold {blocks} blocks of {block_ns // 60_000_000_000} minutes: "
            "a placebo needs at least 8; give it more days"
        )
    order = np.random.default_rng(seed).permutation(blocks)
    source = rows.copy()
    source[: blocks * a_block] = rows[: blocks * a_block].reshape(blocks, a_block)[order].reshape(-1)
    moved = _moved(instants.orders, rows, source)
    return replace(instants, orders=moved, mid_return_bps=_of(instants.mid_return_bps, rows, source))


def _of(values: npt.NDArray[Any], rows: Int64s, source: Int64s) -> npt.NDArray[Any]:
    out = values.copy()
    out[rows] = values[source]
    return out


def _moved(orders: Orders, rows: Int64s, source: Int64s) -> Orders:
    moved: dict[str, Any] = {}
    for name, value in vars(orders).items():
        if name == "price_ticks":
            continue
        if isinstance(value, dict):
            moved[name] = {suffix: _of(array, rows, source) for suffix, array in value.items()}
        else:
            moved[name] = _of(value, rows, source)
    return replace(orders, **moved)
