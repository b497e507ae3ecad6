"""Where the project's own files lie, and where the Dagster instance of a home is. Imports no dagster."""

from __future__ import annotations

import os
from pathlib import Path

from lob_pipeline.lake.home import Home


def find_project() -> Path:
    """Return the project's root: where ``workspace.yaml``, ``dagster.yaml`` and ``dbt_features/`` lie."""
    return Path(__file__).resolve().parents[1]


def instance_home(home: Home) -> Path:
    """Return the Dagster instance's folder.

    ``HOME/.dagster`` when the user named a home (nothing outside it is touched then), else ``DAGSTER_HOME``, else the
    project's ``.dagster``.
    """
    if home.given:
        return home.root / ".dagster"
    named = os.environ.get("DAGSTER_HOME")
    return Path(named).absolute() if named else find_project() / ".dagster"
