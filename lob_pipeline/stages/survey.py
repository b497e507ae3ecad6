"""Reads a market's days out of the lake for the reports: one pass over the book rows, then the labels.

Used by ``lob costs``, ``lob feasibility`` and the first page, so that all three show the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Array, Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import parse_date
from lob_pipeline.evaluation.costs import COST_COLUMNS, CostAccumulator
from lob_pipeline.evaluation.feasibility import Crossing
from lob_pipeline.evaluation.outcomes import LABEL_COLUMNS, LabelOutcomes
from lob_pipeline.evaluation.overview import OVERVIEW_COLUMNS, Overview
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.reader import open_partition, read_manifest

CHUNK_ROWS = 1 << 16
LABEL_ROWS = 8_000_000
"""Beyond so many label rows only every k-th instant is read: their neighbours are nearly the same order."""
_CROSSING_SIZES = (10_000, 1_000)
Progress = Callable[[float, str], None]


def clock_of(home: Home, market: Market, clock: str | None) -> str:
    """Return the clock id: the one named, else the market's own."""
    chosen = clock or instrument_of(home, market).clock
    return parse_clock(chosen).id


def instrument_of(home: Home, market: Market) -> Instrument:
    """Return the market's instrument with the tick and lot of its latest events in the lake."""
    days = sorted(k.date for k in list_partitions(home, "l2_events") if k.market == market)
    return partition_instrument(home, market, days[-1]) if days else instrument(market, user=home.markets)


def days_in_lake(
    home: Home, table: str, market: Market, clock: str | None, first: str | None, last: str | None
) -> list[str]:
    """Return the days of a table in the lake between ``first`` and ``last`` (both included, None open), ascending."""
    for day in (first, last):
        if day is not None:
            parse_date(day)
    return sorted(
        key.date
        for key in list_partitions(home, table)
        if key.market == market and key.clock == clock and (first or "") <= key.date <= (last or "9999")
    )


@dataclass
class Survey:
    """What the reports are made of: ``overview`` and ``costs`` of the rows, ``labels`` where there are any."""

    market: Market
    clock: str
    instrument: Instrument
    days: list[str]
    overview: Overview
    costs: CostAccumulator
    labels: LabelOutcomes | None = None
    notes: list[str] = field(default_factory=list)


def empty_survey(home: Home, market: Market, clock: str) -> Survey:
    """Return a survey of no day: what is left when every book was refused."""
    known = instrument_of(home, market)
    return Survey(market, clock, known, [], Overview(known, parse_clock(clock).step_ns), CostAccumulator(known))


def survey(
    home: Home,
    market: Market,
    first: str | None,
    last: str | None,
    clock: str | None,
    *,
    with_labels: bool = True,
    progress: Progress | None = None,
) -> Survey:
    """Read the market's usable book rows and labels between two days.

    Raises ``RefusedError`` when no day is in the lake or one of them may not be used.
    """
    clock_id = clock_of(home, market, clock)
    days = days_in_lake(home, "book_snapshots", market, clock_id, first, last)
    if not days:
        span = "" if first is None and last is None else f" between {first or 'the start'} and {last or 'the end'}"
        raise RefusedError(
            f"no book of {market} at {clock_id} is in the lake{span}: run `lob ingest {market} PATH`, then `lob run`"
        )
    found = empty_survey(home, market, clock_id)
    found.days.extend(days)
    columns = list(dict.fromkeys((*COST_COLUMNS, *OVERVIEW_COLUMNS)))
    for i, day in enumerate(days):
        key = PartitionKey("book_snapshots", market, day, clock_id)
        with open_partition(home, key, BOOK_SNAPSHOTS) as partition:
            for rows in partition.chunks(CHUNK_ROWS, columns):
                found.overview.add(rows)
                found.costs.add(rows)
        if progress is not None:
            progress((i + 1) / len(days), f"{market} {day}")
    if with_labels:
        _read_labels(home, found)
    return found


def _read_labels(home: Home, found: Survey) -> None:
    keys = [PartitionKey("labels", found.market, day, found.clock) for day in found.days]
    present = [key for key in keys if key.path(home).exists()]
    if len(present) < len(keys):
        absent = ", ".join(key.date for key in keys if key not in present)
        rest = "those of the other days are shown" if present else "they are left out"
        found.notes.append(f"No simulated orders of {absent} are in the lake: {rest}.")
    total = sum(read_manifest(key.path(home)).rows for key in present)
    if not total:
        return
    every = -(-total // LABEL_ROWS)
    if every > 1:
        found.notes.append(f"Simulated orders: every {every}th instant is used of {total:,} orders.")
    parts: list[Columns] = []
    step_ns = parse_clock(found.clock).step_ns
    for key in present:
        with open_partition(home, key, LABELS_TABLE) as partition:
            for rows in partition.chunks(CHUNK_ROWS, list(LABEL_COLUMNS)):
                keep = (rows["ts_ns"].astype(np.int64) // step_ns) % every == 0
                parts.append({name: _compact(values)[keep] for name, values in rows.items()})
    columns = {name: np.concatenate([p[name] for p in parts]) for name in LABEL_COLUMNS}
    ts, side = np.asarray(columns["ts_ns"], np.int64), np.asarray(columns["side"], np.int64)
    found.labels = LabelOutcomes(columns, found.overview.limit_prices(ts, side))


def _compact(values: Array) -> Array:
    """Return a column without its mask: null is false, -1 or NaN; floats in single precision, enough for means."""
    if values.dtype == np.float64:
        return np.ma.filled(values, np.nan).astype(np.float32)
    if isinstance(values, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(values, False if values.dtype == np.bool_ else -1))
    return values


def crossing_of(costs: dict[str, object]) -> Crossing:
    """Return the mean one-way slippage of the largest of 10,000 and 1,000 quote that every row's book could fill."""
    table = costs["slippage"]
    assert isinstance(table, list)
    for size in _CROSSING_SIZES:
        means = [e["mean_bps"] for e in table if e["size_quote"] == size]
        if means and all(m is not None for m in means):
            return Crossing(size, float(sum(means) / len(means)))
    return Crossing(_CROSSING_SIZES[-1], None)
