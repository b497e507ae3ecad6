"""Group ``training``: which days may be learned from, and the model that learns from all of them."""

from collections.abc import Iterator

import dagster as dg

from lob_pipeline.assets.common import result_spec
from lob_pipeline.resources import TRAIN, Lake, Stages
from lob_pipeline.results import report


def training_set(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``training_set``. Too few days is a result, NOT_ENOUGH_DATA: nothing is yielded, what follows is skipped.

    The earlier days of the window are inputs by content hash, never edges: one refused day would hold back every
    training set of the four weeks after it.
    """
    spec = result_spec(
        "training_set",
        "training",
        part,
        ["features", "labels"],
        "The usable days of the window that ends with the as-of day, by content hash, and why the others are left out.",
        {"json"},
    )

    @dg.multi_asset(specs=[spec.replace_attributes(skippable=True)], name="training_set")
    def training_set(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), stages.training_set, lacks_data=lambda *_: True)

    return training_set


def lob_moe(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``lob_moe``, the model trained on every day of the training set."""
    spec = result_spec(
        "lob_moe",
        "training",
        part,
        ["training_set", "feasibility_report", "verdict"],
        "The mixture-of-experts Transformer trained on the whole training set (its last fifth held out).",
        {"pytorch"},
    )

    @dg.multi_asset(specs=[spec], name="lob_moe", pool=TRAIN)
    def lob_moe(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), stages.train)

    return lob_moe
