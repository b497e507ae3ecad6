"""Kraken: every form gives the same rows, every checksum is compared, levels out of view are deleted."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument as find
from lob_pipeline.venues.decode import LiveDecoder, decode_file
from lob_pipeline.venues.detect import detect_file
from lob_pipeline.venues.kraken import checksum
from lob_pipeline.venues.protocol import CONTROL, DELTA, OTHER, SNAPSHOT, TRADES, UNREAD
from lob_pipeline.venues.protocol_kraken import PUBLIC
from lob_pipeline.venues.string_book import StringBook
from lob_pipeline_tests.naive import checksums as naive
from lob_pipeline_tests.venues.checked_streams import (
    FORMS,
    KRAKEN_PAIRS,
    START_MS,
    as_plain,
    breaks,
    chain,
    changes,
    kraken_messages,
    kraken_v2_lines,
    recorded,
    told,
)
from lob_pipeline_tests.venues.compare import market, rows_of

XBT = market("kraken.XBT-USD")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    messages = kraken_messages(changes(1, 40))
    plain, counts = told(tmp_path / "plain", as_plain(messages), XBT)
    rows, same = told(tmp_path / form, FORMS[form](messages, "KRAKEN"), XBT)
    assert counts == same == (40, 40)  # the snapshot has none
    assert [m[1:2] + m[3:] for m in rows.messages] == [m[1:2] + m[3:] for m in plain.messages]
    assert {m[2] > 0 for m in rows.messages} == {form != "plain"}
    assert [q[3] for q in rows.quotes] == [m[3] for m in rows.messages[1:]]
    info = detect_file(tmp_path / form)
    assert (info.format, info.symbols, info.streams) == ("kraken_messages", ("XBT-USD",), ("book",))
    assert [str(m) for m in info.markets] == ["kraken.XBT-USD"]


def test_one_message_at_a_time_gives_the_same_rows(tmp_path: Path) -> None:
    messages = kraken_messages(changes(2, 10))
    whole, _ = told(tmp_path / "x", as_plain(messages), XBT)
    decoder = LiveDecoder(XBT, "kraken_messages")
    found, compared = [], 0
    for line in as_plain(messages).splitlines():
        decoder.decode(line)
        block = decoder.block()
        compared += (block.checksums or (0, 0))[0]
        found += [m[3:] for m in rows_of([block]).messages]
    assert found == [m[3:] for m in whole.messages]
    assert compared == 10


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 30))
def test_round_trip_and_a_dropped_update(tmp_path_factory: pytest.TempPathFactory, seed: int, n: int) -> None:
    folder = tmp_path_factory.mktemp("kraken")
    messages = kraken_messages(changes(seed, n))
    rows, counts = told(folder / "x", as_plain(messages), XBT)
    assert counts == (n, n)
    assert breaks(rows) == []
    at = 2 + seed % (n - 1)  # not the first: that one alone says whether the snapshot was read rightly
    fewer, counts = told(folder / "y", as_plain(messages[:at] + messages[at + 1 :]), XBT)
    broken = breaks(fewer)
    assert counts is not None
    assert counts[0] == counts[1] == (broken[0] - 1 if broken else n - 1)
    if not broken:
        assert [q[4:] for q in fewer.quotes[at - 1 :]] == [q[4:] for q in rows.quotes[at:]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_levels_that_fell_out_of_view_are_deleted(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """The stored rows alone, applied one after another, make the book that the venue shows."""
    messages = kraken_messages(changes(seed, 30, depth=10), depth=10)
    rows, counts = told(tmp_path_factory.mktemp("k") / "x", as_plain(messages), XBT)
    assert counts == (30, 30)
    stored, deepest = naive.TextBook(), 0
    for k, message in enumerate(rows.messages):
        for side, ticks, lots in message[8]:
            stored.put(side, str(ticks), str(lots))
        deepest = max(deepest, *(len(stored.sides[s]) for s in (1, -1)))
        if k:
            best = (*stored.best(1, 1)[0], *stored.best(-1, 1)[0])
            assert tuple(map(int, best)) == rows.quotes[k - 1][4:]
    assert deepest == 10


def test_a_shallow_view_without_cutting_would_not_agree(tmp_path: Path) -> None:
    """That the cut matters: a level pushed out of view and deleted there comes back as a ghost without it."""
    base = [(s, p, "1.5") for s, ps in ((1, [f"{105 - k / 10:.1f}" for k in range(10)]), (-1, ["106.0"])) for p in ps]
    stream = [base, [(1, "105.1", "2.5")], [(1, "105.1", "0")], [(1, "104.1", "3.5")]]
    rows, counts = told(tmp_path / "x", as_plain(kraken_messages(stream, depth=10)), XBT)
    assert counts == (3, 3)
    assert rows.messages[1][8][-1] == (1, 1041, 0)  # 104.1 fell out of view


def test_two_objects_republished_levels_and_order_inside_a_message(tmp_path: Path) -> None:
    start = "1618678133"
    snapshot = {
        "as": [["0.05005000", "0.00000500", f"{start}.000001"]],
        "bs": [["0.05000000", "0.00000500", f"{start}.000002"]],
    }
    update: list[Any] = [
        {"a": [["0.05005000", "7.00000000", f"{start}.500001"], ["0.05005000", "0.00000600", f"{start}.500001"]]},
        {"b": [["0.04990000", "1.00000000", "1600000000.000000", "r"]]},
    ]
    book = naive.TextBook()
    for side, price, size in ((-1, "0.05005000", "0.00000600"), (1, "0.05000000", "0.00000500")):
        book.put(side, price, size)
    book.put(1, "0.04990000", "1.00000000")
    update[1]["c"] = str(naive.kraken_checksum(book))
    data = as_plain([[0, snapshot, "book-1000", "ETH/XBT"], [0, *update, "book-1000", "ETH/XBT"]])
    rows, counts = told(tmp_path / "x", data, market("kraken.ETH-XBT", "0.00001", "0.00000001"))
    assert counts == (1, 1)
    second = 10**9
    assert [m[1] for m in rows.messages] == [1618678133 * second + 2000, 1618678133 * second + 500_001_000]
    assert rows.messages[1][8] == ((-1, 5005, 700_000_000), (-1, 5005, 600), (1, 4990, 100_000_000))
    assert rows.quotes[0][4:] == (5000, 500, 5005, 600)


def test_the_text_under_the_checksum() -> None:
    """The venue's own example: price 0.05000 with volume 0.00000304 is written 5000304, asks before bids."""
    book, mine = naive.TextBook(), StringBook()
    for side, price, size in ((1, "0.04990", "1.50000000"), (-1, "0.05000", "0.00000304")):
        book.put(side, price, size)
        mine.apply([(side, price, size)])
    assert naive.crc32("123456789") == 0xCBF43926  # the check value of this CRC
    assert checksum(mine) == naive.kraken_checksum(book) == naive.crc32("50003044990150000000")


