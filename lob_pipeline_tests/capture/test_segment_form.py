"""A segment gives back the very bytes that went in, whole zstd frames survive a tear, and damage is named."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.capture.recover import facts_of, whole_pieces
from lob_pipeline.capture.segments import SegmentWriter
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.venues.decode import decode_file
from lob_pipeline.venues.detect import detect_file
from lob_pipeline.venues.segment_form import read_lines
from lob_pipeline_tests.capture.helpers import MARKET, bybit_files
from lob_pipeline_tests.capture.wrapped import stamped

GRID = instrument(parse_market(MARKET))
WALL_NS = 1_786_310_819_720_003_100
BOOK = b'{"topic":"orderbook.200.BTCUSDT","type":"%b","ts":1786310818130,"data":{"s":"BTCUSDT","b":[["1.0","2"]],'
BOOK += b'"a":[],"u":%d,"seq":7},"cts":1786310818128}'


def segment(folder: Path, frames: list[bytes], lane: str = "main", every: int = 3, readable: bool = True) -> Path:
    writer = SegmentWriter(folder, parse_market(MARKET), lane, 1, "test")
    for i, frame in enumerate(frames):
        writer.add(WALL_NS + i, i, frame, readable=readable)
        if i % every == every - 1:
            writer.flush()
    writer.close()
    return writer.path


FRAMES = st.binary(max_size=80) | st.sampled_from([BOOK % (b"delta", 5), b"=", b"!", b"#", b"\n", b""])


@settings(max_examples=40, deadline=None)
@given(frames=st.lists(FRAMES, min_size=1, max_size=12), at=st.floats(0, 1))
def test_any_bytes_come_back_and_a_tear_costs_only_what_is_torn(frames: list[bytes], at: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = segment(Path(folder), frames).read_bytes()
    pieces = list(whole_pieces(data))
    assert pieces[-1].end == len(data)
    lines = [line for piece in pieces for line in read_lines(piece.data)]
    assert [line.frame for line in lines] == frames
    assert [line.wall_ns for line in lines] == [WALL_NS + i for i in range(len(frames))]
    torn = data[: int(at * len(data))]
    kept = list(whole_pieces(torn))
    assert [p.data for p in kept] == [p.data for p in pieces[: len(kept)]]
    assert len(kept) == sum(piece.end <= len(torn) for piece in pieces)


@pytest.mark.real
def test_facts_by_counting_are_those_of_the_writer(real_data: Path, tmp_path: Path) -> None:
    """The writer remembers every topic's frames as they come; recovery finds the same in the file."""
    from lob_pipeline.venues.protocol import TRADES
    from lob_pipeline.venues.protocols import protocol_of

    writer = SegmentWriter(tmp_path, GRID.market, "main", 1, "test")
    hear = protocol_of(GRID.market).hear
    for i, one in enumerate(stamped(bybit_files(real_data))):
        writer.add(one.wall_ns, i, one.frame)
        heard = hear(one.frame)
        first = heard.first_id if heard.kind == TRADES else heard.last_id
        writer.saw(heard.key.decode(), first, heard.last_id, one.wall_ns)
        if i % 40 == 7:
            writer.flush()
    facts = writer.close()
    data = writer.path.read_bytes()
    assert facts_of(tmp_path, writer.path, data) == (facts, len(data))
    assert len(facts["topics"]) == 2


@pytest.mark.real
@pytest.mark.parametrize("newlines", [False, True])
def test_decoding_a_segment_is_decoding_its_frames(real_data: Path, tmp_path: Path, newlines: bool) -> None:
    """Offsets are those of the lines in the segment, receive times the recorder's; a newline in a frame is a space."""
    files = bybit_files(real_data)
    frames = [line for line in files[0].read_bytes().splitlines() if line]
    sent = [frame.replace(b',"data"', b',\n"data"') for frame in frames] if newlines else frames
    (plain,), (wrapped,) = (list(decode_file(path, GRID)) for path in (files[0], segment(tmp_path, sent, every=50)))
    assert len(plain.book) == len(frames)
    for name, values in vars(plain.book).items():
        if name not in ("line", "offset", "ts_recv_ns"):
            assert np.array_equal(getattr(wrapped.book, name), values), name
    assert wrapped.book.ts_recv_ns.tolist() == [WALL_NS + i for i in range(len(frames))]
    assert wrapped.book.line.tolist() == list(range(1, len(frames) + 1))
    text = zstandard.ZstdDecompressor().stream_reader(
        (tmp_path / "bybit-linear/BTCUSDT/main").glob("*.zst").__next__().open("rb"), read_across_frames=True
    ).read()
    starts = [0, *(i + 1 for i, byte in enumerate(text) if byte == 10)]
    assert wrapped.book.offset.tolist() == starts[1 : len(frames) + 1]
    assert wrapped.skipped == {"control": 1}


def test_what_is_no_message_is_skipped_and_counted(tmp_path: Path) -> None:
    good = [BOOK % (b"snapshot", 5), BOOK % (b"delta", 6)]
    (block,) = decode_file(segment(tmp_path, [*good, b'{"topic":"orderbook.200.BTCUSDT","data":[}']), GRID)
    assert (len(block.book), block.skipped) == (2, {"control": 1, "unreadable": 1})
    (kept,) = decode_file(segment(tmp_path / "kept", [b"\xff\n#"], readable=False), GRID)
    assert (len(kept.book), kept.skipped) == (0, {"control": 2, "unread": 1})


def test_a_segment_full_of_garbage_is_refused(tmp_path: Path) -> None:
    path = segment(tmp_path, [BOOK % (b"snapshot", 5), *[b'{"topic":"orderbook.200.BTCUSDT"}'] * 200], every=500)
    with pytest.raises(BadInputError, match="200 of 202 lines cannot be read"):
        list(decode_file(path, GRID))


def test_a_segment_is_of_one_market_and_its_main_lane(tmp_path: Path) -> None:
    path = segment(tmp_path, [BOOK % (b"snapshot", 5)])
    info = detect_file(path)
    assert (info.segment, info.format, info.streams) == (GRID.market, "bybit_messages", ("book", "trades"))
    with pytest.raises(BadInputError, match=r"was recorded for bybit-linear.BTCUSDT: expected bybit-spot.BTCUSDT"):
        info.require(parse_market("bybit-spot.BTCUSDT"))
    with pytest.raises(BadInputError, match="holds the extra topics"):
        detect_file(segment(tmp_path, [b"{}"], lane="extra"))


@pytest.mark.parametrize(
    "line", [b"9999999999999999999 1 {}", b"12 5 {}", b"1786310819720003100 x {}", b"1786310819720003100 5", b"{}"]
)
def test_a_line_that_no_recorder_wrote_is_named(tmp_path: Path, line: bytes) -> None:
    path = segment(tmp_path, [BOOK % (b"snapshot", 5)])
    path.write_bytes(path.read_bytes() + zstandard.compress(line + b"\n"))
    with pytest.raises(BadInputError, match=r"line 3, byte \d+ of the inflated data: expected a recorder's line"):
        list(decode_file(path, GRID))


def test_a_cut_segment_is_truncated_not_shortened_in_silence(tmp_path: Path) -> None:
    path = segment(tmp_path, [BOOK % (b"snapshot", 5), BOOK % (b"delta", 6)], every=1)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadInputError, match="truncated"):
        list(decode_file(path, GRID))
