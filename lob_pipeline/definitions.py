"""The Dagster code location: ``build_defs`` assembles it, ``defs`` (over ``LOB_HOME``) is what workspace.yaml loads."""

from __future__ import annotations

import dagster as dg

from lob_pipeline.assets.common import result_checks, table_checks
from lob_pipeline.assets.marts import dbt_marts, dbt_resource
from lob_pipeline.assets.raw import raw_segments
from lob_pipeline.assets.tables import result_assets, table_assets
from lob_pipeline.jobs import make_jobs
from lob_pipeline.lake.home import Home, find_home
from lob_pipeline.partitions import make_partitions
from lob_pipeline.resources import Lake, Stages, default_stages
from lob_pipeline.results import RESULT_CHECKS
from lob_pipeline.schedules import nightly_data, nightly_retrain
from lob_pipeline.sensors import closed_segments, live_shadow, on_failure, promotion_ready
from lob_pipeline.stages.layers import TABLES


def build_defs(overrides: Stages | None = None, home: Home | None = None) -> dg.Definitions:
    """Return the definitions over ``home`` (``LOB_HOME`` by default); ``overrides`` replaces the stage functions."""
    home = home or find_home()
    part = make_partitions(home)
    return dg.Definitions(
        assets=[raw_segments(part), *table_assets(part).values(), dbt_marts(home), *result_assets(part).values()],
        asset_checks=[
            *(table_checks(name, part) for name in TABLES),
            *(result_checks(name, part) for name in RESULT_CHECKS),
        ],
        jobs=make_jobs(),
        schedules=[nightly_data, nightly_retrain],
        sensors=[on_failure, closed_segments, live_shadow, promotion_ready],
        resources={"lake": Lake.of(home), "stages": overrides or default_stages(), "dbt": dbt_resource(home)},
    )


def __getattr__(name: str) -> dg.Definitions:
    # ``defs`` is built when it is asked for: building it reads LOB_HOME and parses the dbt project, which a test
    # location or `lob run --home` that imports ``build_defs`` must not do to the default home.
    if name == "defs":
        return build_defs()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
