"""Group ``evaluation``: what trading costs before any model, every model on blocks it has not seen, and the verdict.

These assets report: DO_NOT_TRADE and NOT_ENOUGH_DATA are results of a green run.
"""

from collections.abc import Iterator

import dagster as dg

from lob_pipeline.assets.common import result_spec
from lob_pipeline.resources import TRAIN, Lake, Stages
from lob_pipeline.results import no_fold, report


def feasibility_report(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``feasibility_report``: the calculation before any model."""
    spec = result_spec(
        "feasibility_report",
        "evaluation",
        part,
        ["training_set", "labels", "book_snapshots"],
        "What the best case could earn at each horizon against fees, adverse selection and slippage.",
        {"json"},
    )

    @dg.multi_asset(specs=[spec], name="feasibility_report")
    def feasibility_report(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), stages.feasibility)

    return feasibility_report


def walk_forward_report(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``walk_forward_report``. Finished folds are kept, so a run that was cut short goes on.

    Days that give no fold are a result, NOT_ENOUGH_DATA: nothing is yielded, verdict and model are skipped.
    """
    spec = result_spec(
        "walk_forward_report",
        "evaluation",
        part,
        ["training_set", "labels", "book_snapshots"],
        "Every model fitted before each test block and scored on it, under three queue models, with the HTML report.",
        {"html"},
    )

    @dg.multi_asset(specs=[spec.replace_attributes(skippable=True)], name="walk_forward_report", pool=TRAIN)
    def walk_forward_report(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), stages.walk_forward, lacks_data=no_fold)

    return walk_forward_report


def verdict(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``verdict``. Its gates are shown as checks: warnings with value and bound, never a failed run."""
    spec = result_spec(
        "verdict",
        "evaluation",
        part,
        ["walk_forward_report", "training_set"],
        "TRADE, DO_NOT_TRADE or NOT_ENOUGH_DATA, with the reasons, every gate, and the break-even maker fee.",
        {"json"},
    )

    @dg.multi_asset(specs=[spec], name="verdict")
    def verdict(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), stages.verdict)

    return verdict
