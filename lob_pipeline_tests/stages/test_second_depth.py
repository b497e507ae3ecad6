"""Two depths of one Bybit book side by side: separate files, one file, segments; the deeper is the book."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from lob_pipeline.capture.segments import SegmentWriter
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import L2_EVENTS, QUOTES, TRADES
from lob_pipeline.core.units import ASK, BID, NS_PER_MS, day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.shown_book import ShownBook
from lob_pipeline.sim.transcode import DerivedMessage
from lob_pipeline.sim.transcode_bytes import DerivedTrade, Writer, write_archive_day, write_websocket
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import build_events, ingest, register
from lob_pipeline.stages.verify import verify
from lob_pipeline.venues.decode import LiveDecoder, decode_file
from lob_pipeline_tests.naive.book import Book
from lob_pipeline_tests.naive.decode import NaiveDecoder
from lob_pipeline_tests.stages.ingest_streams import rows
from lob_pipeline_tests.venues.compare import rows_of

DATE = "2024-08-08"
LINEAR = parse_market("bybit-linear.BTCUSDT")
GRID = instrument(LINEAR, "0.1", "0.001")
START = day_start_ns(DATE) + 36_000_000 * NS_PER_MS
STEP = 100 * NS_PER_MS
COUNT = 120
Line = dict[str, Any]


def _topic(depth: int, every: int, seed: int = 5) -> list[DerivedMessage]:
    """Return one depth of the one book of ``seed``, pushed at every ``every``-th of its changes."""
    rng = np.random.default_rng(seed)
    book, shown = {BID: {}, ASK: {}}, ShownBook(depth)
    middle, out = 600_000, []
    for k in range(COUNT):
        middle += int(rng.integers(-2, 3))
        changes = []
        for side in (BID, ASK):
            crossed = [p for p in book[side] if side * (p - middle) >= 0]
            changes += [(side, p, 0) for p in crossed]
            moved = rng.integers(1, 60, 60 if k == 0 else 8).tolist()
            changes += [(side, middle - side * d, int(rng.integers(1, 900))) for d in moved]
        for side, price, lots in changes:
            if lots:
                book[side][price] = lots
            else:
                book[side].pop(price, None)
        shown.apply(changes)
        if k % every:
            continue
        levels = shown.snapshot() if k == 0 else shown.changes()
        t = START + k * STEP
        ids = (100 * depth + len(out), 9_000 + 2 * k)
        out.append(DerivedMessage(k == 0, t // NS_PER_MS, t + 7 * NS_PER_MS, *ids, levels))
    return out


def _recording(folder: Path, recv: bool = True) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer.of(GRID)
    out = {
        "deep": write_websocket(folder, writer, 500, _topic(500, 1)),
        "other": write_websocket(folder, writer, 50, _topic(50, 2)),
        "trades": writer.trades_ndjson(
            folder,
            [DerivedTrade(START + k * STEP + 1, START + k * STEP + 2, 1, 600_000, 5, 0, 0, f"t{k}") for k in range(5)],
        ),
    }
    for stamps in () if recv else folder.glob("*.recv_ts.txt"):
        stamps.unlink()
    return out


def _rewrite(path: Path, change: Callable[[int, Line], None]) -> None:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for k, line in enumerate(lines):
        change(k, line)
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def _certified(home: Home, market: Market = LINEAR) -> dict[str, Any]:
    build_books(home, market, DATE)
    return verify(home, market, DATE, None)


def _tops(messages: list[DerivedMessage]) -> list[list[int]]:
    book, out = Book(), []
    for m in messages:
        levels = [(side, p, n) for side in (BID, ASK) for p, n in m.levels[side]]
        (book.replace if m.snapshot else book.apply)(levels)
        out.append([m.seq, *book.best(BID, 1)[0], *book.best(ASK, 1)[0]])
    return out


@pytest.mark.parametrize("recv", [True, False])
def test_a_second_file_becomes_the_witness(tmp_path: Path, recv: bool) -> None:
    files = _recording(tmp_path / "files", recv)
    alone, both = Home(tmp_path / "alone"), Home(tmp_path / "both")
    ingest(alone, LINEAR, [files["deep"], files["trades"]])
    report = ingest(both, LINEAR, [files["other"], files["deep"], files["trades"]])
    assert not any(result.refused for result in report.partitions)
    for table in (L2_EVENTS, TRADES):
        one, two = rows(alone, LINEAR, table, DATE), rows(both, LINEAR, table, DATE)
        assert all(np.array_equal(one[n], two[n]) for n in one if n not in ("order", "trade_id")), table.name
    quotes = rows(both, LINEAR, QUOTES, DATE)
    names = ("update_id", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    assert np.column_stack([quotes[n] for n in names]).tolist() == _tops(_topic(50, 2))
    found = _certified(both)
    assert found["depth_agreement"] == {"compared": 60, "equal": 60}
    assert (found["top_of_book_match"], found["trade_quotes"]) == (None, None)
    assert "depth_agreement" not in {c["name"] for c in found["checks"] if c["status"] != "passed"}
    assert _certified(alone)["depth_agreement"] is None


def test_a_day_is_built_again_from_the_ledger_alike(tmp_path: Path) -> None:
    files = _recording(tmp_path / "files")
    one, two = Home(tmp_path / "one"), Home(tmp_path / "two")
    report = ingest(one, LINEAR, list(files.values()))
    assert register(two, LINEAR, list(files.values())) == [DATE]
    again = build_events(two, LINEAR, DATE)
    assert [r.manifest.content_sha256 for r in again] == [r.manifest.content_sha256 for r in report.partitions]
    assert again[2].manifest.rows == 60
    assert ingest(one, LINEAR, list(files.values())).partitions == [], "the same bytes again add nothing"


@pytest.mark.parametrize("block_bytes", [3_000, 1 << 20])
def test_rows_of_a_mixed_file_are_the_references(tmp_path: Path, block_bytes: int) -> None:
    files = _recording(tmp_path / "files")
    names = [*["other", "deep"] * 60, *["deep"] * 60]
    parts = {name: iter(files[name].read_bytes().splitlines()) for name in ("other", "deep")}
    lines = [next(parts[name]) for name in names]
    for at in (3, 24, 90):  # of the other depth: once repeated, then lost; of the book: a gap
        lines[at : at + 1] = [lines[at - 1]] if at == 3 else []
    data = b"".join(line + b"\n" for line in lines)
    (tmp_path / "mixed").write_bytes(data)
    expected = NaiveDecoder("BTCUSDT", "0.1", "0.001").bybit(data)
    assert len(expected.quotes) > 10
    with mock.patch("lob_pipeline.venues.decode.BLOCK_BYTES", block_bytes):
        assert rows_of(decode_file(tmp_path / "mixed", GRID)) == expected


@pytest.mark.parametrize("shallow_first", [True, False])
def test_one_file_of_both_topics(tmp_path: Path, shallow_first: bool) -> None:
    files = _recording(tmp_path / "files")
    lines = [(json.loads(line)["cts"], k, line) for k, name in enumerate(("other", "deep"))
             for line in files[name].read_bytes().splitlines()]  # fmt: skip
    mixed = tmp_path / "mixed.ndjson"
    ordered = sorted(lines, key=lambda x: (x[0], x[1] if shallow_first else -x[1]))
    mixed.write_bytes(b"".join(line + b"\n" for *_, line in ordered))
    home = Home(tmp_path / "home")
    ingest(home, LINEAR, [mixed], tick="0.1", lot="0.001")
    events = rows(home, LINEAR, L2_EVENTS, DATE)
    assert events["update_id"].min() == 50_000, "the deeper topic is the book"
    assert _certified(home)["depth_agreement"] == {"compared": 60, "equal": 60}


def test_segments_of_both_topics_go_on_from_one_to_the_next(tmp_path: Path) -> None:
    files = _recording(tmp_path / "files")
    frames = sorted(
        (json.loads(line)["cts"], name, line)
        for name in ("other", "deep")
        for line in files[name].read_bytes().splitlines()
    )
    paths = []
    for k, part in enumerate((frames[:70], frames[70:])):
        writer = SegmentWriter(tmp_path / f"segment{k}", LINEAR, "main", 1, "test")
        for number, (ms, _, frame) in enumerate(part):
            writer.add(ms * NS_PER_MS + 1_000_000 + number, number, frame)
        writer.flush()
        writer.close()
        paths.append(writer.path)
    home = Home(tmp_path / "home")
    ingest(home, LINEAR, paths, tick="0.1", lot="0.001")
    assert _certified(home)["depth_agreement"] == {"compared": 60, "equal": 60}


def test_archive_files_of_one_day(tmp_path: Path) -> None:
    writer = Writer.of(GRID)
    paths = [write_archive_day(tmp_path, writer, DATE, d, _topic(d, every)) for d, every in ((500, 1), (200, 3))]
    home = Home(tmp_path / "home")
    ingest(home, LINEAR, paths, tick="0.1", lot="0.001")
    assert _certified(home)["depth_agreement"] == {"compared": 40, "equal": 40}


def _swap(_k: int, line: Line) -> None:
    line["data"]["a"], line["data"]["b"] = line["data"]["b"], line["data"]["a"]


def _shift(_k: int, line: Line) -> None:
    for side in ("a", "b"):
        line["data"][side] = [[f"{float(price) + 0.1:.2f}", size] for price, size in line["data"][side]]


def _mirror(_k: int, line: Line) -> None:
    turned = {s: [[f"{120_000 - float(p):.2f}", n] for p, n in line["data"][s]] for s in ("a", "b")}
    line["data"]["a"], line["data"]["b"] = turned["b"], turned["a"]


@pytest.mark.parametrize("defect", [_swap, _shift, _mirror])
@pytest.mark.parametrize("name", ["deep", "other"])
def test_a_defect_in_one_depth_is_refused(tmp_path: Path, defect: Callable[[int, Line], None], name: str) -> None:
    files = _recording(tmp_path / "files")
    _rewrite(files[name], defect)
    home = Home(tmp_path / "home")
    ingest(home, LINEAR, [files["deep"], files["other"]])
    found = _certified(home)
    assert "depth_agreement" in {c["name"] for c in found["checks"] if c["status"] == "refused"}
    assert not found["holds"]


def test_after_a_gap_the_witness_is_silent_until_its_next_snapshot(tmp_path: Path) -> None:
    files = _recording(tmp_path / "files", recv=False)
    lines = files["other"].read_bytes().splitlines()
    whole = json.loads(lines[0])
    book: dict[str, dict[str, str]] = {"a": {}, "b": {}}
    for line in lines[:41]:  # what a snapshot in the place of message 40 says
        for side in ("a", "b"):
            book[side].update(json.loads(line)["data"][side])
    levels = {side: [[p, n] for p, n in book[side].items() if n != "0"] for side in ("a", "b")}
    at = json.loads(lines[40])
    at.update(type="snapshot", data={**at["data"], **levels})
    assert whole["type"] == "snapshot"
    kept = [*lines[:20], *lines[21:40], json.dumps(at).encode(), *lines[41:]]
    files["other"].write_bytes(b"".join(line + b"\n" for line in kept))
    home = Home(tmp_path / "home")
    report = ingest(home, LINEAR, [files["deep"], files["other"]])
    facts = report.partitions[0].manifest.extra["decoder_facts"]
    assert (facts["second_depth_messages"], facts["second_depth_gaps"]) == (59, 1)
    assert _certified(home)["depth_agreement"] == {"compared": 40, "equal": 40}


def test_depths_that_follow_each_other_are_one_stream(tmp_path: Path) -> None:
    files = _recording(tmp_path / "files", recv=False)

    def later(_k: int, line: Line) -> None:
        for name in ("ts", "cts"):
            line[name] += 60_000

    _rewrite(files["other"], later)
    home = Home(tmp_path / "home")
    ingest(home, LINEAR, [files["deep"], files["other"]])
    assert len(rows(home, LINEAR, QUOTES, DATE)["update_id"]) == 0
    assert {50_000, 5_000} <= set(rows(home, LINEAR, L2_EVENTS, DATE)["update_id"].tolist())


def test_another_category_or_trades_in_the_second_file_are_refused(tmp_path: Path) -> None:
    files = _recording(tmp_path / "files", recv=False)
    with files["other"].open("ab") as handle:
        handle.write(files["trades"].read_bytes())
    with pytest.raises(BadInputError, match="another depth of the book and trades"):
        ingest(Home(tmp_path / "home"), LINEAR, [files["deep"], files["other"]])
    spot = _recording(tmp_path / "spot", recv=False)["other"]
    (spot.parent / "instruments-info.json").write_text(json.dumps({"result": {"category": "spot", "list": []}}))
    with pytest.raises(BadInputError, match=r"not messages of bybit-linear\.BTCUSDT"):
        ingest(Home(tmp_path / "home"), LINEAR, [files["deep"], spot])


def test_a_live_stream_holds_one_depth(tmp_path: Path) -> None:
    files = _recording(tmp_path / "files")
    live = LiveDecoder(GRID, "bybit_messages")
    live.decode(files["deep"].read_bytes().splitlines()[0])
    with pytest.raises(BadInputError, match="depth 500 as before: two depths are two books"):
        live.decode(files["other"].read_bytes().splitlines()[0])
