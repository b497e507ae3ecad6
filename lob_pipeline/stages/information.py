"""Information coefficients of features over days of the lake (METHODS.md, Evaluation)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.evaluation.ic import forward_log_return, information_coefficient
from lob_pipeline.features.registry import FEATURES_TABLE, INDEX
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition


def information_coefficients(
    home: Home, market: Market, dates: list[str], features: list[str], horizon_ns: int, clock_id: str | None = None
) -> dict[str, Any]:
    """Correlate features with the mid return of ``horizon_ns``, all rows of ``dates`` (ascending) pooled in time order.

    A row counts where its book is valid, the book ``horizon_ns`` later is, and the feature is not NaN. Raises
    ``BadInputError`` for a name that is no built feature, ``RefusedError`` when a partition is absent or refused, or
    when books and features of a day do not hold the same instants.
    """
    unknown = [name for name in features if name not in INDEX]
    if unknown or not dates:
        raise BadInputError(
            f"features {unknown} of days {dates}: expected built features (`lob features-list`) and days"
        )
    clock = parse_clock(clock_id or partition_instrument(home, market, dates[0]).clock)
    parts: dict[str, list[np.ndarray[Any, Any]]] = {}
    for date in dates:
        with open_partition(home, PartitionKey("book_snapshots", market, date, clock.id), BOOK_SNAPSHOTS) as book:
            rows = book.read(["ts_ns", "valid", "bid_ticks_1", "ask_ticks_1"])
        with open_partition(home, PartitionKey("features", market, date, clock.id), FEATURES_TABLE) as table:
            found = table.read(["ts_ns", *features])
        if not np.array_equal(rows["ts_ns"], found.pop("ts_ns")):
            raise RefusedError(f"features of {market} on {date} are of other rows than its books: run `lob features`")
        for name, values in {**rows, **found}.items():
            parts.setdefault(name, []).append(values)
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    m2 = whole["bid_ticks_1"] + whole["ask_ticks_1"]
    after = forward_log_return(whole["ts_ns"], m2, whole["valid"], horizon_ns)
    return {
        "market": str(market),
        "dates": dates,
        "clock": clock.id,
        "horizon_ns": horizon_ns,
        "features": {
            name: information_coefficient(whole[name].astype(np.float64), after, clock.step_ns, horizon_ns).to_json()
            for name in features
        },
    }
