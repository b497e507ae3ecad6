"""The search for parameters and the presets it made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim import fit as search
from lob_pipeline.sim.config import FlowParams, SimConfig
from lob_pipeline.sim.fit import FIRST_SEED, KNOBS, changed, fit, flow_of, loss, mirrored, propose, target_of, unit_of
from lob_pipeline.sim.parts import ALL_PARTS
from lob_pipeline.sim.presets import BY_HAND, FITTED, PRESETS, configured
from lob_pipeline.sim.realism_source import simulated_view

UNITS = st.lists(st.floats(-3, 4), min_size=len(KNOBS), max_size=len(KNOBS)).map(np.array)


@given(UNITS)
def test_every_candidate_lies_within_the_bounds_and_dies_out(unit: np.ndarray) -> None:
    flow = flow_of(mirrored(unit), FlowParams())
    for knob in KNOBS:
        damped = knob.name in ("noise_same_side", "noise_other_side", "value_excitation")
        assert (0 if damped else 0.999 * knob.low) <= getattr(flow, knob.name) <= 1.001 * knob.high
    assert (flow.noise_same_side + flow.noise_other_side) / flow.noise_decay < 0.86
    assert flow.value_excitation / flow.value_decay < 0.86


def test_a_flow_survives_the_unit_cube() -> None:
    flow = PRESETS[FITTED].flow
    again = flow_of(unit_of(flow), flow)
    for name, value in flow._asdict().items():
        assert getattr(again, name) == pytest.approx(value, rel=1e-3), name


def test_a_candidate_moves_few_knobs_and_is_a_function_of_its_number() -> None:
    best, none = np.full(len(KNOBS), 0.5), np.zeros(len(KNOBS))
    found = [propose(best, none, 7, number) for number in range(50)]
    assert all(1 <= np.sum(one != best) <= 5 for one in found)
    assert len({one.tobytes() for one in found}) == 50
    for number in (3, 40):
        assert np.array_equal(found[number], propose(best, none, 7, number))


@given(st.lists(st.floats(0, 20), min_size=12, max_size=12))
def test_the_loss_grows_with_every_ratio(values: list[float]) -> None:
    found = np.array(values)
    assert loss(found) >= 0
    for k in range(12):
        worse = found.copy()
        worse[k] += 0.5
        assert loss(worse) > loss(found)


def test_a_search_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goal = np.linspace(0.1, 0.9, len(KNOBS))

    def fake(config: SimConfig, target: object, seeds: list[int]) -> np.ndarray:
        assert min(seeds) >= FIRST_SEED
        return np.full(12, 10 * np.abs(unit_of(config.flow) - goal).mean())

    monkeypatch.setattr(search, "ratios", fake)
    seeds, config = [FIRST_SEED, FIRST_SEED + 1], SimConfig()
    whole = fit(config, None, tmp_path / "whole", 60, seeds, 3)  # type: ignore[arg-type]
    fit(config, None, tmp_path / "parts", 25, seeds, 3)  # type: ignore[arg-type]
    parts = fit(config, None, tmp_path / "parts", 35, seeds, 3)  # type: ignore[arg-type]
    assert whole == parts
    assert whole["tried"] == 60
    assert whole["loss"] < fit(config, None, tmp_path / "none", 0, seeds, 3)["loss"]  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="another search"):
        fit(config, None, tmp_path / "whole", 1, [FIRST_SEED], 3)  # type: ignore[arg-type]


def test_a_market_is_nearer_to_itself_than_to_another() -> None:
    config = SimConfig(seed=FIRST_SEED)
    view = simulated_view(config, 1600, lead_minutes=1)
    target = target_of(view)
    near = search.ratios(config, target, [FIRST_SEED + 1])
    far = search.ratios(configured(), target, [FIRST_SEED + 1])
    assert near.shape == (12,)
    assert loss(near) < loss(far)


def test_a_recording_too_still_to_fit_to_is_refused() -> None:
    view = simulated_view(SimConfig(seed=1), 600, lead_minutes=1)
    still = view._replace(rows=np.repeat(view.rows[:1], len(view.rows), axis=0))
    with pytest.raises(BadInputError, match="volatility signature"):
        target_of(still)


def test_words_change_parameters() -> None:
    assert changed(FlowParams(), ["pull_rate=80", "heat_flow=0.4"]) == FlowParams(pull_rate=80.0, heat_flow=0.4)
    for wrong in ("pull_rate", "no_such_knob=1", "pull_rate=fast"):
        with pytest.raises(BadInputError, match="NAME=VALUE"):
            changed(FlowParams(), [wrong])


def test_presets_make_runs() -> None:
    fitted = configured(seed=9, minutes=5)
    assert (fitted.preset, fitted.seed, fitted.minutes, fitted.parts) == (FITTED, 9, 5, ALL_PARTS)
    assert fitted.flow == PRESETS[FITTED].flow
    assert configured(BY_HAND) == SimConfig()
    assert all(isinstance(value, float) for preset in PRESETS.values() for value in preset.flow)
    with pytest.raises(BadInputError, match="btcusdt-2023"):
        configured("btcusdt-2033")
