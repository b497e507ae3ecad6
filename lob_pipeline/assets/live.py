"""Group ``live``: what champion and challenger would have said of a day, and what happened then."""

from collections.abc import Iterator

import dagster as dg

from lob_pipeline.assets.common import result_spec
from lob_pipeline.resources import KERNELS, Lake, Stages
from lob_pipeline.results import report


def predictions(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``predictions``. The bundles are inputs, named in every row: a model predicts days after its own."""
    spec = result_spec(
        "predictions",
        "live",
        part,
        ["features"],
        "Two predictions an instant by champion and challenger, computed with the live process's own step.",
        {"parquet"},
    )

    @dg.multi_asset(specs=[spec], name="predictions", pool=KERNELS)
    def predictions(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), stages.predictions)

    return predictions


def shadow_report(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``shadow_report``: predictions joined with the labels of their day."""
    spec = result_spec(
        "shadow_report",
        "live",
        part,
        ["predictions", "labels"],
        "Predicted fill rate, markout and edge against what happened, champion beside challenger.",
        {"json"},
    )

    @dg.multi_asset(specs=[spec], name="shadow_report")
    def shadow_report(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), stages.shadow_report)

    return shadow_report
