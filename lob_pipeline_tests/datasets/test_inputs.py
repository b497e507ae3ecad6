"""Which features a model reads on which clock."""

from __future__ import annotations

import pytest

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.features.registry import BUILT

SETS = (("full89", 89), ("orderflow15", 15), ("static73", 73), ("full89+tape", 103))


@pytest.mark.parametrize(("name", "count"), SETS)
def test_the_grid_of_100_ms_keeps_every_feature(name: str, count: int) -> None:
    kept, left = model_inputs(name, parse_clock("t100ms"))
    assert len(kept) == count
    assert left == ()
    assert list(kept) == [f.name for f in BUILT if name in f.sets]


def test_a_clock_of_one_second_leaves_copies_out() -> None:
    kept, left = model_inputs("full89", parse_clock("t1s"))
    assert left == (
        ("ofi_l1_100ms_lots", "ofi_l1_1s_lots"),
        ("log_return_100ms_bps", "log_return_1s_bps"),
        ("log_return_500ms_bps", "log_return_1s_bps"),
    )
    assert len(kept) == 86
    assert not set(kept) & {name for name, _ in left}


def test_the_longest_twin_stays_and_every_twin_is_kept() -> None:
    for clock in ("t100ms", "t250ms", "t1s", "t10s", "t60s"):
        for name in ("full89", "full89+tape", "orderflow15"):
            kept, left = model_inputs(name, parse_clock(clock))
            assert {twin for _, twin in left} <= set(kept)
            assert len(kept) + len(left) == sum(name in f.sets for f in BUILT)
    _, left = model_inputs("full89", parse_clock("t10s"))
    assert dict(left)["log_return_1s_bps"] == "log_return_5s_bps"


def test_features_over_different_things_are_no_twins() -> None:
    left = dict(model_inputs("full89", parse_clock("t60s"))[1])
    assert left["realised_vol_1s_bps"] == "realised_vol_30s_bps"
    assert "realised_vol_5s_vs_300s_ratio" not in left
    assert "ofi_l5_5s_lots" not in left  # of level 10 there is another formula
    assert left["ofi_l5_1s_lots"] == "ofi_l5_5s_lots"


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(BadInputError, match="full90"):
        model_inputs("full90", parse_clock("t1s"))
