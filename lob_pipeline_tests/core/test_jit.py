"""A kernel that was cached before another file changed must not run again."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lob_pipeline.core.jit import PACKAGE, imported_files

TEST_KERNELS = {
    "inner.py": "from lob_pipeline.core.jit import njit\n\n\n@njit(cache=True)\ndef inner(x):\n    return x + 1\n",
    "outer.py": (
        "from lob_pipeline.core.jit import njit\nfrom lob_pipeline.inner import inner\n\n\n"
        "@njit(cache=True)\ndef outer(x):\n    return 10 * inner(x)\n"
    ),
}


def test_imports_are_followed_through_other_files() -> None:
    files = {path.relative_to(PACKAGE).as_posix() for path in imported_files(PACKAGE / "features" / "batch.py")}
    assert {"features/kernel.py", "features/depth_kernel.py", "features/state.py", "features/depth.py"} <= files
    assert "core/tables.py" in files
    assert not any(file.startswith("stages/") for file in files)


def test_a_change_of_an_imported_file_recompiles_the_importer(tmp_path: Path) -> None:
    package = tmp_path / "lob_pipeline"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core" / "__init__.py").write_text("")
    shutil.copy(PACKAGE / "core" / "jit.py", package / "core" / "jit.py")
    for name, text in TEST_KERNELS.items():
        (package / name).write_text(text)

    def run() -> str:
        code = "from lob_pipeline.outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"
        return subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
        ).stdout.strip()

    assert run() == "20 0"
    assert run() == "20 1"
    (package / "inner.py").write_text(TEST_KERNELS["inner.py"].replace("x + 1", "x + 100"))
    assert run() == "1010 0"


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_kernels_take_njit_from_one_place(path: Path) -> None:
    if path == PACKAGE / "core" / "jit.py":
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "numba":
            assert "njit" not in {alias.name for alias in node.names}, "import njit from lob_pipeline.core.jit"
        if isinstance(node, ast.Attribute) and node.attr in {"njit", "jit"}:
            assert not (isinstance(node.value, ast.Name) and node.value.id in {"numba", "nb"})
