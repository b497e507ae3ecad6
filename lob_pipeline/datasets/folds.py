"""Walk-forward folds: calendar blocks as tests, everything before them for training, its last rows held.

Edges are multiples of the market's block since the epoch, never a share of the data: a day more of data adds a fold and
moves none. Purging is by spans: no row trains whose outcome is still open when the next stretch starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.datasets.instants import Instants, Int64s

Mask = npt.NDArray[np.bool_]

HELD_SHARE = 0.2
COVERED_SHARE = 0.5
_LONGEST_PAUSE_NS = 60 * NS_PER_S


@dataclass(frozen=True)
class Fold:
    """Row numbers int64, ascending, scored rows only. ``train`` ends before ``held``, ``held`` before ``test``.

    No span of a ``train`` row reaches ``held_start_ns``, none of ``train`` or ``held`` reaches ``test_start_ns``.
    ``purged``: rows of the stretch that were dropped for that. The test block is (test_start_ns, test_end_ns].
    """

    number: int
    train: Int64s
    held: Int64s
    test: Int64s
    held_start_ns: int
    test_start_ns: int
    test_end_ns: int
    purged: int = 0


def block_of_row(ts_ns: Int64s, block_ns: int) -> Int64s:
    """Return the number of the calendar block of each row (n,): (edge, edge + block], as a day's last row closes it."""
    return np.asarray((ts_ns - 1) // block_ns, np.int64)


def covered_blocks(instants: Instants) -> Int64s:
    """Return the numbers of the blocks (k,), ascending, of which at least half the span holds scored rows.

    A row covers the time since the scored row before it, a minute at most (quiet books decide rarely).
    """
    at = np.flatnonzero(instants.scored)
    ts = instants.ts_ns[at]
    block = block_of_row(ts, instants.block_ns)
    first = np.ones(len(at), np.bool_)
    first[1:] = block[1:] != block[:-1]
    covers = np.minimum(np.diff(ts, prepend=ts[:1]), max(_LONGEST_PAUSE_NS, instants.step_ns))
    covers[first] = instants.step_ns
    numbers, position = np.unique(block, return_inverse=True)
    span = np.bincount(position, weights=covers.astype(np.float64), minlength=len(numbers))
    return np.asarray(numbers[span >= COVERED_SHARE * instants.block_ns], np.int64)


def walk_forward(
    instants: Instants, *, minimum_blocks_before: int = 1, held_share: float = HELD_SHARE, rolling_blocks: int = 0
) -> tuple[Fold, ...]:
    """Return the folds in time order, numbered from 1; none where there are too few blocks.

    A covered block is a test block when ``minimum_blocks_before`` covered blocks lie before it. Training is everything
    before it, or the last ``rolling_blocks`` calendar blocks where that is positive. Raises ``BadInputError`` for
    settings that mean nothing.
    """
    _check(held_share)
    if minimum_blocks_before < 1 or rolling_blocks < 0:
        raise BadInputError(
            f"minimum_blocks_before={minimum_blocks_before}, rolling_blocks={rolling_blocks}: "
            "expected at least one block before a test block, and no negative number of blocks"
        )
    rows = np.flatnonzero(instants.scored)
    block = block_of_row(instants.ts_ns[rows], instants.block_ns)
    folds: list[Fold] = []
    for number in covered_blocks(instants)[minimum_blocks_before:].tolist():
        start, end = np.searchsorted(block, (number, number + 1)).tolist()
        first = np.searchsorted(block, number - rolling_blocks) if rolling_blocks else 0
        test_start = number * instants.block_ns
        train, held, held_start, purged = _split(instants, rows[first:start], test_start, held_share)
        if len(train) and len(held):
            test_end = test_start + instants.block_ns
            fold = Fold(len(folds) + 1, train, held, rows[start:end], held_start, test_start, test_end, purged)
            folds.append(fold)
    return tuple(folds)


def final_split(instants: Instants, held_share: float = HELD_SHARE) -> Fold:
    """Return the split of the model that is registered: every scored row, the last share held, no test row.

    Raises ``BadInputError`` where no row is left to train on.
    """
    _check(held_share)
    rows = np.flatnonzero(instants.scored)
    after = int(instants.t_end_ns[rows].max()) + 1 if len(rows) else 0
    train, held, held_start, purged = _split(instants, rows, after, held_share)
    if not len(train) or not len(held):
        raise BadInputError(
            f"{instants.market} at {instants.clock_id} has {len(rows)} scored rows: "
            "too few to train on some and to hold others back"
        )
    return Fold(0, train, held, np.empty(0, np.int64), held_start, after, after, purged)


def _split(
    instants: Instants, stretch: Int64s, test_start_ns: int, held_share: float
) -> tuple[Int64s, Int64s, int, int]:
    """Return (train, held, start of held, rows purged) of the scored rows before a test block."""
    clear = stretch[instants.t_end_ns[stretch] < test_start_ns]
    if not len(clear):
        return clear, clear, test_start_ns, len(stretch)
    at = len(clear) - max(1, int(np.ceil(held_share * len(clear))))
    held = clear[at:]
    held_start = int(instants.ts_ns[held[0]])
    train = clear[:at][instants.t_end_ns[clear[:at]] < held_start]
    return train, held, held_start, len(stretch) - len(train) - len(held)


def _check(held_share: float) -> None:
    if not 0.0 < held_share < 1.0:
        raise BadInputError(f"held_share {held_share} is no share: expected a number between 0 and 1, such as 0.2")
