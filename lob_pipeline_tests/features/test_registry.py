"""The registry declares each feature once, in the order of the contract, and the schema follows it."""

from __future__ import annotations

import pytest

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.features.registry import (
    BOOK,
    BUILT,
    FEATURES,
    FEATURES_TABLE,
    INDEX,
    features_json,
    registry_fingerprint,
    warm_row,
    warmup_rows,
)
from lob_pipeline.features.spec import Feature

BY_NAME = {feature.name: feature for feature in FEATURES}
UNITS = {"ticks", "ratio", "log1p_lots", "log1p_lots_per_tick", "bps", "lots", "ms", "s", "count", "hz", "log_ratio"}
UNITS |= {"half_ticks", "flag"}


def test_groups_have_the_sizes_of_the_contract_and_stand_in_its_order() -> None:
    groups = [feature.group for feature in FEATURES]
    expected = ["depth"] * 35 + ["queue"] * 30 + ["temporal"] * 16 + ["seasonality"] * 8 + ["tape"] * 14
    assert groups == expected
    assert len(BY_NAME) == 103


def test_every_member_is_built_and_the_first_89_are_of_the_book() -> None:
    assert BUILT == FEATURES
    assert list(INDEX) == [f.name for f in BUILT]
    assert BOOK.tolist() == [True] * 89 + [False] * 14


def test_named_sets_have_the_sizes_their_names_say() -> None:
    sizes = {"full89": 89, "full89+tape": 103, "static73": 73, "orderflow15": 15}
    assert {name: sum(name in f.sets for f in FEATURES) for name in sizes} == sizes


def test_the_table_is_key_valid_and_one_float32_a_built_feature() -> None:
    assert FEATURES_TABLE.names == ("ts_ns", "valid", *(f.name for f in BUILT))
    assert {c.dtype for c in FEATURES_TABLE.columns[2:]} == {"float32"}
    assert FEATURES_TABLE.clocked
    assert FEATURES_TABLE.key == ("ts_ns",)
    for column, feature in zip(FEATURES_TABLE.columns[2:], BUILT, strict=True):
        assert (column.minimum, column.maximum) == (feature.minimum, feature.maximum)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_every_entry_is_complete_and_its_mirror_closes(feature: Feature) -> None:
    assert feature.formula
    assert feature.source
    assert feature.unit in UNITS
    if feature.unit in {"ticks", "bps", "lots", "ms", "s", "count", "hz", "half_ticks", "flag"}:
        assert feature.name.endswith(f"_{feature.unit}")
    if feature.mirror not in {"odd", "even"}:
        partner = BY_NAME[feature.mirror]
        assert partner.mirror == feature.name
        assert (partner.minimum, partner.maximum) == (feature.minimum, feature.maximum)
        assert (partner.unit, partner.window) == (feature.unit, feature.window)
    if feature.mirror == "odd" and feature.minimum is not None:
        assert feature.minimum == -(feature.maximum or 0.0)


def test_warm_up_follows_the_longest_built_window() -> None:
    assert warmup_rows(parse_clock("t100ms")) == 3_001
    assert warmup_rows(parse_clock("t1s")) == 301
    assert warm_row(parse_clock("t100ms")) == 3_000
    assert warm_row(parse_clock("t300s")) == 2  # one row a window, and one more for the products of the moves


def test_the_list_for_tools_has_the_contracts_keys() -> None:
    entries = features_json()
    assert len(entries) == 103
    keys = {"name", "group", "unit", "formula", "source", "window", "range", "mirror", "sets"}
    assert all(keys <= set(entry) for entry in entries)
    assert len(registry_fingerprint()) == 64
