"""One market, three looks at the same orders: their true fate, labels of every event, labels of what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.labels.day import DecisionRows, label_columns, make_tape, run_day
from lob_pipeline.labels.spec import MODEL_NAME, Fees, LabelConfig
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


def labels_of(rows: DecisionRows, events: Iterable[Columns], trades: Columns, labels: LabelConfig) -> Columns:
    """Return the labels table of decision rows on a feed whose ids count up by one; fees are left out."""
    day = run_day(rows, events, make_tape(trades), labels, "plus_one", STEP_NS)
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
            UNBATCHED: labels_of(rows, events, unbatched.trades(), settings),
            PUBLISHED: labels_of(rows, tape.events(), tape.trades(), settings),
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

    Beside the figures of ``score``: the seeds and what was asked for.
    """
    looks = []
    for i, seed in enumerate(seeds):
        looks.append(look(replace(config, seed=seed), instants))
        if progress is not None:
            progress((i + 1) / len(seeds), f"seed {seed}")
    return {"seeds": seeds, "minutes": config.minutes, "instants_a_market": instants, **score(looks)}


def score(looks: list[Look]) -> dict[str, Any]:
    """Return the score of the queue models over all looks together, by feed, as plain JSON types.

    ``median_width_points``: of the markets' own brackets. ``blur``: what batching alone does (``_blur``), by model.
    """
    out: dict[str, Any] = {"feeds": {}}
    for feed in (UNBATCHED, PUBLISHED):
        single = [compare([one], feed) for one in looks]
        brackets = [one.bracket(np.ones(len(one.true_filled), np.bool_)) for one in single]
        out["feeds"][feed] = {
            **compare(looks, feed).report(),
            "markets_held": sum(bracket["holds_true_rate"] for bracket in brackets),
            "median_width_points": float(np.median([bracket["width_points"] for bracket in brackets])),
            "markets": {one.seed: bracket for one, bracket in zip(looks, brackets, strict=True)},
        }
    exact, published = compare(looks, UNBATCHED), compare(looks, PUBLISHED)
    out["blur"] = {name: _blur(exact, published, model) for model, name in MODEL_NAME.items()}
    return out


def _blur(exact: Comparison, published: Comparison, model: int) -> dict[str, float]:
    """Return what batching alone does to a model's labels: published − event by event, of the same orders."""
    for name in ("ts_ns", "side"):
        if not np.array_equal(exact.truth[name], published.truth[name]):
            raise ValueError("the two feeds judge different orders")
    before, after = exact.filled(model), published.filled(model)
    wait = [np.where(one.delay_ns(model) >= 0, one.delay_ns(model), one.life_ns) for one in (exact, published)]
    markout = [one.markouts(model, np.ones(len(before), np.bool_))["5s"]["bias_bps"] for one in (exact, published)]
    return {
        "fill_points": round(100.0 * float(after.mean() - before.mean()), 4),
        "outcome_differs_points": round(100.0 * float((after != before).mean()), 4),
        "wait_ms": round(float((wait[1] - wait[0]).mean()) / NS_PER_MS, 3),
        "markout_5s_bps": round(markout[1] - markout[0], 4),
    }
