"""OKX and Kraken from recording to certificate, and what becomes of a recording that was damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import zstandard

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import list_partitions
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import IngestReport, ingest
from lob_pipeline.stages.ingest_gates import checksum_gate
from lob_pipeline_tests.venues.checked_streams import (
    KRAKEN_PAIRS,
    OKX_SYMBOLS,
    START_MS,
    as_plain,
    changes,
    kraken_messages,
    okx_messages,
)

FILES = {"okx": ("OKX.jsonl.zst", "2022-05-13"), "kraken": ("KRAKEN.jsonl.zst", "2021-04-17")}
MARKETS = [f"okx.{s}" for s in OKX_SYMBOLS] + [f"kraken.{p.replace('/', '-')}" for p in KRAKEN_PAIRS]


def _gate(report: IngestReport, name: str) -> CheckOutcome:
    return next(o for o in report.partitions[0].manifest.outcomes if o.name == name)


def _books(home: Home, market: Market, date: str) -> tuple[dict[str, Any], bool]:
    built = build_books(home, market, date)
    assert built.manifest.certificate is not None
    return built.manifest.certificate, built.refused


def _made(tmp_path: Path, messages: list[Any], name: str = "okx.BTC-USDT") -> tuple[Home, Market, IngestReport]:
    path, home, market = tmp_path / "made.ndjson", Home(tmp_path / "home"), parse_market(name)
    path.write_bytes(as_plain(messages))
    return home, market, ingest(home, market, [path], tick="0.1", lot="0.001")


@pytest.mark.real
def test_every_market_of_the_recordings(real_data: Path, tmp_path: Path) -> None:
    totals = {"okx": [0, 0, 0], "kraken": [0, 0, 0]}
    for name in MARKETS:
        market = parse_market(name)
        file, date = FILES[market.venue]
        home = Home(tmp_path / name)
        report = ingest(home, market, [real_data / "checksum_venues" / file])
        gate = _gate(report, "checksum_match")
        extra = report.partitions[0].manifest.extra
        assert gate.status == "passed"
        assert extra["checksums"] == gate.facts
        certificate, refused = _books(home, market, date)
        assert not refused, (name, certificate)
        assert certificate["holds"] is True
        assert certificate["gaps"] == []
        assert certificate["checksum_match"] == gate.facts
        quotes = certificate["top_of_book_match"]
        # Every message but the first is compared: a snapshot is not, whether or not its checksum vouched for it.
        assert quotes["compared"] == quotes["equal"] == certificate["messages"] - 1
        for k, count in enumerate((certificate["messages"], gate.facts["compared"], gate.facts["equal"])):
            totals[market.venue][k] += count
    assert totals == {"okx": [290, 290, 290], "kraken": [4279, 4269, 4269]}


@cache
def _lines(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return [json.loads(line) for line in text.splitlines()]


def _damaged(real_data: Path, tmp_path: Path, venue: str, damage: Callable[[int, Any], Any]) -> Path:
    """Write the recording with ``damage(number, message)`` in place of each book message; None leaves it out."""
    out, number = [], -1
    for line in _lines(real_data / "checksum_venues" / FILES[venue][0]):
        message = json.loads(line["data"]) if line["t"] == "recv" else None
        symbol, channel = ("KSM/XBT", "book-1000") if venue == "kraken" else ("UNI-USD-SWAP", "books")
        if venue == "kraken":
            ours = isinstance(message, list) and message[-2:] == [channel, symbol]
        else:
            ours = isinstance(message, dict) and message.get("arg") == {"channel": channel, "instId": symbol}
            ours = ours and "data" in message
        if ours:
            number += 1
            message = damage(number, message)
            if message is None:
                continue
            line = {**line, "data": json.dumps(message)}
        out.append(json.dumps(line))
    path = tmp_path / "damaged.jsonl"
    path.write_text("\n".join(out) + "\n")
    return path


def _swapped(_number: int, message: Any) -> Any:
    if isinstance(message, dict):
        data = message["data"][0]
        data["asks"], data["bids"] = data["bids"], data["asks"]
        return message
    names = {"as": "bs", "bs": "as", "a": "b", "b": "a"}
    parts = [{names.get(k, k): v for k, v in part.items()} for part in message[1:-2]]
    return [message[0], *parts, *message[-2:]]


def _one_deeper(number: int, message: Any) -> Any:
    """The index of a level is off by one: the snapshot's best level is left out."""
    if number == 0:
        book = message["data"][0] if isinstance(message, dict) else message[1]
        for name in ("asks", "bids") if isinstance(message, dict) else ("as", "bs"):
            del book[name][0]
    return message


