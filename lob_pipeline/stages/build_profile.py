"""Stage ``profile``: what the days before a day tell its features: the season, and the fitted micro-price."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lob_pipeline.core.clock import Clock, parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, PROFILE_DAYS, SEASONAL_PROFILE
from lob_pipeline.core.units import NS_PER_S, shift_date
from lob_pipeline.features.profile import (
    COLUMNS,
    MINIMUM_DAYS,
    DayCounts,
    Profile,
    count,
    days_that_count,
    fit,
    new_counts,
)
from lob_pipeline.features.profile_kernel import DECILES, QUARTERS, SPREADS, STATES
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import ABSENT, read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import content_or_absent, open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.schemas import check_schema
from lob_pipeline.stages.result import StageResult, stage_result

CHUNK_ROWS = 1 << 18
_KEPT_DAYS = 64


def build_profile(home: Home, market: Market, date: str, clock_id: str | None = None) -> StageResult:
    """Publish the profile of a day: one row a cell, from the usable ``book_snapshots`` of the 28 days before it.

    With fewer than ``MINIMUM_DAYS`` of them nothing is known of the season, every correction is 0, and the features
    keep their neutral values. Inputs: each
    of the 28 days' books, or ``absent``. Gates: ``schema``, ``strictly_earlier``, ``odd_microprice``.
    """
    instrument = partition_instrument(home, market, date)
    clock = parse_clock(clock_id or instrument.clock)
    key = PartitionKey("seasonal_profile", market, date, clock.id)
    inputs = _books_before(home, market, date, clock)
    days: dict[str, DayCounts] = {}
    for name, content in inputs.items():
        if content != ABSENT:
            table, _, day = name.partition("/")
            days[day] = _counts(home, PartitionKey(table, market, day, clock.id), clock, content)
    rows_60s = clock.rows(60 * NS_PER_S)
    profile = fit(list(days.values()), rows_60s)
    columns = profile_columns(profile, days_that_count(list(days.values()), rows_60s))
    with PartitionWriter(home, key, SEASONAL_PROFILE) as writer:
        writer.write(columns)
        manifest = writer.commit(
            code_fingerprint=code_fingerprint("profile", instrument),
            inputs=inputs,
            outcomes=[check_schema(SEASONAL_PROFILE, columns, minimum=1), *_gates(date, sorted(days), profile)],
            extra={"days": sorted(days), "neutral": len(days) < MINIMUM_DAYS},
        )
        return stage_result(key, manifest, writer.path)


def ensure_profile(home: Home, market: Market, date: str, clock_id: str | None = None) -> StageResult | None:
    """Build the profile of a day where it is absent or stale; return the result, None where it stands fresh."""
    instrument = partition_instrument(home, market, date)
    clock = parse_clock(clock_id or instrument.clock)
    try:
        standing = read_manifest(PartitionKey("seasonal_profile", market, date, clock.id).path(home))
    except (FileNotFoundError, RefusedError):  # absent or damaged
        return build_profile(home, market, date, clock.id)
    if standing.fresh(code_fingerprint("profile", instrument), _books_before(home, market, date, clock)):
        return None
    return build_profile(home, market, date, clock.id)


def _books_before(home: Home, market: Market, date: str, clock: Clock) -> dict[str, str]:
    """Return the inputs: ``book_snapshots/<day>`` -> content, or absent, of the 28 days before, oldest first."""
    days = [shift_date(date, -back) for back in range(PROFILE_DAYS, 0, -1)]
    return {
        f"book_snapshots/{day}": content_or_absent(home, PartitionKey("book_snapshots", market, day, clock.id))
        for day in days
    }


@lru_cache(maxsize=_KEPT_DAYS)
def _counts(home: Home, book: PartitionKey, clock: Clock, content: str) -> DayCounts:
    """Return what one day adds. Kept by its content: neighbouring days' profiles read the same days."""
    counts = new_counts()
    with open_partition(home, book, BOOK_SNAPSHOTS) as partition:
        if partition.manifest.content_sha256 != content:
            raise OSError(f"{book} was replaced while its profile was made: run it again")
        for chunk in partition.chunks(CHUNK_ROWS, list(COLUMNS)):
            count(counts, np.column_stack([chunk[name] for name in COLUMNS]).astype(np.int64), clock.step_ns)
    return counts


def _gates(date: str, days: list[str], profile: Profile) -> list[CheckOutcome]:
    late = [day for day in days if day >= date]
    cells = profile.microprice_ticks
    odd = bool((cells == -cells[::-1]).all() and np.isfinite(cells).all())
    return [
        judge(
            "strictly_earlier",
            not late,
            examined=PROFILE_DAYS,
            judged=len(days),
            message=f"{', '.join(late)} is not before {date}" if late else "",
            facts={"days": len(days), "needed": MINIMUM_DAYS},
        ),
        judge(
            "odd_microprice",
            odd,
            examined=STATES,
            judged=STATES,
            message="" if odd else "the correction of a state is not the negative of its mirror image's",
        ),
    ]


def profile_columns(profile: Profile, days: np.ndarray) -> Columns:  # type: ignore[type-arg]
    """Return the columns of SEASONAL_PROFILE: 96 quarter-hours, then 30 states. ``days`` int64 (126,)."""
    cells = QUARTERS + STATES
    columns: Columns = {"cell": np.arange(cells, dtype=np.int64), "days": days.astype(np.int64)}
    for name, values, first in (
        ("spread_ticks", profile.spread_ticks, 0),
        ("messages_60s", profile.messages_60s, 0),
        ("microprice_ticks", profile.microprice_ticks.ravel(), QUARTERS),
    ):
        columns[name] = np.full(cells, np.nan)
        columns[name][first : first + len(values)] = values
    return columns


def profile_of_columns(columns: Columns) -> Profile:
    """Return the profile that ``profile_columns`` wrote."""
    spread, messages, microprice = (
        np.array(columns[name], dtype=np.float64) for name in ("spread_ticks", "messages_60s", "microprice_ticks")
    )
    return Profile(microprice[QUARTERS:].reshape(DECILES, SPREADS), spread[:QUARTERS], messages[:QUARTERS])
