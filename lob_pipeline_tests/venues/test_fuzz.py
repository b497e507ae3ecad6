"""Random decimals, random damage: the decoder equals the reference or refuses with a byte offset, and never else."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.jit import njit
from lob_pipeline.core.markets import instrument
from lob_pipeline.venues.decode import LiveDecoder
from lob_pipeline.venues.job import address
from lob_pipeline.venues.skip import skip_value
from lob_pipeline_tests.naive.decode import NaiveDecoder, NaiveError
from lob_pipeline_tests.venues.compare import decode_bytes, market, reference, rows_of
from lob_pipeline_tests.venues.samples import SAMPLES, Sample

GRIDS = [("0.1", "0.001"), ("0.5", "1"), ("0.025", "0.5"), ("25", "100"), ("0.00000001", "0.00001"), ("1", "0.1")]

_number = st.one_of(
    st.from_regex(r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,12})?", fullmatch=True),
    st.from_regex(r"[0-9.eE+ _-]{0,9}", fullmatch=True),
    st.sampled_from(["", ".", "5.", ".5", "00", "1e2", "1E-2"]),
    st.sampled_from(["12345678", "1234567.8", "123456.78", "12345678.9", "1.2345678"]),
)


def _line(levels: list[tuple[str, str]]) -> bytes:
    body = ",".join(f'["{p}","{q}"]' for p, q in levels)
    return (
        '{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1733011200691,"data":{"s":"BTCUSDT","b":['
        f'{body}],"a":[],"u":8,"seq":95}},"cts":1733011200688}}'
    ).encode()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(GRIDS), st.lists(st.tuples(_number, _number), min_size=1, max_size=3))
@example(("0.1", "0.001"), [("65114.20", "6.054")])
@example(("0.5", "1"), [("10.25", "1")])
@example(("0.025", "0.5"), [("10.0750", "2.50")])
@example(("0.1", "0.001"), [("123456789012345678.1", "1")])
def test_decimals_become_exact_units_or_an_error(grid: tuple[str, str], levels: list[tuple[str, str]]) -> None:
    line = _line(levels)
    decoder = LiveDecoder(instrument(parse_market("bybit-linear.BTCUSDT"), *grid), "bybit_messages", 1 << 12)
    try:
        expected = NaiveDecoder("BTCUSDT", *grid).bybit(line)
    except NaiveError:
        expected = None
    refusal = ""
    try:
        decoder.decode(line)
    except BadInputError as error:
        refusal = str(error)
    if refusal:
        assert re.search(r"byte \d+: expected", refusal)
        plain = all(re.fullmatch(r"\d{1,9}(\.\d{1,8})?", x) for level in levels for x in level)
        assert expected is None or not plain or any(Decimal(p) == 0 for p, _ in levels), "refused what is in order"
        return
    assert expected is not None
    assert rows_of([decoder.block()]) == expected


def _damaged(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        if not out:
            break
        at = rng.randrange(len(out))
        how = rng.random()
        if how < 0.3:
            out[at] ^= 1 << rng.randrange(8)
        elif how < 0.5:
            out[at] = rng.choice(b'0123456789.,:"{}[]eE-+ tfn\\\n\r\t')
        elif how < 0.65:
            del out[at : at + rng.choice([1, 1, 2, 30])]
        elif how < 0.8:
            out[at:at] = bytes([rng.choice(b'0123456789.,:"{}[] \n\\\xff')])
        elif how < 0.9:
            other = rng.randrange(len(out))
            out[at:at] = out[other : other + rng.randrange(40)]
        else:
            del out[at:]
    return bytes(out)


def _check_damaged(sample: Sample) -> bool:
    """Return whether the damage was refused; where it was not, the rows must be the reference's."""
    try:
        rows = decode_bytes(sample)
    except BadInputError as error:
        refusal = str(error)
    else:
        assert rows == reference(sample)
        return False
    found = re.search(r"line (\d+), byte (\d+)", refusal)
    assert found or not sample.data, refusal
    assert not found or int(found[2]) <= len(sample.data)
    assert "\n" not in refusal
    return True


@pytest.mark.parametrize("name", SAMPLES)
def test_damage_is_refused_or_decoded_as_the_reference_does(name: str) -> None:
    sample = SAMPLES[name]
    rng = random.Random(name)
    refused = sum(_check_damaged(sample._replace(data=_damaged(sample.data, rng))) for _ in range(700))
    assert 200 < refused < 700  # some damage is harmless (a digit of another digit), most is not


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=60))
def test_arbitrary_bytes_after_a_good_beginning(name: str, tail: bytes) -> None:
    sample = SAMPLES[name]
    first = sample.data[: sample.data.index(b"\n") + 1]
    _check_damaged(sample._replace(data=first + tail))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_cut_is_refused_or_a_whole_number_of_lines(name: str) -> None:
    sample = SAMPLES[name]
    decoder = LiveDecoder(market(sample.market), sample.format)
    line = sample.data.splitlines()[-1]
    if sample.format == "bybit_trades_csv":
        decoder.decode(sample.data.splitlines()[0])
        line = line.rpartition(b",")[0] + b","  # a cut number of an ignored column cannot be told from a whole one
    for cut in range(1, len(line)):
        with pytest.raises(BadInputError):
            decoder.decode(line[:cut])


@njit
def _skip(p: int) -> int:
    return skip_value(p)


def test_skipping_a_value_is_as_strict_as_json() -> None:
    rng = random.Random(1)
    values = [
        b'{"a":[1,2,{"b":null,"c":[]}],"d":{},"e":"x y","f":-1.5e+3,"g":true,"h":[[],[false]]}',
        b'"abc"',
        b"12",
        b"[]",
        b"{}",
    ]
    accepted = 0
    for _ in range(20_000):
        text = bytearray(rng.choice(values))
        for _ in range(rng.randint(0, 2)):
            at = rng.randrange(len(text) + 1)
            text[at : at + rng.randint(0, 1)] = bytes(
                rng.choices(b'{}[]",:0123456789eE+-. truefalsn', k=rng.randint(0, 1))
            )
        data = np.frombuffer(bytes(text) + b"\n" * 17, np.uint8)
        end = _skip(address(data)) - address(data)
        try:
            json.loads(text)
            good = True
        except ValueError:
            good = False
        assert good == (end >= 0 and not text[end:].strip())
        accepted += good
    assert 1_000 < accepted < 19_000
