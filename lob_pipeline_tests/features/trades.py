"""Random trades beside random book rows, a random profile, both in the kernel's form and in the naive code's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.tables import ROW
from lob_pipeline.features.profile import Profile
from lob_pipeline_tests.naive.tape import Season, Trade

Int64s = npt.NDArray[np.int64]
Tape = list[list[Trade] | None]


def random_tape(rows: Int64s, step_ns: int, seed: int, rate: float = 0.5, lots: int = 500, unknown: int = 0) -> Tape:
    """Return the trades of each row: some at the touch, few very large, half of the rows in bursts and half silent.

    The first ``unknown`` rows have no recorded tape.
    """
    rng = np.random.default_rng(seed)
    tape: Tape = []
    for i, row in enumerate(rows):
        busy = rng.random() < 0.5
        count = rng.poisson(2 * rate) if busy else 0
        sides = rng.choice([-1, 1], count)
        sizes = rng.integers(1, lots, count) * np.where(rng.random(count) < 0.01, 200, 1)
        times = np.sort(rng.integers(row[ROW["ts_ns"]] - step_ns + 1, row[ROW["ts_ns"]] + 1, count))
        bid, ask = row[ROW["bid_ticks_1"]], row[ROW["ask_ticks_1"]]
        trades = [
            Trade(int(t), int(s * z), int(ask if s > 0 else bid)) for t, s, z in zip(times, sides, sizes, strict=True)
        ]
        tape.append(None if i < unknown else trades)
    return tape


def tape_sums(tape: Tape) -> Int64s:
    """Return int64 (rows, 6): signed lots, lots, trades, Σ price·lots, the largest, the latest time (-1)."""
    sums = []
    for trades in tape:
        if trades is None:
            sums.append((0, 0, -1, 0, 0, -1))
            continue
        lots = [abs(trade.signed) for trade in trades]
        signed, notional = sum(t.signed for t in trades), sum(t.price * abs(t.signed) for t in trades)
        latest = max((t.ts for t in trades), default=-1)
        sums.append((signed, sum(lots), len(trades), notional, max(lots, default=0), latest))
    return np.array(sums, dtype=np.int64).reshape(len(tape), 6)


def random_profile(seed: int) -> Profile:
    """Return a profile whose correction is odd in the imbalance, with a fifth of its quarter-hours unknown."""
    rng = np.random.default_rng(seed)
    half = rng.normal(0.0, 1.0, (5, 3))
    spread, messages = 10.0 ** rng.uniform(-4.0, 3.0, 96), rng.uniform(0.0, 50_000.0, 96)
    spread[rng.random(96) < 0.2] = np.nan
    messages[rng.random(96) < 0.2] = np.nan
    return Profile(np.concatenate([half, -half[::-1]]), spread, messages)


def season_of(profile: Profile) -> Season:
    """Return the same in plain numbers."""
    usual = [[None if np.isnan(x) else float(x) for x in values] for values in profile[1:]]
    return Season(profile.microprice_ticks.tolist(), *usual)


def tape_of_rows(rows: Int64s, step_ns: int) -> Int64s:
    """Return random tape sums, int64 (rows, 6), that depend on each row alone: a part of the rows has the same."""
    parts = [tape_sums(random_tape(row[None], step_ns, int(row[ROW["ts_ns"]]) % 2**32)) for row in rows]
    return np.concatenate(parts) if parts else np.zeros((0, 6), np.int64)
