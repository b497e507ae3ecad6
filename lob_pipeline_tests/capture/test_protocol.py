"""One cheap look at a frame says the same as parsing it; what is cut short or of another symbol is never routed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.sim.recorded import frames, recorded_files
from lob_pipeline.venues import protocol_binance as binance
from lob_pipeline.venues import protocol_bybit as bybit
from lob_pipeline.venues.protocol import CONTROL, DELTA, OTHER, QUOTE, SNAPSHOT, TRADES, UNREAD, Heard
from lob_pipeline.venues.protocols import PROTOCOLS, protocol_of

BOOK = b'{"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1786310818130,"data":{"s":"BTCUSDT","b":[["1.0","2"]],'
BOOK += b'"a":[],"u":15,"seq":7},"cts":1786310818128}'


def heard_slowly(said: dict[str, Any], *, spot: bool) -> Heard:
    """Return what ``hear`` should say, by parsing: the naive reference."""
    if "topic" in said:
        key, ts, data = said["topic"].encode(), said["ts"], said["data"]
        if key.startswith(b"publicTrade"):
            return Heard(TRADES, key, data[-1]["i"], -1, ts, data[0]["i"])
        if said["type"] == "snapshot":
            return Heard(SNAPSHOT, key, data["u"], -1, ts)
        return Heard(DELTA, key, data["u"], data["u"] - 1, ts)
    stream, _, name = said.get("stream", "@").partition("@")
    data, name = said.get("data", said), name.partition("@")[0]
    key = f"{stream}@{name}".encode()
    if name == "depth":
        return Heard(DELTA, key, data["u"], data["U"] - 1 if spot else data["pu"], data["E"], data["U"])
    if name == "bookTicker":
        return Heard(QUOTE, key, data["u"], -1, data.get("E", 0))
    if name == "trade":
        return Heard(TRADES, key, data["t"], -1, data["E"], data["t"])
    if name == "markPrice":
        return Heard(OTHER, key, event_ms=data["E"])
    return Heard(SNAPSHOT, binance.SNAPSHOT_KEY, data["lastUpdateId"])


@pytest.mark.real
@pytest.mark.parametrize(
    ("files", "venue"),
    [
        (tuple(f"bybit_linear_ws/{name}.SOLUSDT.ndjson" for name in ("orderbook.200", "publicTrade")), "bybit-linear"),
        (("binance_usdm/btcusdt_20230404.gz",), "binance-usdm"),
        (("binance_spot/nexousdt_20240723.gz",), "binance-spot"),
    ],
)
def test_a_look_says_what_parsing_says(real_data: Path, files: tuple[str, ...], venue: str) -> None:
    hear = PROTOCOLS[venue].hear
    compared = 0
    for frame in frames(recorded_files([real_data / name for name in files])):
        assert hear(frame.payload) == heard_slowly(json.loads(frame.payload), spot=venue.endswith("spot"))
        compared += 1
    assert compared > 200


@pytest.mark.parametrize("venue", ["bybit-linear", "bybit-spot", "binance-usdm", "binance-coinm", "binance-spot"])
def test_topics_have_one_book_and_their_frames_their_keys(venue: str) -> None:
    symbol = "BTCUSD_PERP" if venue.endswith("coinm") else "BTCUSDT"
    protocol = protocol_of(Market(venue, symbol))
    topics = protocol.topics(instrument(Market(venue, symbol)))
    assert [t.kind for t in topics].count("book") == 1
    assert {t.lane for t in topics} == {"main", "extra"} or venue == "binance-spot"
    assert len({t.key for t in topics}) == len(topics)
    asked = [json.loads(text) for text in protocol.subscribe([t.name for t in topics], 7)]
    assert [name for text in asked for name in text.get("args", text.get("params"))] == [t.name for t in topics]
    ended = json.loads(protocol.unsubscribe([topics[0].name], 8)[0])
    assert "unsubscribe" in str(ended).lower()
    assert (protocol.snapshot_path is not None) == venue.startswith("binance")


def test_a_request_never_has_more_topics_than_bybit_takes() -> None:
    names = [f"orderbook.200.C{i}USDT" for i in range(23)]
    parts = [json.loads(text)["args"] for text in bybit.subscribe(names, 1)]
    assert [len(part) for part in parts] == [10, 10, 3]
    assert [name for part in parts for name in part] == names


def test_a_bare_payload_is_told_by_event_and_symbol() -> None:
    said = {"e": "depthUpdate", "E": 1700000000000, "T": 1700000000001, "s": "BTCUSDT", "U": 5, "u": 9, "pu": 4}
    bare = binance.hear(json.dumps({**said, "b": [], "a": []}).encode())
    assert bare == Heard(DELTA, b"btcusdt@depth", 9, 4, 1700000000000, 5)
    assert binance.hear(b'{"u":3,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}').kind == QUOTE
    assert binance.hear(b'{"result":null,"id":1}').kind == CONTROL


def test_connection_talk_is_told_from_messages() -> None:
    assert bybit.hear(b'{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}').kind == CONTROL
    assert bybit.hear(b'{"topic":"tickers.BTCUSDT","type":"delta","ts":1786310818130,"data":{}}').kind == OTHER
    spaced = json.dumps(json.loads(BOOK)).encode()
    assert bybit.hear(spaced) == bybit.hear(BOOK) == Heard(DELTA, b"orderbook.200.BTCUSDT", 15, 14, 1786310818130)


@given(cut=st.integers(0, len(BOOK) - 1))
def test_a_frame_cut_anywhere_is_unread(cut: int) -> None:
    assert bybit.hear(BOOK[:cut]).kind == UNREAD


def test_another_symbol_in_the_data_is_unread() -> None:
    wrong = BOOK.replace(b'"s":"BTCUSDT"', b'"s":"ETHUSDT"')
    assert (bybit.hear(wrong).kind, bybit.hear(BOOK).kind) == (UNREAD, DELTA)
    depth = b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1700000000000,"s":"%b","U":1,"u":2,"pu":0}}'
    assert binance.hear(depth % b"BTCUSDT").kind == DELTA
    assert binance.hear(depth % b"ETHUSDT").kind == UNREAD


@given(st.binary(max_size=200))
def test_no_bytes_make_a_look_fail(frame: bytes) -> None:
    for protocol in PROTOCOLS.values():
        assert protocol.hear(frame).kind in range(7)


def test_a_venue_without_a_stream_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="no stream that can be listened to"):
        protocol_of(parse_market("lobster.GOOG"))
