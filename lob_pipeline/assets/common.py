"""What every table asset shares: its spec from the table's declaration, its policy, and its checks in the UI."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from lob_pipeline.checks import CHECKS, attempt, evaluations, settle, with_drift
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.core.tables import Table
from lob_pipeline.lake.home import Home
from lob_pipeline.partitions import parse_key
from lob_pipeline.resources import Drift, Lake
from lob_pipeline.results import RESULT_CHECKS, recorded_result
from lob_pipeline.stages.plan import recorded_outcomes
from lob_pipeline.stages.result import StageResult
from lob_pipeline.whynot import with_reason


def table_spec(table: Table, group: str, part: dg.PartitionsDefinition, deps: Sequence[str]) -> dg.AssetSpec:
    """Return the spec of a table's asset: docs and column schema come from the declaration, edges are same-day."""
    columns = [
        dg.TableColumn(
            c.name,
            c.dtype,
            description=c.doc or None,
            constraints=dg.TableColumnConstraints(nullable=c.nullable),
        )
        for c in table.columns
    ]
    return dg.AssetSpec(
        table.name,
        group_name=group,
        description=f"One row is {table.doc}.",
        partitions_def=part,
        deps=list(deps),
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns)},
        kinds={"parquet"},
    )


def build_keys(
    context: dg.AssetExecutionContext,
    home: Home,
    build: Callable[[Home, Market, str], StageResult | Sequence[StageResult]],
    judge_drift: Drift | None = None,
) -> None:
    """Build every key of the step by itself and settle them all: good keys published, bad keys named with reason."""
    outcomes = [attempt(context, key, lambda m, d: build(home, m, d)) for key in context.partition_keys]
    if judge_drift is not None:
        outcomes = [with_drift(context, outcome, home, judge_drift) for outcome in outcomes]
    settle(context, [with_reason(context, outcome, home) for outcome in outcomes])


def table_checks(table: str, part: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    """Return the checks of a table for the UI: what the manifests of its partitions say."""
    return _shown_checks(table, dict.fromkeys(CHECKS[table]), part, recorded_outcomes)


def result_checks(name: str, part: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    """Return the checks of an asset whose stage writes a document: what that document says."""
    return _shown_checks(name, RESULT_CHECKS[name], part, recorded_result)


def _shown_checks(
    name: str,
    checks: Mapping[str, str | None],
    part: dg.PartitionsDefinition,
    recorded: Callable[[Home, str, Market, str], Sequence[CheckOutcome]],
) -> dg.AssetChecksDefinition:
    """Return checks (name -> what it asks) whose execution reads again what was recorded; it judges nothing anew."""
    asset = dg.AssetKey(name)
    specs = [
        dg.AssetCheckSpec(check, asset=asset, partitions_def=part, description=asked) for check, asked in checks.items()
    ]

    @dg.multi_asset_check(specs=specs, name=f"{name}_gates", can_subset=True)
    def gates(context: dg.AssetCheckExecutionContext, lake: Lake):  # type: ignore[no-untyped-def]
        layer = context.op_execution_context.job_def.asset_layer
        settled = asset in layer.selected_asset_keys  # then the asset's own step of this run has logged them
        for key in () if settled else context.partition_keys:
            for event in evaluations(asset, key, recorded(lake.home(), name, *parse_key(key))):
                context.op_execution_context.log_event(event)  # type: ignore[arg-type]  # it takes every user event
        yield from ()

    return gates


def result_spec(
    name: str, group: str, part: dg.PartitionsDefinition, deps: Sequence[str], description: str, kinds: set[str]
) -> dg.AssetSpec:
    """Return the spec of an asset whose stage writes documents, not a table. Its day is the as-of day."""
    return dg.AssetSpec(
        name,
        group_name=group,
        description=description,
        partitions_def=part,
        deps=list(deps),
        kinds=kinds,
    )
