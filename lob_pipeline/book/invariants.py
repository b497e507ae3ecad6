"""The gates of ``book_snapshots``: what must hold of its rows, and what other sources say of them."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.bits import Int
from lob_pipeline.book.certificate import Certificate
from lob_pipeline.book.depth import ASK_LOTS, ASK_TICKS, BID_LOTS, BID_TICKS
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.jit import njit
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import LEVELS, ROW
from lob_pipeline.core.units import NS_PER_DAY, day_start_ns, format_ns

_TS, _CLOSE, _VALID, _DECIDABLE = ROW["ts_ns"], ROW["close_ns"], ROW["valid"], ROW["decidable"]
# what can be wrong with a row, in the order of ``check_rows``' result
_GRID, _ORDER, _SIZES, _VALIDITY, _CLOSING = range(5)
_WHAT = (
    ("rows_on_grid", "instants ascend one step at a time, on the grid and inside the day"),
    ("levels_ordered", "bids descend and asks ascend strictly, absent levels come last"),
    ("sizes_positive", "a level has lots, an absent one has none"),
    ("valid_uncrossed", "a valid row has both sides and best bid < best ask"),
    ("rows_closed", "a row is closed by a later message, and only the last of those it closes is decidable"),
)


@njit(cache=True)
def _side_faults(row: Int64Array, ticks: Int, lots: Int, sign: Int) -> tuple[bool, bool]:
    """Return (levels out of order, sizes wrong) of one side; ``sign`` -1 where prices must descend."""
    disorder = False
    sizes = False
    for k in range(LEVELS):
        p = row[ticks + k]
        sizes |= (row[lots + k] <= 0) if p >= 0 else (row[lots + k] != 0)
        if k > 0 and p >= 0:
            before = row[ticks + k - 1]
            disorder |= before < 0 or sign * (p - before) <= 0
    return disorder, sizes


@njit(cache=True)
def check_rows(
    rows: Int64Array, before: Int64Array, step_ns: Int, first_ns: Int, last_ns: Int, counts: Int64Array, at: Int64Array
) -> None:
    """Add the faults of a batch to ``counts`` (5,); ``at`` (5,) keeps the instant of the first of each kind.

    ``before``: the row before the batch (all zero where there is none); rows must lie in ``first_ns`` … ``last_ns``.
    """
    fault = np.zeros(5, np.bool_)
    for i in range(len(rows)):
        row = rows[i]
        last = rows[i - 1] if i > 0 else before
        t = row[_TS]
        follows = last[_TS] == 0 or t == last[_TS] + step_ns
        fault[_GRID] = t % step_ns != 0 or t < first_ns or t > last_ns or not follows
        bid_disorder, bid_sizes = _side_faults(row, BID_TICKS, BID_LOTS, -1)
        ask_disorder, ask_sizes = _side_faults(row, ASK_TICKS, ASK_LOTS, 1)
        fault[_ORDER] = bid_disorder or ask_disorder
        fault[_SIZES] = bid_sizes or ask_sizes
        fault[_VALIDITY] = row[_VALID] != 0 and (row[BID_TICKS] < 0 or row[BID_TICKS] >= row[ASK_TICKS])
        same_close = last[_TS] != 0 and last[_CLOSE] == row[_CLOSE]
        fault[_CLOSING] = row[_CLOSE] <= t or (last[_TS] != 0 and (last[_DECIDABLE] != 0) == same_close)
        for k in range(5):
            if fault[k]:
                if counts[k] == 0:
                    at[k] = t
                counts[k] += 1


class RowGates:
    """The invariants of rows that arrive in batches."""

    def __init__(self, clock: Clock, date: str) -> None:
        self.step_ns = clock.step_ns
        self.first_ns = day_start_ns(date) + 1
        self.last_ns = day_start_ns(date) + NS_PER_DAY
        self.rows = 0
        self._before = np.zeros(len(ROW), np.int64)
        self._counts, self._at = np.zeros(5, np.int64), np.zeros(5, np.int64)

    def add(self, rows: Int64Array) -> None:
        """Examine a batch, int64 (n, ROW_WIDTH)."""
        check_rows(rows, self._before, self.step_ns, self.first_ns, self.last_ns, self._counts, self._at)
        self._before = rows[-1].copy()
        self.rows += len(rows)

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``not_empty`` and one gate a kind of fault."""
        out = [
            judge(
                "not_empty",
                self.rows > 0,
                examined=self.rows,
                judged=self.rows,
                message="" if self.rows else "no row: the book was never whole before a later message",
            )
        ]
        for k, (name, rule) in enumerate(_WHAT):
            n = int(self._counts[k])
            message = f"{n} rows, the first at {format_ns(int(self._at[k]))}; expected: {rule}" if n else ""
            out.append(judge(name, n == 0, examined=self.rows, judged=self.rows, message=message))
        return out


def certificate_outcomes(certificate: Certificate) -> list[CheckOutcome]:
    """Return the checks of the certificate, those of the rows among them, the whole's verdict, and ``warm_rows``."""
    c = certificate.counts
    checks = certificate.checks()
    broken = [check.name for check in checks if check.refuses]
    out = list(checks)
    message = f"does not hold: {', '.join(broken)}" if broken else ""
    out.append(judge("certificate", not broken, examined=c.rows, judged=c.valid, message=message))
    out.append(judge("warm_rows", True, examined=c.rows, judged=c.warm, message=f"{c.warm} rows are warm at 300 s"))
    return out
