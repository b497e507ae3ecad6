"""What a rebuilt LOBSTER book is made of: kinds of messages, what is counted, levels in view, rows being written."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

NEW, PARTIAL_CANCEL, DELETE, EXECUTE, HIDDEN, CROSS, HALT = range(1, 8)

(
    ROWS,  # book rows compared with the file
    ROWS_EQUAL,
    ROWS_SEEN,  # rows in which no level had to be looked up in the file
    ROWS_SEEN_EQUAL,
    ROWS_KNOWN,  # rows all of whose levels are known from messages alone, since the opening book
    ROWS_KNOWN_EQUAL,
    FROM_MESSAGES,  # level rows
    FROM_FILE,
    LEFT_VIEW,
    UNKNOWN_LEVEL,  # messages on a level that is not in view
    BELOW_ZERO,  # messages that take more than the level holds
    COUNTS,
) = range(12)


class View(NamedTuple):
    """Levels in view of both sides (0 bids, 1 asks), best first. ``looked_up``: the size came from the book file."""

    n: Int64s  # (2,)
    price: Int64s  # (2, levels + 1)
    size: Int64s  # (2, levels + 1)
    looked_up: Int64s  # (2, levels + 1)


def new_view(levels: int) -> View:
    """Return a view of nothing."""
    shape = (2, levels + 1)
    return View(np.zeros(2, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64))


class LevelRows(NamedTuple):
    """Rows being written: side (+1, -1), price, size, and the message each belongs to. ``n`` (1,): how many."""

    n: Int64s
    message: Int64s
    side: npt.NDArray[np.int8]
    price: Int64s
    size: Int64s


def new_level_rows(messages: int, levels: int) -> LevelRows:
    """Return room for what ``messages`` can write: an own row and one that leaves, and what fills both sides once."""
    most = 2 * messages + 2 * levels * (messages + 1)
    return LevelRows(
        np.zeros(1, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int8),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
    )
