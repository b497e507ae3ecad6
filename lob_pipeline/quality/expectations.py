"""Drift of a day's books against the same market's trailing days: one Great Expectations suite, Data Docs for people.

It warns and never refuses. A minute is the unit: a day becomes one row a minute of spread, depth, message rate and
valid share, and two facts of each are compared with the pooled minutes of the trailing days: the median, and the share
of minutes inside the trailing range.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.core.units import NS_PER_S, parse_date

SUITE = "book_snapshots drift"
METRICS = ("spread_ticks", "depth_4bps_lots", "messages", "valid_share")
DRIFT_CHECKS = tuple(f"drift_{metric}" for metric in METRICS)
PROFILE_COLUMNS = (
    "ts_ns",
    "valid",
    "bid_ticks_1",
    "ask_ticks_1",
    "bid_depth_4bps_lots",
    "ask_depth_4bps_lots",
    "messages",
)

MINIMUM_DAYS = 3  # trailing days below which drift is shown but not judged
MINIMUM_MINUTES = 10
_MEDIAN_FACTOR = 2.0  # a median may move to half or twice the extremes of the trailing days' medians
_RANGE_FACTOR = 2.0  # a minute may lie at half or twice the trailing 1 % and 99 % quantiles
_MOSTLY = 0.8  # share of the day's minutes that must lie inside that range

_MINUTE_NS = 60 * NS_PER_S


@dataclass(frozen=True)
class DriftReport:
    """The warnings of one day and the Data Docs page that shows them (None where there was nothing to compare)."""

    outcomes: tuple[CheckOutcome, ...]
    page: Path | None


def minute_profile(columns: Columns) -> Columns:
    """Return one row a minute of a book table: ``METRICS`` as float64, NaN where a minute has no valid row.

    ``columns`` holds ``PROFILE_COLUMNS`` of shape (rows,), sorted by ``ts_ns``. ``messages`` is a sum a minute,
    ``spread_ticks`` and ``depth_4bps_lots`` (both sides) are means over valid rows. A row belongs to the minute of
    its instant minus 1 ns, as it does to its day.
    """
    minute = (columns["ts_ns"].astype(np.int64) - 1) // _MINUTE_NS
    if not len(minute):
        return {metric: np.zeros(0) for metric in METRICS}
    starts = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
    valid = columns["valid"].astype(np.float64)
    rows = np.diff(starts, append=len(minute))
    judged = np.add.reduceat(valid, starts)

    def mean_of_valid(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        total = np.add.reduceat(values.astype(np.float64) * valid, starts)
        return np.divide(total, judged, out=np.full(len(judged), np.nan), where=judged > 0)

    return {
        "spread_ticks": mean_of_valid(np.subtract(columns["ask_ticks_1"], columns["bid_ticks_1"])),
        "depth_4bps_lots": mean_of_valid(np.add(columns["bid_depth_4bps_lots"], columns["ask_depth_4bps_lots"])),
        "messages": np.add.reduceat(columns["messages"].astype(np.float64), starts),
        "valid_share": judged / rows,
    }


def judge_drift(market: str, date: str, profile: Columns, history: Mapping[str, Columns], docs: Path) -> DriftReport:
    """Compare one day's minutes with those of trailing days; write its Data Docs page under ``docs``.

    ``history``: day -> minute profile, all before ``date``. With no day there is no page and nothing is judged; below
    ``MINIMUM_DAYS`` the page is written and the outcomes are ``not_judged``. An expectation that could not be
    evaluated raises ``RuntimeError``: Great Expectations itself would report it as an ordinary failure.
    """
    days = {day: p for day, p in history.items() if len(p["valid_share"])}
    minutes = len(profile["valid_share"])
    if not days or not minutes:
        return DriftReport(tuple(_outcome(m, [], minutes, 0, len(days)) for m in METRICS), None)
    results, page = _validate(market, date, profile, days, docs)
    outcomes = []
    for metric in METRICS:
        judged = int(np.isfinite(profile[metric]).sum())
        outcomes.append(_outcome(metric, [r for r in results if r["metric"] == metric], minutes, judged, len(days)))
    return DriftReport(tuple(outcomes), page)


def _outcome(metric: str, results: list[dict[str, Any]], minutes: int, judged: int, days: int) -> CheckOutcome:
    broken = [r["what"] for r in results if not r["success"]]
    can_judge = days >= MINIMUM_DAYS and judged >= MINIMUM_MINUTES
    status = "not_judged" if not can_judge else ("refused" if broken else "passed")
    message = "; ".join(broken)
    if not can_judge:
        message = f"{days} trailing days and {judged} minutes, needs {MINIMUM_DAYS} and {MINIMUM_MINUTES}"
    return CheckOutcome(
        f"drift_{metric}",
        status,  # type: ignore[arg-type]
        minutes,
        judged if can_judge else 0,
        MINIMUM_MINUTES,
        severity="warning",
        message=message,
        facts={"trailing_days": days, "expectations": [r["what"] for r in results]},
    )


def _validate(
    market: str, date: str, profile: Columns, days: Mapping[str, Columns], docs: Path
) -> tuple[list[dict[str, Any]], Path]:
    """Run the suite on a pandas batch; return one result an expectation and the page of this day."""
    context, checkpoint, frame = _checkpoint(market, date, profile, days, docs)
    from great_expectations.core.run_identifier import RunIdentifier

    day = parse_date(date)
    run_id = RunIdentifier(
        run_name=f"{date}|{market}", run_time=dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    )
    run = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=run_id)
    (identifier, validation), *_ = run.run_results.items()
    results = []
    for result in validation.results:
        trouble = _exception_text(result.exception_info)
        if trouble:
            raise RuntimeError(f"drift of {market} {date} could not be evaluated: {trouble}")
        kwargs = result.expectation_config.kwargs
        metric = str(kwargs["column"])
        bounds = f"[{kwargs['min_value']:g}, {kwargs['max_value']:g}]"
        if "mostly" in kwargs:
            inside = 1.0 - (result.result["unexpected_percent"] or 0.0) / 100
            what = f"{inside:.1%} of minutes have {metric} in {bounds}, expected {kwargs['mostly']:.0%}"
        else:
            what = f"median {metric} is {result.result['observed_value']:g}, expected {bounds}"
        results.append({"metric": metric, "success": bool(result.success), "what": what})
    url = context.get_docs_sites_urls(resource_identifier=identifier)[0]["site_url"]
    from urllib.parse import unquote, urlparse

    return results, Path(unquote(urlparse(url).path))


def _checkpoint(market: str, date: str, profile: Columns, days: Mapping[str, Columns], docs: Path) -> tuple[Any, ...]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    import pandas as pd
    from great_expectations.checkpoint import UpdateDataDocsAction
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    def folder(name: str) -> dict[str, str]:
        return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs / name)}

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    # Results are kept in files, so that the site's index lists every day and not only the newest.
    config.stores["validation_results_store"] = {
        "class_name": "ValidationResultsStore",
        "store_backend": folder("results"),
    }
    config.data_docs_sites = {
        "docs": {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": folder("site"),
        }
    }
    context = gx.get_context(project_config=config)
    asset = context.data_sources.add_pandas("book_snapshots").add_dataframe_asset(market)
    suite = context.suites.add(gx.ExpectationSuite(SUITE))
    for metric in METRICS:
        for expectation in _expectations(metric, [p[metric] for p in days.values()]):
            suite.add_expectation(expectation)
    definition = gx.ValidationDefinition(name=date, data=asset.add_batch_definition_whole_dataframe(date), suite=suite)
    actions: list[Any] = [UpdateDataDocsAction(name="data_docs", site_names=["docs"])]
    checkpoint = gx.Checkpoint(
        name=date, validation_definitions=[context.validation_definitions.add(definition)], actions=actions
    )
    return context, context.checkpoints.add(checkpoint), pd.DataFrame({m: profile[m] for m in METRICS})


def _expectations(metric: str, trailing: list[np.ndarray[Any, Any]]) -> list[Any]:
    import great_expectations.expectations as gxe

    pooled = np.concatenate(trailing)
    pooled = pooled[np.isfinite(pooled)]
    if not len(pooled):
        return []
    medians = [float(np.nanmedian(day)) for day in trailing if np.isfinite(day).any()]
    low, high = (float(q) for q in np.quantile(pooled, [0.01, 0.99]))
    return [
        gxe.ExpectColumnMedianToBeBetween(
            column=metric, min_value=min(medians) / _MEDIAN_FACTOR, max_value=max(medians) * _MEDIAN_FACTOR
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column=metric, min_value=low / _RANGE_FACTOR, max_value=high * _RANGE_FACTOR, mostly=_MOSTLY
        ),
    ]


def _exception_text(info: Any) -> str:
    """Return the first exception that hides in ``exception_info`` (flat, or one entry a metric), or ''."""
    if not info:
        return ""
    entries = [info] if "raised_exception" in info else [e for e in info.values() if isinstance(e, dict)]
    return next((str(e.get("exception_message")) for e in entries if e.get("raised_exception")), "")
