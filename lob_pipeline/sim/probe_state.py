"""What the probe kernel holds: the book with every order's place in time, the probes, and the quotes it saw.

A probe is an order that holds a place in a queue, is not displayed and takes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.sim.state import CAPACITY, NO_PRICE, WINDOW

Ints = npt.NDArray[np.int64]

TABLE = 4 * CAPACITY  # places for the ids of resting orders, a power of two
NO_ORDER = -1

# ProbeBook.scalars
ROWS = 0  # rows of the log read so far; also the place in time of what comes next
FAULT = 1  # number of the first row that the book contradicts, -1 none

# Probes.given: columns
ARRIVE_NS, SIDE, PRICE, GIVEN = 0, 1, 2, 3
# Probes.fate: columns
AHEAD = 0  # lots ahead at arrival, -1 where it has not arrived or was rejected
FRONT = 1  # lots still ahead
DONE_LOTS = 2
FILL_NS = 3  # -1 not complete
RANK = 4  # ProbeBook.scalars[ROWS] at arrival: an order entered by an earlier row stands before it
REACHED_NS = 5  # when a taker first dropped what it could have traded with the probe, -1 never
FATE = 6
# Probes.meta
N, NEXT, LIVE, EDGE, SWEEP_NS, META = 0, 1, 2, 3, 5, 6  # EDGE: of the bids, then of the asks


class ProbeBook(NamedTuple):
    """Levels ``lots`` int64 [side, price mod WINDOW], ``best`` int64 [side] (``NO_PRICE`` where empty), and the orders.

    Orders are found by open addressing: ``ids``, ``rank`` (row that entered it), ``left`` (lots), all int64 [TABLE].
    """

    lots: Ints
    best: Ints
    ids: Ints
    rank: Ints
    left: Ints
    scalars: Ints


class Probes(NamedTuple):
    """Probes in the order they were given: ``given`` int64 (n, 3), ``fate`` int64 (n, 6), ``kind`` int8 (n,).

    ``turn`` int64 (n,): the probes by arrival. ``live`` int64 (n,): those that rest, in no order. ``watched`` int32
    [side, price mod WINDOW]: how many rest there. ``meta`` int64 (6,).
    """

    given: Ints
    fate: Ints
    kind: npt.NDArray[np.int8]
    turn: Ints
    live: Ints
    watched: npt.NDArray[np.int32]
    meta: Ints


class Seen(NamedTuple):
    """What a stretch of the log leaves behind: ``shown`` int64 (rows,), lots at the row's price after it; quotes.

    ``quotes`` int64 (rows + 1, 3): time in ns, best bid, best ask, one a change; ``n[0]`` are filled.
    """

    shown: Ints
    quotes: Ints
    n: Ints


def new_probe_book() -> ProbeBook:
    """Return an empty book."""
    scalars = np.array([0, -1], np.int64)
    ids, rank, left = np.full(TABLE, NO_ORDER, np.int64), np.zeros(TABLE, np.int64), np.zeros(TABLE, np.int64)
    return ProbeBook(np.zeros((2, WINDOW), np.int64), np.full(2, NO_PRICE, np.int64), ids, rank, left, scalars)


def new_probes(room: int) -> Probes:
    """Return room for ``room`` probes, none given yet."""
    fate = np.zeros((room, FATE), np.int64)
    fate[:, (AHEAD, FILL_NS, REACHED_NS)] = -1
    meta = np.zeros(META, np.int64)
    meta[EDGE : EDGE + 2] = NO_PRICE
    return Probes(
        np.zeros((room, GIVEN), np.int64),
        fate,
        np.zeros(room, np.int8),
        np.zeros(room, np.int64),
        np.zeros(room, np.int64),
        np.zeros((2, WINDOW), np.int32),
        meta,
    )


def new_seen(rows: int) -> Seen:
    """Return room for what ``rows`` rows leave behind."""
    return Seen(np.zeros(rows, np.int64), np.zeros((rows + 1, 3), np.int64), np.zeros(1, np.int64))


def give(probes: Probes, arrive_ns: Ints, side: Ints, price: Ints) -> None:
    """Add probes (int64 (k,) each: ns, ``BID_SIDE`` or ``ASK_SIDE``, ticks) that the log has not reached yet."""
    meta, k = probes.meta, len(arrive_ns)
    n, arrived = int(meta[N]), int(meta[NEXT])
    probes.given[n : n + k] = np.stack([arrive_ns, side, price], axis=1)
    probes.turn[n : n + k] = np.arange(n, n + k)
    meta[N] = n + k
    waiting = probes.turn[arrived : n + k]
    waiting[:] = waiting[np.argsort(probes.given[waiting, ARRIVE_NS], kind="stable")]
