"""A bundle is what was written, byte for byte, or it is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.registry import bundle as bundle_module
from lob_pipeline.registry.bundle import LIMITS, Bundle, load_bundle, write_bundle
from lob_pipeline.registry.bundle_info import REQUIRED
from lob_pipeline.registry.canonical import canonical
from lob_pipeline_tests.registry.samples import sample_arrays, sample_info

FILES = tuple(LIMITS)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path, sample_info(), sample_arrays())


def _reseal(folder: Path, name: str, data: bytes) -> None:
    """Write a file and a MANIFEST.json that fits it: what someone would do who means to deceive."""
    (folder / name).write_bytes(data)
    listed = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in FILES if n != "MANIFEST.json"}
    (folder / "MANIFEST.json").write_bytes(canonical(listed))


def test_a_bundle_comes_back_as_it_was_written(bundle: Bundle) -> None:
    again = load_bundle(bundle.path, bundle.sha256)
    assert again.info == bundle.info
    assert again.semver == "1.0.0"
    assert again.path.name == again.sha256[:12] == again.sha12
    for name, array in sample_arrays().items():
        assert again.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(again.arrays[name], array)


def test_the_name_is_the_sha256_of_the_manifest(bundle: Bundle) -> None:
    assert hashlib.sha256((bundle.path / "MANIFEST.json").read_bytes()).hexdigest() == bundle.sha256


def test_equal_content_is_one_bundle_whatever_the_order(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a", sample_info(), sample_arrays())
    info = dict(reversed(sample_info().items()))
    second = write_bundle(tmp_path / "b", info, dict(reversed(sample_arrays().items())))
    assert first.sha256 == second.sha256
    for name in FILES:
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    stamp = (first.path / "bundle.json").stat().st_mtime_ns
    assert write_bundle(tmp_path / "a", sample_info(), sample_arrays()).path == first.path
    assert (first.path / "bundle.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("key", sorted(REQUIRED.keys() - {"format", "name", "features_fingerprint", "arrays_sha256"}))
def test_any_other_content_is_another_bundle(tmp_path: Path, key: str) -> None:
    changed: dict[str, Any] = {
        "semver": "1.0.1",
        "market": "binance-spot.NEXOUSDT",
        "clock": "t1s",
        "features": list(reversed(sample_info()["features"])),
        "temperatures": {"entry": 1.25},
        "label": {"config": {}, "fees": {"maker_bps": 1.0}},
        "profile": {"version": "none", "days": 2},
        "git_sha": "abc",
        "preset": "full",
    }
    value = sample_info()[key]
    other = changed.get(key, [{"x": 1}] if isinstance(value, list) else {"x": 1})
    first = write_bundle(tmp_path, sample_info(), sample_arrays())
    assert write_bundle(tmp_path, sample_info(**{key: other}), sample_arrays()).sha256 != first.sha256


def test_other_weights_are_another_bundle(tmp_path: Path) -> None:
    assert write_bundle(tmp_path, sample_info(), sample_arrays(1)).sha256 != (
        write_bundle(tmp_path, sample_info(), sample_arrays(2)).sha256
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(FILES), bit=st.integers(0, 7))
def test_one_changed_bit_anywhere_is_refused(bundle: Bundle, data: st.DataObject, name: str, bit: int) -> None:
    path = bundle.path / name
    original = path.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[place] ^= 1 << bit
    path.write_bytes(bytes(changed))
    try:
        with pytest.raises(RefusedError):
            load_bundle(bundle.path)
    finally:
        path.write_bytes(original)
    assert load_bundle(bundle.path).sha256 == bundle.sha256


def _append(folder: Path) -> None:
    with (folder / "weights.safetensors").open("ab") as handle:
        handle.write(b"\0")


def _link(folder: Path) -> None:
    shutil.move(folder / "weights.safetensors", folder.parent / "elsewhere")
    (folder / "weights.safetensors").symlink_to(folder.parent / "elsewhere")


def _oversize(folder: Path) -> None:
    os.truncate(folder / "bundle.json", LIMITS["bundle.json"] + 1)


def _listed(name: str) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        listed = json.loads((folder / "MANIFEST.json").read_bytes())
        (folder / "MANIFEST.json").write_bytes(canonical({**listed, name: "0" * 64}))

    return do


def _info(**changes: Any) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        info = {**json.loads((folder / "bundle.json").read_bytes()), **changes}
        _reseal(folder, "bundle.json", canonical({k: v for k, v in info.items() if v is not None}))

    return do


DEFECTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte more": (_append, "not the file that was registered"),
    "a missing file": (lambda f: (f / "bundle.json").unlink(), "bundle.json is missing"),
    "a missing manifest": (lambda f: (f / "MANIFEST.json").unlink(), "MANIFEST.json is missing"),
    "another file": (lambda f: (f / "weights.pkl").write_bytes(b"x"), "'weights.pkl' does not belong"),
    "a hidden file": (lambda f: (f / ".x").write_bytes(b"x"), "does not belong"),
    "a folder inside": (lambda f: (f / "more").mkdir(), "does not belong"),
    "a linked file": (_link, "is a link or cannot be opened"),
    "a pipe": (lambda f: [(f / "bundle.json").unlink(), os.mkfifo(f / "bundle.json")], "is no plain file"),
    "too large a file": (_oversize, "has more than"),
    "a listed name outside": (_listed("../../etc/passwd"), "MANIFEST.json lists"),
    "a listed absolute name": (_listed("/etc/passwd"), "MANIFEST.json lists"),
    "a listed name more": (_listed("weights.pkl"), "MANIFEST.json lists"),
    "an empty manifest": (lambda f: (f / "MANIFEST.json").write_bytes(b"{}\n"), "lists"),
    "no JSON": (lambda f: (f / "MANIFEST.json").write_bytes(b"\x80\x04."), "is not a JSON object"),
    "another spelling": (
        lambda f: _reseal(f, "bundle.json", (f / "bundle.json").read_bytes().replace(b"\n", b"\n ", 1)),
        "as this program writes it",
    ),
    "another format": (_info(format=2), "format 2"),
    "a truth for a format": (_info(format=True), "expected int"),
    "features of other code": (_info(features_fingerprint="0" * 64), "train and register again"),
    "a key less": (_info(label=None), "has no 'label'"),
    "a key more": (_info(extra=1), "unknown key 'extra'"),
    "another market": (_info(market="../etc"), "is unknown"),
    "a version that is none": (_info(semver="1"), "MAJOR.MINOR.PATCH"),
    "a temperature of zero": (_info(temperatures={"entry": 0}), "temperature 'entry'"),
    "weights of another bundle": (
        lambda f: _reseal(f, "weights.safetensors", bundle_module.save_arrays(sample_arrays(2))),
        "arrays_sha256",
    ),
    "features that nobody computes": (_info(features=["nope", *sample_info()["features"][1:]]), "not computed here"),
    "a profile without its arrays": (_info(profile={"version": "p1"}), "arrays of one are not there"),
    "no weights at all": (lambda f: _reseal(f, "weights.safetensors", b"\0" * 64), "cannot be read"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_changed_folder_is_refused_in_one_sentence(bundle: Bundle, defect: str) -> None:
    damage, words = DEFECTS[defect]
    damage(bundle.path)
    with pytest.raises(RefusedError) as caught:
        load_bundle(bundle.path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(bundle.path) in str(caught.value)


def test_a_resealed_bundle_is_not_the_registered_one(bundle: Bundle) -> None:
    _info(git_sha="0123")(bundle.path)
    assert load_bundle(bundle.path).sha256 != bundle.sha256
    with pytest.raises(RefusedError, match="as registered"):
        load_bundle(bundle.path, bundle.sha256)


def test_a_bundle_of_other_code_can_be_looked_at_only(bundle: Bundle) -> None:
    _info(features_fingerprint="0" * 64)(bundle.path)
    assert load_bundle(bundle.path, any_code=True).features_fingerprint == "0" * 64


def test_a_registered_bundle_that_is_gone_is_a_failure_that_says_where_another_copy_lies(tmp_path: Path) -> None:
    with pytest.raises(LobError, match="copy it back from MLflow") as caught:
        load_bundle(tmp_path / "b", "a" * 64)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_bytes(b"x")])
def test_no_folder_is_bad_input(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "b")
    with pytest.raises(BadInputError, match="not a folder"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("weights/input.weight", np.array([np.nan], np.float32), "not finite"),
        ("normaliser/scale", np.full(5, -1, np.float32), "below 0"),
        ("normaliser/mean", np.zeros(4, np.float32), "one number for each feature"),
        ("other/x", np.zeros(1, np.float32), "none of the groups"),
        ("weights/half", np.zeros(1, np.float16), "expected one of"),
    ],
)
def test_arrays_out_of_range_are_not_written(tmp_path: Path, name: str, array: np.ndarray, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        write_bundle(tmp_path, sample_info(), {**sample_arrays(), name: array})
    assert list(tmp_path.iterdir()) == []


def test_features_unknown_here_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="not computed here"):
        write_bundle(tmp_path, sample_info(features=["no_such_feature"]), sample_arrays())


def test_a_damaged_standing_bundle_is_not_taken_for_the_new_one(bundle: Bundle) -> None:
    _append(bundle.path)
    with pytest.raises(RefusedError):
        write_bundle(bundle.path.parent, sample_info(), sample_arrays())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_module.os, "fsync", full)
    with pytest.raises(LobError, match="the disk is full"):
        write_bundle(tmp_path, sample_info(), sample_arrays())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
