"""One market, three looks at the same orders: their true fate, labels of every event, labels of what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.labels.day import DecisionRows, label_columns, make_tape, run_day
from lob_pipeline.labels.spec import Fees, LabelConfig
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.day import new_session
from lob_pipeline.sim.day import run_day as simulate_day
from lob_pipeline.sim.oracle_tape import OracleTape
from lob_pipeline.sim.probe_day import ProbeDay
from lob_pipeline.sim.quotes import STEP_NS
from lob_pipeline.sim.truth_score import Comparison
from lob_pipeline.sim.unbatched import UnbatchedFeed

UNBATCHED, PUBLISHED = "unbatched", "published"


@dataclass(frozen=True)
class Look:
    """The truth of one market's probes (columns of ``PROBES``) and their labels on both feeds."""

    seed: int
    truth: Columns
    labels: dict[str, Columns]


def joined(parts: Iterable[Columns]) -> Columns:
    """Return chunks of a table as one; there must be at least one."""
    chunks = list(parts)
    masked = {name for name, column in chunks[0].items() if np.ma.isMaskedArray(column)}
    return {
        name: (np.ma if name in masked else np).concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]
    }


def _labels(
    rows: DecisionRows, events: Iterable[Columns], trades: Columns, sim: SimConfig, labels: LabelConfig
) -> Columns:
    day = run_day(rows, events, make_tape(trades), labels, sim.instrument.sequence, STEP_NS)
    return joined(label_columns(day, Fees(0.0, 0.0)))


def look(config: SimConfig, instants: int, labels: LabelConfig | None = None) -> Look:
    """Simulate the first day of ``config`` and return what became of the orders of ``instants`` random instants.

    Fees are left out. Raises ``BadInputError`` where the day has no room for so many instants.
    """
    config = replace(config, order_log=True)
    date, settings = config.dates[0], labels or LabelConfig()
    probes, unbatched, tape = ProbeDay(config, date, instants, settings), UnbatchedFeed(), OracleTape()
    events = []
    for chunk in simulate_day(config, date, new_session(config, date)):
        seen = probes.add(chunk)
        events.append(unbatched.take(chunk.orders, seen.shown))
        tape.add(chunk.messages, chunk.trades)
    rows = probes.rows
    return Look(
        config.seed,
        probes.truth(),
        {
            UNBATCHED: _labels(rows, events, unbatched.trades(), config, settings),
            PUBLISHED: _labels(rows, tape.events(), tape.trades(), config, settings),
        },
    )


def compare(looks: list[Look], feed: str, labels: LabelConfig | None = None) -> Comparison:
    """Return the comparison of all markets together on one feed."""
    seed = np.concatenate([np.full(len(one.truth["ts_ns"]), one.seed, np.int64) for one in looks])
    return Comparison(
        joined(one.truth for one in looks), joined(one.labels[feed] for one in looks), labels or LabelConfig(), seed
    )


def study(
    config: SimConfig, seeds: list[int], instants: int, progress: Callable[[float, str], None] | None = None
) -> dict[str, Any]:
    """Return the score of the queue models over the markets of ``seeds``, on both feeds, as plain JSON types.

    ``blur_points``: what batching adds: proportional fill rate as published − event by event, over the same orders.
    ``median_width_points``: of the markets' own brackets.
    """
    looks = []
    for i, seed in enumerate(seeds):
        looks.append(look(replace(config, seed=seed), instants))
        if progress is not None:
            progress((i + 1) / len(seeds), f"seed {seed}")
    out: dict[str, Any] = {"seeds": seeds, "minutes": config.minutes, "instants_a_market": instants, "feeds": {}}
    for feed in (UNBATCHED, PUBLISHED):
        single = [compare([one], feed) for one in looks]
        brackets = [one.bracket(np.ones(len(one.true_filled), np.bool_)) for one in single]
        out["feeds"][feed] = {
            **compare(looks, feed).report(),
            "markets_held": sum(bracket["holds_true_rate"] for bracket in brackets),
            "median_width_points": float(np.median([bracket["width_points"] for bracket in brackets])),
            "markets": {one.seed: bracket for one, bracket in zip(looks, brackets, strict=True)},
        }
    published, exact = (out["feeds"][feed]["models"] for feed in (PUBLISHED, UNBATCHED))
    out["blur_points"] = {
        model: round(published[model]["bias_points"] - exact[model]["bias_points"], 4) for model in published
    }
    return out
