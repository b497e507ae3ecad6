"""Twenty markets drawn anew each time: the queue models' bounds hold the truth, and the model between them is near it.

The limits are the instrument's specification, not what was measured. A failure names the seeds: `lob truth sim.BTCUSDT
2026-01-05 --seed S --seeds 1` looks at one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lob_pipeline.sim.presets import configured
from lob_pipeline.sim.probe_study import PUBLISHED, UNBATCHED, study
from lob_pipeline.sim.truth_score import THIRDS

MARKETS = 20
WIDEST_POINTS = 10.0
LARGEST_BIAS_POINTS = 3.0
FEEDS = (UNBATCHED, PUBLISHED)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    seeds = np.random.default_rng().integers(1, 1 << 62, MARKETS).tolist()
    return study(configured(days=1, minutes=25), seeds, 800)


def test_event_by_event_the_bracket_holds_the_truth_of_every_order_in_every_market(report: dict[str, Any]) -> None:
    exact = report["feeds"][UNBATCHED]
    assert len(exact["markets"]) == MARKETS
    assert exact["orders"] > MARKETS * 1000
    for seed, bracket in exact["markets"].items():
        assert bracket["holds_true_rate"], f"seed {seed}: {bracket}"
        assert bracket["orders_outside"] == 0, f"seed {seed}: {bracket}"


def test_on_the_published_feed_coverage_and_blur_are_figures(report: dict[str, Any]) -> None:
    published = report["feeds"][PUBLISHED]
    for bracket in published["markets"].values():
        assert 0 < bracket["coverage"] <= bracket["coverage_within_a_message"] <= 1
        assert 0 < bracket["coverage_of_outcomes"] <= 1
    for model, blur in report["blur"].items():
        exact = report["feeds"][UNBATCHED]["models"][model]
        difference = published["models"][model]["bias_points"] - exact["bias_points"]
        assert blur["fill_points"] == pytest.approx(difference, abs=1e-3)


@pytest.mark.parametrize("feed", FEEDS)
def test_the_bracket_is_narrow(report: dict[str, Any], feed: str) -> None:
    width = report["feeds"][feed]["median_width_points"]
    assert width <= WIDEST_POINTS, f"{feed}: median width {width} points, seeds {report['seeds']}"


@pytest.mark.parametrize("feed", FEEDS)
def test_the_proportional_model_is_near_the_truth_overall_and_in_every_third(report: dict[str, Any], feed: str) -> None:
    found = report["feeds"][feed]
    overall = found["models"]["proportional"]["bias_points"]
    assert abs(overall) <= LARGEST_BIAS_POINTS, f"{feed}: {overall} points, seeds {report['seeds']}"
    for by, thirds in found["thirds"].items():
        assert tuple(thirds) == THIRDS
        for name, third in thirds.items():
            bias = third["models"]["proportional"]
            assert abs(bias["bias_points"]) <= LARGEST_BIAS_POINTS, f"{feed}, {by} {name}: {bias}, {report['seeds']}"