def _swap(messages: list[Any]) -> list[Any]:
    names = {"as": "bs", "bs": "as", "a": "b", "b": "a"}
    return [[m[0], *({names.get(k, k): v for k, v in part.items()} for part in m[1:-2]), *m[-2:]] for m in messages]


def _off_by_one(messages: list[Any]) -> list[Any]:
    for name in ("as", "bs"):
        del messages[0][1][name][0]
    return messages


@pytest.mark.parametrize("defect", [_swap, _off_by_one], ids=["sides swapped", "best level missing"])
def test_a_book_that_was_read_wrongly_is_no_gap(tmp_path: Path, defect: Any) -> None:
    rows, counts = told(tmp_path / "x", as_plain(defect(kraken_messages(changes(5, 30)))), XBT)
    assert counts is not None
    assert counts[1] < counts[0]
    assert len(rows.quotes) == counts[1]


def test_one_digit_of_one_size_breaks_the_chain_until_the_next_snapshot(tmp_path: Path) -> None:
    one, two = kraken_messages(changes(6, 30)), kraken_messages(changes(7, 3))
    part = one[5][1]
    rows = part.get("a") or part["b"]
    rows[0][1] = "77.70000000" if rows[0][1] != "77.70000000" else "88.80000000"
    found, counts = told(tmp_path / "x", as_plain(one + two), XBT)
    assert breaks(found) == [5]
    assert counts == (4 + 3, 4 + 3)
    assert chain(found)[31][1] == -1


