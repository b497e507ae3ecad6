"""Links from the UI to the pages of a home's reports: a browser opens no file from a page that came over http."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg

REPORTS_URL, REPORTS_FOLDER = "LOB_REPORTS_URL", "LOB_REPORTS_FOLDER"
"""Set by ``make ui``, which serves the folder there, for the processes that it starts."""


def page_link(page: str) -> dg.MetadataValue[Any]:
    """Return a link that the UI can open where ``page`` lies in the folder that is served, else its path."""
    served, folder = os.environ.get(REPORTS_URL), os.environ.get(REPORTS_FOLDER)
    if served and folder and Path(page).is_relative_to(folder):
        return dg.MetadataValue.url(f"{served}/{Path(page).relative_to(folder).as_posix()}")
    return dg.MetadataValue.path(page)
