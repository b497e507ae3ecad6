"""Settling a range of partitions: what was published is logged, what was refused fails the step by name.

Dagster mirrors the lake's gates here and never replaces them: a refused partition is already in quarantine.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.core.units import format_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest
from lob_pipeline.pages import page_link
from lob_pipeline.partitions import parse_key
from lob_pipeline.quality.drift_suites import BOOKS, FEATURES, LABELS, SUITES
from lob_pipeline.stages.result import StageResult

if TYPE_CHECKING:
    from lob_pipeline.quality.expectations import DriftReport

PUBLISHED = "published"  # of every table: is the partition in the lake and usable
_SHOWN = 8

# The checks that the UI knows of each table: the gates of its stage, and drift. A partition whose stage runs
# another gate is still held back by it (the gate is in the manifest); a test keeps this list complete.
CHECKS: dict[str, tuple[str, ...]] = {
    "l2_events": (PUBLISHED, "schema", "messages", "verifiable_start", "segment_ledger_match"),
    "trades": (PUBLISHED, "schema", "trade_rows"),
    "quotes": (PUBLISHED, "schema"),
    "book_snapshots": (
        PUBLISHED,
        "schema",
        "not_empty",
        "rows_on_grid",
        "levels_ordered",
        "sizes_positive",
        "valid_uncrossed",
        "rows_closed",
        "some_row_valid",
        "no_crossed_row",
        "trade_touch_match",
        "two_sided_uncrossed",
        "never_crossed",
        "depth_kept",
        "spread_sanity",
        "bridges_applied",
        "top_of_book_match",
        "top_of_book_on_rows",
        "top_of_book_in_force",
        "rows_in_force",
        "quote_clock_match",
        "updates_in_time",
        "depth_agreement",
        "closing_snapshot_match",
        "boundary_match",
        "rows_equal_levels",
        "levels_within_depth",
        "deletes_known",
        "updates_change",
        "snapshot_depth",
        "snapshot_continues",
        "both_sides_move",
        "update_chain",
        "no_duplicates",
        "seq_order",
        "time_order",
        "inside_day",
        "clock_drift",
        "message_steps",
        "tick_tight",
        "lot_tight",
        "lots_on_grid",
        "trade_tick_tight",
        "sizes_vary",
        "clock_pair",
        "trade_sides",
        "trades_off_spread",
        "trades_near",
        "trade_clock",
        "trade_ids_unique",
        "trade_ids_complete",
        "trade_quote_sides",
        "trade_quote_spread",
        "trade_quote_near",
        "certificate",
        "warm_rows",
        *BOOKS.checks,
    ),
    "seasonal_profile": (PUBLISHED, "schema", "strictly_earlier", "odd_microprice"),
    "features": (PUBLISHED, "schema", "nan_rule", "prefix_invariance", "warm_rows", *FEATURES.checks),
    "labels": (
        PUBLISHED,
        "schema",
        "ordering_law",
        "null_rule",
        "fill_rule",
        "decision_prices",
        "valid_rows",
        *LABELS.checks,
    ),
}


@dataclass(frozen=True)
class KeyOutcome:
    """What a stage did with one partition key: a result a table, or why there is none.

    ``reason``: what the UI shows of a key that was not published (``whynot``).
    """

    key: str
    results: tuple[StageResult, ...] = ()
    error: str = ""
    warnings: tuple[CheckOutcome, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    reason: dict[str, Any] = field(default_factory=dict)

    @property
    def bad(self) -> bool:
        """Whether the key has a table that was not published."""
        return bool(self.error) or any(result.refused for result in self.results)


def attempt(
    context: dg.AssetExecutionContext,
    key: str,
    build: Callable[[Market, str], StageResult | Sequence[StageResult]],
) -> KeyOutcome:
    """Build one key. A failure of one day is that day's: it is recorded, and the other days go on."""
    try:
        found = build(*parse_key(key))
    except LobError as error:
        return KeyOutcome(key, error=str(error))
    except Exception as error:
        context.log.error(f"{key}: {traceback.format_exc()}")
        return KeyOutcome(key, error=f"{type(error).__name__}: {error}")
    return KeyOutcome(key, results=(found,) if isinstance(found, StageResult) else tuple(found))


def with_drift(
    context: dg.AssetExecutionContext,
    outcome: KeyOutcome,
    home: Home,
    judge_drift: Callable[[Home, Market, str], DriftReport],
) -> KeyOutcome:
    """Add the drift warnings and the Data Docs link to a key whose one table was built, refused or not.

    Drift never fails a partition; when it cannot be evaluated, that is logged and shown as not judged.
    """
    if outcome.error:
        return outcome
    try:
        report = judge_drift(home, *parse_key(outcome.key))
    except Exception as error:
        context.log.warning(f"{outcome.key}: drift could not be judged: {traceback.format_exc()}")
        why = f"could not be evaluated: {error}"
        names = SUITES[outcome.results[0].table].checks
        unjudged = tuple(CheckOutcome(name, "not_judged", 0, 0, 1, "warning", why) for name in names)
        return replace(outcome, warnings=unjudged)
    links = (("data_docs", str(report.page)),) if report.page else ()
    # Without enough trailing days nothing was evaluated, and that is how the UI shows a check that has no evaluation.
    judged = tuple(o for o in report.outcomes if o.status != "not_judged")
    return replace(outcome, warnings=judged, links=links)