@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_message_recorded_twice_keeps_its_id(tmp_path: Path, at: int) -> None:
    messages = kraken_messages(changes(9, 10))
    whole, counts = told(tmp_path / "x", as_plain(messages), XBT)
    twice, same = told(tmp_path / "y", as_plain(messages[: at + 1] + messages[at:]), XBT)
    assert same == counts
    ids = chain(whole)
    assert chain(twice) == ids[: at + 1] + ids[at:]
    assert [q[3:] for q in twice.quotes] == [q[3:] for q in whole.quotes]


def test_a_stretch_recorded_twice_is_applied_once(tmp_path: Path) -> None:
    """Also where it touches nothing that a checksum covers: only ids tell, and they stay those of the first time."""
    messages = kraken_messages(changes(9, 10, depth=30, quiet_top=True))
    rows, counts = told(tmp_path / "y", as_plain(messages[:8] + messages[5:]), XBT)
    ids = chain(told(tmp_path / "x", as_plain(messages), XBT)[0])
    assert chain(rows) == ids[:8] + ids[5:]
    assert counts == (10, 10)


def test_an_update_without_a_checksum_breaks_a_chain_that_has_them(tmp_path: Path) -> None:
    messages = kraken_messages(changes(9, 10))
    del messages[4][-3]["c"]
    rows, counts = told(tmp_path / "x", as_plain(messages), XBT)
    assert breaks(rows) == [4]
    assert counts == (3, 3)
    assert len(rows.quotes) == 3
    for message in messages[1:]:
        message[-3].pop("c", None)
    rows, counts = told(tmp_path / "y", as_plain(messages), XBT)
    assert breaks(rows) == []  # older recordings have none at all: not judged
    assert counts == (0, 0)


def test_updates_before_any_snapshot_follow_nothing_that_is_known(tmp_path: Path) -> None:
    messages = kraken_messages(changes(8, 6))
    rows, counts = told(tmp_path / "x", as_plain(messages[3:] + messages[:2]), XBT)
    ids = chain(rows)
    assert ids[0] == (ids[0][0], ids[0][0] - 1)
    assert ids[0][0] > 10**15  # of its time: no running number of another file is next to it
    assert counts == (1, 1)


def test_trades_have_an_id_of_their_time(tmp_path: Path) -> None:
    trades = [
        ["354.1", "0.5", "1618678142.557535", "s", "l", ""],
        ["354.2", "0.25", "1618678142.557535", "b", "m", ""],
    ]
    data = as_plain([[9, trades, "trade", "XBT/USD"], [9, trades[:1], "trade", "XBT/USD"]])
    rows, _ = told(tmp_path / "x", data, XBT)
    time = 1618678142557535000
    assert [t[1:] for t in rows.trades] == [
        (time, 0, -1, "1618678142.557535#0", -1, 3541, 50_000_000, 0),
        (time, 0, -1, "1618678142.557535#1", 1, 3542, 25_000_000, 0),
        (time, 0, -1, "1618678142.557535#2", -1, 3541, 50_000_000, 0),
    ]


