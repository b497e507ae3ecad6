"""Clocks: the instants at which a book row is taken. Time grids of any step; the id names the partition."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.units import NS_PER_DAY, NS_PER_MS, NS_PER_S

_TIME = re.compile(r"t([1-9]\d{0,5})(ms|s)\Z")


@dataclass(frozen=True)
class Clock:
    """A time grid: rows at multiples of ``step_ns`` since the epoch."""

    id: str
    step_ns: int

    def rows(self, window_ns: int) -> int:
        """Return n_w, the rows of a window: ``max(1, floor(w / step + 1/2))`` (FEATURES.md, conventions)."""
        return max(1, (2 * window_ns + self.step_ns) // (2 * self.step_ns))


def parse_clock(text: str) -> Clock:
    """Return the clock named ``t100ms``, ``t1s`` … Raises ``BadInputError`` for other names.

    The step must divide a day, so that every day's grid is the same and 24:00:00.000 is a row.
    """
    found = _TIME.match(text)
    if found:
        step_ns = int(found[1]) * (NS_PER_MS if found[2] == "ms" else NS_PER_S)
        if NS_PER_DAY % step_ns == 0:
            return Clock(text, step_ns)
        raise BadInputError(f"clock {text!r} does not divide a day: choose a step such as t100ms, t250ms or t1s")
    raise BadInputError(f"clock {text!r} is unknown: expected a time grid such as t100ms or t1s")
