"""What earlier days tell a market's features: the season of spread and activity, and the fitted micro-price.

Micro-price: Stoikov 2018, "The micro-price: a high-frequency estimator of future prices", the finite-state estimator:
ten imbalance deciles by three spreads, one step of 100 ms, counts symmetrised by mirroring every transition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.features.profile_kernel import (
    DECILES,
    MESSAGES,
    MOVE,
    QUARTERS,
    ROWS,
    SPREAD,
    SPREADS,
    STATES,
    STAY,
    Float64s,
    Int64s,
    add_rows,
)

MINIMUM_DAYS = 3
"""Usable days that a profile needs, and days that a quarter-hour needs for its median."""
SAMPLE_NS = 100 * NS_PER_MS
_TERMS = 6
COLUMNS = (
    "ts_ns",
    "valid",
    "run_start",
    "bid_ticks_1",
    "ask_ticks_1",
    "bid_lots_1",
    "ask_lots_1",
    "messages",
)
"""The columns of ``book_snapshots`` that a profile is made of, in the order of ``add_rows``."""


class Profile(NamedTuple):
    """A profile. microprice_ticks float64 (10, 3); spread_ticks, messages_60s float64 (96,), NaN where unknown."""

    microprice_ticks: Float64s
    spread_ticks: Float64s
    messages_60s: Float64s


class DayCounts(NamedTuple):
    """What one day adds to a profile; the arrays of ``profile_kernel.add_rows``."""

    season: Int64s
    chain: Int64s
    drift: Int64s
    last: Int64s


def neutral_profile() -> Profile:
    """Return the profile of a market without a past: no correction, no season."""
    return Profile(np.zeros((DECILES, SPREADS)), np.full(QUARTERS, np.nan), np.full(QUARTERS, np.nan))


def checked(profile: Profile) -> Profile:
    """Return ``profile``. Raises ``ValueError`` where its arrays have other shapes, or a correction is not finite."""
    shapes = [array.shape for array in profile]
    if shapes != [(DECILES, SPREADS), (QUARTERS,), (QUARTERS,)] or not np.isfinite(profile.microprice_ticks).all():
        raise ValueError(f"profile has shapes {shapes}, expected ({DECILES}, {SPREADS}) finite and twice ({QUARTERS},)")
    return profile


def new_counts() -> DayCounts:
    """Return the counts of a day of which no row was seen yet."""
    last = np.zeros(4, np.int64)
    last[3] = -1
    return DayCounts(
        np.zeros((QUARTERS, 3), np.int64), np.zeros((2, STATES, STATES), np.int64), np.zeros(STATES, np.int64), last
    )


def count(counts: DayCounts, rows: Int64s, step_ns: int) -> None:
    """Add book rows, int64 (n, len(COLUMNS)), to a day's counts, in order."""
    add_rows(*counts, np.ascontiguousarray(rows), step_ns, SAMPLE_NS)


def fit(days: Sequence[DayCounts], rows_60s: int) -> Profile:
    """Return the profile of earlier days; the neutral one where there are fewer than ``MINIMUM_DAYS``.

    ``rows_60s``: rows of 60 s on the clock; a quarter-hour counts on the days that have as many valid rows in it.
    """
    if len(days) < MINIMUM_DAYS:
        return neutral_profile()
    season = np.stack([day.season for day in days])
    rows = season[:, :, ROWS]
    known = rows >= rows_60s
    spread, messages = np.full(known.shape, np.nan), np.full(known.shape, np.nan)
    np.divide(season[:, :, SPREAD], rows, out=spread, where=known)
    np.divide(season[:, :, MESSAGES] * rows_60s, rows, out=messages, where=known)
    chain = np.sum([day.chain for day in days], axis=0)
    drift = np.sum([day.drift for day in days], axis=0)
    return Profile(fit_microprice(chain, drift), _median(spread), _median(messages))


def days_that_count(days: Sequence[DayCounts], rows_60s: int) -> Int64s:
    """Return int64 (126,): the days behind each quarter-hour's medians, then behind each state's correction."""
    found = np.zeros(QUARTERS + STATES, np.int64)
    for day in days if len(days) >= MINIMUM_DAYS else ():
        found[:QUARTERS] += day.season[:, ROWS] >= rows_60s
        found[QUARTERS:] += day.chain.sum(axis=(0, 2)) > 0
    return found


def _median(by_day: Float64s) -> Float64s:
    """Return the median over days, float64 (96,); NaN for a quarter-hour that fewer than ``MINIMUM_DAYS`` know."""
    found = np.full(QUARTERS, np.nan)
    for quarter in range(QUARTERS):
        values = by_day[~np.isnan(by_day[:, quarter]), quarter]
        if len(values) >= MINIMUM_DAYS:
            found[quarter] = np.median(values)
    return found


def fit_microprice(chain: Int64s, drift: Int64s) -> Float64s:
    """Return G* = Σ_{j=0..5} B^j G_1 in ticks, float64 (10, 3), from symmetrised counts (Stoikov 2018).

    With Q the transitions at rest, T those with a move and K the moves: G_1 = (1 − Q)⁻¹ E[K], B = (1 − Q)⁻¹ T.
    ``chain`` int64 (2, 30, 30), ``drift`` int64 (30,): half ticks times the transition's weight. A state from
    which no move was ever reached has no estimate: 0.
    """
    total = chain.sum(axis=(0, 2)).astype(np.float64)
    moving = chain[MOVE].sum(axis=1) > 0
    while True:
        grown = moving | (chain[STAY][:, moving].sum(axis=1) > 0)
        if (grown == moving).all():
            break
        moving = grown
    scale = np.where(total > 0, total, 1.0)[:, None]
    rest = np.where(moving[:, None] & moving[None, :], chain[STAY] / scale, 0.0)
    change = np.where(moving[:, None], chain[MOVE] / scale, 0.0)
    expected = np.where(moving, drift / scale[:, 0] / 2.0, 0.0)
    solved = np.linalg.solve(np.eye(STATES) - rest, np.column_stack([expected, change]))
    term, found = solved[:, 0], np.zeros(STATES)
    for _ in range(_TERMS):
        found = found + term
        term = solved[:, 1:] @ term
    cells = found.reshape(DECILES, SPREADS)
    return np.asarray((cells - cells[::-1]) / 2.0)  # odd by construction; here to the last bit
