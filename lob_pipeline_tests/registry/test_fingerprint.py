"""The features fingerprint changes with what a feature means, and with nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.features.registry import BUILT
from lob_pipeline.lake.fingerprint import PACKAGE
from lob_pipeline.registry import fingerprint
from lob_pipeline.registry.fingerprint import code_digest, features_fingerprint
from lob_pipeline.registry.origin import dependency_versions, git_sha

NAMES = tuple(f.name for f in BUILT[:5])


def test_names_order_and_clock_count() -> None:
    found = {
        features_fingerprint(NAMES, "t100ms"),
        features_fingerprint(NAMES[::-1], "t100ms"),
        features_fingerprint(NAMES[:4], "t100ms"),
        features_fingerprint(NAMES, "t1s"),
    }
    assert len(found) == 4
    assert features_fingerprint(NAMES, "t100ms") in found


@pytest.mark.parametrize("names", [(), ("no_such_feature",), (*NAMES, "x")])
def test_unknown_names_are_bad_input(names: tuple[str, ...]) -> None:
    with pytest.raises(BadInputError, match="not computed here"):
        features_fingerprint(names, "t100ms")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for room in ("core", "features"):
        shutil.copytree(PACKAGE / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_comments_do_not_count_and_code_does(copy: Path) -> None:
    original = code_digest(copy)
    assert original == code_digest(PACKAGE)
    path = copy / "features" / "depth_kernel.py"
    text = path.read_text()
    path.write_text(f"# a remark\n{text}")
    code_digest.cache_clear()
    assert code_digest(copy) == original
    path.write_text(f"{text}\nX = 1\n")
    code_digest.cache_clear()
    assert code_digest(copy) != original


def test_the_code_is_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = features_fingerprint(NAMES, "t100ms")
    monkeypatch.setattr(fingerprint, "code_digest", lambda _: "other code")
    assert features_fingerprint(NAMES, "t100ms") != before


def test_a_formula_counts_only_for_who_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    before = features_fingerprint(NAMES, "t100ms"), features_fingerprint(NAMES[1:], "t100ms")
    changed = (dataclasses.replace(BUILT[0], formula="another"), *BUILT[1:])
    monkeypatch.setattr(fingerprint, "BUILT", changed)
    assert features_fingerprint(NAMES, "t100ms") != before[0]
    assert features_fingerprint(NAMES[1:], "t100ms") == before[1]


def test_opening_a_bundle_needs_neither_torch_nor_mlflow_nor_dagster() -> None:
    code = (
        "import sys, lob_pipeline.registry.bundle, lob_pipeline.registry.releases, lob_pipeline.registry.select,"
        "lob_pipeline.registry.promotion;"
        "print([m for m in ('torch', 'mlflow', 'dagster', 'sklearn', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_commit_is_known_or_said_to_be_unknown(tmp_path: Path) -> None:
    assert git_sha(tmp_path) == "unknown"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x"]
    (tmp_path / "a").write_text("1")
    for words in (["init", "-q"], ["add", "a"], ["commit", "-q", "-m", "m"]):
        subprocess.run([*git, *words], check=True)
    clean = git_sha(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert git_sha(tmp_path) == f"{clean}-dirty"
    assert dependency_versions()["numpy"].count(".") == 2
