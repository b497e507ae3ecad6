"""Interleaved timing: every contender once a round, several rounds, the median of each.

Seconds are core seconds of the process (user + system): on a busy machine a wall clock measures the neighbours. Every
contender runs on one thread, so on an idle machine both are the same.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ROUNDS = 5

Contender = Callable[[], float]
"""Runs its work once and returns the core seconds that count (set-up excluded)."""


@dataclass(frozen=True)
class Figure:
    """One line of the table: how much of our figure a peer's is, and the bar it must clear.

    ``ratio``: peer's seconds over ours, so larger is better for us, unless ``at_most`` is set: then ours over the
    peer's, and the bar is an upper bound. ``None`` for ``bar``: shown for the scale only.
    """

    section: str
    name: str
    ratio: float
    bar: float | None
    at_most: bool
    ours: str
    peer: str

    @property
    def clears(self) -> bool | None:
        """Whether the bar is cleared; None where there is none."""
        if self.bar is None:
            return None
        return self.ratio <= self.bar if self.at_most else self.ratio >= self.bar


@dataclass
class Rounds:
    """Seconds of every contender, round by round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Return the median seconds of a contender."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Return the median over rounds of the ratio within a round: noise that lasts a round cancels."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)


def timed(work: Callable[[], object]) -> Contender:
    """Return a contender that times all of ``work``."""

    def run() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return run


def interleave(contenders: dict[str, Contender], rounds: int = ROUNDS) -> Rounds:
    """Run every contender once untimed (compilation, caches), then ``rounds`` times in turn."""
    for contender in contenders.values():
        contender()
    found = Rounds({name: [] for name in contenders})
    for _ in range(rounds):
        for name, contender in contenders.items():
            gc.collect()
            found.seconds[name].append(contender())
    return found