def _dropped(number: int, message: Any) -> Any:
    return None if 20 <= number < 25 else message


def _digit(number: int, message: Any) -> Any:
    if number == 20:
        book = message["data"][0] if isinstance(message, dict) else message[1]
        level = next(rows[0] for k, rows in book.items() if k in ("asks", "bids", "a", "b") and rows)
        level[1] = "1234.5" if isinstance(message, list) else "1234"
    return message


@pytest.mark.real
@pytest.mark.parametrize("name", ["okx.UNI-USD-SWAP", "kraken.KSM-XBT"])
@pytest.mark.parametrize("damage", [_swapped, _one_deeper])
def test_a_book_read_wrongly_is_refused_by_its_checksums(
    real_data: Path, tmp_path: Path, name: str, damage: Callable[[int, Any], Any]
) -> None:
    market, home = parse_market(name), Home(tmp_path / "home")
    report = ingest(home, market, [_damaged(real_data, tmp_path, market.venue, damage)])
    assert report.partitions[0].refused
    gate = _gate(report, "checksum_match")
    assert gate.refuses
    assert f"{gate.facts['compared'] - gate.facts['equal']} of {gate.facts['compared']} checksums" in gate.message
    assert list(list_partitions(home, "l2_events")) == []


@pytest.mark.real
@pytest.mark.parametrize("name", ["okx.UNI-USD-SWAP", "kraken.KSM-XBT"])
@pytest.mark.parametrize("damage", [_dropped, _digit])
def test_a_lost_or_changed_update_is_a_gap(
    real_data: Path, tmp_path: Path, name: str, damage: Callable[[int, Any], Any]
) -> None:
    market, home = parse_market(name), Home(tmp_path / "home")
    report = ingest(home, market, [_damaged(real_data, tmp_path, market.venue, damage)])
    assert not report.partitions[0].refused
    certificate, _ = _books(home, market, FILES[market.venue][1])
    assert len(certificate["gaps"]) == 1
    assert certificate["invalid_ns"] > 0
    assert certificate["coverage"] < 1
    assert certificate["top_of_book_match"]["compared"] == certificate["top_of_book_match"]["equal"] >= 18


def test_nothing_is_half_ingested(tmp_path: Path) -> None:
    path, home = tmp_path / "bad.ndjson", Home(tmp_path / "home")
    path.write_bytes(as_plain(okx_messages(changes(1, 40)))[:-20])
    with pytest.raises(BadInputError, match="line 41, byte"):
        ingest(home, parse_market("okx.BTC-USDT"), [path])
    assert not (tmp_path / "home").exists() or list(home.lake.rglob("*.parquet")) == []


def test_a_day_that_is_not_vouched_for_is_not_judged(tmp_path: Path) -> None:
    _, _, report = _made(tmp_path, okx_messages(changes(1, 40), crc=False))
    assert _gate(report, "checksum_match").status == "not_judged"
    assert not report.partitions[0].refused
    assert checksum_gate(None) == []


def test_ids_stand_in_for_checksums(tmp_path: Path) -> None:
    messages = okx_messages(changes(1, 60), seq=100, crc=False)
    home, market, report = _made(tmp_path, messages[:30] + messages[31:])
    assert "checksum_match" not in {o.name for o in report.partitions[0].manifest.outcomes}
    certificate, _ = _books(home, market, "2022-05-13")
    assert [(g["expected"], g["got"]) for g in certificate["gaps"]] == [(187, 190)]


