"""The order of book messages against a naive reference, however the input is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.stages.ingest_bridge import Batch, Sequencer
from lob_pipeline_tests.naive.bridge import Arrived, Stored, naive_bridge, with_times
from lob_pipeline_tests.stages.ingest_streams import book_messages


@st.composite
def streams(draw: st.DrawFn) -> list[Arrived]:
    """Draw a stream of deltas with lost, repeated and empty messages, and snapshots that bridge or do not."""
    out: list[Arrived] = []
    last, ts = 100, 1000
    sent: list[Arrived] = []
    for _ in range(draw(st.integers(1, 40))):
        event = draw(st.sampled_from(["delta"] * 8 + ["snapshot", "snapshot", "lost", "repeat", "empty"]))
        ts += draw(st.integers(-1, 5))
        if event == "snapshot":
            own = draw(st.sampled_from([0, ts]))
            out.append(Arrived(len(out), True, max(1, last + draw(st.integers(-12, 6))), -1, own))
            continue
        if event == "repeat" and sent:
            old = sent[-draw(st.integers(1, len(sent)))]
            out.append(Arrived(len(out), False, old.update_id, old.prev_id, old.ts))
            continue
        width = draw(st.integers(1, 3))
        message = Arrived(len(out), False, last + width, last, ts, 0 if event == "empty" else draw(st.integers(1, 2)))
        last += width
        if event != "lost":
            out.append(message)
            sent.append(message)
    return out


def _run(messages: list[Arrived], sizes: list[int]) -> list[tuple[Stored, int]]:
    """Push the messages in chunks; return what was stored, with its order."""
    sequencer = Sequencer("bridge")
    when = np.array([t for _, t in with_times(messages)], dtype=np.int64)
    batches: list[Batch] = []
    at = moved = 0
    while at < len(messages):
        size = sizes[at % len(sizes)]
        part = messages[at : at + size]
        order = np.array([m.at for m in part], dtype=np.int64) + 1 + moved
        batches += sequencer.push(book_messages(part), when[at : at + size], order)
        moved += sum(count for _, count in sequencer.shifts)
        at += size
    batches += sequencer.flush()
    out = []
    for batch in batches:
        at_of = batch.book.price_ticks[batch.book.level_start[:-1]]
        for i in range(len(batch)):
            stored = Stored(
                int(at_of[i]), int(batch.kind[i]), int(batch.prev_id[i]), int(batch.ts_ns[i]), bool(batch.applied[i])
            )
            out.append((stored, int(batch.order[i])))
    return out


@settings(max_examples=400, deadline=None)
@given(streams(), st.lists(st.integers(1, 15), min_size=1, max_size=4))
def test_the_stored_order_is_the_naive_one(messages: list[Arrived], sizes: list[int]) -> None:
    found = _run(messages, sizes)
    assert [stored for stored, _ in found] == naive_bridge(messages)
    orders = [order for _, order in found]
    assert all(a < b for a, b in pairwise(orders))


def _deltas(first: int, count: int, start: int) -> list[Arrived]:
    return [Arrived(start + i, False, first + i, first + i - 1, 1000 + start + i) for i in range(count)]


def test_survivors_follow_the_snapshot_and_the_rest_keeps_its_place() -> None:
    before = _deltas(11, 5, 0)  # ids 11 … 15, places 1 … 5
    snapshot = Arrived(5, True, 13, -1, 0)  # bridged by the delta 13: 14 and 15 survive with it
    after = _deltas(16, 2, 6)
    found = _run([*before, snapshot, *after], [3])
    assert [(s.at, order) for s, order in found] == [(0, 1), (1, 2), (5, 6), (2, 7), (3, 8), (4, 9), (6, 10), (7, 11)]
    assert [s.applied for s, _ in found] == [False, False, True, True, True, True, True, True]
    assert found[2][0].ts == 1002, "a snapshot without a time takes that of the first delta it bridges"


def test_a_snapshot_that_does_not_bridge_stays_and_the_next_is_used() -> None:
    first = Arrived(0, True, 5, -1, 0)
    deltas = _deltas(11, 3, 1)
    second = Arrived(4, True, 12, -1, 0)
    found = _run([first, *deltas, second], [2])
    assert [(s.at, s.kind, s.applied) for s, _ in found] == [
        (0, 1, False),
        (1, 2, False),
        (4, 1, True),
        (2, 2, True),
        (3, 2, True),
    ]


def test_a_snapshot_in_an_unbroken_chain_is_an_audit() -> None:
    first = Arrived(0, True, 10, -1, 0)
    deltas = _deltas(11, 4, 1)
    middle = Arrived(3, True, 12, -1, 0)
    messages = [first, *deltas[:2], middle, Arrived(4, False, 13, 12, 1010), Arrived(5, False, 14, 13, 1011)]
    found = _run(messages, [10])
    assert [(s.kind, s.applied) for s, _ in found] == [
        (1, True),
        (2, True),
        (2, True),
        (3, False),
        (2, True),
        (2, True),
    ]
    assert found[3][0].ts == 1010, "an audit without a time takes the next message's"


def test_a_snapshot_that_comes_before_the_delta_which_shows_a_gap_mends_it() -> None:
    first = Arrived(0, True, 10, -1, 1000)
    mending = Arrived(3, True, 20, -1, 1009)  # 13 … 20 were lost
    messages = [first, *_deltas(11, 2, 1), mending, *_deltas(21, 3, 4)]
    for sizes in ([20], [4], [1]):
        found = _run(messages, sizes)
        assert [(s.at, s.kind, s.applied) for s, _ in found] == [
            (0, 1, True),
            (1, 2, True),
            (2, 2, True),
            (3, 1, True),
            *((at, 2, True) for at in (4, 5, 6)),
        ]


def test_a_snapshot_that_nothing_follows_is_an_audit() -> None:
    found = _run([Arrived(0, True, 10, -1, 1000), *_deltas(11, 2, 1), Arrived(3, True, 12, -1, 0)], [1])
    assert [(s.kind, s.applied) for s, _ in found] == [(1, True), (2, True), (2, True), (3, False)]


def test_a_message_without_levels_leaves_the_chain_whole_and_a_gap_visible() -> None:
    snapshot = Arrived(0, True, 10, -1, 1000)
    empty = Arrived(1, False, 11, 10, 1001, levels=0)
    follows = Arrived(2, False, 12, 11, 1002)
    lost = Arrived(3, False, 14, 13, 1003, levels=0)  # 13 was lost
    last = Arrived(4, False, 15, 14, 1004)
    found = _run([snapshot, empty, follows, lost, last], [2])
    assert [(s.at, s.prev_id, s.applied) for s, _ in found] == [(0, -1, True), (2, 10, True), (4, 13, False)]


def test_what_is_held_back_is_bounded(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("lob_pipeline.stages.ingest_bridge.HELD_LEVEL_ROWS", 10)
    sequencer = Sequencer("bridge")
    messages = _deltas(11, 100, 0)
    passed = 0
    for at in range(0, 100, 5):
        part = messages[at : at + 5]
        when = np.array([m.ts for m in part], dtype=np.int64)
        out = sequencer.push(book_messages(part), when, np.arange(at, at + 5))
        passed += sum(len(batch) for batch in out)
        assert 0 <= at + 5 - passed <= 15
    assert sum(len(batch) for batch in sequencer.flush()) == 100 - passed


def test_a_plus_one_stream_is_passed_on_as_it_came_and_a_gap_lasts_until_the_next_snapshot() -> None:
    sequencer = Sequencer("plus_one")
    snapshot = Arrived(0, True, 10, -1, 1000)
    messages = [snapshot, *_deltas(11, 2, 1), Arrived(3, False, 14, 13, 1003), Arrived(4, True, 20, -1, 1004)]
    when = np.array([m.ts for m in messages], dtype=np.int64)
    out = sequencer.push(book_messages(messages), when, np.arange(5))
    assert [a for batch in out for a in batch.applied.tolist()] == [True, True, True, False, True]
    assert [k for batch in out for k in batch.kind.tolist()] == [1, 2, 2, 2, 1]
