"""OKX: every form gives the same rows, every checksum is compared, and nothing that is wrong comes through."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.book.state import MAX_PRICE_TICKS
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument as find
from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.venues import checked_rows
from lob_pipeline.venues.decode import decode_file
from lob_pipeline.venues.detect import detect_file
from lob_pipeline.venues.protocol import CONTROL, DELTA, OTHER, SNAPSHOT, TRADES, UNREAD
from lob_pipeline.venues.protocol_okx import PUBLIC
from lob_pipeline_tests.naive import checksums as naive
from lob_pipeline_tests.venues.checked_streams import (
    FORMS,
    OKX_SYMBOLS,
    START_MS,
    as_plain,
    as_wrapped,
    breaks,
    chain,
    changes,
    okx_messages,
    recorded,
    told,
)
from lob_pipeline_tests.venues.compare import market, rows_of

SPOT = market("okx.BTC-USDT", "0.1", "0.001")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    messages = okx_messages(changes(1, 40))
    plain, counts = told(tmp_path / "plain", as_plain(messages), SPOT)
    rows, same = told(tmp_path / form, FORMS[form](messages, "OKX"), SPOT)
    assert counts == same == (41, 41)
    for one, two in zip(plain.messages, rows.messages, strict=True):
        assert one[1] == two[1]
        assert one[3:] == two[3:]
    assert {m[2] > 0 for m in rows.messages} == {form != "plain"}
    assert [q[3] for q in rows.quotes] == [m[3] for m in rows.messages]
    info = detect_file(tmp_path / form)
    assert (info.format, info.symbols, info.streams) == ("okx_messages", ("BTC-USDT",), ("book",))


def test_ids_count_on_from_the_snapshot_and_rise_over_restarts(tmp_path: Path) -> None:
    one = okx_messages(changes(1, 3))
    two = okx_messages(changes(2, 2))
    for message in two:  # a new connection, a minute later
        message["data"][0]["ts"] = str(int(message["data"][0]["ts"]) + 60_000)
    rows, counts = told(tmp_path / "x", as_plain(one + two), SPOT)
    first, second = START_MS * 1000, (START_MS + 60_000) * 1000
    assert chain(rows) == [
        (first, -1), *((first + k, first + k - 1) for k in (1, 2, 3)),
        (second, -1), *((second + k, second + k - 1) for k in (1, 2)),
    ]  # fmt: skip
    assert counts == (7, 7)


def test_own_ids_are_taken_where_there_are_some(tmp_path: Path) -> None:
    messages = okx_messages(changes(3, 5), seq=100, crc=False)
    alive = copy.deepcopy(messages[-1])
    alive["data"][0] |= {"asks": [], "bids": [], "seqId": 115, "prevSeqId": 115}
    rows, counts = told(tmp_path / "x", as_plain([*messages, alive]), SPOT)
    assert chain(rows) == [(100, -1), *((100 + 3 * k, 97 + 3 * k) for k in range(1, 6))]
    assert counts is None  # nothing to compare, and nothing that needs it
    assert rows.quotes == []
    assert rows.skipped == {"control": 1}
    rows, _ = told(tmp_path / "y", as_plain([*messages[:2], *messages[3:]]), SPOT)
    assert breaks(rows) == [2]


def test_a_message_sent_twice_changes_nothing(tmp_path: Path) -> None:
    messages = okx_messages(changes(3, 9), seq=100)
    whole, counts = told(tmp_path / "x", as_plain(messages), SPOT)
    twice, same = told(tmp_path / "y", as_plain(messages[:5] + messages[3:]), SPOT)
    assert same == counts == (10, 10)
    assert chain(twice) == chain(whole)[:5] + chain(whole)[3:]
    assert [q[3:] for q in twice.quotes] == [q[3:] for q in whole.quotes]


def test_a_stream_without_ids_and_checksums_is_not_vouched_for(tmp_path: Path) -> None:
    rows, counts = told(tmp_path / "x", as_plain(okx_messages(changes(3, 5), crc=False)), SPOT)
    assert counts == (0, 0)
    assert len(rows.messages) == 6
    assert rows.quotes == []


def test_a_checksum_alone_breaks_a_chain_of_ids(tmp_path: Path) -> None:
    messages = okx_messages(changes(4, 6), seq=100)
    messages[3]["data"][0]["checksum"] ^= 1
    rows, counts = told(tmp_path / "x", as_plain(messages), SPOT)
    assert breaks(rows) == [3]
    assert counts == (3, 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 30), st.booleans())
def test_round_trip_and_a_dropped_update(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, own: bool
) -> None:
    """Whatever the stream: all checksums agree; and without one of its updates the chain breaks or nothing is lost."""
    folder = tmp_path_factory.mktemp("okx")
    messages = okx_messages(changes(seed, n), seq=50 if own else None)
    rows, counts = told(folder / "x", as_plain(messages), SPOT)
    assert counts == (n + 1, n + 1)
    assert breaks(rows) == []
    tops = [(q[4], q[5], q[6], q[7]) for q in rows.quotes]
    book = naive.TextBook()
    expected = []
    for message in rows.messages:
        for side, ticks, lots in message[8]:
            book.put(side, str(ticks), str(lots))
        expected.append((*map(int, book.best(1, 1)[0]), *map(int, book.best(-1, 1)[0])))
    assert tops == expected
    at = 1 + seed % n
    fewer, counts = told(folder / "y", as_plain(messages[:at] + messages[at + 1 :]), SPOT)
    broken = breaks(fewer)
    assert counts is not None
    assert counts[0] == counts[1] == (broken[0] if broken else n)  # nothing wrong was believed
    if own and at < n:
        assert broken == [at]
    if not broken and at < n:  # what was dropped was undone or repeated before it could show in a checksum
        assert [q[4:] for q in fewer.quotes[at:]] == [q[4:] for q in rows.quotes[at + 1 :]]


def _swap(messages: list[Any]) -> list[Any]:
    for message in messages:
        data = message["data"][0]
        data["asks"], data["bids"] = data["bids"], data["asks"]
    return messages


def _digit(messages: list[Any]) -> list[Any]:
    level = next(level for level in messages[5]["data"][0]["asks"] + messages[5]["data"][0]["bids"] if level[1] != "0")
    level[1] = ("8" if level[1][0] == "7" else "7") + level[1][1:]
    return messages


def _off_by_one(messages: list[Any]) -> list[Any]:
    for name in ("asks", "bids"):
        del messages[0]["data"][0][name][0]
    return messages


@pytest.mark.parametrize(
    ("defect", "equal"), [(_swap, 0), (_off_by_one, None)], ids=["sides swapped", "best level missing"]
)
def test_a_book_that_was_read_wrongly_is_no_gap(tmp_path: Path, defect: Any, equal: int | None) -> None:
    rows, counts = told(tmp_path / "x", as_plain(defect(okx_messages(changes(5, 30)))), SPOT)
    assert counts is not None
    assert counts[1] < counts[0]
    assert equal is None or counts[1] == equal
    assert len(rows.quotes) == counts[1]


def test_one_digit_of_one_size_breaks_the_chain_once(tmp_path: Path) -> None:
    rows, counts = told(tmp_path / "x", as_plain(_digit(okx_messages(changes(6, 30)))), SPOT)
    assert breaks(rows) == [5]
    assert counts == (5, 5)
    assert len(rows.messages) == 31  # all are kept: the book kernel masks what follows the break


def test_trades_and_hidden_ones(tmp_path: Path) -> None:
    arg = {"channel": "trades", "instId": "BTC-USDT"}
    trade = {"instId": "BTC-USDT", "tradeId": "9", "px": "30236", "sz": "0.002", "side": "buy", "ts": str(START_MS)}
    data = [trade, {**trade, "tradeId": "10", "side": "sell", "source": "1"}]
    rows, _ = told(tmp_path / "x", as_plain([{"arg": arg, "data": data}]), SPOT)
    assert rows.trades == [
        (0, START_MS * NS_PER_MS, 0, -1, "9", 1, 302360, 2, 0),
        (0, START_MS * NS_PER_MS, 0, -1, "10", -1, 302360, 2, 1),
    ]


def test_control_other_channels_and_other_markets_are_counted(tmp_path: Path) -> None:
    ack = {"event": "subscribe", "arg": {"channel": "books", "instId": "BTC-USDT"}}
    ticker = {"arg": {"channel": "tickers", "instId": "BTC-USDT"}, "data": [{}]}
    other = okx_messages(changes(1, 1), "ETH-USDT")
    data = as_plain([ack, ticker, *other, *okx_messages(changes(1, 1))]) + b"pong\n"
    rows, counts = told(tmp_path / "x", data, SPOT)
    assert rows.skipped == {"control": 2, "other_stream": 1, "other_symbol": 2}
    assert counts == (2, 2)


def _instruments(*entries: dict[str, str]) -> bytes:
    answer = json.dumps({"code": "0", "data": list(entries)})
    url = "https://www.okx.com/api/v5/public/instruments?instType=SWAP"
    line = {"t": "http", "conn": "OKX.http.sync", "ts": 1652459225.5, "url": url, "data": answer}
    return json.dumps(line).encode() + b"\n"


_LINEAR = {
    "instId": "BTC-USDT-SWAP", "instType": "SWAP", "ctType": "linear", "ctVal": "0.01", "ctMult": "1", "tickSz": "0.1",
    "lotSz": "1",
}  # fmt: skip


def test_contracts_of_a_linear_swap_become_base_units(tmp_path: Path) -> None:
    stream = [[(1, "30000.0", "5"), (-1, "30000.1", "7")]]
    data = _instruments(_LINEAR) + as_wrapped(okx_messages(stream, "BTC-USDT-SWAP"), "OKX")
    path = tmp_path / "x"
    path.write_bytes(data)
    grid = detect_file(path).grids["BTC-USDT-SWAP"]
    assert grid == ("0.1", "0.01")
    swap = find(parse_market("okx.BTC-USDT-SWAP"), *grid)
    rows, counts = told(path, data, swap)
    assert rows.messages[0][8] == ((-1, 300001, 7), (1, 300000, 5))
    assert swap.order_lots(10_000, 600_001) == 34  # 34 contracts of 0.01 BTC at 30,000.05
    assert counts == (1, 1)


def test_another_contract_than_markets_toml_says_is_refused(tmp_path: Path) -> None:
    swap = find(parse_market("okx.BTC-USDT-SWAP"), "0.1", "0.01")
    stream = [[(1, "30000.0", "5"), (-1, "30000.1", "7")]]
    for change, found in (({"ctVal": "0.001"}, "linear, 0.001"), ({"ctType": "inverse", "ctVal": "100"}, "inverse, 1")):
        data = _instruments(_LINEAR | change) + as_wrapped(okx_messages(stream, "BTC-USDT-SWAP"), "OKX")
        with pytest.raises(BadInputError, match=f"as markets.toml says.*{found}"):
            told(tmp_path / "x", data, swap)
    with pytest.raises(BadInputError, match=r"value of one contract of okx\.SUSHI-USDT-SWAP is unknown"):
        find(parse_market("okx.SUSHI-USDT-SWAP"), "0.001", "1")


def test_a_price_that_no_book_holds_is_left_out_and_counted(tmp_path: Path) -> None:
    assert checked_rows.MAX_PRICE_TICKS == MAX_PRICE_TICKS
    stream = changes(7, 3)
    stream[0].append((-1, "9999999997", "1"))
    stream[2].append((-1, "9999999997", "0"))
    rows, counts = told(tmp_path / "x", as_plain(okx_messages(stream)), SPOT)
    assert counts == (4, 4)  # the book of strings holds it
    assert max(level[1] for m in rows.messages for level in m[8]) < 2000


_GOOD = as_plain(okx_messages(changes(8, 2)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"checksum":', b'"checksum":"x","y":', "32-bit number"),
        (b'"checksum":', b'"checksum":1e999,"y":', "32-bit number"),
        (b'"checksum":', b'"checksum":NaN,"y":', "a JSON value"),
        (b'"action":"update"', b'"action":"partial"', '"action" snapshot or update'),
        (b'"ts":"1', b'"ts":"9', "time in milliseconds"),
        (b'"ts":"1652459225100"', b'"ts":1652459225100', "time in milliseconds"),
        (b'[["10', b'[["-10', "a decimal string"),
        (b'[["10', b'[["10e999999999', "a decimal string"),
        (b'[["10', b'[[10.5,"', "a level"),
        (b'[["10', b'[["9999999999999999999999910', "a number below"),
        (b'"bids":', b'"bid":', '"bids"'),
        (b'"data":[', b'"data":[7,', "one book a message"),
        (b'"data":[', b'"data":{},"d":[', "a list of messages"),
        (b'"books"', b'["books"]', '"channel" to be a string'),
        (b'{"arg":{', b'{"arg":7,"b":{', "a JSON object"),
        (b'{"arg"', b'{"arg":{},"arg"', "each key once"),
        (b'"seqId"', b'"seqId"', ""),
    ],
)  # fmt: skip
def test_bad_lines_are_named(tmp_path: Path, old: bytes, new: bytes, says: str) -> None:
    lines = _GOOD.splitlines(keepends=True)
    if not says:  # ids of the wrong type
        new_line = lines[1].replace(b'"ts":', b'"seqId":"7","prevSeqId":1,"ts":')
        says = '"seqId" to be a non-negative integer'
    else:
        assert old in lines[1]
        new_line = lines[1].replace(old, new, 1)
    before = len(lines[0])
    with pytest.raises(BadInputError, match=r"line 2, byte (\d+)") as error:
        told(tmp_path / "x", lines[0] + new_line + lines[2], SPOT)
    at = int(str(error.value).split("byte ")[1].split()[0])
    assert before <= at < before + len(new_line)
    assert says in str(error.value)


def test_an_error_inside_a_wrapper_names_the_byte_of_the_file(tmp_path: Path) -> None:
    data = as_wrapped(okx_messages(changes(8, 2)), "OKX").replace(b'\\"action\\":', b"\\u0041\\u0042", 1)
    with pytest.raises(BadInputError, match=r"line 2, byte (\d+)") as error:
        told(tmp_path / "x", data, SPOT)
    at = int(str(error.value).split("byte ")[1].split()[0])
    assert data[at : at + 6] == b"\\u0041"


@pytest.mark.parametrize("cut", [2, 37, 120, 150])
def test_a_line_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(BadInputError, match="line 3"):
        told(tmp_path / "x", _GOOD[:-cut], SPOT)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(_GOOD) - 1), st.binary(min_size=1, max_size=3))
def test_no_damage_ends_in_anything_but_rows_or_bad_input(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    data = _GOOD[:at] + noise + _GOOD[at + len(noise) :]
    rows = None
    with contextlib.suppress(BadInputError):
        rows, _ = told(tmp_path_factory.mktemp("f") / "x", data, SPOT)
    assert rows is None or len(rows.messages) <= 3 + noise.count(b"\n")


@pytest.mark.real
@pytest.mark.parametrize("symbol", OKX_SYMBOLS)
def test_the_recording_row_by_row(real_data: Path, symbol: str) -> None:
    path = real_data / "checksum_venues" / "OKX.jsonl.zst"
    expected = naive.okx(recorded(real_data, "OKX"), symbol)
    grid = find(parse_market(f"okx.{symbol}"), *detect_file(path).grids[symbol])
    assert grid.contract == ("spot" if symbol == "BTC-USDT" else "inverse")
    assert int(grid.contract_value) == {"BTC-USDT": 1, "BTC-USD-220527": 100, "UNI-USD-SWAP": 10}[symbol]
    blocks = list(decode_file(path, grid))
    rows = rows_of(blocks)
    assert sum((b.checksums or (0, 0))[0] for b in blocks) == expected.compared == len(expected.rows)
    assert sum((b.checksums or (0, 0))[1] for b in blocks) == expected.compared
    assert all(r.equal for r in expected.rows)
    tick, lot = grid.tick, grid.lot
    for found, row in zip(rows.messages, expected.rows, strict=True):
        assert (found[1], found[7]) == (row.ts_ns, 1 if row.snapshot else 2)
        levels = [(s, round(float(p) / float(tick)), round(float(z) / float(lot))) for s, p, z in row.levels]
        assert list(found[8]) == levels
    grids = (tick, lot, tick, lot)
    for quote, row in zip(rows.quotes, expected.rows, strict=True):
        assert row.top is not None
        assert list(quote[4:]) == [round(float(v) / float(g)) for v, g in zip(row.top, grids, strict=True)]
    assert [(t[1], t[5]) for t in rows.trades] == [(t[0], t[1]) for t in expected.trades]


def test_the_protocol_places_frames() -> None:
    frames = [json.dumps(m, separators=(",", ":")).encode() for m in okx_messages(changes(1, 1), seq=5)]
    snapshot, delta = (PUBLIC.hear(f) for f in frames)
    assert (snapshot.kind, snapshot.last_id, snapshot.key) == (SNAPSHOT, 5, b"books:BTC-USDT")
    assert (delta.kind, delta.last_id, delta.prev_id, delta.event_ms) == (DELTA, 8, 5, START_MS + 100)
    assert PUBLIC.hear(b"pong").kind == CONTROL
    assert PUBLIC.hear(frames[1][:-9]).kind == UNREAD
    assert PUBLIC.hear(frames[1].replace(b'"seqId":8', b'"seqId":5')).kind == OTHER
    text = PUBLIC.subscribe([t.name for t in PUBLIC.topics(SPOT)], 1)[0]
    assert json.loads(text)["args"][:2] == [
        {"channel": "books", "instId": "BTC-USDT"},
        {"channel": "trades", "instId": "BTC-USDT"},
    ]
    trade = b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"tradeId":"3","ts":"1652459225001"}]}'
    assert PUBLIC.hear(trade)[:3] == (TRADES, b"trades:BTC-USDT", "3")
