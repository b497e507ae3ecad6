"""Coefficients over the lake: the same numbers as from the arrays, days pooled, nothing read that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import ROW
from lob_pipeline.evaluation.ic import forward_log_return, information_coefficient
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.registry import INDEX
from lob_pipeline.features.state import new_state
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.information import information_coefficients
from lob_pipeline_tests.features.rows import RowPlan, random_rows
from lob_pipeline_tests.stages.test_build_features import CLOCK, MARKET, MIDNIGHT, publish

NAMES = ["queue_imbalance_l1_ratio", "ofi_l1_5s_lots"]
SECOND = 1_000_000_000


def test_two_days_are_one_series(tmp_path: Path) -> None:
    home, days = Home(tmp_path), ["2024-05-01", "2024-05-02"]
    start = MIDNIGHT - 300 * CLOCK.step_ns
    rows = random_rows(RowPlan(700, seed=3, step_ns=CLOCK.step_ns, start_ns=start, invalid=0.01))
    for day, part in zip(days, (rows[:300], rows[300:]), strict=True):
        publish(home, day, part)
        build_features(home, MARKET, day, CLOCK.id)
    found = information_coefficients(home, MARKET, days, NAMES, 5 * SECOND, CLOCK.id)
    features, _ = run_batch(new_state(CLOCK, instrument(MARKET)), rows)
    m2 = rows[:, ROW["bid_ticks_1"]] + rows[:, ROW["ask_ticks_1"]]
    after = forward_log_return(rows[:, ROW["ts_ns"]], m2, rows[:, ROW["valid"]] != 0, 5 * SECOND)
    for name in NAMES:
        values = features[:, INDEX[name]].astype(np.float64)
        expected = information_coefficient(values, after, CLOCK.step_ns, 5 * SECOND)
        assert found["features"][name] == expected.to_json()


def test_unknown_features_and_absent_days_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no_such_feature"):
        information_coefficients(Home(tmp_path), MARKET, ["2024-05-01"], ["no_such_feature"], SECOND)
    with pytest.raises(RefusedError, match="lob books"):
        information_coefficients(Home(tmp_path), MARKET, ["2024-05-01"], NAMES, SECOND)
