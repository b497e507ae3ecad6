"""The level scanner against the complete reader and against plain decimals, in every look a level can have."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.venues import bybit
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decode import LiveDecoder
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import UnreadableError

BTC = instrument(parse_market("bybit-linear.BTCUSDT"))
GRIDS = [("0.1", "0.001"), ("0.01", "1"), ("0.0001", "0.1"), ("1", "0.01"), ("0.5", "0.001"), ("0.000001", "0.000001")]
Rows = list[tuple[int, int, int]]


def on_grid(tick: str, lot: str) -> Instrument:
    return replace(BTC, tick=Decimal(tick), lot=Decimal(lot))


def message(bids: str, asks: str) -> bytes:
    text = (
        '{"topic":"orderbook.200.BTCUSDT","type":"%s","ts":1767648960006,"data":{"s":"BTCUSDT","b":%s,"a":%s,'
        '"u":%d,"seq":7},"cts":1767648960001}'
    )
    return (text % ("delta", bids, asks, 2)).encode("ascii")


def scanned(made: Instrument, line: bytes) -> Rows | None:
    decoder = LiveDecoder(made, "bybit_messages")
    decoder.decode(message('[["1","1"]]', "[]").replace(b'"delta"', b'"snapshot"'))  # names the stream
    scan = decoder._decoder.scan
    job = decoder.job
    buffer = np.frombuffer(line + b"\n" * 64, np.uint8)
    job.card[card.COUNTERS] = 0
    if scan(card.address(buffer), 0, len(line) + 1, job.address) <= len(line):
        return None
    n = int(job.card[card.N_LEVELS])
    return list(zip(job.sides[:n].tolist(), job.prices[:n].tolist(), job.sizes[:n].tolist(), strict=True))


def read(made: Instrument, line: bytes) -> Rows | None:
    job = Job(made)
    job.renew(len(line) + 1)
    try:
        bybit.read_line(line, 0, job)
    except UnreadableError:
        return None
    n = int(job.card[card.N_LEVELS])
    return list(zip(job.sides[:n].tolist(), job.prices[:n].tolist(), job.sizes[:n].tolist(), strict=True))


@st.composite
def number(draw: st.DrawFn, step: str) -> str:
    """A number on or near the grid, with as many digits and places as venues and vandals write."""
    units = draw(st.sampled_from([0, 1, 7, 9, 10, 4321, 593_327, 999_999, 1_044_744]) | st.integers(0, 10**9))
    value = Decimal(units) * Decimal(step)
    text = f"{value:f}"
    more = draw(st.integers(0, 3))
    if more and "." in text:
        text += "0" * more if draw(st.booleans()) else str(10**more)
    spoilt = [text + ".", "." + text, "0" + text, text.replace(".", ""), "-" + text, ""]
    return draw(st.sampled_from([text] * 6 + spoilt))


@st.composite
def side(draw: st.DrawFn, tick: str, lot: str) -> str:
    levels = draw(st.lists(st.tuples(number(tick), number(lot)), max_size=6))
    gap = draw(st.sampled_from(["", "", "", " "]))
    return "[" + f",{gap}".join(f'["{p}",{gap}"{s}"]' for p, s in levels) + "]"


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_every_look_gives_the_rows_of_the_complete_reader_or_is_left_to_it(data: st.DataObject) -> None:
    tick, lot = data.draw(st.sampled_from(GRIDS))
    made = on_grid(tick, lot)
    line = message(data.draw(side(tick, lot)), data.draw(side(tick, lot)))
    found = scanned(made, line)
    assert found is None or found == read(made, line)


@settings(deadline=None, max_examples=600)
@given(st.data(), st.integers(0, 255), st.integers(0, 3))
def test_a_changed_byte_never_gives_rows_that_the_complete_reader_does_not(
    data: st.DataObject, byte: int, grid: int
) -> None:
    made = on_grid(*GRIDS[grid])
    line = bytearray(message('[["59332.80","0.007"],["59332.70","1"],["8.1","12.345"]]', '[["104744.10","10"]]'))
    at = data.draw(st.integers(line.index(b"[["), len(line) - 1))
    line[at] = byte if byte != 10 else 32
    found = scanned(made, bytes(line))
    assert found is None or found == read(made, bytes(line))


@pytest.mark.parametrize("prices", [["59332.80", "59332.70", "9.1", "104744.10", "1044744.10", "59332.8"]])
def test_looks_that_venues_write_are_scanned_with_exact_decimals(prices: list[str]) -> None:
    sizes = ["0", "0.007", "12.345", "1", "999.999", "0.10"]
    levels = "[" + ",".join(f'["{p}","{s}"]' for p, s in zip(prices, sizes, strict=True)) + "]"
    found = scanned(BTC, message(levels, levels))
    expected = [
        (int(Decimal(p) / Decimal("0.1")), int(Decimal(s) / Decimal("0.001")))
        for p, s in zip(prices, sizes, strict=True)
    ]
    assert found == [(1, *row) for row in expected] + [(-1, *row) for row in expected]


@pytest.mark.parametrize(
    "bad", ["59332.85", "59332.8a", "5933a.80", "59332,80", "0.00", "/9332.80", ":9332.80", "a59332.80"]
)
def test_a_price_that_is_none_is_never_a_row(bad: str) -> None:
    line = message(f'[["59332.80","1.000"],["{bad}","1.000"],["59332.60","1.000"]]', "[]")
    assert scanned(BTC, line) is None
    with pytest.raises(BadInputError):
        LiveDecoder(BTC, "bybit_messages").decode(line)


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_line_cut_anywhere_in_its_last_level_is_left_to_the_complete_reader(cut: int) -> None:
    line = message('[["59332.80","0.007"],["59332.70","0.670"]]', '[["59332.90","0.007"],["59333.70","0.670"]]')
    assert scanned(BTC, line[:-cut]) is None
