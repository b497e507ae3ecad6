"""Every form of message, written by hand: equal to the reference, in a file and live, whatever the order of keys."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.tables import L2_EVENTS
from lob_pipeline.venues import job as card
from lob_pipeline.venues.bybit_spelled_kernel import scan_spelled
from lob_pipeline.venues.decode import LiveDecoder
from lob_pipeline.venues.detect import detect_file
from lob_pipeline.venues.forms import decoder_of
from lob_pipeline.venues.job import Job, address, finish
from lob_pipeline_tests.venues.compare import decode_bytes, decoded, market, reference, rows_of
from lob_pipeline_tests.venues.samples import SAMPLES, Sample


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_equals_the_reference(tmp_path: Path, name: str) -> None:
    sample = SAMPLES[name]
    path = tmp_path / "recording"
    path.write_bytes(sample.data)
    info = detect_file(path)
    assert info.format == sample.format
    assert market(sample.market).market in info.markets
    rows = decoded(path, market(sample.market))
    assert rows == reference(sample)
    assert rows.messages or rows.trades


def test_values_of_a_sample_by_hand() -> None:
    book = decode_bytes(SAMPLES["bybit_book"])
    levels = ((1, 651142, 6054), (1, 651141, 2), (-1, 651143, 1000), (-1, 651150, 12500))
    assert book.messages[0] == (0, 1733011200688_000000, 0, 7, -1, -1, 91, 1, levels)
    assert book.messages[1] == (1, 1733011200698_000000, 0, 8, -1, 7, 95, 2, ((1, 651141, 0),))
    trades = decode_bytes(SAMPLES["bybit_trades"])
    assert [t[3:] for t in trades.trades] == [
        (94, "a9188a0a-82bc-50de-be60-03eedbe3cdd7", -1, 651142, 4, 1),
        (-1, "x", 1, 651143, 1000, 2),
    ]
    assert trades.skipped == {"control": 2}
    spot = decode_bytes(SAMPLES["binance_spot"])
    assert [m[1:6] for m in spot.messages] == [
        (0, 1721749182850494_000, 134180599, -1, -1),
        (1721749183710_000000, 1721749183854663_000, 134180602, 134180600, 134180599),
    ]
    assert spot.messages[1][8] == ((1, 1188, 16966), (-1, 1253, 1774))
    assert spot.rounded == 1
    assert spot.quotes == [(2, 0, 1721749183994292123, 134180603, 1214, 6338, 1216, 6253)]
    assert spot.trades[0][1] == 1721749184044_000000


def test_archive_without_cts_takes_ts() -> None:
    data = SAMPLES["bybit_book"].data
    for k in ("688", "698", "708"):
        data = data.replace(f',"cts":1733011200{k}'.encode(), b"")
    rows = decode_bytes(SAMPLES["bybit_book"]._replace(data=data))
    assert [m[1] for m in rows.messages] == [1733011200691_000000, 1733011200701_000000, 1733011200711_000000]


def test_microsecond_times_of_binance() -> None:
    sample = SAMPLES["binance_spot"]
    data = sample.data.replace(b'"E":1721749183710,', b'"E":1721749183710250,')
    assert decode_bytes(sample._replace(data=data)).messages[1][1] == 1721749183710250_000


def test_trade_archive_with_rpi_column() -> None:
    sample = SAMPLES["bybit_csv"]
    header, *rows = sample.data.decode().splitlines()
    data = "\n".join([header + ",RPI", rows[0] + ",1", rows[1] + ",0"]) + "\n"
    assert [t[8] for t in decode_bytes(sample._replace(data=data.encode())).trades] == [1, 0]


def test_announced_trade_with_neither_price_nor_size_is_counted() -> None:
    sample = SAMPLES["binance_futures"]
    data = sample.data.replace(b'"p":"27145.10","q":"0.002","X":"INSURANCE_FUND"', b'"p":"0","q":"0","X":"NA"')
    rows = decode_bytes(sample._replace(data=data))
    assert rows.skipped == {"other_stream": 1, "empty_trade": 1}
    assert len(rows.trades) == 1


@pytest.mark.parametrize("name", SAMPLES)
def test_live_decoder_gives_the_same_rows(name: str) -> None:
    sample = SAMPLES[name]
    whole = decode_bytes(sample)
    decoder = LiveDecoder(market(sample.market), sample.format)
    messages, trades, quotes = [], [], []
    for line, text in enumerate(sample.data.splitlines()):
        decoder.decode(text)
        rows = rows_of([decoder.block()])
        messages += [(line, *m[1:]) for m in rows.messages]
        trades += [(line, *t[1:]) for t in rows.trades]
        quotes += [(line, *q[1:]) for q in rows.quotes]
    assert (messages, trades, quotes) == (whole.messages, whole.trades, whole.quotes)


@pytest.mark.parametrize("name", SAMPLES)
def test_scanner_and_complete_reader_agree(name: str) -> None:
    """The scanner understands every usual line itself, and the reader it falls back on says the same."""
    sample = SAMPLES[name]
    decoder = decoder_of(sample.format)
    job = Job(market(sample.market), decoder.spelling)
    job.renew(len(sample.data))
    for line in sample.data.splitlines():
        decoder.read(line, 0, job)
        job.card[card.N_LINES] += 1
    slow = rows_of([finish(job, np.zeros(1, np.uint8), 0, 0, None)])
    assert slow == decode_bytes(sample)
    left = 0
    fresh = Job(market(sample.market), decoder.spelling)
    for line in sample.data.splitlines():
        fresh.renew(len(line))
        fresh.card[card.FIELDS :] = job.card[card.FIELDS :] if sample.format == "bybit_trades_csv" else 0
        data = np.frombuffer(line + b"\n" * 17, np.uint8)
        left += decoder.scan(address(data), 0, len(line) + 1, fresh.address) <= len(line)
    rare = {"bybit_trades": 2, "bybit_csv": 1, "binance_wrapped": 1}  # control messages, header, exchangeInfo
    assert left == rare.get(name, 0)


def _shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(k, _shuffled(v, rng)) for k, v in value.items()]
        if rng.random() < 0.5:
            extra: list[Any] = [None, True, -1.5e3, "text", {"a": [1, {}]}, [[]]]
            items.append((rng.choice(["zz", "unknownMember", "k"]), rng.choice(extra)))
        rng.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [_shuffled(v, rng) for v in value]
    return value


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([n for n in SAMPLES if n != "bybit_csv"]), st.integers(0, 2**32))
def test_order_of_keys_and_spacing_do_not_matter(name: str, seed: int) -> None:
    rng = random.Random(seed)
    sample = SAMPLES[name]
    lines = []
    for line in sample.data.decode().splitlines():
        stamp, brace, rest = line.partition("{")
        separators = rng.choice([(",", ":"), (", ", ": "), (" ,\t", " :  ")])
        message = _shuffled(json.loads(brace + rest), rng)
        lines.append(stamp + json.dumps(message, separators=separators, ensure_ascii=rng.random() < 0.5))
    shuffled = Sample(sample.market, sample.format, ("\n".join(lines) + "\n").encode(), sample.spot)
    assert decode_bytes(shuffled) == reference(shuffled)


def test_level_columns_are_the_stored_ones() -> None:
    sample = SAMPLES["bybit_book"]
    data = sample.data.replace(b'"b":[["65114.10","0"]]', b'"b":[]')  # the second message keeps no level
    decoder = LiveDecoder(market(sample.market), sample.format)
    whole = b" ".join(data.splitlines())
    with pytest.raises(BadInputError):
        decoder.decode(whole)
    rows = decode_bytes(sample._replace(data=data))
    assert [len(m[8]) for m in rows.messages] == [4, 0, 2]
    decoder.decode(data.splitlines()[0], recv_ns=5)
    columns = decoder.block().book.level_columns()
    stored = {c.name for c in L2_EVENTS.columns} - {"order", "conn"}
    assert set(columns) == stored | {"line", "message"}
    assert columns["first_in_message"].tolist() == [True, False, False, False]
    assert columns["ts_recv_ns"].tolist() == [5] * 4
    assert columns["prev_update_id"].tolist() == [-1] * 4
    assert columns["price_ticks"].dtype == np.int64
    assert columns["side"].dtype == np.int8


def test_the_exchange_s_own_spelling_is_matched() -> None:
    """A delta as Bybit writes it must take the short way: a change of spelling would only show as lost speed."""
    sample = SAMPLES["bybit_book"]
    line = sample.data.splitlines()[1] + b"\n" * 17
    job = Job(market(sample.market), decoder_of("bybit_messages").spelling)
    job.renew(len(line))
    base = address(np.frombuffer(line, np.uint8))
    assert scan_spelled(base, base, job.address) < 0  # the file's depth is not known yet
    job.card[card.BOOK_STREAM] = 50
    assert scan_spelled(base, base, job.address) == base + len(line) - 17
    assert job.card[card.N_MESSAGES] == 1
    job.card[card.BOOK_STREAM] = 500
    assert scan_spelled(base, base, job.address) < 0


def test_a_grid_out_of_reach() -> None:
    with pytest.raises(BadInputError, match="tick 1E-20 is out of reach"):
        Job(market("bybit-linear.BTCUSDT", "1e-20"))
