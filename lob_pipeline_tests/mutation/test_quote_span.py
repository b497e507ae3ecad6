"""``updates_in_time``: a hole in the book with its ids closed up is told by the quotes that went on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.book.quote_span import LONGEST_NS, SPAN_NS, QuoteSpan
from lob_pipeline.checks import CHECKS
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.mutation.bases import usdm_2023, usdm_midnight
from lob_pipeline.mutation.frames import DELTA, QUOTE, Recording
from lob_pipeline.mutation.judge import false_alarm
from lob_pipeline.mutation.mutators.common import applied_deltas, closed_up
from lob_pipeline.mutation.trial import run_trial
from lob_pipeline.mutation.wire import wire_of

STEP_NS = NS_PER_S // 10


def quotes(ids: np.ndarray, times: np.ndarray, *, event: bool = True) -> np.ndarray:
    table = np.zeros((len(ids), 7), np.int64)
    table[:, 0], table[:, 5 if event else 6] = ids, times
    return table


def naive(ids: np.ndarray, prev: np.ndarray, ts: np.ndarray, table: np.ndarray) -> tuple[int, int, int]:
    """Message by message, quote by quote."""
    compared = long = longest = 0
    for k in range(1, len(ids)):
        inside = [int(q[5] or q[6]) for q in table if ids[k - 1] < q[0] <= ids[k]]
        if prev[k] == ids[k - 1] and len(inside) > 1:
            span = min(inside[-1] - inside[0], int(ts[k] - ts[k - 1]))
            compared, long, longest = compared + 1, long + (span > SPAN_NS), max(longest, span)
    return compared, long, longest


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 7))
def test_it_counts_as_message_by_message(seed: int, event: bool, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    ids = np.cumsum(rng.integers(1, 20, n)) + 100
    prev = np.where(rng.random(n) < 0.8, np.concatenate([[100], ids[:-1]]), ids - 1)
    ts = np.cumsum(rng.choice([STEP_NS, 3 * NS_PER_S], n, p=[0.8, 0.2])) + NS_PER_S
    qids = np.sort(rng.choice(np.arange(100, ids[-1] + 5), min(60, int(ids[-1]) - 100), replace=False))
    table = quotes(qids, np.cumsum(rng.integers(0, NS_PER_S, len(qids))) + NS_PER_S, event=event)
    spans = QuoteSpan()
    for part in np.array_split(np.arange(n), pieces):
        spans.add(ids[part], prev[part], ts[part], table)
    assert (spans.compared, spans.long, spans.longest_ns) == naive(ids, prev, ts, table)


def stream(messages: int, hole: slice | None = None) -> QuoteSpan:
    """Ten quotes a message, a message each 100 ms; those of ``hole`` are missing and nothing says so."""
    ids = np.arange(1, messages + 1) * 10
    ts = np.arange(messages) * STEP_NS + NS_PER_S
    qids = np.arange(1, 10 * messages + 1)
    table = quotes(qids, NS_PER_S + qids * STEP_NS // 10)
    keep = np.ones(messages, bool)
    if hole is not None:
        keep[hole] = False
    spans = QuoteSpan()
    ids, ts = ids[keep], ts[keep]
    spans.add(ids, np.concatenate([[0], ids[:-1]]), ts, table)
    return spans


def test_a_second_is_allowed_and_more_is_a_hole() -> None:
    assert [o.status for o in stream(50).outcomes()] == ["passed"]
    assert [o.status for o in stream(50, slice(20, 28)).outcomes()] == ["passed"]
    (refused,) = stream(50, slice(20, 32)).outcomes()
    assert refused.refuses
    assert refused.facts == {"long": 1, "longest_ms": 1290}
    assert "updates_in_time" in CHECKS["book_snapshots"]


def test_a_long_day_may_hold_a_hiccup_but_no_long_one() -> None:
    whole = stream(200_000, slice(7_000, 7_015))
    assert [o.status for o in whole.outcomes()] == ["passed"]
    steps = LONGEST_NS // STEP_NS + 5
    assert [o.refuses for o in stream(200_000, slice(7_000, 7_000 + steps)).outcomes()] == [True]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_stream_pushed_once_a_second_may_be_late_but_not_leave_one_out(lost: int) -> None:
    rng = np.random.default_rng(3)
    ts = np.arange(400) * NS_PER_S + rng.integers(-2, 3, 400) * 10**6 + NS_PER_S
    ids = np.arange(1, 401) * 1_000
    qids = np.arange(1, 400_001)
    table = quotes(qids, np.interp(qids, ids, ts).astype(np.int64))
    keep = np.arange(400) != (200 if lost else -1)
    spans = QuoteSpan()
    spans.add(ids[keep], np.concatenate([[0], ids[keep][:-1]]), ts[keep], table)
    assert spans.long > 0, "some push was late"
    assert [o.refuses for o in spans.outcomes()] == [bool(lost)]


def test_a_quote_stream_that_stalls_and_heaps_up_is_no_hole() -> None:
    ids, ts = np.array([10, 20, 30]), np.array([1, 2, 3]) * STEP_NS
    table = quotes(np.arange(1, 31), np.concatenate([np.arange(15) * 10**7, 10**10 + np.arange(15)]), event=False)
    spans = QuoteSpan()
    spans.add(ids, np.array([0, 10, 20]), ts, table)
    assert spans.longest_ns == STEP_NS


def test_nothing_to_compare_is_said_by_absence() -> None:
    assert QuoteSpan().outcomes() == []


@pytest.fixture(scope="module")
def midnight(root: Path) -> Recording:
    return usdm_midnight(usdm_2023(root), before_s=8, after_s=12)


@pytest.mark.real
def test_a_real_hole_is_refused_and_the_clean_recording_is_not(midnight: Recording) -> None:
    wire = wire_of(midnight.venue)
    deltas = applied_deltas(midnight, wire)
    at = len(deltas) * 2 // 3
    until = next(
        k for k in range(at, len(deltas))
        if wire.engine_ms(midnight.frames[deltas[k]]) > wire.engine_ms(midnight.frames[deltas[at]]) + 2_500
    )
    torn = closed_up(midnight.put(dict.fromkeys(deltas[at:until], ())), wire)
    assert len(torn.where(DELTA)) < len(midnight.where(DELTA))
    assert len(torn.where(QUOTE)) == len(midnight.where(QUOTE)) > 100
    assert "updates_in_time" in {s.name for s in run_trial(torn).refusals}
    clean = run_trial(midnight)
    assert false_alarm(clean) is None
    assert {s.status for s in clean.said if s.name == "updates_in_time"} == {"passed"}
