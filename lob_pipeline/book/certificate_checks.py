"""The checks that read the certificate's own counts: touch, soundness, depth, spread, audits, what was applied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lob_pipeline.book.sequence import BRIDGE
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import LEVELS

if TYPE_CHECKING:
    from lob_pipeline.book.certificate import Certificate

TRADE_TOUCH_MINIMUM = 20
TRADE_TOUCH_SHARE = 0.8
TRADE_TOUCH_SHARE_PROVEN = 0.6  # where the venue's quotes prove most rows: the touch moved between trade and row
PROVEN_SHARE = 0.5  # of the valid rows
UNSOUND_SHARE = 0.05  # of the rows of a whole book
CROSSED_SHARE = 1e-4  # of applied messages: a venue's own book is never crossed or locked
CLOCK_EQUAL_SHARE, CLOCK_SLACK = 0.1, 5  # of messages are built in the engine's own millisecond
SPREAD_FACTOR = 10  # times (traded spread + 1 tick)
SPREAD_PAIRS = 10


def clock_pairs(extra: dict[str, Any]) -> dict[str, int] | None:
    """Return how many messages carry both clocks, equal ones, and one only; None where it was not counted."""
    facts = extra.get("decoder_facts") or {}
    if not any(f"clock_{name}" in facts for name in ("pairs", "equal", "alone")):
        return None
    return {name: int(facts.get(f"clock_{name}", 0)) for name in ("pairs", "equal", "alone")}


def own_checks(certificate: Certificate) -> list[CheckOutcome]:
    """Return the checks that apply to every market, then those of audits where there was one to compare."""
    c = certificate.counts
    out = [
        _valid(certificate),
        _touch(certificate),
        _sound(certificate),
        _crossed(certificate),
        _depth(certificate),
        _spread(certificate),
    ]
    if certificate.mode == BRIDGE and certificate.snapshots:
        out.append(_bridges(certificate))
    pairs = clock_pairs(certificate.events_extra)
    if pairs is not None:
        out.append(_clocks(pairs, timed=bool(certificate.order.skews)))
    for name, match, other in (
        ("closing_snapshot_match", certificate.audits.match, "the venue's audit snapshot"),
        ("boundary_match", certificate.boundary, "the closing book of the day before"),
    ):
        if match is not None:
            message = "" if match else f"a level differs from {other}"
            out.append(judge(name, match, examined=1, judged=1, message=message))
    crossed = f"{c.crossed_valid} valid rows are crossed" if c.crossed_valid else ""
    out.append(judge("no_crossed_row", not crossed, examined=c.rows, judged=c.valid, message=crossed))
    return out


def unshown(outcomes: list[CheckOutcome]) -> list[CheckOutcome]:
    """Return the outcomes of a partition without a valid row: whatever passed showed nothing, and is not judged."""
    return [
        replace(o, status="not_judged", rows_judged=0, minimum_judged=max(1, o.minimum_judged))
        if o.status == "passed"
        else o
        for o in outcomes
    ]


def _valid(certificate: Certificate) -> CheckOutcome:
    c = certificate.counts
    message = "" if c.valid else f"none of {c.rows} rows is valid: the book was never whole while time passed"
    return judge("some_row_valid", c.valid > 0, examined=c.rows, judged=c.valid, message=message)


def _touch(certificate: Certificate) -> CheckOutcome:
    touch = certificate.touch
    compared, agree = (touch.compared, touch.agree) if touch else (0, 0)
    rows = certificate.quotes.rows_in_force if certificate.quotes else None
    proven = rows is not None and rows.ok and rows.compared >= PROVEN_SHARE * certificate.counts.valid
    share = TRADE_TOUCH_SHARE_PROVEN if proven and rows and rows.compared else TRADE_TOUCH_SHARE
    ok = compared < TRADE_TOUCH_MINIMUM or agree >= share * compared
    return judge(
        "trade_touch_match",
        ok,
        examined=len(touch.trades["ts_event_ns"]) if touch else 0,
        judged=compared,
        minimum=TRADE_TOUCH_MINIMUM,
        message=f"{agree} of {compared} trades lie at or through the touch of their row, "
        f"{share:.0%} of at least {TRADE_TOUCH_MINIMUM} must",
        facts={"compared": compared, "agree": agree},
    )


def _sound(certificate: Certificate) -> CheckOutcome:
    c = certificate.counts
    few = c.whole_unsound <= UNSOUND_SHARE * c.whole
    message = f"{c.whole_unsound} of {c.whole} rows of a whole book lack a side or are crossed, {UNSOUND_SHARE:.0%} may"
    return judge("two_sided_uncrossed", few, examined=c.rows, judged=c.whole, message=message)


def _crossed(certificate: Certificate) -> CheckOutcome:
    n, found = certificate.applied, certificate.crossed + certificate.locked
    message = f"the book is crossed after {certificate.crossed} and locked after {certificate.locked} of {n} messages"
    return judge("never_crossed", found <= CROSSED_SHARE * n, examined=certificate.messages, judged=n, message=message)


def _clocks(pairs: dict[str, int], timed: bool) -> CheckOutcome:
    """Judge the two clocks of a feed. Only old archives, which have no receive times either, may lack the second."""
    both, equal, alone = pairs["pairs"], pairs["equal"], pairs["alone"]
    ok = equal <= CLOCK_EQUAL_SHARE * both + CLOCK_SLACK and (not alone or (both == 0 and not timed))
    message = (
        f"the engine's clock equals that of the message in {equal} of {both} messages and is missing in {alone}: books "
        "would be aligned with trades by the wrong clock"
    )
    return judge("clock_pair", ok, examined=both + alone, judged=both, message=message)


def _bridges(certificate: Certificate) -> CheckOutcome:
    found, n = certificate.unapplied_bridges, certificate.snapshots
    message = f"{found} snapshots that an event would have bridged were left unapplied" if found else ""
    return judge("bridges_applied", not found, examined=certificate.messages, judged=n, message=message)


def _depth(certificate: Certificate) -> CheckOutcome:
    c = certificate.counts
    # deltas that replace the book leave only the levels that they name
    thin = c.thinner_than((min(certificate.opening_depth, LEVELS) + 1) // 2)
    message = (
        f"{thin} of {c.whole} rows of a whole book show less than half of the levels a side of the "
        f"first snapshot ({min(certificate.opening_depth, LEVELS)} looked at), {UNSOUND_SHARE:.0%} may"
    )
    judged = c.whole if certificate.opening_depth else 0
    return judge("depth_kept", thin <= UNSOUND_SHARE * c.whole, examined=c.rows, judged=judged, message=message)


def _spread(certificate: Certificate) -> CheckOutcome:
    pairs, traded = certificate.traded_spread
    median, bound = certificate.counts.median_spread_ticks(), SPREAD_FACTOR * (traded + 1)
    return judge(
        "spread_sanity",
        pairs < SPREAD_PAIRS or median <= bound,
        examined=certificate.counts.rows,
        judged=pairs if certificate.counts.valid else 0,
        minimum=SPREAD_PAIRS,
        message=f"the median spread is {median:g} ticks; consecutive trades of opposite sides lie {traded:g} ticks "
        f"apart ({pairs} pairs), so at most {bound:g} are plausible",
        facts={"median_spread_ticks": median, "traded_spread_ticks": traded},
    )