def test_a_snapshot_heals_a_gap(tmp_path: Path) -> None:
    one, two = kraken_messages(changes(1, 60), "XBT/USD"), kraken_messages(changes(2, 60), "XBT/USD")
    for message in two:  # half a minute later
        for part in message[1:-2]:
            for rows in part.values():
                for row in rows if isinstance(rows, list) else ():
                    row[2] = f"{float(row[2]) + 30:.6f}"
    one[20][1].setdefault("a", [["106.1", "3.25000000", "1652459227.000000"]])[0][1] = "77.00000000"
    home, market, report = _made(tmp_path, one + two, "kraken.XBT-USD")
    assert _gate(report, "checksum_match").facts == {"compared": 79, "equal": 79}
    certificate, _ = _books(home, market, "2022-05-13")
    assert len(certificate["gaps"]) == 1
    assert 0 < certificate["coverage"] < 1
    assert certificate["snapshots"] == 2


def test_a_message_recorded_twice_is_a_duplicate(tmp_path: Path) -> None:
    messages = okx_messages(changes(1, 60))
    home, market, _ = _made(tmp_path, messages[:31] + messages[30:])
    certificate, _ = _books(home, market, "2022-05-13")
    assert certificate["duplicates"] == 1
    assert certificate["gaps"] == []


def test_what_happened_during_a_reconnect_is_unknown(tmp_path: Path) -> None:
    """A fresh snapshot after a break replaces a book that stood still: the rows in between are not valid."""
    one, two = okx_messages(changes(1, 60)), okx_messages(changes(2, 60))
    for message in two:
        message["data"][0]["ts"] = str(int(message["data"][0]["ts"]) + 30_000)
    home, market, report = _made(tmp_path, one + two)
    assert _gate(report, "checksum_match").facts == {"compared": 122, "equal": 122}
    certificate, _ = _books(home, market, "2022-05-13")
    assert len(certificate["gaps"]) == 1
    assert certificate["invalid_ns"] == pytest.approx(24e9, abs=1e9)


def _segment(path: Path, market: Market, messages: list[Any], first: int) -> Path:
    """Write frames as the recorder does: header, then wall and monotonic stamps before each."""
    header = {"lob_segment": 1, "venue": market.venue, "symbol": market.symbol, "lane": "main", "conn": 1}
    lines = [f"# {json.dumps(header | {'opened_ns': 1})}"]
    for k, text in enumerate(as_plain(messages).decode().splitlines()):
        wall_ns = (START_MS + 100 * (first + k) + 30) * 1_000_000
        lines.append(f"{wall_ns} {wall_ns - 5} {text}")
    path.write_bytes(zstandard.ZstdCompressor().compress(("\n".join(lines) + "\n").encode()))
    return path


def test_segments_of_the_recorder_go_on_by_the_venue_s_ids(tmp_path: Path) -> None:
    """A segment of OKX may begin in mid-stream: ids join it to the one before, and no checksum is needed for that."""
    messages, market, home = okx_messages(changes(1, 120), seq=7), parse_market("okx.BTC-USDT"), Home(tmp_path / "home")
    paths = [
        _segment(tmp_path / "a.seg.zst", market, messages[:60], 0),
        _segment(tmp_path / "b.seg.zst", market, messages[60:], 60),
    ]
    report = ingest(home, market, paths, tick="0.1", lot="0.001")
    assert _gate(report, "checksum_match").facts == {"compared": 60, "equal": 60}
    certificate, refused = _books(home, market, "2022-05-13")
    assert (certificate["gaps"], certificate["coverage"], refused) == ([], 1.0, False)
    assert certificate["messages"] == 121


def test_a_segment_of_kraken_that_begins_in_mid_stream_is_masked(tmp_path: Path) -> None:
    messages, market = kraken_messages(changes(1, 120), "XBT/USD"), parse_market("kraken.XBT-USD")
    home = Home(tmp_path / "home")
    paths = [
        _segment(tmp_path / "a.seg.zst", market, messages[:60], 0),
        _segment(tmp_path / "b.seg.zst", market, messages[60:], 60),
    ]
    report = ingest(home, market, paths)
    assert _gate(report, "checksum_match").facts == {"compared": 59, "equal": 59}
    certificate, _ = _books(home, market, "2022-05-13")
    assert len(certificate["gaps"]) == 1
    assert 0.4 < certificate["coverage"] < 0.6
