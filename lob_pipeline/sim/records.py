"""Parameters as kernels take them: one pointer to a record instead of a tuple of many numbers.

A named tuple of sixty floats is sixty arguments of every compiled function it is handed to, and compiling takes
minutes; the record has the same fields under the same names.
"""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np

Params = TypeVar("Params", bound=tuple[float, ...])


def as_record(params: Params) -> Params:
    """Return ``params``, a named tuple of floats, as a record: ``record.name`` is ``params.name``, in kernels too."""
    names: tuple[str, ...] = params._fields  # type: ignore[attr-defined]
    row = np.array([tuple(params)], dtype=[(name, np.float64) for name in names])
    return cast(Params, row.view(np.recarray)[0])
