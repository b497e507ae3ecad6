"""Drift of a day's books, features or labels against the market's trailing days: warnings and a page, once published.

Not a gate, and not in the manifest: it depends on which other days stand in the lake, a partition must not.
"""

from __future__ import annotations

from functools import lru_cache

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import shift_date
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import ABSENT, content_or_absent, open_file, open_partition
from lob_pipeline.quality.drift_suites import SUITES
from lob_pipeline.quality.expectations import DriftReport, judge_drift
from lob_pipeline.stages.plan import default_clock

TRAILING_DAYS = 7
_TABLES = {table.name: table for table in (BOOK_SNAPSHOTS, FEATURES_TABLE, LABELS_TABLE)}


def drift(home: Home, market: Market, date: str, table: str = BOOK_SNAPSHOTS.name) -> DriftReport:
    """Compare a day of ``table`` with the usable days among the seven before it.

    A refused day is read from quarantine: how it differs from its neighbours is what its reader wants to see. The
    pages of a market lie under ``HOME/reports/data_docs/<market>/<clock>/site``. Raises ``RefusedError`` when the day
    was never built.
    """
    clock = default_clock(market)
    suite = SUITES[table]
    profile = _day_profile(home, PartitionKey(table, market, date, clock))
    history = {}
    for back in range(TRAILING_DAYS, 0, -1):
        key = PartitionKey(table, market, shift_date(date, -back), clock)
        if content_or_absent(home, key) != ABSENT:
            history[key.date] = _profile(home, key)
    if not history:
        return judge_drift(suite, str(market), date, profile, {}, home.reports)
    docs = home.reports / "data_docs" / str(market) / clock
    with WriterLock(home, f"data_docs__{market}__{clock}", f"the Data Docs of {market}"):
        return judge_drift(suite, str(market), date, profile, history, docs)


def feature_drift(home: Home, market: Market, date: str) -> DriftReport:
    """Compare a published day of features with the days before it: see ``drift``."""
    return drift(home, market, date, FEATURES_TABLE.name)


def label_drift(home: Home, market: Market, date: str) -> DriftReport:
    """Compare a published day of labels with the days before it: see ``drift``."""
    return drift(home, market, date, LABELS_TABLE.name)


def _day_profile(home: Home, key: PartitionKey) -> Columns:
    refused = newest_refusal(home, key)
    if refused is None or content_or_absent(home, key) != ABSENT:
        return _profile(home, key)
    with open_file(refused, _TABLES[key.table], key) as partition:
        return SUITES[key.table].profile(partition.read(list(SUITES[key.table].columns)))


def _profile(home: Home, key: PartitionKey) -> Columns:
    return _cached_profile(home, key, content_or_absent(home, key))


@lru_cache(maxsize=64)
def _cached_profile(home: Home, key: PartitionKey, content_sha256: str) -> Columns:
    """``content_sha256`` is part of the cache's key: a replaced day is profiled again."""
    suite = SUITES[key.table]
    with open_partition(home, key, _TABLES[key.table]) as partition:
        return suite.profile(partition.read(list(suite.columns)))
