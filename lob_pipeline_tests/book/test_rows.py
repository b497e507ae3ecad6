"""Rows of random streams: equal to the naive emitter, and independent of chunking, buffers, stops and copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lob_pipeline.book.replay import BookEngine, replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, ROW, ROW_WIDTH
from lob_pipeline_tests.book.streams import DATE, START, STEP, in_chunks, make_instrument, streams, to_columns
from lob_pipeline_tests.naive.book import Message, naive_rows

CLOCK = parse_clock("t1s")
SLOW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_same_rows(got: np.ndarray, expected: np.ndarray) -> None:
    """Name the first column and row that differ."""
    assert got.shape == expected.shape
    rows, columns = np.nonzero(got != expected)
    if len(rows):
        r, c = rows[0], columns[0]
        pytest.fail(f"{BOOK_SNAPSHOTS.names[c]} row {r} of {len(got)}: {got[r, c]} expected {expected[r, c]}")


def all_rows(columns: dict, sequence: str, date: str | None, batch: int = 7, chunks: tuple[int, ...] = (10**9,)):
    parts = list(replay(in_chunks(columns, list(chunks)), make_instrument(sequence), CLOCK, date, batch_rows=batch))
    return np.concatenate(parts) if parts else np.empty((0, ROW_WIDTH), np.int64)


@SLOW
@given(streams(), st.booleans())
def test_kernel_rows_equal_naive_rows(stream: tuple[str, list[Message]], dated: bool) -> None:
    sequence, messages = stream
    date = DATE if dated else None
    expected = naive_rows(messages, sequence, STEP, 12, date)
    assert_same_rows(all_rows(to_columns(messages), sequence, date), expected)


@SLOW
@given(streams(), st.lists(st.integers(1, 17), min_size=1, max_size=4), st.integers(1, 5))
def test_rows_do_not_depend_on_chunks_or_buffers(
    stream: tuple[str, list[Message]], chunks: list[int], batch: int
) -> None:
    sequence, messages = stream
    columns = to_columns(messages)
    whole = all_rows(columns, sequence, DATE, batch=4096)
    assert_same_rows(all_rows(columns, sequence, DATE, batch=batch, chunks=tuple(chunks)), whole)


@SLOW
@given(streams(), st.data())
def test_live_rows_with_stops_and_copies_equal_batch_rows(
    stream: tuple[str, list[Message]], data: st.DataObject
) -> None:
    sequence, messages = stream
    instrument = make_instrument(sequence)
    engine, parts = BookEngine(instrument, CLOCK, DATE), [np.empty((0, ROW_WIDTH), np.int64)]
    for m in messages:
        how = data.draw(st.sampled_from(("go on", "go on", "restart", "copy")))
        if how == "restart":
            engine = BookEngine.from_bytes(engine.to_bytes(), instrument, CLOCK, DATE)
        elif how == "copy":
            twin = engine.copy()
            engine.push(to_columns([messages[0]]))  # the copy must not notice
            engine = twin
        parts.append(engine.push(to_columns([m])).copy())
    assert_same_rows(np.concatenate(parts), all_rows(to_columns(messages), sequence, DATE))


def _book(ts: int, kind: int, update_id: int, bid: int = 100, ask: int = 101, recv: int = 0) -> Message:
    return Message(ts, recv, update_id, -1, kind, [(1, bid, 5), (-1, ask, 5)])


def _delta(ts: int, update_id: int, levels: list[tuple[int, int, int]], recv: int = 0) -> Message:
    return Message(ts, recv, update_id, update_id - 1, 2, levels)


def test_first_row_is_strictly_after_the_snapshot_and_silence_is_filled() -> None:
    messages = [_book(START + STEP, 1, 1), _delta(START + 4 * STEP + 1, 2, [(1, 99, 1)])]
    rows = all_rows(to_columns(messages), "plus_one", DATE)
    assert ((rows[:, ROW["ts_ns"]] - START) // STEP).tolist() == [2, 3, 4]
    assert rows[:, ROW["decidable"]].tolist() == [0, 0, 1]
    assert rows[:, ROW["messages"]].tolist() == [0, 0, 0]
    assert set(rows[:, ROW["close_ns"]].tolist()) == {START + 4 * STEP + 1}


def test_a_carried_book_opens_the_day_and_the_mark_closes_it_at_midnight() -> None:
    end = START + 86_400 * STEP
    mark = Message(end + 5, 0, 9, 8, 3, [(1, 0, 0)])
    rows = all_rows(to_columns([_book(START, 4, 7), mark]), "plus_one", DATE)
    assert rows[0, ROW["ts_ns"]] == START + STEP
    assert rows[-1, ROW["ts_ns"]] == end
    assert len(rows) == 86_400
    assert rows[-2:, ROW["decidable"]].tolist() == [0, 1]
    assert not rows[:, ROW["run_start"]].any()
    assert (rows[:, ROW["bid_worse_ns"]] == START).all()


def test_without_a_mark_the_open_rows_are_left_out_and_an_audit_inside_the_day_closes_none() -> None:
    audit = Message(START + 9 * STEP, 0, 1, -1, 3, [(1, 100, 5)])
    assert len(all_rows(to_columns([_book(START + 1, 1, 1), audit]), "plus_one", DATE)) == 0


def test_rows_after_a_gap_are_invalid_until_the_next_snapshot() -> None:
    messages = [
        _book(START, 1, 1),
        _delta(START + 2 * STEP, 2, [(1, 99, 1)]),
        _delta(START + 4 * STEP + 1, 9, [(1, 98, 1)]),  # 3 … 8 are missing
        _delta(START + 5 * STEP + 1, 10, [(1, 97, 1)]),
        _book(START + 6 * STEP + 1, 1, 11),
        _delta(START + 8 * STEP + 1, 12, [(1, 96, 1)]),
    ]
    rows = all_rows(to_columns(messages), "plus_one", DATE)
    assert rows[:, ROW["valid"]].tolist() == [1, 1, 0, 0, 0, 0, 1, 1]
    assert rows[:, ROW["run_start"]].tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
    assert rows[:, ROW["messages"]].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]


def test_buffered_deltas_belong_to_the_bridging_snapshot() -> None:
    messages = [
        Message(START + STEP, 10, 5, 3, 2, [(1, 90, 1)]),  # older than the snapshot: never applied
        _book(START + 2 * STEP, 1, 7, recv=40),
        Message(START + 2 * STEP, 20, 8, 6, 2, [(1, 101, 3)]),
        Message(START + 3 * STEP + 5, 30, 9, 8, 2, [(1, 101, 0)]),
        Message(START + 5 * STEP + 5, 50, 10, 9, 2, [(1, 99, 4)]),
        Message(START + 6 * STEP + 5, 60, 11, 10, 2, [(1, 99, 4)]),
    ]
    rows = all_rows(to_columns(messages), "bridge", DATE)
    assert ((rows[:, ROW["ts_ns"]] - START) // STEP).tolist() == [4, 5, 6]
    assert rows[:, ROW["bid_ticks_1"]].tolist() == [100, 100, 100]
    assert rows[:, ROW["messages"]].tolist() == [0, 0, 1]
    assert rows[:, ROW["bid_worse_ns"]].tolist() == [START + 3 * STEP + 5] * 3


def test_other_bytes_are_no_engine() -> None:
    with pytest.raises(BadInputError, match="no saved book engine"):
        BookEngine.from_bytes(b"x" * 100, make_instrument("plus_one"), CLOCK)


def test_a_stream_must_begin_with_a_whole_message() -> None:
    columns = to_columns([_book(START, 1, 1)])
    columns["first_in_message"][:] = False
    with pytest.raises(BadInputError, match="first level row"):
        list(replay([columns], make_instrument("plus_one"), CLOCK, DATE))
