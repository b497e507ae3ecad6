"""Historical bugs are refused by a named check that does not compare the pipeline with itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lob_pipeline.core.clock import parse_clock
from lob_pipeline_tests.book import defects
from lob_pipeline_tests.book.watch import refused, watched
from lob_pipeline_tests.naive.recordings import Recording

INDEPENDENT = {
    "trade_touch_match",
    "two_sided_uncrossed",
    "spread_sanity",
    "depth_kept",
    "top_of_book_match",
    "top_of_book_on_rows",
    "closing_snapshot_match",
    "boundary_match",
}
MESSAGE_DEFECTS = [
    defects.sides_inverted_on_snapshots,
    defects.sides_inverted,
    defects.deltas_as_snapshots,
    defects.zero_sizes_kept,
    defects.prices_ten_times_too_high,
]
ROW_DEFECTS = [defects.depth_index_off_by_one, defects.levels_unsorted]
CASES = [
    (defect, name)
    for defect in (*MESSAGE_DEFECTS, *ROW_DEFECTS)
    for name in ("bybit-btc", "bybit-sol", "usdm-2023")
    # a REST snapshot is no form of a Binance delta; in bybit-btc the best prices never move, so no ghost comes to light
    if (defect, name) not in ((defects.deltas_as_snapshots, "usdm-2023"), (defects.zero_sizes_kept, "bybit-btc"))
]

pytestmark = pytest.mark.real


@pytest.mark.parametrize(("defect", "name"), CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_defect_is_refused_by_an_independent_check(recorded: dict[str, Recording], name: str, defect: Callable) -> None:
    rec = recorded[name]
    day, messages = list(rec.days().items())[-1]
    in_rows = defect in ROW_DEFECTS
    _, outcomes = watched(
        messages if in_rows else defect(messages),
        rec.instrument,
        parse_clock("t100ms"),
        day,
        trades=rec.day_trades(day),
        quotes=rec.quotes,
        row_map=defect if in_rows else None,
    )
    assert refused(outcomes) & INDEPENDENT
    assert outcomes["certificate"].status == "refused"
    if in_rows:
        assert {"trade_touch_match"} <= refused(outcomes)
    if defect is defects.depth_index_off_by_one and rec.quotes:
        assert "top_of_book_on_rows" in refused(outcomes)
