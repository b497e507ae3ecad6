"""A bundle is what was written, or it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.registry.bundle import load_bundle, write_bundle
from lob_pipeline_tests.registry.samples import sample_arrays, sample_info


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, sample_info(), sample_arrays())
    again = load_bundle(bundle.path, bundle.sha256)
    assert again.info == bundle.info
    assert again.semver == "1.0.0"
    for name, array in sample_arrays().items():
        assert again.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(again.arrays[name], array)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors", "MANIFEST.json"])
def test_one_changed_byte_is_refused(tmp_path: Path, name: str) -> None:
    bundle = write_bundle(tmp_path, sample_info(), sample_arrays())
    data = bytearray((bundle.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle.path / name).write_bytes(bytes(data))
    with pytest.raises(RefusedError):
        load_bundle(bundle.path)
