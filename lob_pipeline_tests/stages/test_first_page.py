"""The first page and its two sister commands on days written by hand into a lake."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import NS_PER_S, day_start_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.stages.costs import costs, costs_lines
from lob_pipeline.stages.feasibility import feasibility, feasibility_lines
from lob_pipeline.stages.first_page import build_page, first_page
from lob_pipeline_tests.evaluation.rows import book_rows
from lob_pipeline_tests.lake.helpers import gates_of

MARKET = parse_market("bybit-linear.BTCUSDT")


def certificate(date: str, rows: int, **changes: Any) -> dict[str, Any]:
    """A certificate as CONTRACT.md shapes it."""
    whole: dict[str, Any] = {
        "market": str(MARKET), "date": date, "holds": True, "messages": rows, "level_rows": 4 * rows, "snapshots": 1,
        "rows": rows, "warm_rows": 0, "gaps": [], "resets": 0, "crossed": 0, "locked": 0, "late_messages": 0,
        "trade_id_gaps": 0, "truncated_rows": 0, "invalid_ns": 0, "coverage": 1.0, "unbridged_snapshots": 0,
        "trade_touch_match": {"compared": 50, "agree": 49}, "closing_snapshot_match": None, "boundary_match": None,
        "top_of_book_match": None,
    }  # fmt: skip
    return {**whole, **changes}


def write_day(home: Home, date: str, n: int = 400, *, ok: bool = True, **changes: Any) -> None:
    """Publish (or have refused) ``n`` rows of a book whose mid walks by whole quote units."""
    rng = np.random.default_rng(5)
    mid = 600_000 + 10 * np.cumsum(rng.integers(-1, 2, n))
    books = [
        ([(int(m) - 1 - k, 500 + k) for k in range(20)], [(int(m) + 1 + k, 400 + k) for k in range(20)]) for m in mid
    ]
    rows = book_rows(books, start_ns=day_start_ns(date) + 12 * 3600 * NS_PER_S)
    gate = judge("book never crossed", ok, examined=n, judged=n, message="" if ok else "7 rows are crossed")
    key = PartitionKey("book_snapshots", MARKET, date, "t100ms")
    with PartitionWriter(home, key, BOOK_SNAPSHOTS) as writer:
        writer.write(rows)
        made = certificate(date, n, holds=ok, **changes)
        writer.commit(code_fingerprint="x", inputs={}, outcomes=gates_of("book_snapshots", gate), certificate=made)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_page_stands_alone_and_says_first_what_holds(home: Home) -> None:
    write_day(home, "2024-08-08")
    path = first_page(home, MARKET)
    assert path.parent == home.reports
    text = path.read_text("utf-8")
    assert text.index("book certificate, 2024-08-08") < text.index("Holds: the chain of updates is unbroken")
    assert "49 of 50 trades (98.0%) lie on their side of the touch" in text
    assert "not checked, because the recording does not carry it: the venue&#x27;s own best bid and ask" in text
    outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text.split("<script>")[0])
    assert not outside, "the page fetches nothing"
    assert "default-src 'none'" in text


def test_every_figure_names_its_command_and_carries_whole_data(home: Home) -> None:
    write_day(home, "2024-08-08")
    text = first_page(home, MARKET).read_text("utf-8")
    figures = re.findall(r"<figure>.*?</figure>", text, re.S)
    assert len(figures) == 5
    for figure in figures:
        assert re.search(
            r"<code>lob \w+ --market bybit-linear.BTCUSDT --home [^<]+</code>",
            figure,
        )
    for spec in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S):
        assert json.loads(spec)["data"]


def test_a_refused_day_shows_why_and_is_in_no_figure(home: Home) -> None:
    write_day(home, "2024-08-07", crossed=0)
    write_day(home, "2024-08-08", ok=False, crossed=7)
    page = build_page(home, MARKET, None, None, None)
    assert not page.holds
    assert page.overview["rows"] == 400
    text = first_page(home, MARKET).read_text("utf-8")
    assert "Does not hold: 7 messages left the book crossed." in text
    assert "The book of 2024-08-08 was refused and is in no figure: book never crossed: 7 rows are crossed." in text


def test_a_market_with_only_refused_days_still_gets_a_page(home: Home) -> None:
    write_day(home, "2024-08-08", ok=False, crossed=7)
    text = first_page(home, MARKET).read_text("utf-8")
    assert "Does not hold" in text
    assert "<figure>" not in text


def test_what_came_from_outside_is_escaped(home: Home) -> None:
    hostile = "<script>alert(1)</script>"
    write_day(home, "2024-08-08", gaps=[{"at_ns": day_start_ns("2024-08-08"), "expected": hostile, "got": 3}])
    text = first_page(home, MARKET).read_text("utf-8")
    assert hostile not in text
    assert "&lt;script&gt;alert(1)" in text


def test_gaps_are_counted_placed_and_told(home: Home) -> None:
    gap = {"at_ns": day_start_ns("2024-08-08") + 3 * NS_PER_S, "expected": 5, "got": 9}
    write_day(home, "2024-08-08", gaps=[gap], invalid_ns=2 * NS_PER_S, coverage=0.95)
    text = first_page(home, MARKET).read_text("utf-8")
    assert "Holds outside 1 gap: 2.0 s are marked invalid" in text
    assert "expected 5, got 9" in text
    assert "2024-08-08 00:00:03" in text


def test_days_outside_the_range_are_left_out_and_an_empty_range_is_refused(home: Home) -> None:
    write_day(home, "2024-08-07")
    write_day(home, "2024-08-09")
    assert [c["date"] for c in build_page(home, MARKET, "2024-08-08", None, None).certificates] == ["2024-08-09"]
    with pytest.raises(RefusedError, match=r"no book of bybit-linear\.BTCUSDT at t100ms was ever built"):
        first_page(home, MARKET, "2024-08-10")
    with pytest.raises(RefusedError, match=r"run `lob ingest bybit-linear\.BTCUSDT PATH`"):
        costs(home, MARKET, "2024-08-10")


def test_a_place_that_cannot_be_written_is_named(home: Home, tmp_path: Path) -> None:
    write_day(home, "2024-08-08")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written"):
        first_page(home, MARKET, out=tmp_path / "file" / "page.html")


def test_costs_and_feasibility_report_the_same_days(home: Home) -> None:
    write_day(home, "2024-08-07")
    write_day(home, "2024-08-08")
    found, best = costs(home, MARKET), feasibility(home, MARKET)
    assert found["days"] == best["days"] == ["2024-08-07", "2024-08-08"]
    assert found["valid_rows"] == best["valid_rows"] == 800
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert json.loads(json.dumps(best, allow_nan=False)) == best
    lines = list(costs_lines(found))
    assert any(line.lstrip().startswith("100,000   buy") for line in lines)
    assert any("No simulated orders of 2024-08-07, 2024-08-08" in line for line in feasibility_lines(best))
