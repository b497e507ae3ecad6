"""Temperatures: a network that is k times too sure gets temperature k, on the rows asked, and the search finds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lob_pipeline.models.calibrate import fit_temperatures
from lob_pipeline_tests.models.samples import world


def logits_of_truth(sure: float) -> tuple:
    w = world(20_000, seed=3)
    raw = np.zeros((w.segment.size, 15), np.float32)
    raw[:, 13:15] = sure * np.log(w.fill_probability / (1 - w.fill_probability))
    return w, raw


@pytest.mark.parametrize("sure", [0.5, 1.0, 3.0])
def test_temperature_undoes_sureness(sure: float) -> None:
    w, raw = logits_of_truth(sure)
    rows = np.flatnonzero(w.segment >= 0)
    found = fit_temperatures(raw[rows], w.targets, rows)
    assert found["fill"] == pytest.approx(sure, rel=0.06)


def test_direction_temperature_of_logits_that_are_too_sure() -> None:
    rng = np.random.default_rng(0)
    w = world(20_000)
    logits = rng.normal(size=(20_000, 3))
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = (rng.random((20_000, 1)) > np.cumsum(chance, axis=1)).sum(axis=1)
    raw = np.zeros((20_000, 15), np.float32)
    raw[:, 2:5] = 2.0 * logits
    found = fit_temperatures(raw, replace(w.targets, direction=drawn), np.arange(20_000))
    assert found["direction"] == pytest.approx(2.0, rel=0.06)


def test_too_few_or_no_answers_leave_one() -> None:
    w, raw = logits_of_truth(3.0)
    rows = np.arange(20)
    assert set(fit_temperatures(raw[rows], w.targets, rows).values()) == {1.0}
    assert set(fit_temperatures(None, w.targets, rows).values()) == {1.0}
    masked = replace(w.targets, fill=np.full_like(w.targets.fill, np.nan))
    assert fit_temperatures(raw, masked, np.arange(20_000))["fill"] == 1.0


def test_rows_without_weight_do_not_speak() -> None:
    w, raw = logits_of_truth(3.0)
    rows = np.flatnonzero(w.segment >= 0)
    weight = w.targets.weight.copy()
    weight[10_000:] = 0.0
    garbage = raw.copy()
    garbage[10_000:] *= -1
    found = fit_temperatures(garbage[rows], replace(w.targets, weight=weight), rows)
    assert found["fill"] == pytest.approx(3.0, rel=0.1)
