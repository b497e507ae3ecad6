"""States of the fitted micro-price, and what one day's rows count towards a profile (fit: profile)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

DECILES, SPREADS, QUARTERS = 10, 3, 96
STATES = DECILES * SPREADS
QUARTER_NS = 900_000_000_000
ROWS, SPREAD, MESSAGES = range(3)  # columns of a day's ``season``
STAY, MOVE = range(2)  # first axis of a day's ``chain``
WEIGHT = 4
"""What one transition counts: whole also when both of its ends lie between two deciles and are split in halves."""


@njit(cache=True, error_model="numpy")
def decile_of(bid_lots: int, ask_lots: int) -> int:
    """Return the decile 0 … 9 of B/(B + A); −1 where B = A, which lies between 4 and 5.

    A border belongs to the decile nearer the middle, so that swapping the sides maps decile i to 9 − i exactly.
    """
    if bid_lots == ask_lots:
        return -1
    if bid_lots < ask_lots:
        return 10 * bid_lots // (bid_lots + ask_lots)
    return 9 - 10 * ask_lots // (bid_lots + ask_lots)


@njit(cache=True, error_model="numpy")
def microprice_offset(microprice: Float64s, bid_lots: int, ask_lots: int, spread_ticks: int) -> float:
    """Return G*(i, s) in ticks from ``microprice`` float64 (10, 3); equal queues lie on its axis of symmetry: 0."""
    decile = decile_of(bid_lots, ask_lots)
    return microprice[decile, min(spread_ticks, 3) - 1] if decile >= 0 else 0.0


@njit(cache=True, error_model="numpy")
def _add_transition(chain: Int64s, drift: Int64s, before: Int64s, after: Int64s, sign: int) -> None:
    """Count one transition between (decile, spread state, M2)s; ``sign`` −1: its mirror image."""
    moved = after[2] - before[2]
    kind = MOVE if moved != 0 else STAY
    for one in range(2):
        i = before[0] if before[0] >= 0 else 4 + one
        i = i if sign > 0 else 9 - i
        weight = 1 if before[0] < 0 else 2
        drift[SPREADS * i + before[1]] += sign * moved * weight * 2
        for other in range(2):
            j = after[0] if after[0] >= 0 else 4 + other
            j = j if sign > 0 else 9 - j
            chain[kind, SPREADS * i + before[1], SPREADS * j + after[1]] += weight * (1 if after[0] < 0 else 2)
            if after[0] >= 0:
                break
        if before[0] >= 0:
            break


@njit(cache=True, error_model="numpy")
def add_rows(
    season: Int64s, chain: Int64s, drift: Int64s, last: Int64s, rows: Int64s, step_ns: int, sample_ns: int
) -> None:
    """Count book rows, in order, towards a day.

    season  int64 (96, 3)       valid rows, Σ S, Σ messages by quarter-hour of the UTC day
    chain   int64 (2, 30, 30)   transitions with the mid at rest, and with the mid moving, and of their mirror images
    drift   int64 (30,)         Σ of the mid's moves in half ticks, by the state they start from
    last    int64 (4,)          decile, spread state, M2 and time of the last sampled row; time −1: none. Carried over
    rows    int64 (n, 8)        ts_ns, valid, run_start, best bid and ask in ticks, their lots, messages
    Rows are sampled at multiples of ``sample_ns``; a transition needs both its ends and every row between them valid.
    """
    now = np.zeros(4, np.int64)
    for k in range(rows.shape[0]):
        ts_ns, bid, ask = rows[k, 0], rows[k, 3], rows[k, 4]
        if rows[k, 1] == 0:
            last[3] = -1
            continue
        if rows[k, 2] != 0:
            last[3] = -1
        quarter = (ts_ns // QUARTER_NS) % QUARTERS
        season[quarter, ROWS] += 1
        season[quarter, SPREAD] += ask - bid
        season[quarter, MESSAGES] += rows[k, 7]
        if ts_ns % sample_ns >= step_ns:
            continue
        now[0] = decile_of(rows[k, 5], rows[k, 6])
        now[1] = min(ask - bid, SPREADS) - 1
        now[2] = bid + ask
        now[3] = ts_ns
        if last[3] >= 0 and ts_ns - last[3] == max(step_ns, sample_ns):
            _add_transition(chain, drift, last, now, 1)
            _add_transition(chain, drift, last, now, -1)
        last[:] = now
