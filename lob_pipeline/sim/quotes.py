"""The best quotes of a simulated day as its feed shows them: what a trader decides on and what he is paid by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.sim.publish import ASK, BID, Messages

STEP_NS = 100 * NS_PER_MS  # the clock of the default market
Ints = npt.NDArray[np.int64]


class QuoteTape:
    """Collects the best quotes of a day, chunk by chunk: after ``done()``, int64 (n,) ns and ticks, in stream order."""

    def __init__(self) -> None:
        self._parts: list[Ints] = []

    def add(self, messages: Messages) -> None:
        """Append the messages of a chunk."""
        n = int(messages.n[0])
        best = messages.summary[:n]
        self._parts.append(np.stack([messages.cts_ms[:n] * NS_PER_MS, best[:, BID], best[:, ASK]]))

    def done(self) -> Quotes:
        """Return what was collected."""
        time_ns, bid, ask = np.concatenate(self._parts, axis=1)
        return Quotes(np.maximum.accumulate(time_ns), bid, ask)


class Quotes:
    """The best quotes (int64 (n,)): ``time_ns`` ascending, ``bid`` and ``ask`` in ticks; row i holds from its time on.

    Raises ``ValueError`` for columns of different lengths.
    """

    def __init__(self, time_ns: Ints, bid: Ints, ask: Ints) -> None:
        if not len(time_ns) == len(bid) == len(ask):
            raise ValueError(f"{len(time_ns)} times, {len(bid)} bids, {len(ask)} asks: expected as many of each")
        self.time_ns, self.bid, self.ask = time_ns, bid, ask

    def at(self, time_ns: Ints) -> Ints:
        """Return the row in force at each time, −1 before the first (after the last message with time ≤ t)."""
        return np.searchsorted(self.time_ns, time_ns, side="right") - 1

    def mid(self, time_ns: Ints) -> npt.NDArray[np.float64]:
        """Return the mid in ticks in force at each time, NaN before the first message."""
        row = self.at(time_ns)
        return np.where(row < 0, np.nan, (self.bid[row] + self.ask[row]) / 2.0)

    def decisions(self, from_us: Ints) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
        """Return the decision row of each instant (int64 (n,), µs, ascending): the first of the grid at or after it.

        First the row's grid instant (ns), then the place of the message that closes it, then which rows decide
        (bool (n,)): those that some message closed and that are the last which it closed (CONTRACT's grid rule). Where
        a row does not decide the other two mean nothing.
        """
        ts_ns = -(-from_us * 1000 // STEP_NS) * STEP_NS
        closing = np.searchsorted(self.time_ns, ts_ns, side="right")
        inside = (closing > 0) & (closing < len(self.time_ns))
        closing = np.where(inside, closing, 1)
        return ts_ns, closing, inside & (ts_ns + STEP_NS >= self.time_ns[closing])
