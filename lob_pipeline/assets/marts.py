"""Group ``marts``: the dbt project over the lake. Unpartitioned leaves: nothing partitioned depends on them."""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from lob_pipeline.lake.home import Home
from lob_pipeline.resources import DBT, Lake
from lob_pipeline.stages.marts import PROJECT, Marts, dbt_executable


class _Names(DagsterDbtTranslator):
    """A dbt source or model has the asset key of its own name: sources are the lake's table assets."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return dg.AssetKey(dbt_resource_props["name"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return "marts"


def dbt_marts(home: Home) -> dg.AssetsDefinition:
    """Return the dbt models as assets. dbt's manifest is parsed once and kept until a file of the project changes."""
    marts = Marts(home)

    @dbt_assets(manifest=marts.ensure_manifest(), dagster_dbt_translator=_Names(), name="dbt_build", pool=DBT)
    def dbt_marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: Lake):  # type: ignore[no-untyped-def]
        marts = Marts(lake.home())
        with marts.lock():
            os.environ.update(marts.environment)  # dbt reads its paths from the environment
            inputs = marts.write_usable()
            command = ["build", *(["--full-refresh"] if marts.needs_full_refresh() else [])]
            yield from dbt.cli(command, context=context, target_path=marts.target).stream()
            if not context.op_execution_context.is_subset:
                marts.record_built(inputs)

    return dbt_marts


def dbt_resource(home: Home) -> DbtCliResource:
    """Return the resource that runs dbt on a home's database."""
    marts = Marts(home)
    project = DbtProject(PROJECT, target_path=marts.target, profiles_dir=PROJECT)
    return DbtCliResource(project_dir=project, profiles_dir=str(PROJECT), dbt_executable=dbt_executable())
