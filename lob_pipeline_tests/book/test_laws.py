"""The laws that need no other source: levels, order, clocks, grid. Each against a naive count or an injected defect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.tables import LEVELS, ROW
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline_tests.book.streams import DATE, START, STEP, make_instrument, streams
from lob_pipeline_tests.book.watch import refused, watched
from lob_pipeline_tests.naive.book import Book, Message, _verdicts

CLOCK = parse_clock("t1s")
END = START + NS_PER_DAY
BYBIT = make_instrument("plus_one", 200, "bybit-linear.BTCUSDT")
DEPTH = 25


def window(count: int = 120, seed: int = 3) -> list[Message]:
    """Return a feed of a window of 25 levels a side: every message moves, changes, deletes and adds levels exactly."""
    rng = np.random.default_rng(seed)
    sizes = {1: {}, -1: {}}
    middle = 1000
    messages = []
    for k in range(count):
        middle += int(rng.integers(-2, 3)) if k else 0
        levels = []
        for side in (1, -1):
            wanted = {middle - side * (i + 1): int(rng.integers(1, 99)) for i in range(DEPTH)}
            held = sizes[side]
            kept = {p: held[p] for p in wanted if p in held and rng.random() < 0.7}
            new = {p: kept.get(p, n + (held.get(p) == n)) for p, n in wanted.items()}
            levels += [(side, p, 0) for p in held if p not in new]
            levels += [(side, p, n) for p, n in new.items() if held.get(p) != n]
            sizes[side] = new
        messages.append(Message(START + k * STEP, 0, k + 1, k if k else -1, 2 if k else 1, levels))
    return messages


def refusing(messages: list[Message], **kwargs) -> set[str]:
    """Return the checks that refuse a feed, but the verdict on the whole."""
    _, outcomes = watched(messages, BYBIT, CLOCK, DATE, **kwargs)
    return refused(outcomes) - {"certificate"}


def edited(messages: list[Message], at: int, levels: list) -> list[Message]:
    """Return the feed with the levels of one message replaced."""
    return [m._replace(levels=levels) if i == at else m for i, m in enumerate(messages)]


def test_a_window_of_fixed_depth_breaks_no_law() -> None:
    certificate, outcomes = watched(window(), BYBIT, CLOCK, DATE, chunk=97)
    assert refused(outcomes) == set()
    facts = certificate.to_json()["levels"]
    assert (facts["window"], facts["over"], facts["short"], facts["unknown_deletes"], facts["repeated_sizes"]) == (
        DEPTH,
        0,
        0,
        0,
        0,
    )
    assert facts["rows_compared"] > 100


@pytest.mark.parametrize("chunk", [53, 20_000])
def test_one_level_that_is_kept_at_zero_is_seen(chunk: int) -> None:
    messages = window()
    at, row = next((i, r) for i, m in enumerate(messages) if i > 20 for r in m.levels if r[2] == 0)
    kept = edited(messages, at, [(s, p, n or 1) if (s, p, n) == row else (s, p, n) for s, p, n in messages[at].levels])
    assert "levels_within_depth" in refusing(kept, chunk=chunk)


def test_one_update_that_is_left_out_with_its_ids_closed_up_is_seen() -> None:
    messages = window()
    hidden = [m._replace(update_id=i + 1, prev_id=i) for i, m in enumerate(messages[:40] + messages[41:]) if i]
    assert {"deletes_known", "levels_within_depth"} & refusing([messages[0], *hidden])


def test_one_message_that_came_twice_under_a_new_id_is_seen() -> None:
    messages = window()
    twice = [*messages[:41], messages[40], *messages[41:]]
    renumbered = [m._replace(update_id=i + 1, prev_id=i if i else -1) for i, m in enumerate(twice)]
    assert "updates_change" in refusing(renumbered)


def test_one_message_that_came_twice_is_dropped_and_told() -> None:
    messages = window()
    certificate, outcomes = watched([*messages[:41], messages[40], *messages[41:]], BYBIT, CLOCK, DATE)
    assert certificate.to_json()["duplicates"] == 1
    assert outcomes["no_duplicates"].status == "refused"
    assert refused(outcomes) == set()


def test_one_delta_that_is_typed_as_a_snapshot_is_seen() -> None:
    messages = window()
    wrong = [m._replace(kind=1, prev_id=-1) if i == 50 else m for i, m in enumerate(messages)]
    assert {"snapshot_depth", "snapshot_continues"} & refusing(wrong)


def test_a_first_snapshot_that_is_only_a_delta_is_seen_once_the_book_grows() -> None:
    messages = window()
    opened = [messages[1]._replace(kind=1, prev_id=-1, levels=messages[1].levels[::4]), *messages[2:]]
    assert "deletes_known" in refusing(opened)


def test_a_side_that_stands_still_is_seen() -> None:
    messages = window(400)
    frozen = [m if i < 100 else m._replace(levels=[r for r in m.levels if r[0] > 0]) for i, m in enumerate(messages)]
    assert "both_sides_move" in refusing([m for m in frozen if m.levels])


def test_swapped_messages_with_ids_in_order_step_back_in_time() -> None:
    swapped = window()
    for i in (60, 80):
        early, late = swapped[i], swapped[i + 1]
        swapped[i : i + 2] = [
            late._replace(update_id=early.update_id, prev_id=early.prev_id),
            early._replace(update_id=late.update_id, prev_id=late.prev_id),
        ]
    assert "time_order" in refusing(swapped)


def test_one_message_whose_time_steps_back_is_counted_and_no_more() -> None:
    messages = window()
    late = [*messages[:60], messages[60]._replace(ts=messages[59].ts - 1), *messages[61:]]
    certificate, outcomes = watched(late, BYBIT, CLOCK, DATE)
    assert certificate.to_json()["late_messages"] == 1
    assert refused(outcomes) == set()


def test_one_delete_of_an_unknown_level_is_no_error() -> None:
    messages = window()
    odd = edited(messages, 60, [*messages[60].levels, (1, 5, 0)])
    certificate, outcomes = watched(odd, BYBIT, CLOCK, DATE)
    assert certificate.to_json()["levels"]["unknown_deletes"] == 1
    assert refused(outcomes) == set()


@pytest.mark.parametrize(("first_id", "seen"), [(1, set()), (7000, {"snapshot_depth"})])
def test_only_a_restarted_service_may_open_with_a_thin_book(first_id: int, seen: set[str]) -> None:
    messages = window()
    best = [(1, 990, 5), (-1, 1010, 5)]
    opened = messages[100]._replace(kind=1, update_id=first_id, prev_id=-1, levels=best)
    after = [
        Message(opened.ts + 100_000_000 * k, 0, first_id + k, first_id + k - 1, 2, [(1, 990, 5 + k), (-1, 1010, 5 + k)])
        for k in (1, 2)
    ]
    assert refusing([*messages[:100], opened, *after]) & {"snapshot_depth"} == seen


def test_seq_that_falls_inside_the_chain_is_seen() -> None:
    messages = window()
    seq = list(range(1000, 1000 + 2 * len(messages), 2))
    assert refusing(messages, seq=seq) == set()
    seq[70], seq[71] = seq[71], seq[70]
    assert refusing(messages, seq=seq) == {"seq_order"}


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_a_book_clock_of_another_unit_is_seen(factor: float) -> None:
    messages = [m._replace(ts=START + k * 100_000_000, recv=START + k * 100_000_000) for k, m in enumerate(window(200))]
    assert refusing(messages) == set()
    scaled = [m._replace(ts=START + int((m.ts - START) * factor) // 1_000_000 * 1_000_000) for m in messages]
    assert {"clock_drift", "message_steps"} <= refusing(scaled) | {"some_row_valid"}


def test_messages_of_another_day_are_seen() -> None:
    assert "inside_day" in refusing([m._replace(ts=m.ts + 3 * NS_PER_DAY) for m in window()])


@pytest.mark.parametrize(("price", "size", "check"), [(10, 1, "tick_tight"), (1, 10, "lot_tight"), (1, 2, "lot_tight")])
def test_a_step_that_is_too_fine_is_seen(price: int, size: int, check: str) -> None:
    scaled = [m._replace(levels=[(s, price * p, size * n) for s, p, n in m.levels]) for m in window()]
    assert check in refusing(scaled)


def test_sizes_taken_twice_for_a_while_are_seen() -> None:
    messages = window(200)
    twice = [m._replace(levels=[(s, p, 2 * n) for s, p, n in m.levels]) for m in messages]
    doubled = [*messages[:60], *twice[60:100], *messages[100:]]
    assert "sizes_vary" in refusing(doubled)
    assert "sizes_vary" not in refusing(messages)


@pytest.mark.parametrize("column", ["bid_ticks_1", "bid_lots_6", "ask_ticks_20", "ask_lots_20"])
def test_one_level_of_one_row_that_is_not_the_books_is_seen(column: str) -> None:
    done = []

    def spoil(rows: np.ndarray) -> np.ndarray:
        if not done:
            done.append(rows[len(rows) // 2, ROW[column]])
            rows[len(rows) // 2, ROW[column]] += 1
        return rows

    assert "rows_equal_levels" in refusing(window(), row_map=spoil)


def test_a_row_that_leaves_out_its_last_level_or_its_first_is_seen() -> None:
    def shorter(rows: np.ndarray) -> np.ndarray:
        rows[-1, ROW["bid_ticks_1"] + LEVELS - 1], rows[-1, ROW["bid_lots_1"] + LEVELS - 1] = -1, 0
        return rows

    def shifted(rows: np.ndarray) -> np.ndarray:
        for name in ("bid_ticks_1", "bid_lots_1"):
            block = rows[-1, ROW[name] : ROW[name] + LEVELS]
            block[:-1] = block[1:].copy()
        return rows

    for spoil in (shorter, shifted):
        assert "rows_equal_levels" in refusing(window(), row_map=spoil)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams())
def test_the_tally_equals_a_naive_one_and_every_row_shows_it(stream: tuple[str, list[Message]]) -> None:
    sequence, messages = stream
    certificate, outcomes = watched(messages, make_instrument(sequence), CLOCK, DATE, chunk=13)
    verdicts = _verdicts(messages, sequence, END)
    book, unknown, repeats = Book(), 0, 0
    last_id, two_books = -1, False  # two books of one id: a row does not say which of them it shows
    for m, applied in zip(messages, verdicts.applied, strict=True):
        if applied is not None:
            two_books, last_id = two_books or m.update_id == last_id, m.update_id
        if applied == "snapshot":
            book.replace(m.levels)
        elif applied is not None:
            for row in m.levels:
                side, price, size = row
                held = book.sizes[side].get(price, 0)
                unknown += size == 0 and held == 0
                repeats += size != 0 and held == size
                book.apply([row])
    facts = certificate.to_json()["levels"]
    assert (facts["unknown_deletes"], facts["repeated_sizes"]) == (unknown, repeats)
    if not two_books:
        assert facts["rows_wrong"] == 0
        assert "rows_equal_levels" not in refused(outcomes)


def test_invalid_spans_name_first_and_last_row_and_join_over_batches() -> None:
    messages = window(40)
    gap = [*messages[:10], *messages[12:20], messages[20]._replace(kind=1, prev_id=-1), *messages[21:]]
    certificate, _ = watched(gap, BYBIT, CLOCK, DATE)
    facts = certificate.to_json()
    spans = facts["invalid_spans"]
    assert facts["invalid_span_count"] == len(spans) == 1
    assert (spans[0][1] - spans[0][0]) // STEP + 1 == facts["invalid_ns"] // STEP


def test_a_market_whose_older_days_had_coarser_lots_says_so() -> None:
    older = replace(BYBIT, coarse_lots=10)
    for factor, markets in ((1, []), (10, [BYBIT]), (100, [BYBIT, older])):
        messages = [m._replace(levels=[(s, p, factor * n) for s, p, n in m.levels]) for m in window()]
        for market in (BYBIT, older):
            _, outcomes = watched(messages, market, CLOCK, DATE)
            assert outcomes["lot_tight"].refuses == (market in markets)
