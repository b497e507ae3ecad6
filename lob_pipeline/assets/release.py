"""Group ``release``: the trained model as an immutable bundle in the registry."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from lob_pipeline.assets.common import result_spec
from lob_pipeline.resources import REGISTRY, Lake, Stages
from lob_pipeline.results import report


def registered_model(part: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return ``registered_model``. It registers a challenger and promotes nothing: promotion is a command."""
    spec = result_spec(
        "registered_model",
        "release",
        part,
        ["lob_moe", "training_set", "feasibility_report", "verdict"],
        "The bundle of the trained model, registered as challenger once parity and calibration hold.",
        {"mlflow"},
    )

    @dg.multi_asset(specs=[spec], name="registered_model", pool=REGISTRY)
    def registered_model(
        context: dg.AssetExecutionContext, lake: Lake, stages: dg.ResourceParam[Stages]
    ) -> Iterator[dg.MaterializeResult]:
        yield from report(context, lake.home(), partial(stages.register_model, dagster_run_id=context.run_id))

    return registered_model
