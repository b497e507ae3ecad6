"""The book against another depth at equal ``seq``: a clean pair agrees, consistent defects do not, nothing is counted
that has no counterpart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.book.advance import M_ASK, M_ASK_LOTS, M_BID, M_BID_LOTS, M_VERDICT, MARK_WIDTH, Events
from lob_pipeline.book.depth_agreement import MINIMUM, DepthAgreement
from lob_pipeline.book.seen import Seen
from lob_pipeline.book.sequence import FOLLOWS
from lob_pipeline.checks import CHECKS
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.tables import KIND_DELTA
from lob_pipeline_tests.book import defects
from lob_pipeline_tests.book.streams import DATE
from lob_pipeline_tests.book.test_laws import BYBIT, window
from lob_pipeline_tests.book.watch import refused, watched
from lob_pipeline_tests.naive.book import Book

CLOCK = parse_clock("t1s")
MESSAGES = window(160)
SEQ = [7_000 + 3 * k for k in range(160)]
SECOND = {"decoder_facts": {"second_depth_messages": 160}}


def other_depth(every: int = 2) -> list[tuple[int, int, int, int, int]]:
    """Return (seq, best bid, lots, best ask, lots) of another depth that is pushed at every second message."""
    book, out = Book(), []
    for m, seq in zip(MESSAGES, SEQ, strict=True):
        (book.replace if m.kind == 1 else book.apply)(m.levels)
        out.append((seq, *book.best(1, 1)[0], *book.best(-1, 1)[0]))
    return out[::every]


@pytest.mark.parametrize("chunk", [1, 37, 100_000])
def test_a_clean_pair_agrees(chunk: int) -> None:
    certificate, outcomes = watched(
        MESSAGES, BYBIT, CLOCK, DATE, quotes=other_depth(), seq=SEQ, extra=SECOND, chunk=chunk
    )
    found = certificate.to_json()
    assert found["depth_agreement"] == {"compared": 80, "equal": 80}
    assert (outcomes["depth_agreement"].status, found["holds"]) == ("passed", True)
    facts = outcomes["depth_agreement"].facts
    assert facts["rows"] == facts["rows_equal"] > 50
    assert found["top_of_book_match"] is None
    assert found["trade_quotes"] is None
    assert not {"top_of_book_match", "top_of_book_in_force", "quote_clock_match"} & set(outcomes)


def _swapped(rows: list[tuple[int, int, int, int, int]]) -> list[tuple[int, int, int, int, int]]:
    return [(seq, ask, n, bid, m) for seq, bid, m, ask, n in rows]


@pytest.mark.parametrize(
    "other",
    [
        _swapped(other_depth()),
        [(s, b - 1, m, a, n) for s, b, m, a, n in other_depth()],
        [(s, b, m, a, n + (s == SEQ[80])) for s, b, m, a, n in other_depth()],
    ],
    ids=["sides swapped", "one level deeper", "one size of one message"],
)
def test_a_depth_that_differs_is_refused(other: list[tuple[int, int, int, int, int]]) -> None:
    certificate, outcomes = watched(MESSAGES, BYBIT, CLOCK, DATE, quotes=other, seq=SEQ, extra=SECOND)
    assert outcomes["depth_agreement"].refuses
    found = certificate.to_json()
    assert not found["holds"]
    assert found["depth_agreement"]["equal"] < found["depth_agreement"]["compared"] == 80


def test_a_consistent_inversion_of_the_book_is_refused() -> None:
    top = 5_000  # sides exchanged and prices mirrored: a book that no law of its own speaks against
    turned = [m._replace(levels=[(-side, top - price, size) for side, price, size in m.levels]) for m in MESSAGES]
    _, outcomes = watched(turned, BYBIT, CLOCK, DATE, quotes=other_depth(), seq=SEQ, extra=SECOND)
    assert refused(outcomes) - {"certificate"} == {"depth_agreement"}


def test_a_wrong_depth_index_in_the_rows_is_refused() -> None:
    certificate, outcomes = watched(
        MESSAGES,
        BYBIT,
        CLOCK,
        DATE,
        quotes=other_depth(),
        seq=SEQ,
        extra=SECOND,
        row_map=defects.depth_index_off_by_one,
    )
    assert outcomes["depth_agreement"].refuses
    assert certificate.to_json()["depth_agreement"] == {"compared": 80, "equal": 80}, "the messages were right"


def test_nothing_is_compared_without_an_equal_seq_and_little_shows_little() -> None:
    apart = [(seq + 1, *row) for seq, *row in other_depth()]
    certificate, outcomes = watched(MESSAGES, BYBIT, CLOCK, DATE, quotes=apart, seq=SEQ, extra=SECOND)
    assert certificate.to_json()["depth_agreement"] is None
    assert outcomes["depth_agreement"].status == "not_judged"
    few = other_depth()[: MINIMUM - 1]
    _, outcomes = watched(MESSAGES, BYBIT, CLOCK, DATE, quotes=few, seq=SEQ, extra=SECOND)
    assert outcomes["depth_agreement"].status == "not_judged"
    certificate, outcomes = watched(MESSAGES, BYBIT, CLOCK, DATE, quotes=[], seq=SEQ)
    assert certificate.to_json()["depth_agreement"] is None
    assert "depth_agreement" not in outcomes
    assert "depth_agreement" in CHECKS["book_snapshots"]


def test_what_was_lost_is_not_compared() -> None:
    lossy = [m for k, m in enumerate(MESSAGES) if k != 60]
    seq = [s for k, s in enumerate(SEQ) if k != 60]
    certificate, outcomes = watched(lossy, BYBIT, CLOCK, DATE, quotes=other_depth(1), seq=seq, extra=SECOND)
    assert certificate.to_json()["depth_agreement"] == {"compared": 60, "equal": 60}
    assert outcomes["depth_agreement"].status == "passed"


_touch = st.tuples(st.integers(0, 1), st.integers(1, 2), st.integers(4, 5), st.integers(1, 2))
_stream = st.lists(st.tuples(st.integers(0, 30), _touch), max_size=40)


def _seen(part: list[tuple[int, tuple[int, ...]]]) -> Seen:
    n = len(part)
    numbers = np.arange(n)
    kind, side = np.full(n, KIND_DELTA, np.int8), np.ones(n, np.int8)
    events = Events(numbers, numbers, numbers, numbers, kind, side, numbers, numbers)
    marks = np.zeros((n, MARK_WIDTH), np.int64)
    marks[:, M_VERDICT] = FOLLOWS
    marks[:, [M_BID, M_BID_LOTS, M_ASK, M_ASK_LOTS]] = np.array([t for _, t in part], np.int64).reshape(-1, 4)
    return Seen(events, np.arange(n + 1), marks, np.array([s for s, _ in part], np.int64))


@settings(max_examples=200, deadline=None)
@given(book=_stream, other=_stream, size=st.integers(1, 9), of_other=st.integers(1, 9))
def test_counts_are_those_of_a_plain_look(book: list, other: list, size: int, of_other: int) -> None:
    book, other = (sorted(rows, key=lambda row: row[0]) for rows in (book, other))
    names = ("update_id", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    table = np.array([(s, *t) for s, t in other], np.int64).reshape(-1, 5)
    chunks = [dict(zip(names, table[i : i + of_other].T, strict=True)) for i in range(0, len(table), of_other)]
    judged = DepthAgreement(iter(chunks))
    for i in range(0, len(book), size):
        judged.chunk(_seen(book[i : i + size]))
    (outcome,) = judged.outcomes()
    shown: dict[int, set] = {}
    for seq, touch in book:
        shown.setdefault(seq, set()).add(touch)
    compared = [(seq, touch) for seq, touch in other if seq in shown]
    equal = [touch in shown[seq] for seq, touch in compared]
    assert (judged.compared, judged.equal) == (len(compared), sum(equal))
    assert outcome.refuses == (not all(equal))
    assert judged.outcomes() == [outcome], "asking twice changes nothing"
