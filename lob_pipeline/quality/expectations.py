"""Drift of a day's table against the same market's trailing days: Great Expectations suites, Data Docs for people.

It warns and never refuses. A minute is the unit (``drift_suites``): a day becomes one row a minute of a few quantities,
and two facts of each are compared with the pooled minutes of the trailing days: where the day's middle lies, and the
share of its minutes inside the trailing range.
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
from lob_pipeline.core.units import parse_date
from lob_pipeline.quality.drift_suites import Metric, Suite

MINIMUM_DAYS = 3  # trailing days below which drift is shown but not judged
MINIMUM_MINUTES = 10
_MIDDLE_FACTOR = 2.0  # a median or mean may move to half or twice the extremes of the trailing days' own
_MIDDLE_SPAN = 0.25  # or, where it has no sign of its own, by this part of the trailing 1 % to 99 % range
_RANGE_FACTOR = 2.0  # a minute may lie at half or twice the trailing 1 % and 99 % quantiles
_RANGE_SPAN = 0.5  # or this part of their distance outside them
_MOSTLY = 0.8  # share of the day's minutes that must lie inside that range


@dataclass(frozen=True)
class DriftReport:
    """The warnings of one day and the Data Docs page that shows them (None where there was nothing to compare)."""

    outcomes: tuple[CheckOutcome, ...]
    page: Path | None


def judge_drift(
    suite: Suite, market: str, date: str, profile: Columns, history: Mapping[str, Columns], docs: Path
) -> DriftReport:
    """Compare one day's minutes with those of trailing days; write its Data Docs page under ``docs``.

    ``history``: day -> minute profile, all before ``date``. With no day there is no page and nothing is judged; below
    ``MINIMUM_DAYS`` the page is written and the outcomes are ``not_judged``. An expectation that could not be
    evaluated raises ``RuntimeError``: Great Expectations itself would report it as an ordinary failure.
    """
    days = {day: p for day, p in history.items() if len(next(iter(p.values())))}
    minutes = len(next(iter(profile.values())))
    if not days or not minutes:
        return DriftReport(tuple(_outcome(m, [], minutes, 0, len(days)) for m in suite.metrics), None)
    results, page = _validate(suite, market, date, profile, days, docs)
    outcomes = []
    for metric in suite.metrics:
        judged = int(np.isfinite(profile[metric.name]).sum())
        mine = [r for r in results if r["metric"] == metric.name]
        outcomes.append(_outcome(metric, mine, minutes, judged if mine else 0, len(days)))
    return DriftReport(tuple(outcomes), page)


def _outcome(metric: Metric, results: list[dict[str, Any]], minutes: int, judged: int, days: int) -> CheckOutcome:
    broken = [r["what"] for r in results if not r["success"]]
    can_judge = days >= MINIMUM_DAYS and judged >= MINIMUM_MINUTES
    status = "not_judged" if not can_judge else ("refused" if broken else "passed")
    message = "; ".join(broken)
    if not can_judge:
        message = f"{days} trailing days and {judged} minutes, needs {MINIMUM_DAYS} and {MINIMUM_MINUTES}"
    return CheckOutcome(
        f"drift_{metric.name}",
        status,  # type: ignore[arg-type]
        minutes,
        judged if can_judge else 0,
        MINIMUM_MINUTES,
        severity="warning",
        message=message,
        facts={"trailing_days": days, "expectations": [r["what"] for r in results]},
    )


def _validate(
    suite: Suite, market: str, date: str, profile: Columns, days: Mapping[str, Columns], docs: Path
) -> tuple[list[dict[str, Any]], Path]:
    """Run the suite on a pandas batch; return one result an expectation and the page of this day."""
    context, checkpoint, frame = _checkpoint(suite, market, date, profile, days, docs)
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
            raise RuntimeError(f"{suite.name} of {market} {date} could not be evaluated: {trouble}")
        kwargs = result.expectation_config.kwargs
        metric = str(kwargs["column"])
        bounds = f"[{kwargs['min_value']:g}, {kwargs['max_value']:g}]"
        if "mostly" in kwargs:
            inside = 1.0 - (result.result["unexpected_percent"] or 0.0) / 100
            what = f"{inside:.1%} of minutes have {metric} in {bounds}, expected {kwargs['mostly']:.0%}"
        else:
            middle = "mean" if "mean" in result.expectation_config.type else "median"
            what = f"{middle} {metric} is {result.result['observed_value']:g}, expected {bounds}"
        results.append({"metric": metric, "success": bool(result.success), "what": what})
    url = context.get_docs_sites_urls(resource_identifier=identifier)[0]["site_url"]
    from urllib.parse import unquote, urlparse

    return results, Path(unquote(urlparse(url).path))


def _checkpoint(
    suite: Suite, market: str, date: str, profile: Columns, days: Mapping[str, Columns], docs: Path
) -> tuple[Any, ...]:
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
    asset = context.data_sources.add_pandas(suite.table).add_dataframe_asset(market)
    expected = context.suites.add(gx.ExpectationSuite(suite.name))
    for metric in suite.metrics:
        if np.isfinite(profile[metric.name]).any():
            for expectation in _expectations(metric, [p[metric.name] for p in days.values()]):
                expected.add_expectation(expectation)
    batch = asset.add_batch_definition_whole_dataframe(date)
    definition = gx.ValidationDefinition(name=date, data=batch, suite=expected)
    actions: list[Any] = [UpdateDataDocsAction(name="data_docs", site_names=["docs"])]
    checkpoint = gx.Checkpoint(
        name=date, validation_definitions=[context.validation_definitions.add(definition)], actions=actions
    )
    return context, context.checkpoints.add(checkpoint), pd.DataFrame({m.name: profile[m.name] for m in suite.metrics})


def _expectations(metric: Metric, trailing: list[np.ndarray[Any, Any]]) -> list[Any]:
    """Return what the trailing days (float64 (minutes,) each) let one expect; nothing where they know nothing of it."""
    import great_expectations.expectations as gxe

    days = [day[np.isfinite(day)] for day in trailing if np.isfinite(day).any()]
    if not days:
        return []
    low, high = (float(q) for q in np.quantile(np.concatenate(days), [0.01, 0.99]))
    middles = [float(np.mean(day) if metric.rule == "rate" else np.median(day)) for day in days]
    first, last = min(middles), max(middles)
    if metric.rule == "span":
        first, last = first - _MIDDLE_SPAN * (high - low), last + _MIDDLE_SPAN * (high - low)
    else:
        first, last = first / _MIDDLE_FACTOR, last * _MIDDLE_FACTOR
    if metric.rule == "factor":
        bottom, top = low / _RANGE_FACTOR, high * _RANGE_FACTOR
    else:
        bottom, top = low - _RANGE_SPAN * (high - low), high + _RANGE_SPAN * (high - low)
    middle = gxe.ExpectColumnMeanToBeBetween if metric.rule == "rate" else gxe.ExpectColumnMedianToBeBetween
    return [
        middle(column=metric.name, min_value=first, max_value=last),
        gxe.ExpectColumnValuesToBeBetween(column=metric.name, min_value=bottom, max_value=top, mostly=_MOSTLY),
    ]


def _exception_text(info: Any) -> str:
    """Return the first exception that hides in ``exception_info`` (flat, or one entry a metric), or ''."""
    if not info:
        return ""
    entries = [info] if "raised_exception" in info else [e for e in info.values() if isinstance(e, dict)]
    return next((str(e.get("exception_message")) for e in entries if e.get("raised_exception")), "")
