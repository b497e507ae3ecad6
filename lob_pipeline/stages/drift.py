"""Drift of a day's books against the market's trailing days: warnings and a Data Docs page, after publication.

Not a gate, and not in the manifest: it depends on which other days stand in the lake, a partition must not.
"""

from __future__ import annotations

from functools import lru_cache

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import shift_date
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import ABSENT, content_or_absent, open_partition
from lob_pipeline.quality.expectations import PROFILE_COLUMNS, DriftReport, judge_drift, minute_profile
from lob_pipeline.stages.plan import default_clock

TRAILING_DAYS = 7


def drift(home: Home, market: Market, date: str, clock_id: str | None = None) -> DriftReport:
    """Compare the published books of a day with the usable days among the seven before it.

    The page lies under ``HOME/reports/data_docs/<market>/<clock>/site``. Raises ``RefusedError`` when the day itself is
    not in the lake or not usable.
    """
    clock = clock_id or default_clock(market)
    today = PartitionKey("book_snapshots", market, date, clock)
    profile = _profile(home, today)
    history = {}
    for back in range(TRAILING_DAYS, 0, -1):
        key = PartitionKey("book_snapshots", market, shift_date(date, -back), clock)
        if content_or_absent(home, key) != ABSENT:
            history[key.date] = _profile(home, key)
    if not history:
        return judge_drift(str(market), date, profile, {}, home.reports)
    docs = home.reports / "data_docs" / str(market) / clock
    with WriterLock(home, f"data_docs__{market}__{clock}", f"the Data Docs of {market}"):
        return judge_drift(str(market), date, profile, history, docs)


def _profile(home: Home, key: PartitionKey) -> Columns:
    return _cached_profile(home, key, content_or_absent(home, key))


@lru_cache(maxsize=64)
def _cached_profile(home: Home, key: PartitionKey, content_sha256: str) -> Columns:
    """``content_sha256`` is part of the cache's key: a replaced day is profiled again."""
    with open_partition(home, key, BOOK_SNAPSHOTS) as partition:
        return minute_profile(partition.read(list(PROFILE_COLUMNS)))
