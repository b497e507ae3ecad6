"""``feasibility.json``: what the stage writes for the days up to a date, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.feasibility import feasibility, feasibility_report
from lob_pipeline_tests.stages.test_first_page import MARKET, write_day


def test_the_report_holds_the_days_of_its_window(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for date in ("2024-08-06", "2024-08-08", "2024-08-09"):
        write_day(home, date)
    found = feasibility_report(home, MARKET, "2024-08-08", window_days=2)
    folder = home.root / "evaluation" / "bybit-linear.BTCUSDT" / "t100ms" / "2024-08-08"
    assert found.path == folder / "feasibility.json"
    assert found.report["days"] == ["2024-08-08"]
    assert json.loads(found.path.read_text("utf-8")) == found.report
    assert found.to_json() == {"path": str(found.path), **found.report}
    assert found.report == feasibility(home, MARKET, "2024-08-08", "2024-08-08")
    assert feasibility_report(home, MARKET, "2024-08-08").report["days"] == ["2024-08-06", "2024-08-08"]
    assert [p.name for p in found.path.parent.iterdir()] == ["feasibility.json"], "nothing half-written is left"


def test_no_book_in_the_window_is_refused_and_no_day_is_bad_input(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    write_day(home, "2024-08-08")
    with pytest.raises(RefusedError, match="no book"):
        feasibility_report(home, MARKET, "2024-08-07")
    with pytest.raises(BadInputError, match="is not a day"):
        feasibility_report(home, MARKET, "yesterday")
    assert not (home.root / "evaluation").exists()
