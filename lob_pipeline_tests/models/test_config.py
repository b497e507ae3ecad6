"""Sizes: what the presets count, that counting agrees with torch, that heads match, that bad sizes are refused."""

from __future__ import annotations

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.models.config import HEAD_KINDS, ModelConfig, TrainConfig, parameter_count, preset, receptive_field
from lob_pipeline.models.network import build
from lob_pipeline.models.outputs import COLUMN, HEADS, OUTPUTS, masked_columns


@pytest.mark.parametrize("head", HEAD_KINDS)
@pytest.mark.parametrize("name", ["full", "demo"])
def test_counted_parameters_are_torchs(name: str, head: str) -> None:
    model, _ = preset(name, 89, head=head)
    assert parameter_count(model) == sum(p.numel() for p in build(model, 0).parameters())


def test_full_has_800_to_900_thousand_parameters() -> None:
    assert 800_000 <= parameter_count(preset("full", 89)[0]) <= 900_000


@pytest.mark.parametrize("name", ["full", "demo"])
@pytest.mark.parametrize("head", ["dense", "signed_edge"])
def test_other_heads_match_the_mixture_within_two_percent(name: str, head: str) -> None:
    mixture, other = (parameter_count(preset(name, 89, head=h)[0]) for h in ("moe", head))
    assert abs(other / mixture - 1) <= 0.02


def test_receptive_field_is_what_layers_of_windows_reach() -> None:
    assert receptive_field(ModelConfig(5, layers=4, window=64)) == 4 * 63 + 1
    assert receptive_field(ModelConfig(5, layers=1, window=1)) == 1


@pytest.mark.parametrize("change", [{"head": "wide"}, {"d_model": 30}, {"layers": 0}, {"dropout": 1.0}])
def test_sizes_that_do_not_fit_are_refused(change: dict) -> None:
    with pytest.raises(BadInputError):
        ModelConfig(5, **change)


def test_records_come_back_from_json_and_unknown_fields_do_not() -> None:
    model, train = preset("demo", 7, seed=3)
    assert ModelConfig.from_json(model.to_json()) == model
    assert TrainConfig.from_json(train.to_json()) == train
    with pytest.raises(BadInputError, match="depth"):
        ModelConfig.from_json({**model.to_json(), "depth": 2})
    with pytest.raises(BadInputError, match="full nor demo"):
        preset("huge", 7)


def test_seven_heads_hold_fifteen_numbers_once() -> None:
    assert sorted(c for columns in HEADS.values() for c in columns) == list(range(15)) == [COLUMN[n] for n in OUTPUTS]


def test_masked_names_are_columns_heads_or_all_of_direction() -> None:
    assert [OUTPUTS[i] for i in masked_columns(("entry_buy", "up")).nonzero()[0]] == ["entry_buy", "down", "flat", "up"]
    assert masked_columns(("edge",)).nonzero()[0].tolist() == [5, 6]
    with pytest.raises(KeyError):
        masked_columns(("edges",))
