"""Frames: what is not edited is written as recorded, and an edit changes what it says and nothing else."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, SNAPSHOT, TRADE, Recording
from lob_pipeline.mutation.mutators.common import applied_deltas, closed_up
from lob_pipeline.mutation.naive_book import book_after
from lob_pipeline.mutation.recordings import USDM, binance, bybit_ws, checked
from lob_pipeline.mutation.wire import wire_of

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=["bybit", "usdm", "okx", "kraken"])
def recording(request: pytest.FixtureRequest, root: Path) -> Recording:
    if request.param == "bybit":
        return bybit_ws(root, "SOLUSDT")
    if request.param == "usdm":
        return binance(root, USDM, "binance-usdm.BTCUSDT", ("btcusdt_20230404.gz",), until="1680652720")
    return checked(root, request.param.upper(), {"okx": "okx.BTC-USDT", "kraken": "kraken.XMR-USD"}[request.param])


def test_unedited_lines_are_the_recorded_bytes(recording: Recording) -> None:
    data = recording.files()
    for name in recording.calls[0]:
        frames = [f for f in recording.frames if f.file == name]
        assert data[name] == b"".join(f.raw + b"\n" for f in frames)
        assert len(frames) > 10


def test_a_written_line_says_what_the_recorded_one_says(recording: Recording) -> None:
    for kind in (SNAPSHOT, DELTA, TRADE):
        frame = recording.frames[recording.where(kind)[0]]
        again = wire_of(recording.venue).parse(frame.edited().line(), frame.file, frame.recv)
        assert again.body == frame.body
        assert again.kind == kind
        assert again.prefix == frame.prefix


def test_editing_a_frame_leaves_the_recording_alone(recording: Recording) -> None:
    wire = wire_of(recording.venue)
    i = recording.where(DELTA)[3]
    before = json.dumps(recording.frames[i].body)
    changed = recording.edit([i], lambda frame: wire.set_levels(frame, [["1", "2", "3", "4"]], []))
    assert json.dumps(recording.frames[i].body) == before
    assert wire.levels(changed.frames[i])[0] == [["1", "2", "3", "4"]]
    assert [f.raw for f in changed.frames if f.raw] == [f.raw for j, f in enumerate(recording.frames) if j != i]


def test_a_snapshot_in_the_venues_form_holds_the_naive_book(recording: Recording) -> None:
    wire = wire_of(recording.venue)
    i = applied_deltas(recording, wire)[20]
    bids, asks = book_after(recording, wire, i).levels()
    snapshot = wire.snapshot(recording.frames[i], bids, asks)
    parsed = wire.parse(snapshot.line(), snapshot.file, b"")
    assert parsed.kind == SNAPSHOT
    assert [[level[:2] for level in side] for side in wire.levels(parsed)] == [
        [level[:2] for level in side[:1000]] for side in (bids, asks)
    ]
    assert float(bids[0][0]) < float(asks[0][0])


def test_closing_up_makes_every_delta_follow_the_one_before(recording: Recording, rng: np.random.Generator) -> None:
    wire = wire_of(recording.venue)
    deltas = applied_deltas(recording, wire)
    if wire.ids(recording.frames[deltas[0]])[1] < 0:
        assert closed_up(recording, wire) == recording
        return
    torn = recording.put(dict.fromkeys(deltas[5:9], ()))
    mended = closed_up(torn, wire)

    def breaks(some: Recording) -> int:
        ids = [wire.ids(some.frames[i]) for i in some.where(*BOOK_KINDS) if some.frames[i].kind == DELTA]
        return sum(two[0] != one[1] for one, two in pairwise(ids))

    assert breaks(torn) == breaks(recording) + 1
    assert breaks(mended) == breaks(recording) == 0
