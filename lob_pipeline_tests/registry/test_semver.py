"""The version step follows from what differs, and from nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.registry.bundle_info import REQUIRED
from lob_pipeline.registry.semver import MAJOR, MINOR, judge_step, next_version, parse_version, recipe_differences
from lob_pipeline_tests.registry.samples import sample_info


def _info(**changes: Any) -> dict[str, Any]:
    return {**sample_info(semver="2.3.4"), "features_fingerprint": "f" * 64, "arrays_sha256": "a" * 64, **changes}


def _changed(key: str) -> dict[str, Any]:
    return _info(**{key: "something else"})


def test_the_first_is_1_0_0() -> None:
    assert next_version(None, _info())[0] == "1.0.0"


@pytest.mark.parametrize("key", MAJOR)
def test_other_inputs_answers_or_rows_are_a_major_step(key: str) -> None:
    version, why = next_version(_info(), _changed(key))
    assert version == "3.0.0"
    assert key in why


@pytest.mark.parametrize("key", MINOR)
def test_retrained_is_a_minor_step(key: str) -> None:
    assert next_version(_info(), _changed(key))[0] == "2.4.0"


@pytest.mark.parametrize("key", ["temperatures", "calibration", "evaluation", "versions", "git_sha"])
def test_calibration_and_packaging_are_a_patch(key: str) -> None:
    assert next_version(_info(), _changed(key))[0] == "2.3.5"


def test_the_same_contents_keep_their_version_whatever_version_they_carry() -> None:
    assert next_version(_info(), _info(semver="9.9.9"))[0] == "2.3.4"


@given(st.sets(st.sampled_from(sorted(REQUIRED.keys() - {"name", "market", "semver"}))))
def test_the_largest_change_decides(keys: set[str]) -> None:
    version, _ = next_version(_info(), _info(**dict.fromkeys(keys, "other")))
    expected = (
        "3.0.0" if keys & set(MAJOR) else "2.4.0" if keys & set(MINOR) else "2.3.5" if keys else "2.3.4"
    )
    assert version == expected
    assert parse_version(version) >= (2, 3, 4)


@pytest.mark.parametrize("version", ["2.3.4", "2.3.5", "2.5.0", "3.1.0", "4.0.0", "1.0.0"])
def test_a_wrong_step_is_refused_and_the_right_one_named(version: str) -> None:
    outcome = judge_step(_info(), _changed("label"), version)
    assert outcome.refuses
    assert "3.0.0" in outcome.message


def test_the_right_step_passes() -> None:
    assert judge_step(_info(), _changed("label"), "3.0.0").status == "passed"


@pytest.mark.parametrize("text", ["1.0", "1.0.0.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.-1.0", "", "1.0.0\n", "١.0.0"])
def test_what_is_no_version_is_bad_input(text: str) -> None:
    with pytest.raises(BadInputError, match=r"MAJOR\.MINOR\.PATCH"):
        parse_version(text)


def test_markets_do_not_share_versions() -> None:
    with pytest.raises(BadInputError, match="no order"):
        next_version(_info(), _info(market="binance-spot.NEXOUSDT"))


@pytest.mark.parametrize("key", ["data", "folds", "arrays_sha256", "temperatures", "masked_heads", "git_sha"])
def test_newer_data_is_no_other_recipe(key: str) -> None:
    assert recipe_differences(_info(), _changed(key)) == ()


@pytest.mark.parametrize("key", ["features", "label", "clock", "model", "training", "preset"])
def test_another_recipe_is_named(key: str) -> None:
    assert recipe_differences(_info(), _changed(key)) == (key,)
