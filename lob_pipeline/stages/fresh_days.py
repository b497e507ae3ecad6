"""Two models on the same rows of days after both training ends: what a refresh is compared on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import list_partitions
from lob_pipeline.models.outputs import COLUMN
from lob_pipeline.registry.bundle import Bundle, stream_model
from lob_pipeline.registry.promotion import FreshComparison
from lob_pipeline.stages.training_set_days import DayJudge, UsedDay
from lob_pipeline.stages.training_set_rows import Place, read_instants

MOST_ROWS = 100_000
"""Rows compared, the newest ones: a sanity check, not an evaluation (half a minute for the full network)."""
_FILL = COLUMN["fill_buy"]

Floats = npt.NDArray[np.float32]


def compare_on_fresh_days(home: Home, challenger: Bundle, incumbent: Bundle) -> FreshComparison:
    """Return both models' mean Brier score of the fill head on usable days after both training ends.

    Compared are rows and sides with a label where both models answer (masked heads and rows without full context are
    left out). No such day: zero rows and NaN scores.
    """
    days = _fresh_days(home, challenger, incumbent)
    squares, rows, used = np.zeros(2), 0, []
    for day in reversed(days):
        if rows >= MOST_ROWS:
            break
        market = parse_market(challenger.market)
        block_ns = partition_instrument(home, market, day.date).block_ns
        place = Place(market, challenger.clock_id, block_ns)
        instants = read_instants(home, place, [day], challenger.features)
        found, count = _brier_sums(instants, challenger, incumbent)
        squares, rows = squares + found, rows + count
        used.append(day.date)
    scores = squares / rows if rows else np.full(2, np.nan)
    return FreshComparison(tuple(sorted(used)), rows, float(scores[0]), float(scores[1]))


def _fresh_days(home: Home, challenger: Bundle, incumbent: Bundle) -> list[UsedDay]:
    last = max(challenger.info["data"]["as_of"], incumbent.info["data"]["as_of"])
    market = parse_market(challenger.market)
    judge = DayJudge(home, market, challenger.clock_id)
    found = []
    for key in list_partitions(home, "labels"):
        if key.market != market or key.clock != challenger.clock_id or key.date <= last:
            continue
        judged = judge.judge(key.date)
        if isinstance(judged, tuple):
            found.append(judged[0])
    return found


def _brier_sums(instants: Instants, challenger: Bundle, incumbent: Bundle) -> tuple[npt.NDArray[np.float64], int]:
    """Return the summed squared errors of both models (2,) and over how many (row, side) pairs."""
    part = slice(max(0, len(instants.ts_ns) - MOST_ROWS), None)
    features, segment = instants.features[part], instants.segment[part]
    filled = instants.orders.filled[""][part].astype(np.float64)
    p = [_forecast(bundle, features, segment)[:, _FILL : _FILL + 2] for bundle in (challenger, incumbent)]
    known = instants.orders.valid[part] & ~np.isnan(p[0]) & ~np.isnan(p[1])
    errors = [np.square(of.astype(np.float64) - filled)[known].sum() for of in p]
    return np.array(errors), int(known.sum())


def _forecast(bundle: Bundle, features: Floats, segment: npt.NDArray[np.int32]) -> Floats:
    """Return forecasts (n, 15) of the streaming step, NaN until its context is full; nothing crosses a segment."""
    model = stream_model(bundle)
    out = np.full((len(features), len(COLUMN)), np.nan, np.float32)
    edges = np.flatnonzero(np.diff(segment)) + 1
    for first, last in zip((0, *edges), (*edges, len(segment)), strict=True):
        if first == last or segment[first] < 0:
            continue
        forecast, ready = model.run(model.new_state(), features[first:last], np.ones(last - first, np.bool_))
        out[first:last][ready] = forecast[ready]
    return out
