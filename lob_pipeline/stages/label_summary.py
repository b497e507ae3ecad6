"""A few lines on the simulated maker orders of some days, for a terminal: fills, edge and what may be concluded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lob_pipeline.core.instrument import Market
from lob_pipeline.evaluation.outcomes import summarise_labels
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.survey import survey


def label_summary(home: Home, market: Market, days: list[str], clock: str | None) -> dict[str, Any]:
    """Return ``evaluation.outcomes.summarise_labels`` of the days, ``orders`` 0 where no labels are in the lake.

    Raises ``RefusedError`` when a day's books or labels may not be used.
    """
    labels = survey(home, market, min(days), max(days), clock).labels
    return {"orders": 0} if labels is None else summarise_labels(labels)


def label_summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield one line a queue model; effective n (distinct fill instants) stands beside every count of rows."""
    if not summary["orders"]:
        yield "no simulated orders yet: run `lob run`"
        return
    yield f"{summary['orders']:,} orders, {summary['valid_orders']:,} with a valid span"
    for name, model in summary["models"].items():
        edge, rate, delay = model["edge_bps"], model["fill_rate"]["mean"], model["median_fill_delay_s"]
        if not model["filled"] or edge["mean"] is None:
            yield f"{name:13} none filled"
            continue
        interval = (
            f"[{edge['low']:+.2f}, {edge['high']:+.2f}]" if edge["low"] is not None else "too short for an interval"
        )
        yield (
            f"{name:13} filled {model['filled']:,} ({rate:.1%}; effective n {model['effective_n']:,}), "
            f"median wait {delay:.1f} s, "
            f"edge {edge['mean']:+.2f} bps {interval}, adverse {model['adverse_share']:.0%}"
        )
    yield summary["bracket"]["sentence"]