def settle(context: dg.AssetExecutionContext, outcomes: Sequence[KeyOutcome]) -> None:
    """Log every key at its own partition; raise ``dagster.Failure`` naming the bad keys when there are any.

    Good partitions count as materialised even when others fail the step: their evaluations and metadata (content hash,
    rows, certificate) are logged here. Where no key is bad, Dagster itself logs the materialisations from the same
    metadata once the step ends.
    """
    bad = [outcome for outcome in outcomes if outcome.bad]
    for outcome in outcomes:
        results = {result.table: result for result in outcome.results}
        for asset in sorted(context.selected_asset_keys):
            result = results.get(asset.path[-1])
            for event in evaluations(asset, outcome.key, _outcomes(outcome, result)):
                context.log_event(event)
            if result is None or result.refused:
                if outcome.reason:
                    context.log_event(dg.AssetObservation(asset, partition=outcome.key, metadata=outcome.reason))
                continue
            metadata = metadata_of(result.manifest, str(result.path), dict(outcome.links))
            if bad:
                context.log_event(dg.AssetMaterialization(asset, partition=outcome.key, metadata=metadata))
            else:
                context.add_asset_metadata(metadata, asset_key=asset, partition_key=outcome.key)
    if bad:
        raise dg.Failure(
            description=f"{len(bad)} of {len(outcomes)} partitions were not published: " + _reasons(bad),
            metadata={outcome.key: _reason(outcome) for outcome in bad},
            allow_retries=False,
        )


def evaluations(asset: dg.AssetKey, key: str, outcomes: Iterable[CheckOutcome]) -> list[dg.AssetCheckEvaluation]:
    """Return Dagster's form of check outcomes, each at the partition that was checked."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=outcome.name,
            passed=outcome.status == "passed",
            severity=dg.AssetCheckSeverity.ERROR if outcome.refuses else dg.AssetCheckSeverity.WARN,
            description=outcome.message or outcome.status,
            partition=key,
            metadata={
                "status": outcome.status,
                "rows_examined": outcome.rows_examined,
                "rows_judged": outcome.rows_judged,
                "minimum_judged": outcome.minimum_judged,
                "facts": dg.MetadataValue.json(plain(outcome.facts)),
                **{k: v for k, v in outcome.facts.items() if k in ("value", "bound") and isinstance(v, int | float)},
            },
        )
        for outcome in outcomes
    ]


def metadata_of(manifest: Manifest, path: str, links: dict[str, str] | None = None) -> dict[str, Any]:
    """Return what the UI shows of a published partition: hashes, rows, coverage, certificate, links."""
    metadata: dict[str, Any] = {
        "dagster/row_count": manifest.rows,
        "content_sha256": manifest.content_sha256,
        "code_fingerprint": manifest.code_fingerprint,
        "trainable": manifest.trainable,
        "path": dg.MetadataValue.path(path),
        "inputs": dg.MetadataValue.json(dict(manifest.inputs)),
    }
    if manifest.coverage:
        metadata["coverage"] = " to ".join(format_ns(t) for t in manifest.coverage)
    if manifest.certificate:
        certificate = plain(manifest.certificate)
        metadata["certificate"] = dg.MetadataValue.json(certificate)
        metadata["certificate_holds"] = bool(certificate.get("holds"))
        metadata["book_coverage"] = float(certificate.get("coverage", 0.0))
        metadata["gaps"] = len(certificate.get("gaps", ()))
    if "base_rates" in manifest.extra:
        metadata["base_rates"] = dg.MetadataValue.json(plain(manifest.extra["base_rates"]))
    for name, target in (links or {}).items():
        metadata[name] = page_link(target)
    return metadata


def _outcomes(outcome: KeyOutcome, result: StageResult | None) -> list[CheckOutcome]:
    """Return the outcomes of one table of a key, with ``published`` first."""
    if result is None:
        return [
            CheckOutcome(PUBLISHED, "refused", 0, 0, 0, message=outcome.error or "the stage returned no such table")
        ]
    rows = result.manifest.rows
    status = "refused" if result.refused else "passed"
    published = CheckOutcome(PUBLISHED, status, rows, rows, 0, message=result.reason)  # type: ignore[arg-type]
    return [published, *result.manifest.outcomes, *outcome.warnings]


def _reason(outcome: KeyOutcome) -> str:
    return outcome.error or "; ".join(f"{r.table}: {r.reason}" for r in outcome.results if r.refused)


def _reasons(bad: list[KeyOutcome]) -> str:
    shown = "; ".join(f"{outcome.key} ({_reason(outcome)})" for outcome in bad[:_SHOWN])
    return shown + (f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else "")


def plain(value: Any) -> Any:
    """Return plain JSON types (numpy numbers become numbers)."""
    return json.loads(json.dumps(value, default=lambda v: v.item() if hasattr(v, "item") else str(v)))
