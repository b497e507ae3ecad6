"""A refresh is compared on rows that neither model was trained on, row by row the same for both."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.bundle import Bundle, load_bundle, stream_model
from lob_pipeline.registry.releases import read_releases
from lob_pipeline.stages import fresh_days
from lob_pipeline.stages.fresh_days import compare_on_fresh_days
from lob_pipeline.stages.register import register_model
from lob_pipeline.stages.training_set_days import LeftOutDay, UsedDay
from lob_pipeline_tests.datasets.synthetic import random_instants
from lob_pipeline_tests.registry.trained import MARKET, new_home, train_sample


def _instants(seed: int) -> Instants:
    found = random_instants(seed, 600)
    features = np.random.default_rng(seed).normal(size=(600, 5)).astype(np.float32)
    return dataclasses.replace(found, features=features)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Bundle, Bundle]:
    home = new_home(tmp_path_factory.mktemp("fresh"))
    for day in (7, 8):
        train_sample(home, f"2026-01-{day:02d}", seed=day)
        register_model(home, parse_market(MARKET), f"2026-01-{day:02d}")
    old, new = (load_bundle(r.path, r.bundle_sha256) for r in read_releases(home).releases)
    return home, new, old


def _naive(instants: Instants, bundles: tuple[Bundle, Bundle]) -> tuple[list[float], int]:
    """Feed both models row by row, anew in every segment, and add up squared errors where both answer."""
    sums, count = [0.0, 0.0], 0
    states = [None, None]
    models = [stream_model(bundle) for bundle in bundles]
    for i, segment in enumerate(instants.segment):
        answers = []
        for m, model in enumerate(models):
            if segment < 0 or i == 0 or instants.segment[i - 1] != segment:
                states[m] = model.new_state()
            if segment < 0:
                answers.append(None)
                continue
            one = np.array([True])
            forecast, ready = model.run(states[m], instants.features[i : i + 1], one)
            answers.append(forecast[0, 13:15] if ready[0] else None)
        if answers[0] is None or answers[1] is None:
            continue
        for side in range(2):
            if instants.orders.valid[i, side]:
                count += 1
                for m in range(2):
                    sums[m] += (float(answers[m][side]) - float(instants.orders.filled[""][i, side])) ** 2
    return sums, count


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_scores_are_those_of_a_plain_loop(
    pair: tuple[Home, Bundle, Bundle], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, new, old = pair
    instants = _instants(seed)
    day = UsedDay("2026-01-09", "f", "l", "b", False)
    monkeypatch.setattr(fresh_days, "_fresh_days", lambda *_: [day])
    monkeypatch.setattr(fresh_days, "read_instants", lambda *_: instants)
    found = compare_on_fresh_days(home, new, old)
    sums, count = _naive(instants, (new, old))
    assert count > 100
    assert found.rows == count
    assert (found.challenger_brier, found.incumbent_brier) == pytest.approx((sums[0] / count, sums[1] / count))
    assert found.challenger_brier != found.incumbent_brier
    assert found.days == ("2026-01-09",)


def test_only_days_after_both_trainings_are_fresh(
    pair: tuple[Home, Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, new, old = pair
    asked: list[str] = []
    dates = [f"2026-01-{day:02d}" for day in range(5, 12)]

    class Judge:
        def __init__(self, *_: object) -> None:
            pass

        def judge(self, date: str) -> object:
            asked.append(date)
            return LeftOutDay(date, "refused") if date.endswith("10") else (UsedDay(date, "", "", "", False), {})

    def partitions(*_: object) -> list[object]:
        from lob_pipeline.lake.paths import PartitionKey

        keys = [PartitionKey("labels", parse_market(MARKET), date, "t100ms") for date in dates]
        others = [
            PartitionKey("labels", parse_market(MARKET), "2026-01-11", "t1s"),
            PartitionKey("labels", parse_market("binance-spot.NEXOUSDT"), "2026-01-11", "t100ms"),
        ]
        return [*keys, *others]

    monkeypatch.setattr(fresh_days, "DayJudge", Judge)
    monkeypatch.setattr(fresh_days, "list_partitions", partitions)
    assert [day.date for day in fresh_days._fresh_days(home, new, old)] == ["2026-01-09", "2026-01-11"]
    assert asked == ["2026-01-09", "2026-01-10", "2026-01-11"]


def test_without_such_a_day_there_is_nothing_to_compare(pair: tuple[Home, Bundle, Bundle], tmp_path: Path) -> None:
    _, new, old = pair
    found = compare_on_fresh_days(Home(tmp_path), new, old)
    assert (found.rows, found.days) == (0, ())
    assert np.isnan([found.challenger_brier, found.incumbent_brier]).all()
