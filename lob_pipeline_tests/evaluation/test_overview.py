"""The page's series against plain loops, and the certificate's words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.evaluation.overview import BINS, Overview, invalid_spans
from lob_pipeline.evaluation.sheet import json_for_script
from lob_pipeline.evaluation.words import certificate_words
from lob_pipeline_tests.evaluation.rows import book_rows

BTC = instrument(parse_market("bybit-linear.BTCUSDT"))
STEP = 100_000_000


def gathered(spreads: list[int], chunk: int = 10_000) -> Overview:
    books = [([(600_000, 10 + i)], [(600_000 + s, 20)]) for i, s in enumerate(spreads)]
    rows = book_rows(books)
    found = Overview(BTC, STEP)
    for first in range(0, len(spreads), chunk):
        found.add({name: column[first : first + chunk] for name, column in rows.items()})
    return found


def test_bins_are_medians_of_the_valid_rows_in_them() -> None:
    rng = np.random.default_rng(0)
    spreads = [int(s) for s in rng.integers(-1, 6, 3 * BINS + 7)]  # -1 and 0 are not valid
    found = gathered(spreads, chunk=500)
    bins = found.summary()["bins"]
    width = 4
    assert len(bins) == -(-len(spreads) // width)
    for i, entry in enumerate(bins):
        part = [s for s in spreads[i * width : (i + 1) * width] if s > 0]
        assert entry["rows"] == len(spreads[i * width : (i + 1) * width])
        if not part:
            assert "spread_bps_p50" not in entry
            continue
        assert entry["spread_bps_p50"] == pytest.approx(np.median([2e4 * s / (1_200_000 + s) for s in part]))


def test_spread_shares_sum_to_one_and_the_rare_ones_are_one_entry() -> None:
    spreads = [1] * 900 + [2] * 90 + list(range(3, 13))
    table = gathered(spreads).summary()["spread_ticks"]
    assert table[0] == {"ticks": 1, "share": 0.9, "more": False}
    assert sum(e["share"] for e in table) == pytest.approx(1.0)
    assert [e["ticks"] for e in table if e["more"]] == [8]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_invalid_spans_cover_exactly_the_invalid_rows(flags: list[bool]) -> None:
    valid = np.array(flags)
    ts = STEP * np.arange(1, len(flags) + 1)
    inside = {int(t) for s in invalid_spans(ts, valid, STEP) for t in range(s["from_ns"], s["to_ns"], STEP)}
    assert inside == {int(t) for t, ok in zip(ts, valid, strict=True) if not ok}


def test_missing_rows_are_a_span_too() -> None:
    ts = np.array([1, 2, 7, 8]) * STEP
    spans = invalid_spans(ts, np.ones(4, np.bool_), STEP)
    assert spans == [{"from_ns": 3 * STEP, "to_ns": 7 * STEP, "rows": 0}]


def test_limit_prices_are_those_of_the_row_of_the_instant() -> None:
    found = gathered([1, 2, 3])
    ts = found.column("ts_ns")
    prices = found.limit_prices(np.array([ts[1], ts[1], ts[2] + 1]), np.array([1, -1, 1]))
    assert prices.tolist() == [600_000, 600_002, -1]


def test_an_empty_overview_summarises_to_nothing() -> None:
    found = Overview(BTC, STEP).summary()
    assert found["rows"] == 0
    assert found["bins"] == []
    assert found["coverage"] is None


def words(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "holds": True, "rows": 100, "crossed": 0, "unbridged_snapshots": 0, "gaps": [], "invalid_ns": 0,
        "coverage": 1.0, "trade_touch_match": None, "closing_snapshot_match": None, "boundary_match": None,
        "top_of_book_match": None,
    }  # fmt: skip
    return certificate_words({**whole, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"crossed": 3}, "3 messages left the book crossed"),
        ({"top_of_book_match": {"compared": 10, "equal": 9}}, "in 9 of 10 comparisons"),
        ({"trade_touch_match": {"compared": 100, "agree": 20}}, "20 of 100 trades (20.0%)"),
        ({"closing_snapshot_match": False}, "the book differs from the closing snapshot"),
        ({"boundary_match": False}, "the book differs from the neighbouring day's"),
        ({"unbridged_snapshots": 1}, "1 snapshot that the stream never bridged"),
        ({"rows": 0}, "there is no row at all"),
    ],
)
def test_a_certificate_that_does_not_hold_says_why(changes: dict[str, Any], sentence: str) -> None:
    found = words(holds=False, **changes)
    assert found["headline"].startswith("Does not hold: ")
    assert any(sentence in reason for reason in found["against"])
    assert sentence in found["headline"]


def test_what_was_not_checked_is_said_and_not_counted_as_proof() -> None:
    found = words(top_of_book_match={"compared": 5, "equal": 5})
    assert len(found["not_checked"]) == 3
    assert any("5 of 5 comparisons" in line for line in found["proved"])
    assert found["against"] == []


def test_json_in_a_script_cannot_end_it() -> None:
    text = json_for_script({"name": "</script><!-- \u2028 &"})
    assert not any(sign in text for sign in "<>&\u2028")
    assert json.loads(text) == {"name": "</script><!-- \u2028 &"}
    with pytest.raises(ValueError, match="Out of range"):
        json_for_script({"x": float("nan")})


def test_checks_that_refuse_are_named_and_each_match_by_its_own_bound() -> None:
    refused = {"status": "refused", "severity": "gate", "message": "12 of 40 levels are ghosts"}
    found = words(
        holds=False,
        checksum_match={"compared": 10, "equal": 10},
        trade_touch_match={"compared": 100, "agree": 70},
        checks=[
            {"name": "levels_within_depth", **refused},
            {"name": "trade_touch_match", "status": "passed", "severity": "gate", "message": ""},
            {"name": "no_duplicates", "status": "refused", "severity": "warning", "message": "3 came again"},
        ],
    )
    assert "levels_within_depth: 12 of 40 levels are ghosts" in found["against"]
    assert "levels_within_depth: 12 of 40 levels are ghosts" in found["headline"]
    assert any("checksum matches in 10 of 10" in line for line in found["proved"])
    assert any("70 of 100 trades" in line for line in found["proved"])  # the venue's bound is not the default one
    assert not any("came again" in line for line in found["against"])


def test_another_depth_that_agrees_is_proof() -> None:
    sentence = "another depth of the book shows the same best bid and ask in 1,200 messages"
    assert sentence in words(depth_agreement={"compared": 1200, "equal": 1200})["proved"]
    assert sentence not in words(holds=False, depth_agreement={"compared": 1200, "equal": 7})["proved"]
