"""A code location for tests: the real stages, but one day's books are stored with their depth index off by one."""

from __future__ import annotations

from dataclasses import replace

from lob_pipeline.core.instrument import Market
from lob_pipeline.definitions import build_defs
from lob_pipeline.lake.home import Home
from lob_pipeline.resources import default_stages
from lob_pipeline.stages.result import StageResult
from lob_pipeline_tests.orchestration.fake_stages import no_drift

BAD_INDEX = ("sim.BTCUSDT", "2026-01-08")


def build_books(home: Home, market: Market, date: str) -> StageResult:
    """Build a day's books; those of ``BAD_INDEX`` with level k + 1 where level k belongs."""
    from lob_pipeline.stages.build_books import build_books as build
    from lob_pipeline_tests.book.defects import depth_index_off_by_one

    return build(home, market, date, row_map=depth_index_off_by_one if (str(market), date) == BAD_INDEX else None)


quiet = dict.fromkeys(("judge_drift", "judge_feature_drift", "judge_label_drift"), no_drift)
defs = build_defs(replace(default_stages(), build_books=build_books, **quiet))
