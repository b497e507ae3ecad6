"""``njit`` for every kernel of the package, with a disk cache that is never older than the code it came from.

numba stamps a cached function with its own file alone. A kernel that inlines another file's function, or takes
constants from a registry, would go on running the old code after that other file changed. Here the stamp covers the
file and every module of the package that it imports, directly or not. Kernels import ``njit`` from here only.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from numba import config, njit
from numba.core import caching

__all__ = ["imported_files", "njit", "source_stamp"]

PACKAGE = Path(__file__).resolve().parents[1]


@cache
def _direct_imports(path: Path) -> frozenset[Path]:
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            top, _, rest = name.partition(".")
            if top == PACKAGE.name and rest:
                base = PACKAGE.joinpath(*rest.split("."))
                found.update(p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file())
    return frozenset(found)


def imported_files(path: Path) -> list[Path]:
    """Return ``path`` and every file of the package that it imports, directly or through others, sorted."""
    seen: set[Path] = set()
    left = [path.resolve()]
    while left:
        here = left.pop()
        if here not in seen:
            seen.add(here)
            left.extend(_direct_imports(here))
    return sorted(seen)


@cache
def source_stamp(path: Path) -> str:
    """Return the SHA-256 over the contents of ``imported_files(path)``: what a cached kernel of ``path`` depends on."""
    total = hashlib.sha256()
    for file in imported_files(path):
        content = file.read_bytes()
        total.update(f"{file.relative_to(PACKAGE)} {len(content)}\n".encode() + content)
    return total.hexdigest()


class _StampOfImports:
    """A locator of numba's that serves this package only and stamps a function with all it depends on."""

    _py_file: str

    @classmethod
    def from_function(cls, py_func: object, py_file: str) -> object:
        if not Path(py_file).resolve().is_relative_to(PACKAGE):
            return None
        return super().from_function(py_func, py_file)  # type: ignore[misc]

    def get_source_stamp(self) -> str:
        return source_stamp(Path(self._py_file).resolve())


class InNamedFolder(_StampOfImports, caching.UserProvidedCacheLocator):
    """The folder of NUMBA_CACHE_DIR, where it is set."""


class InTree(_StampOfImports, caching.InTreeCacheLocator):
    """``__pycache__`` beside the source."""


class InUserCache(_StampOfImports, caching.UserWideCacheLocator):
    """The user's cache folder, where the source tree cannot be written."""


_OURS = [f"{__name__}.{c.__name__}" for c in (InNamedFolder, InTree, InUserCache)]
_NUMBAS = [c.__name__ for c in caching.CacheImpl._locator_classes]
# In this process only: a child with another interpreter could not import our classes from an environment variable.
setattr(config, "CACHE_LOCATOR_CLASSES", ",".join([*_OURS, *_NUMBAS]))  # noqa: B010 - numba makes it at run time
