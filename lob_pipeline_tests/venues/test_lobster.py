"""LOBSTER: every row of the rebuilt book against the ground truth, and every defect in the files against the reader."""

from __future__ import annotations

import zipfile
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import FLAG_NOT_MARKET, FLAG_RPI
from lob_pipeline.venues.block import DecodedBlock
from lob_pipeline.venues.decode import decode_file
from lob_pipeline.venues.detect import detect_file
from lob_pipeline.venues.lobster_files import parse_name
from lob_pipeline_tests.naive.lobster import NaiveDay, naive_day, read_zip

STEM = "GOOG_2012-06-21_34200000_57600000"
GOOG = instrument(parse_market("lobster.GOOG"), "0.01", "1")


def _write(folder: Path, messages: list[str], books: list[str], levels: int = 2, stem: str = STEM) -> Path:
    path = folder / f"{stem}_message_{levels}.csv"
    path.write_text("".join(line + "\n" for line in messages))
    (folder / f"{stem}_orderbook_{levels}.csv").write_text("".join(line + "\n" for line in books))
    return path


def _day(size: int = 40, levels: int = 2, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return a random day of an order-level market whose files show ``levels`` levels a side."""
    rng = np.random.default_rng(seed)
    book = {1: {5_000_000 - 100 * k: 100 * (k + 1) for k in range(6)}, -1: {5_000_200 + 100 * k: 70 for k in range(6)}}
    messages, books = [], []
    while len(messages) < size:
        side = int(rng.choice([1, -1]))
        best = max(book[side], key=lambda p, s=side: s * p) if book[side] else 5_000_100 - 100 * side
        kind = int(rng.choice([1, 1, 2, 3, 4, 5]))
        if kind == 1:
            price = best - 100 * side * int(rng.integers(-1, 4))
            if book[-side] and side * (price - max(book[-side], key=lambda p, s=side: -s * p)) >= 0:
                continue
            change = int(rng.integers(1, 50))
        elif kind == 5:
            price, change = best, 10
        elif not book[side]:
            continue
        else:
            price = best if kind == 4 else int(rng.choice(sorted(book[side])))
            change = book[side][price] if kind == 3 else max(1, book[side][price] // 2)
        shown = sorted(book[side], key=lambda p, s=side: -s * p)[:levels]
        in_view = price in shown or len(shown) < levels or side * (price - shown[-1]) > 0
        if kind != 5:
            held = book[side].get(price, 0) + (change if kind == 1 else -change)
            book[side][price] = held
            if held <= 0:
                del book[side][price]
        if not in_view:
            continue
        at = f"34200.{len(messages):09d}"
        messages.append(f"{at},{kind},{len(messages) + 7},{change},{price},{side}")
        cells = []
        for k in range(levels):
            for s, dummy in ((-1, 9999999999), (1, -9999999999)):
                ranked = sorted(book[s], key=lambda p, s=s: -s * p)
                cells += [ranked[k], book[s][ranked[k]]] if k < len(ranked) else [dummy, 0]
        books.append(",".join(map(str, cells)))
    return messages, books


def _facts(blocks: list[DecodedBlock]) -> dict[str, int]:
    return {name: sum(b.facts[name] for b in blocks) for name in blocks[0].facts}


def _same(blocks: list[DecodedBlock], day: NaiveDay) -> None:
    changes, trades = [], []
    for block in blocks:
        b, t = block.book, block.trades
        lines = np.repeat(b.line, np.diff(b.level_start))
        rows = (lines, b.side, b.price_ticks * 100, b.size_lots)
        changes += zip(*(column.tolist() for column in rows), strict=True)
        kinds = np.where(t.flags == FLAG_RPI, 5, np.where(t.flags == FLAG_NOT_MARKET, 6, 4)).tolist()
        columns = (t.line.tolist(), t.side.tolist(), (t.price_ticks * 100).tolist(), t.size_lots.tolist(), kinds)
        trades += zip(*columns, strict=True)
    assert sorted(changes) == sorted(day.changes)
    assert trades == [t for t in day.trades if t[2] % 100 == 0]
    facts = _facts(blocks)
    assert (facts["levels_from_messages"], facts["levels_from_book_file"]) == (day.from_messages, day.from_file)
    assert (facts["book_rows_compared"], facts["book_rows_equal"]) == (day.compared, day.equal)
    known = (facts["rows_known_from_messages_compared"], facts["rows_known_from_messages_equal"])
    assert known == (day.known, day.known_equal)


REAL = [
    ("LOBSTER_SampleFile_GOOG_2012-06-21_10.zip", "lobster.GOOG", 10, (147_915, 144_002, 44_451, 103)),
    ("LOBSTER_SampleFile_AAPL_2012-06-21_1.zip", "lobster.AAPL", 1, (118_496, 107_164, 30_071, 24_928)),
]


@pytest.mark.real
@pytest.mark.parametrize(("name", "market", "levels", "counts"), REAL)
def test_every_row_equals_the_ground_truth(
    real_data: Path, name: str, market: str, levels: int, counts: tuple[int, ...]
) -> None:
    path = real_data / "lobster" / name
    grid = instrument(parse_market(market), "0.01", "1")
    blocks = list(decode_file(path, grid))
    facts = _facts(blocks)
    compared, messages, looked_up, known = counts
    assert facts["book_rows_compared"] == facts["book_rows_equal"] == compared
    assert facts["rows_known_from_messages_compared"] == facts["rows_known_from_messages_equal"] == known
    assert (facts["levels_from_messages"], facts["levels_from_book_file"]) == (messages, looked_up)
    assert facts["messages_on_unknown_levels"] == facts["messages_below_zero"] == 0
    assert [sum(b.checksums[k] for b in blocks if b.checksums) for k in (0, 1)] == [compared, compared]
    if levels == 1:  # the slow reading of ten levels takes its time
        _same(blocks, naive_day(*read_zip(path), levels))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 120))
def test_random_days_against_the_slow_reading(
    tmp_path_factory: pytest.TempPathFactory, seed: int, levels: int, size: int
) -> None:
    folder = tmp_path_factory.mktemp("lobster")
    messages, books = _day(size, levels, seed)
    path = _write(folder, messages, books, levels)
    blocks = list(decode_file(path, GOOG))
    _same(blocks, naive_day("\n".join(messages), "\n".join(books), levels))
    facts = _facts(blocks)
    assert facts["book_rows_equal"] == facts["book_rows_compared"] == size - 1


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path, *_day(900))
    whole = list(decode_file(path, GOOG))
    monkeypatch.setattr("lob_pipeline.venues.source._PIECE_BYTES", 512)
    monkeypatch.setattr("lob_pipeline.venues.source._READ_BYTES", 300)
    monkeypatch.setattr(open_source_defaults(), "__defaults__", (700,))
    parts = list(decode_file(path, GOOG))
    assert len(parts) > 10 > len(whole)
    assert _facts(parts) == _facts(whole)
    for name in ("line", "offset", "ts_event_ns", "update_id", "prev_update_id", "kind", "price_ticks", "size_lots"):
        assert np.array_equal(*(np.concatenate([getattr(b.book, name) for b in bs]) for bs in (parts, whole))), name


def open_source_defaults() -> object:
    from lob_pipeline.venues import source

    return source.open_source


def test_times_are_new_york_s_summer_and_winter() -> None:
    for date, hours in (("2012-06-21", 4), ("2012-01-20", 5), ("2012-03-12", 4), ("2012-11-05", 5)):
        name = parse_name(f"GOOG_{date}_34200000_57600000_message_10.csv")
        assert name is not None
        noon = np.datetime64(f"{date}T00:00", "ns").astype(np.int64) + hours * 3_600_000_000_000
        assert name.midnight_ns == noon
    assert ZoneInfo("America/New_York")


def test_nanoseconds_are_exact(tmp_path: Path) -> None:
    messages, books = _day(3)
    messages[1] = "34200.1" + messages[1][messages[1].index(",") :]
    messages[2] = "34200.123456789000" + messages[2][messages[2].index(",") :]
    block = next(decode_file(_write(tmp_path, messages, books), GOOG))
    start = np.datetime64("2012-06-21T13:30", "ns").astype(np.int64)
    times = {}
    for rows in (block.book, block.trades):
        times |= dict(zip(rows.line.tolist(), (rows.ts_event_ns - start).tolist(), strict=True))
    assert (times[0], times[1], times[2]) == (0, 100_000_000, 123_456_789)


def test_a_hidden_execution_off_the_grid_is_counted(tmp_path: Path) -> None:
    messages, books = _day(3)
    messages[1], books[1] = "34200.5,5,0,10,5000150,1", books[0]
    messages[2], books[2] = "34201,7,0,0,-1,-1", books[0]
    block = next(decode_file(_write(tmp_path, messages, books), GOOG))
    assert block.skipped == {"hidden_off_grid": 1, "trading_halt": 1}
    assert 1 not in block.trades.line.tolist()


def test_the_book_file_is_believed_about_new_levels_alone(tmp_path: Path) -> None:
    messages, books = _day(60, levels=3, seed=4)
    for at in range(20, 60):  # the file shows another size of the best bid from here on
        cells = books[at].split(",")
        cells[3] = str(int(cells[3]) + (int(cells[3]) > 0))
        books[at] = ",".join(cells)
    blocks = list(decode_file(_write(tmp_path, messages, books, 3), GOOG))
    facts = _facts(blocks)
    assert facts["book_rows_compared"] == 59
    assert 19 <= facts["book_rows_equal"] < 59
    _same(blocks, naive_day("\n".join(messages), "\n".join(books), 3))


def test_a_zip_and_its_files_side_by_side_are_the_same(tmp_path: Path) -> None:
    path = _write(tmp_path, *_day(50))
    other = path.with_name(path.name.replace("message", "orderbook"))
    packed = tmp_path / "both.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (other, path):
            archive.write(file, file.name)
        archive.writestr("ReadMe.txt", "about")
    one, two = (list(decode_file(p, GOOG)) for p in (path, packed))
    assert np.array_equal(one[0].book.size_lots, two[0].book.size_lots)
    info = detect_file(other)
    assert (info.path, info.companion, info.symbols) == (path, other, ("GOOG",))
    assert [str(m) for m in detect_file(packed).markets] == ["lobster.GOOG"]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    messages, books = _day(10)

    def refused(match: str, at: int | None = None, text: str = "", book: bool = False) -> None:
        mine, theirs = list(messages), list(books)
        if at is not None:
            (theirs if book else mine)[at] = text
        path = _write(tmp_path, mine, theirs)
        with pytest.raises(BadInputError, match=match):
            list(decode_file(path, GOOG))

    offset = sum(len(line) + 1 for line in messages[:4])
    where = rf"message_2.csv, line 5, byte {offset + 5} of the inflated data: expected time,type"
    refused(where, 4, "34200x,1,2,3,5000000,1")
    refused("line 5, .*expected a type of 1 to 7", 4, "34200,8,2,3,5000000,1")
    refused("line 5, .*expected a direction of 1 or -1", 4, "34200,1,2,3,5000000,0")
    refused("line 5, .*expected a size in whole lots", 4, "34200,1,2,0,5000000,1")
    refused("line 5, .*expected a price above zero", 4, "34200,5,2,1,0,1")
    refused("line 5, .*multiple of 100", 4, "34200,1,2,3,5000050,1")
    refused("line 5, ", 4, "86400,1,2,3,5000000,1")
    refused("line 5, ", 4, "34200,1,2,3,5000000,1,9")
    refused("line 5, ", 4, "34200.0000000001,1,2,3,5000000,1")
    refused("orderbook_2.csv, line 5, byte .*expected 8 whole numbers", 4, "1,2,3", book=True)
    books.append(books[-1])
    refused("has more rows than the 10 messages")
    del books[-2:]
    refused("ends after 9 rows")
    (tmp_path / f"{STEM}_orderbook_2.csv").unlink()
    with pytest.raises(BadInputError, match=r"orderbook_2\.csv is not beside it"):
        list(decode_file(tmp_path / f"{STEM}_message_2.csv", GOOG))


def test_a_damaged_zip(tmp_path: Path) -> None:
    path = _write(tmp_path, *_day(2000))
    packed = tmp_path / "both.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind in ("message", "orderbook"):
            file = path.with_name(path.name.replace("message", kind))
            archive.write(file, file.name)
    data = bytearray(packed.read_bytes())
    data[400] ^= 0xFF
    packed.write_bytes(data)
    with pytest.raises(BadInputError, match=r"both.zip: GOOG_.*csv is damaged before byte \d+"):
        list(decode_file(packed, GOOG))
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, path.name)
    with pytest.raises(BadInputError, match="expected one message file and the orderbook file"):
        detect_file(packed)
