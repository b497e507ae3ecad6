"""Merging lanes and carrying books, piece by piece, against sorting and replaying everything at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline.stages.ingest_blocks import Arrivals
from lob_pipeline.stages.ingest_carry import messages_of_rows
from lob_pipeline.stages.ingest_merge import FileFacts, LaneFile, merge, read_lane
from lob_pipeline.venues.block import BookMessages, DecodedBlock, QuoteRows, TradeRows
from lob_pipeline_tests.naive.bridge import Arrived
from lob_pipeline_tests.stages.ingest_streams import book_messages

BASE = 19_943 * NS_PER_DAY


def _trades(times: list[int], recv: list[int], line: list[int]) -> TradeRows:
    n = len(times)
    zero = np.zeros(n, dtype=np.int64)
    return TradeRows(
        line=np.array(line, dtype=np.int64),
        offset=zero,
        ts_event_ns=np.array(times, dtype=np.int64),
        ts_recv_ns=np.array(recv, dtype=np.int64),
        seq=zero,
        trade_id=pa.array([str(t) for t in times], pa.string()),
        side=np.ones(n, dtype=np.int8),
        price_ticks=zero + 1,
        size_lots=zero + 1,
        flags=np.zeros(n, dtype=np.int8),
    )


def _quotes() -> QuoteRows:
    return QuoteRows(*(np.zeros(0, dtype=np.int64) for _ in range(9)))


Item = tuple[str, int]  # kind, time


def _block(items: list[Item], first_line: int) -> DecodedBlock:
    """Return a block of one item a line; every book message has one level."""
    book = [
        Arrived(first_line + i, False, 10 + first_line + i, 9 + first_line + i, t)
        for i, (kind, t) in enumerate(items)
        if kind == "book"
    ]
    messages = book_messages(book)
    object.__setattr__(messages, "line", np.array([m.at for m in book], dtype=np.int64))
    object.__setattr__(messages, "ts_recv_ns", messages.ts_event_ns)
    trades = [(t, first_line + i) for i, (kind, t) in enumerate(items) if kind == "trade"]
    times = [t for t, _ in trades]
    return DecodedBlock(first_line, len(items), 0, messages, _trades(times, times, [n for _, n in trades]), _quotes())


def _lane(items: list[Item], size: int) -> Iterator[Arrivals]:
    blocks = [_block(items[i : i + size], i) for i in range(0, len(items), size)]
    return read_lane([LaneFile(lambda: iter(blocks), FileFacts())])


def _kinds(parts: list[Arrivals]) -> list[Item]:
    out: list[Item] = []
    for part in parts:
        there: list[Item | None] = [None] * part.items
        for at, t in zip(part.book_at.tolist(), part.book_when.tolist(), strict=True):
            there[at] = ("book", t)
        for at, t in zip(part.trades_at.tolist(), part.trades.ts_event_ns.tolist(), strict=True):
            there[at] = ("trade", t)
        out += [item for item in there if item is not None]
        assert None not in there
    return out


TIMES = st.lists(st.integers(1, 25).map(lambda t: BASE + t), max_size=30)


@settings(max_examples=200, deadline=None)
@given(TIMES, TIMES, st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_lanes_merge_like_one_stable_sort(
    trades: list[int], books: list[int], size_one: int, size_two: int, by_recv: bool
) -> None:
    lanes = [[("trade", t) for t in trades], [("book", t) for t in books]]
    parts = merge([_lane(lanes[0], size_one), _lane(lanes[1], size_two)], by_recv)
    keyed = []
    for number, lane in enumerate(lanes):
        latest = 0
        for i, (kind, t) in enumerate(lane):
            latest = max(latest, t)
            keyed.append((latest, number, i, (kind, t)))
    assert _kinds(list(parts)) == [item for *_, item in sorted(keyed)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["book", "trade"]), st.integers(1, 25)), max_size=40), st.integers(1, 9))
def test_a_lane_of_one_file_is_never_sorted(items: list[tuple[str, int]], size: int) -> None:
    lane = [(kind, BASE + t) for kind, t in items]
    assert _kinds(list(merge([_lane(lane, size)], by_recv=True))) == lane


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6).map(lambda t: t and BASE + t * NS_PER_DAY // 3), min_size=1, max_size=20))
def test_days_follow_the_running_maximum_and_messages_without_time_the_next(times: list[int]) -> None:
    lane = [("book", t) for t in times]
    found: dict[int, list[int]] = {}
    for size in (1, 4, 50):
        parts = list(_lane(lane, size))
        found[size] = [int(d) for p in parts for d in p.book_day]
    latest = running = 0
    if any(times):
        expected = []
        for i, t in enumerate(times):
            latest = max(latest, t)
            when = t or next((x for x in times[i:] if x), latest)
            running = max(running, when)
            expected.append((running - 1) // NS_PER_DAY)
        assert found[1] == found[4] == found[50] == expected


def _event_rows(levels: list[int]) -> Columns:
    n = len(levels)
    message = np.repeat(np.arange(n), levels)
    rows = message.shape[0]
    names = ("order", "ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id", "seq")
    columns: Columns = {name: message * 10 + k for k, name in enumerate(names)}
    columns["kind"] = np.where(message == 0, KIND_SNAPSHOT, KIND_DELTA).astype(np.int8)
    columns["side"] = np.ones(rows, dtype=np.int8)
    columns["price_ticks"] = np.arange(rows, dtype=np.int64)
    columns["size_lots"] = np.arange(rows, dtype=np.int64)
    columns["first_in_message"] = np.diff(message, prepend=-1) != 0
    return columns


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=15), st.integers(1, 9))
def test_messages_are_whole_however_their_rows_are_cut(levels: list[int], size: int) -> None:
    columns = _event_rows(levels)
    total = len(columns["order"])
    chunks = ({n: v[i : i + size] for n, v in columns.items()} for i in range(0, total, size))
    parts: list[BookMessages] = list(messages_of_rows(chunks))
    assert [int(x) for p in parts for x in np.diff(p.level_start)] == levels
    assert [int(x) for p in parts for x in p.line] == [i * 10 for i in range(len(levels))]
    assert [int(x) for p in parts for x in p.price_ticks] == list(range(total))
