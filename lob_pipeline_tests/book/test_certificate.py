"""What the certificate counts and compares, on hand-made days and against naive counts on random streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from lob_pipeline.book.row_counts import RowCounts
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.tables import KIND_AUDIT, ROW, ROW_WIDTH
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline_tests.book.streams import DATE, START, STEP, make_instrument, streams
from lob_pipeline_tests.book.watch import refused, watched
from lob_pipeline_tests.naive.book import Book, Message, _verdicts, naive_rows

CLOCK = parse_clock("t1s")
END = START + NS_PER_DAY
BOOK = [(1, 100, 5), (1, 99, 7), (-1, 101, 5), (-1, 103, 7)]


def _snapshot(ts: int, update_id: int, levels: list = BOOK, kind: int = 1, recv: int = 0) -> Message:
    return Message(ts, recv, update_id, -1, kind, levels)


def _delta(ts: int, update_id: int, levels: list, prev: int | None = None, kind: int = 2) -> Message:
    return Message(ts, 0, update_id, update_id - 1 if prev is None else prev, kind, levels)


def _facts(messages: list[Message], sequence: str = "plus_one", **kwargs) -> dict:
    certificate, _ = watched(messages, make_instrument(sequence), CLOCK, DATE, **kwargs)
    return certificate.to_json()


def test_a_gap_is_listed_masked_and_does_not_break_the_certificate() -> None:
    facts = _facts(
        [
            _snapshot(START, 1),
            _delta(START + 2 * STEP, 2, [(1, 99, 1)]),
            _delta(START + 4 * STEP + 1, 9, [(1, 98, 1)]),
            _snapshot(START + 6 * STEP + 1, 12),
            _delta(START + 8 * STEP + 1, 13, [(1, 96, 1)]),
        ]
    )
    assert facts["gaps"] == [{"at_ns": START + 4 * STEP + 1, "expected": 2, "got": 8}]
    assert (facts["rows"], facts["invalid_ns"], facts["coverage"]) == (8, 4 * STEP, 0.5)
    assert (facts["messages"], facts["level_rows"], facts["snapshots"], facts["resets"]) == (5, 11, 2, 1)
    assert facts["holds"]


def test_late_crossed_and_locked_messages_are_counted() -> None:
    facts = _facts(
        [
            _snapshot(START + STEP, 1),
            _delta(START + 3 * STEP, 2, [(1, 101, 1)]),  # locked
            _delta(START + 2 * STEP, 3, [(1, 102, 1)]),  # late, crossed
            _delta(START + 5 * STEP, 4, [(1, 101, 0), (1, 102, 0)]),
        ]
    )
    assert (facts["locked"], facts["crossed"], facts["late_messages"]) == (1, 1, 1)
    assert facts["invalid_ns"] == 2 * STEP


def test_a_day_without_a_whole_book_does_not_hold() -> None:
    certificate, outcomes = watched(
        [_delta(START + k * STEP, k, [(1, 5, 5)]) for k in range(1, 9)], make_instrument("plus_one"), CLOCK, DATE
    )
    assert not certificate.to_json()["holds"]
    assert {"not_empty", "certificate"} <= refused(outcomes)
    assert all(o.status != "passed" for o in outcomes.values())


def test_a_day_of_invalid_rows_passes_no_check_that_compares() -> None:
    messages = [_snapshot(START, 1), _delta(START + 1, 9, [(1, 5, 5)]), _delta(START + 50 * STEP, 10, [(1, 5, 5)])]
    trades = [(START + k * STEP + 5, 1, 101, k) for k in range(1, 49)]
    certificate, outcomes = watched(messages, make_instrument("plus_one"), CLOCK, DATE, trades=trades)
    assert certificate.to_json()["coverage"] == 0
    for name in ("trade_touch_match", "two_sided_uncrossed", "spread_sanity", "warm_rows"):
        assert outcomes[name].status == "not_judged"


@pytest.mark.parametrize(
    ("update_id", "levels", "expected"),
    [
        (2, BOOK, True),
        (3, BOOK, True),
        (2, BOOK[:-1], False),
        (3, BOOK[:-1], None),  # one level differs: it may be update 3's own change
        (3, [(1, 50, 1), (-1, 60, 1)], False),
        (3, [*BOOK, *((-1, 200 + k, 1) for k in range(9))], False),  # the book kept less than half of it
        (7, BOOK[:-1], None),
    ],
)
def test_the_closing_snapshot_is_compared_level_by_level(update_id: int, levels: list, expected: bool | None) -> None:
    opening = [*BOOK[:1], (1, 99, 8), *BOOK[2:]]
    changed = _delta(END - STEP, 2, [(1, 99, 7)])
    messages = [_snapshot(START, 1, opening), changed, _snapshot(END + 5, update_id, levels, 3)]
    facts = _facts(messages)
    assert facts["closing_snapshot_match"] is expected
    assert facts["rows"] == NS_PER_DAY // STEP
    assert facts["holds"] == (expected is not False)


def test_deltas_after_the_day_move_the_closing_book_on_before_it_is_compared() -> None:
    messages = [
        _snapshot(START, 1),
        _delta(END + 3, 2, [(1, 99, 0)], kind=KIND_AUDIT),
        _snapshot(END + 5, 2, [r for r in BOOK if r[1] != 99], KIND_AUDIT),
    ]
    assert _facts(messages)["closing_snapshot_match"] is True
    assert _facts(messages[:1] + messages[2:])["closing_snapshot_match"] is None


def test_a_bare_mark_is_no_audit() -> None:
    mark = Message(END + 5, 0, 2, 1, KIND_AUDIT, [(1, 0, 0)])
    assert _facts([_snapshot(START, 1), mark])["closing_snapshot_match"] is None


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        (_snapshot(START, 1, kind=4), True),
        (_snapshot(START, 2), True),
        (_snapshot(START, 1, BOOK[:-1], kind=4), False),
        (_snapshot(START, 2, BOOK[:-1]), None),
        (_snapshot(START, 77), None),
    ],
)
def test_the_opening_book_is_compared_with_the_day_before(opening: Message, expected: bool | None) -> None:
    yesterday, _ = watched(
        [_snapshot(START + STEP, 1)], make_instrument("plus_one"), CLOCK, DATE
    )  # its closing book has id 1
    facts = _facts([opening, _delta(START + 3 * STEP, 9, [(1, 1, 1)])], closing_before=yesterday.closing)
    assert facts["boundary_match"] is expected
    assert _facts([opening, _delta(START + 3 * STEP, 9, [(1, 1, 1)])])["boundary_match"] is None


def test_a_snapshot_that_does_not_bridge_is_counted_and_the_next_one_used() -> None:
    messages = [
        _snapshot(START + STEP, 5),
        _delta(START + 2 * STEP, 20, [(1, 99, 1)], prev=15),
        _delta(START + 3 * STEP, 30, [(1, 99, 2)], prev=20),
        _snapshot(START + 4 * STEP, 33),
        _delta(START + 5 * STEP, 40, [(1, 99, 3)], prev=30),
        _delta(START + 7 * STEP, 50, [(1, 99, 4)], prev=40),
    ]
    facts = _facts(messages, "bridge")
    assert (facts["unbridged_snapshots"], facts["resets"], facts["rows"], facts["gaps"]) == (1, 0, 2, [])
    assert facts["holds"]


def test_a_snapshot_that_would_bridge_but_is_not_applied_breaks_the_certificate() -> None:
    messages = [
        _delta(START + STEP, 20, [(1, 99, 1)], prev=15),
        _delta(START + 2 * STEP, 30, [(1, 99, 2)], prev=20),
        _snapshot(START + 3 * STEP, 18),  # the event 15 … 20 would have joined it, but lies before it
        _delta(START + 4 * STEP, 40, [(1, 99, 3)], prev=30),
        _snapshot(START + 5 * STEP, 45),
        _delta(START + 6 * STEP, 50, [(1, 99, 4)], prev=40),
        _delta(START + 9 * STEP, 60, [(1, 99, 4)], prev=50),
    ]
    facts = _facts(messages, "bridge")
    assert facts["rows"] == 3
    assert not facts["holds"]


def test_trade_id_gaps_count_places_and_only_numeric_ids() -> None:
    messages = [_snapshot(START, 1), _delta(START + 3 * STEP, 2, [(1, 99, 1)])]
    trades = [(START + 5, 1, 101, i) for i in (7, 5, 6, 11, 12, 20)]
    assert _facts(messages, trades=trades)["trade_id_gaps"] == 2
    assert _facts(messages, trades=[(t, s, p, -1) for t, s, p, _ in trades])["trade_id_gaps"] == 0


def test_trades_are_compared_where_the_quotes_stood_still() -> None:
    messages = [
        _snapshot(START, 1),
        *(_delta(START + k * STEP + STEP // 2, k + 1, [(1, 99, k)]) for k in range(1, 30)),
        _delta(START + 30 * STEP + 1, 31, [(-1, 101, 0)]),  # the ask moves: its row and the next differ
        _delta(START + 32 * STEP, 32, [(1, 99, 1)]),
    ]
    trades = [(START + k * STEP + 7, 1 - 2 * (k % 2), 100 + (k + 1) % 2, k) for k in range(1, 32)]
    facts = _facts(messages, trades=trades)
    assert facts["trade_touch_match"] == {"compared": 29, "agree": 29}
    flipped = [(t, -s, p, i) for t, s, p, i in trades]
    certificate, outcomes = watched(messages, make_instrument("plus_one"), CLOCK, DATE, trades=flipped)
    assert certificate.to_json()["trade_touch_match"] == {"compared": 29, "agree": 0}
    assert refused(outcomes) == {"trade_touch_match", "trade_sides", "certificate"}
    assert _facts(messages, trades=trades[:19])["trade_touch_match"] is None


def test_quotes_are_compared_at_the_same_id_in_messages_and_rows() -> None:
    messages = [_snapshot(START, 1), *(_delta(START + k * STEP, k + 1, [(1, 99, k)]) for k in range(1, 20))]
    quotes = [(k, 100, 5, 101, 5) for k in (3, 5, 5, 8, 500)]
    certificate, outcomes = watched(messages, make_instrument("plus_one"), CLOCK, DATE, quotes=quotes, chunk=3)
    assert certificate.to_json()["top_of_book_match"] == {"compared": 4, "equal": 4}
    assert outcomes["top_of_book_on_rows"].facts == {"equal": 4}
    quotes[3] = (8, 100, 6, 101, 5)
    _, outcomes = watched(messages, make_instrument("plus_one"), CLOCK, DATE, quotes=quotes, chunk=3)
    assert refused(outcomes) == {
        "top_of_book_match",
        "top_of_book_on_rows",
        "top_of_book_in_force",
        "rows_in_force",
        "certificate",
    }


def _naive_warm(rows: np.ndarray, window: int) -> int:
    warm = length = 0
    for i, row in enumerate(rows):
        follows = i > 0 and rows[i - 1, ROW["valid"]] and not row[ROW["run_start"]]
        length = (length + 1 if follows else 1) if row[ROW["valid"]] else 0
        warm += length > window
    return warm


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams())
def test_counts_equal_naive_counts(stream: tuple[str, list[Message]]) -> None:
    sequence, messages = stream
    certificate, _ = watched(messages, make_instrument(sequence), CLOCK, DATE, chunk=11)
    facts = certificate.to_json()
    rows = naive_rows(messages, sequence, STEP, 12, DATE)
    verdicts = _verdicts(messages, sequence, END)
    assert [g["at_ns"] for g in facts["gaps"]][: len(verdicts.gaps)] or not verdicts.gaps
    assert facts["rows"] == len(rows)
    assert facts["invalid_ns"] == int((rows[:, ROW["valid"]] == 0).sum()) * STEP
    assert facts["truncated_rows"] == int(rows[:, ROW["truncated"]].sum())
    assert facts["snapshots"] == sum(m.kind == 1 for m in messages)
    book, crossed, locked = Book(), 0, 0
    for m, applied in zip(messages, verdicts.applied, strict=True):
        if applied is not None:
            book.replace(m.levels) if applied == "snapshot" else book.apply(m.levels)
            if book.prices[1] and book.prices[-1]:
                crossed += book.prices[1][-1] > book.prices[-1][0]
                locked += book.prices[1][-1] == book.prices[-1][0]
    assert (facts["crossed"], facts["locked"]) == (crossed, locked)
    for size in (1, 3, 1000):
        counts = RowCounts()
        for i in range(0, len(rows), size):
            counts.add(rows[i : i + size], np.ones(len(rows[i : i + size]), np.bool_), STEP, 2)
        assert counts.warm == _naive_warm(rows, 2)


def test_median_spread_is_the_middle_of_the_valid_rows() -> None:
    counts, rows = RowCounts(), np.zeros((5, ROW_WIDTH), np.int64)
    rows[:, ROW["valid"]] = [1, 1, 0, 1, 1]
    rows[:, ROW["ask_ticks_1"]] = [3, 9, 100, 4, 7]
    counts.add(rows, np.ones(5, np.bool_), STEP, 2)
    assert counts.median_spread_ticks() == 4


def test_deltas_that_replace_the_book_are_seen_though_they_name_the_touch() -> None:
    deep = [(s, 100 - s * (k + 1) + (s < 0), 5) for s in (1, -1) for k in range(25)]
    touch = [[(1, 99, 6 + k % 2), (-1, 102, 6 + k % 2)] for k in range(40)]
    good = [_snapshot(START, 1, deep), *(_delta(START + k * STEP, k + 1, touch[k]) for k in range(1, 40))]
    bad = [m if i == 0 else m._replace(kind=1, prev_id=-1) for i, m in enumerate(good)]
    _, outcomes = watched(good, make_instrument("plus_one", 200), CLOCK, DATE)
    assert refused(outcomes) == set()
    _, outcomes = watched(bad, make_instrument("plus_one", 200), CLOCK, DATE)
    assert refused(outcomes) == {
        "depth_kept",
        "levels_within_depth",
        "snapshot_depth",
        "snapshot_continues",
        "certificate",
    }