def _v2(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


@pytest.mark.parametrize("depth", [10, 1000])
def test_version_2_gives_the_rows_of_version_1(tmp_path: Path, depth: int) -> None:
    stream = changes(11, 40, depth=10)
    rows, counts = told(tmp_path / "2", _v2(kraken_v2_lines(stream, depth=depth)), XBT)
    assert counts == (41, 41)  # its snapshot has a checksum too
    old, _ = told(tmp_path / "1", as_plain(kraken_messages(stream, depth=depth)), XBT)
    assert [(m[1], m[7]) for m in rows.messages] == [(m[1], m[7]) for m in old.messages]
    assert [sorted(m[8]) for m in rows.messages] == [sorted(m[8]) for m in old.messages]
    assert [q[4:] for q in rows.quotes[1:]] == [q[4:] for q in old.quotes]
    assert rows.skipped == {"control": 1}
    info = detect_file(tmp_path / "2")
    assert (info.format, info.symbols, info.streams) == ("kraken_messages", ("XBT-USD",), ("book",))
    unacknowledged, same = told(tmp_path / "3", _v2(kraken_v2_lines(stream, depth=10)[1:]), XBT)
    assert same == (41, 41)  # ten levels a side fit into a depth of ten
    assert max(len(m[8]) for m in unacknowledged.messages) == 20


def test_version_2_breaks_and_trades(tmp_path: Path) -> None:
    lines = kraken_v2_lines(changes(12, 30))
    rows, counts = told(tmp_path / "x", _v2(lines[:9] + lines[10:]), XBT)
    assert breaks(rows) == [8]
    assert counts == (8, 8)
    trade = (
        '{"symbol":"BTC/USD","side":"sell","price":354.1,"qty":0.50000000,"ord_type":"limit","trade_id":4665906,'
        '"timestamp":"2023-09-25T07:49:37.708706Z"}'
    )
    data = [f'{{"channel":"trade","type":"{kind}","data":[{trade}]}}' for kind in ("snapshot", "update")]
    rows, _ = told(tmp_path / "t", _v2([*data, '{"channel":"heartbeat"}']), XBT)
    assert [t[1:] for t in rows.trades] == [(1695628177708706000, 0, -1, "4665906", -1, 3541, 50_000_000, 0)]
    assert rows.skipped == {"control": 2}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"checksum":', '"checksum":4294967296,"c":', "32-bit number"),
        ('"checksum":', '"checksum":-1,"c":', "non-negative integer"),
        ('"price":1', '"price":-1', "a price or size"),
        ('"price":1', '"price":1e99,"p":1', "a price or size"),
        ('"price":1', '"price":"1","p":1', "a price or size"),
        ('"qty":', '"quantity":', '"qty"'),
        ('"2022-05-13T', '"2022-02-31T', "a time such as"),
        ('"symbol":"BTC/USD"', '"symbol":7', '"symbol" to be a string'),
        ('"data":[', '"data":[{"symbol":"ETH/USD"},', "one pair a message"),
        ('"data":[', '"data":[3,', "a JSON object"),
        ('"type":"update"', '"type":"both"', '"type" snapshot or update'),
    ],
)
def test_bad_lines_of_version_2_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    lines = kraken_v2_lines(changes(12, 3))
    assert old in lines[2]
    lines[2] = lines[2].replace(old, new, 1)
    with pytest.raises(BadInputError, match="line 3, byte") as error:
        told(tmp_path / "x", _v2(lines), XBT)
    assert says in str(error.value)


_GOOD = as_plain(kraken_messages(changes(8, 2)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"c":"', b'"c":"9999', "32-bit checksum"),
        (b'"c":"', b'"c":7,"d":"', "32-bit checksum"),
        (b'"c":"', b'"x":[],"c":"', "levels of one snapshot or one update"),
        (b'"book-1000"', b'"book-999"', "a depth of"),
        (b'"book-1000"', b"1000", "[channel id, content, channel, pair]"),
        (b'.10000"', b'.1x"', "time in decimal seconds"),
        (b'"1652459225.', b'"9652459225.', "time in decimal seconds"),
        (b'[["10', b'[["NaN', "a decimal string"),
        (b'[["10', b'[[NaN,"10', "a JSON value"),
        (b'[["10', b'[["10e40000', "a decimal string"),
        (b'[["10', b'[{},["10', "a level"),
        (b'"]],', b'","x"]],', '"r"'),
        (b'{"', b'{"as":[],"', "levels of one snapshot or one update"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, old: bytes, new: bytes, says: str) -> None:
    lines = _GOOD.splitlines(keepends=True)
    line = lines[1]
    if old.startswith(b".10000"):
        old = b'100000"'
        new = b'1x"'
    if old == b'"]],':
        old, new = (b'"]],"c"', b'","x"]],"c"')
    assert old in line
    changed = line.replace(old, new, 1)
    with pytest.raises(BadInputError, match=r"line 2, byte (\d+)") as error:
        told(tmp_path / "x", lines[0] + changed + lines[2], XBT)
    at = int(str(error.value).split("byte ")[1].split()[0])
    assert len(lines[0]) <= at < len(lines[0]) + len(changed)
    assert says in str(error.value)


def test_two_depths_are_two_books(tmp_path: Path) -> None:
    data = as_plain(kraken_messages(changes(1, 2)) + kraken_messages(changes(1, 2), depth=100))
    with pytest.raises(BadInputError, match=r"line 4.*a depth of 1000: two depths are two books"):
        told(tmp_path / "x", data, XBT)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(_GOOD) - 1), st.binary(min_size=1, max_size=3))
