"""Digits written in numba are the digits Python writes."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.sim.digits import put_decimal, put_exponent, put_id, put_int, text

numbers = st.integers(0, 10**15)


def written(buffer: np.ndarray, end: int) -> str:
    return buffer[:end].tobytes().decode("ascii")


@settings(deadline=None)
@given(numbers)
def test_whole_numbers(value: int) -> None:
    out = np.zeros(40, np.uint8)
    assert written(out, put_int(out, 0, value)) == str(value)


@settings(deadline=None)
@given(numbers, st.integers(0, 6), st.integers(0, 6))
def test_decimals_are_exact_and_padded(value: int, places: int, shown: int) -> None:
    out = np.zeros(60, np.uint8)
    found = written(out, put_decimal(out, 0, value, places, shown))
    assert Decimal(found) == Decimal(value).scaleb(-places)
    fraction = found.partition(".")[2]
    assert len(fraction) >= shown
    assert len(fraction) == shown or not fraction.endswith("0")
    assert not found.endswith(".")


@settings(deadline=None)
@given(st.integers(1, 10**15), st.integers(0, 8))
def test_scientific_form_is_exact(value: int, power: int) -> None:
    out = np.zeros(60, np.uint8)
    found = written(out, put_exponent(out, 0, value, power))
    assert Decimal(found) == Decimal(value).scaleb(power)
    assert re.fullmatch(r"\d(\.\d*[1-9])?e\+\d\d", found)


def test_ids_have_uuid_form_and_differ() -> None:
    out = np.zeros(40, np.uint8)
    found = {
        written(out, put_id(out, 0, np.array(key, np.uint64), count))
        for key in ((1, 738_000), (1, 738_001), (2, 738_000))
        for count in range(2000)
    }
    assert len(found) == 6000
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name) for name in found)


def test_text_is_ascii_bytes() -> None:
    assert text('{"u":').tobytes() == b'{"u":'
