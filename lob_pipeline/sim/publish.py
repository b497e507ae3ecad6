"""What the venue shows of the engine: the best levels a side, as differences from message to message."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.engine import key_of, next_price
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE, NO_PRICE, SEQ, WINDOW, MatchingState

BID, BID_LOTS, BID_DEPTH_LOTS, BID_SPAN_TICKS = 0, 1, 2, 3  # columns of Messages.summary: best, all, first to last
ASK, ASK_LOTS, ASK_DEPTH_LOTS, ASK_SPAN_TICKS = 4, 5, 6, 7
SUMMARY = 8


class View(NamedTuple):
    """The levels that were last shown and a second buffer: ``[buffer, side, level]``; ``n`` is ``[buffer, side]``."""

    price: npt.NDArray[np.int64]
    lots: npt.NDArray[np.int64]
    n: npt.NDArray[np.int64]


class Messages(NamedTuple):
    """Book messages of one chunk and their level rows; rows of message i are ``first_row[i] : first_row[i + 1]``.

    ``summary`` describes the shown book after each message (columns named below). ``n`` is (messages, rows) filled.
    """

    cts_ms: npt.NDArray[np.int64]
    ts_ms: npt.NDArray[np.int64]
    update_id: npt.NDArray[np.int64]
    seq: npt.NDArray[np.int64]
    snapshot: npt.NDArray[np.bool_]
    first_row: npt.NDArray[np.int64]
    summary: npt.NDArray[np.int64]
    row_side: npt.NDArray[np.int8]
    row_price: npt.NDArray[np.int64]
    row_lots: npt.NDArray[np.int64]
    n: npt.NDArray[np.int64]


def new_view(depth: int) -> View:
    """Return a view of ``depth`` levels a side that has shown nothing yet."""
    return View(np.zeros((2, 2, depth), np.int64), np.zeros((2, 2, depth), np.int64), np.zeros((2, 2), np.int64))


def new_messages(messages: int, rows: int) -> Messages:
    """Return room for that many messages and level rows."""
    cts_ms, ts_ms, update_id, seq = (np.zeros(messages, np.int64) for _ in range(4))
    return Messages(
        cts_ms,
        ts_ms,
        update_id,
        seq,
        np.zeros(messages, np.bool_),
        np.zeros(messages + 1, np.int64),
        np.zeros((messages, SUMMARY), np.int64),
        np.zeros(rows, np.int8),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(2, np.int64),
    )


@njit(cache=True)
def read_side(engine: MatchingState, side: int, price: npt.NDArray[np.int64], lots: npt.NDArray[np.int64]) -> int:
    """Write the best levels of ``side`` (ticks, lots; best first, at most ``price.size``); return how many."""
    n, best = 0, engine.best[side]
    step = 1 if side == ASK_SIDE else -1
    at = best
    while at != NO_PRICE and n < price.size:
        price[n], lots[n] = at, engine.lots[side, key_of(side, at)]
        n += 1
        at = next_price(engine, side, at + step)
        if (at - best) * step >= WINDOW:  # the scan is circular: behind the last level it meets the best again
            break
    return n


@njit(cache=True)
def _row(out: Messages, side: int, price: int, lots: int) -> None:
    n = out.n[1]
    out.row_side[n], out.row_price[n], out.row_lots[n] = 1 if side == BID_SIDE else -1, price, lots
    out.n[1] = n + 1


@njit(cache=True)
def _differences(view: View, side: int, out: Messages) -> None:
    """Write the rows that turn the shown levels (buffer 0) into the present ones (buffer 1), best first."""
    step = 1 if side == ASK_SIDE else -1
    i, j, old, new = 0, 0, view.n[0, side], view.n[1, side]
    while i < old or j < new:
        if j == new or (i < old and (view.price[0, side, i] - view.price[1, side, j]) * step < 0):
            _row(out, side, view.price[0, side, i], 0)
            i += 1
        elif i == old or view.price[0, side, i] != view.price[1, side, j]:
            _row(out, side, view.price[1, side, j], view.lots[1, side, j])
            j += 1
        else:
            if view.lots[0, side, i] != view.lots[1, side, j]:
                _row(out, side, view.price[1, side, j], view.lots[1, side, j])
            i += 1
            j += 1


@njit(cache=True)
def publish(
    engine: MatchingState, view: View, out: Messages, cts_ms: int, ts_ms: int, update_id: int, snapshot: bool
) -> bool:
    """Append one message with the book as it is: all levels of a snapshot, else what changed since the last one.

    Returns False, and writes nothing, when a delta would be empty (the venue is silent then too).
    The caller keeps room for one message and four times the depth in rows.
    """
    n = out.n[0]
    out.first_row[n] = out.n[1]
    for side in range(2):
        view.n[1, side] = read_side(engine, side, view.price[1, side], view.lots[1, side])
        if snapshot:
            view.n[0, side] = 0
        _differences(view, side, out)
        m = view.n[1, side]
        view.price[0, side, :m] = view.price[1, side, :m]
        view.lots[0, side, :m] = view.lots[1, side, :m]
        view.n[0, side] = m
    if out.n[1] == out.first_row[n]:
        return False
    out.cts_ms[n], out.ts_ms[n], out.update_id[n], out.seq[n] = cts_ms, ts_ms, update_id, engine.scalars[SEQ]
    out.snapshot[n] = snapshot
    for side in range(2):
        last = max(0, view.n[0, side] - 1)
        out.summary[n, BID + 4 * side] = view.price[0, side, 0]
        out.summary[n, BID_LOTS + 4 * side] = view.lots[0, side, 0]
        out.summary[n, BID_DEPTH_LOTS + 4 * side] = view.lots[0, side, : last + 1].sum()
        out.summary[n, BID_SPAN_TICKS + 4 * side] = abs(view.price[0, side, last] - view.price[0, side, 0])
    out.n[0] = n + 1
    out.first_row[n + 1] = out.n[1]
    return True