def test_no_damage_ends_in_anything_but_rows_or_bad_input(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    data = _GOOD[:at] + noise + _GOOD[at + len(noise) :]
    rows = None
    with contextlib.suppress(BadInputError):
        rows, _ = told(tmp_path_factory.mktemp("f") / "x", data, XBT)
    assert rows is None or len(rows.messages) <= 3 + noise.count(b"\n")


@pytest.mark.real
def test_the_recording_row_by_row(real_data: Path) -> None:
    path = real_data / "checksum_venues" / "KRAKEN.jsonl.zst"
    messages = recorded(real_data, "KRAKEN")
    info = detect_file(path)
    assert sorted(info.symbols) == sorted(pair.replace("/", "-") for pair in KRAKEN_PAIRS)
    total = 0
    for pair in KRAKEN_PAIRS:
        symbol = pair.replace("/", "-")
        grid = find(parse_market(f"kraken.{symbol}"), *info.grids[symbol])
        expected = naive.kraken(messages, pair)
        blocks = list(decode_file(path, grid))
        rows = rows_of(blocks)
        sums = [sum((b.checksums or (0, 0))[k] for b in blocks) for k in (0, 1)]
        assert sums == [expected.compared, sum(bool(r.equal) for r in expected.rows)]
        assert sums[0] == len(expected.rows) - 1
        total += sums[1]
        for found, row in zip(rows.messages, expected.rows, strict=True):
            assert (found[1], found[7]) == (row.ts_ns, 1 if row.snapshot else 2)
            levels = [(s, round(float(p) / float(grid.tick)), round(float(z) * 1e8)) for s, p, z in row.levels]
            assert list(found[8]) == [level for level in levels if level[1] < 1 << 31]
        for quote, row in zip(rows.quotes, expected.rows[1:], strict=True):
            assert row.top is not None
            assert quote[4] == round(float(row.top[0]) / float(grid.tick))
            assert quote[6] == round(float(row.top[2]) / float(grid.tick))
        assert [(t[1], t[5]) for t in rows.trades] == [(t[0], t[1]) for t in expected.trades]
    assert total == 4269  # of 4,279 book messages: the ten snapshots carry none


def test_the_protocol_places_frames() -> None:
    snapshot, delta = (json.dumps(m).encode() for m in kraken_messages(changes(1, 1)))
    assert PUBLIC.hear(snapshot)[:3] == (SNAPSHOT, b"book-1000:XBT/USD", -1)
    heard = PUBLIC.hear(delta)
    assert (heard.kind, heard.key, heard.event_ms) == (DELTA, b"book-1000:XBT/USD", START_MS + 100)
    assert PUBLIC.hear(delta[:-7]).kind == UNREAD
    assert PUBLIC.hear(b'{"event":"heartbeat"}').kind == CONTROL
    assert PUBLIC.hear(b'[7,{"a":["1",1]},"ticker","XBT/USD"]').kind == OTHER
    trade = b'[7,[["354.1","0.5","1618678142.557535","s","l",""]],"trade","XBT/USD"]'
    assert PUBLIC.hear(trade)[:3] == (TRADES, b"trade:XBT/USD", "1618678142.557")
    names = [t.name for t in PUBLIC.topics(XBT) if t.lane == "main"]
    assert [json.loads(text)["subscription"] for text in PUBLIC.subscribe(names, 3)] == [
        {"name": "book", "depth": 1000},
        {"name": "trade"},
    ]
