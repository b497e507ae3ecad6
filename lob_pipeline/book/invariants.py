"""The gates of ``book_snapshots``: what must hold of its rows, and what other sources say of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.book.bits import Int
from lob_pipeline.book.certificate import (
    SPREAD_FACTOR,
    SPREAD_PAIRS,
    TRADE_TOUCH_MINIMUM,
    TRADE_TOUCH_SHARE,
    UNSOUND_SHARE,
    Certificate,
)
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
    """Return the gates that hold the book against other sources, the certificate as a whole, and ``warm_rows``.

    ``trade_touch_match``, ``two_sided_uncrossed``, ``depth_kept`` and ``spread_sanity`` apply to every market;
    ``top_of_book_match``, ``top_of_book_on_rows``, ``closing_snapshot_match`` and ``boundary_match`` where there is
    something to compare with.
    """
    c = certificate.counts
    out = [_touch(certificate), _sound(certificate), _depth(certificate), _spread(certificate)]
    if certificate.quotes is not None and certificate.quotes.compared:
        q = certificate.quotes
        out.append(_equal("top_of_book_match", q.compared, q.equal, "messages", "the venue's quotes at the same id"))
        if q.rows_compared:
            out.append(_equal("top_of_book_on_rows", q.rows_compared, q.rows_equal, "rows", "quotes at the same id"))
    for name, match, other in (
        ("closing_snapshot_match", certificate.audits.match, "the venue's audit snapshot"),
        ("boundary_match", certificate.boundary, "the closing book of the day before"),
    ):
        if match is not None:
            out.append(
                judge(name, match, examined=1, judged=1, message="" if match else f"a level differs from {other}")
            )
    facts = certificate.to_json()
    message = "" if facts["holds"] else f"does not hold: {', '.join(_broken(certificate, facts))}"
    out.append(judge("certificate", facts["holds"], examined=c.rows, judged=c.rows, message=message))
    out.append(judge("warm_rows", True, examined=c.rows, judged=c.warm, message=f"{c.warm} rows are warm at 300 s"))
    return out


def _broken(certificate: Certificate, facts: dict[str, Any]) -> list[str]:
    touch, quote, c = facts["trade_touch_match"], facts["top_of_book_match"], certificate.counts
    reasons = {
        "no rows": c.rows == 0,
        "crossed rows among the valid ones": c.crossed_valid > 0,
        "a bridging snapshot was left unapplied": certificate.unapplied_bridges > 0,
        "trade_touch_match": touch is not None and touch["agree"] < TRADE_TOUCH_SHARE * touch["compared"],
        "top_of_book_match": quote is not None and quote["equal"] < quote["compared"],
        "closing_snapshot_match": facts["closing_snapshot_match"] is False,
        "boundary_match": facts["boundary_match"] is False,
        "two_sided_uncrossed": certificate.unsound,
        "depth_kept": certificate.too_thin,
        "spread_sanity": certificate.spread_implausible,
    }
    return [reason for reason, holds in reasons.items() if holds]


def _equal(name: str, compared: int, equal: int, what: str, other: str) -> CheckOutcome:
    ok = equal == compared
    message = "" if ok else f"best prices or sizes of {compared - equal} of {compared} {what} differ from {other}"
    return judge(name, ok, examined=compared, judged=compared, message=message, facts={"equal": equal})


def _touch(certificate: Certificate) -> CheckOutcome:
    touch = certificate.touch
    compared, agree = (touch.compared, touch.agree) if touch else (0, 0)
    ok = compared < TRADE_TOUCH_MINIMUM or agree >= TRADE_TOUCH_SHARE * compared
    return judge(
        "trade_touch_match",
        ok,
        examined=len(touch.trades["ts_event_ns"]) if touch else 0,
        judged=compared,
        minimum=TRADE_TOUCH_MINIMUM,
        message=f"{agree} of {compared} trades lie at or through the touch of their row, "
        f"{TRADE_TOUCH_SHARE:.0%} of at least {TRADE_TOUCH_MINIMUM} must",
        facts={"compared": compared, "agree": agree},
    )


def _sound(certificate: Certificate) -> CheckOutcome:
    c = certificate.counts
    message = f"{c.whole_unsound} of {c.whole} rows of a whole book lack a side or are crossed, {UNSOUND_SHARE:.0%} may"
    return judge("two_sided_uncrossed", not certificate.unsound, examined=c.rows, judged=c.whole, message=message)


def _depth(certificate: Certificate) -> CheckOutcome:
    c = certificate.counts
    message = (
        f"{certificate.thin_rows} of {c.whole} rows of a whole book show less than half of the levels a side of the "
        f"first snapshot ({min(certificate.opening_depth, LEVELS)} looked at), {UNSOUND_SHARE:.0%} may"
    )
    judged = c.whole if certificate.opening_depth else 0
    return judge("depth_kept", not certificate.too_thin, examined=c.rows, judged=judged, message=message)


def _spread(certificate: Certificate) -> CheckOutcome:
    pairs, traded = certificate.traded_spread
    median, bound = certificate.counts.median_spread_ticks(), SPREAD_FACTOR * (traded + 1)
    return judge(
        "spread_sanity",
        not certificate.spread_implausible,
        examined=certificate.counts.rows,
        judged=pairs if certificate.counts.valid else 0,
        minimum=SPREAD_PAIRS,
        message=f"the median spread is {median:g} ticks; consecutive trades of opposite sides lie {traded:g} ticks "
        f"apart ({pairs} pairs), so at most {bound:g} are plausible",
        facts={"median_spread_ticks": median, "traded_spread_ticks": traded},
    )
