"""Messages of the truth clock: the book is whole where the rows of the grid say so, however chunks are cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.book.replay import replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import ROW
from lob_pipeline.labels.messages import DELTA, SKIP, SNAPSHOT
from lob_pipeline.labels.overlap import broken_spans
from lob_pipeline.labels.stream import MessageStream
from lob_pipeline_tests.book.streams import DATE, in_chunks, make_instrument, streams, to_columns
from lob_pipeline_tests.labels.streams import event_columns, random_market
from lob_pipeline_tests.naive.book import Message


def with_seq(columns: Columns) -> Columns:
    return {**columns, "seq": np.full(len(columns["kind"]), -1, np.int64)}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=streams(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_valid_rows_of_the_grid_lie_outside_the_broken_spans(
    drawn: tuple[str, list[Message]], sizes: list[int]
) -> None:
    sequence, messages = drawn
    columns = to_columns(messages)
    stream = MessageStream(sequence)
    list(stream.split(in_chunks(with_seq(columns), sizes)))
    none = np.empty(0, np.int64)
    spans = broken_spans(none, none, none, stream.broken_spans())
    for rows in replay([columns], make_instrument(sequence), parse_clock("t1s"), DATE):
        for row in rows:
            t = int(row[ROW["ts_ns"]])
            bid, ask = row[ROW["bid_ticks_1"]], row[ROW["ask_ticks_1"]]
            whole = not any(after < t < before for after, before in spans.tolist())
            assert bool(row[ROW["valid"]]) == (whole and 0 <= bid < ask), (t, spans.tolist())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(drawn=streams(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_chunks_do_not_matter(drawn: tuple[str, list[Message]], sizes: list[int]) -> None:
    sequence, messages = drawn
    columns = with_seq(to_columns(messages))
    whole, cut = MessageStream(sequence), MessageStream(sequence)
    expected = whole.take(columns, last=True)
    parts = list(cut.split(in_chunks(columns, sizes)))
    for name in ("time_ns", "seq", "action", "side", "price", "size"):
        joined = np.concatenate([getattr(p, name) for p in parts])
        np.testing.assert_array_equal(joined, getattr(expected, name), err_msg=name)
    np.testing.assert_array_equal(np.concatenate([np.diff(p.start) for p in parts]), np.diff(expected.start))
    assert cut.last_ns == whole.last_ns
    assert cut.broken_spans().tolist() == whole.broken_spans().tolist()


def test_times_never_step_back_and_a_gap_lasts_until_the_snapshot() -> None:
    messages, _ = random_market(3, 30, wild=True)
    messages[40].snapshot = messages[40].gap_before = True
    messages[39].time_ns += 5
    stream = MessageStream("plus_one")
    (found, *rest) = stream.split(event_columns(messages))
    actions = np.concatenate([found.action, *(m.action for m in rest)])
    times = np.concatenate([found.time_ns, *(m.time_ns for m in rest)])
    assert (np.diff(times) >= 0).all()
    assert set(actions.tolist()) == {SKIP, DELTA, SNAPSHOT}
    assert stream.broken_spans()[0].tolist() == [-(1 << 62), messages[0].time_ns]
    assert stream.broken_spans()[-1][0] >= max(m.time_ns for m in messages[:39])
