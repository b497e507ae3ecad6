"""Jobs: what is launched by name. All run in one process: a step in another process would import everything anew."""

from __future__ import annotations

import dagster as dg

from lob_pipeline.stages.layers import LAYERS, TABLES, Layer

EVALUATED = ("training_set", "feasibility_report", "walk_forward_report", "verdict")
RETRAINED = (*EVALUATED, "lob_moe", "registered_model")
SHADOWED = ("predictions", "shadow_report")

# `lob run` says itself what a step said; the instance keeps the whole log.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def make_jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs: data layers together and one by one, marts, retraining, evaluation, shadow."""
    tables = dg.AssetSelection.assets(*TABLES).without_checks()
    return [
        dg.define_asset_job(
            "nightly",
            tables,
            description="Every data layer of one market and day.",
            executor_def=dg.in_process_executor,
        ),
        dg.define_asset_job(
            "backfill_market",
            tables,
            description="Every data layer of one market, one day a run; for long ranges backfill layer by layer.",
            executor_def=dg.in_process_executor,
        ),
        *(layer_job(layer) for layer in LAYERS),
        marts_job(),
        _result_job("retrain", RETRAINED, "Training set, evaluation, model and challenger of one as-of day."),
        _result_job("evaluate", EVALUATED, "Training set, feasibility, walk-forward and verdict of one as-of day."),
        _result_job("shadow_score", SHADOWED, "Champion and challenger on one day, beside what happened."),
    ]


def _result_job(name: str, assets: tuple[str, ...], description: str) -> dg.UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        name,
        dg.AssetSelection.assets(*assets).without_checks(),
        description=description,
        executor_def=dg.in_process_executor,
    )


def layer_job(layer: Layer) -> dg.UnresolvedAssetJobDefinition:
    """Return ``build_<layer>``: one layer over a range of days, what `lob run` executes."""
    return dg.define_asset_job(
        f"build_{layer.name}",
        dg.AssetSelection.assets(*layer.tables).without_checks(),
        description=f"The tables {', '.join(layer.tables)} over a range of days.",
        executor_def=dg.in_process_executor,
    )


def marts_job() -> dg.UnresolvedAssetJobDefinition:
    """Return ``dbt_marts``."""
    return dg.define_asset_job(
        "dbt_marts",
        dg.AssetSelection.groups("marts"),
        description="The dbt project over the whole lake, usable partitions only.",
        executor_def=dg.in_process_executor,
    )
