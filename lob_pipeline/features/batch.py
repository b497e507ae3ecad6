"""Features of many rows: a loop over ``step``, nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, ROW_WIDTH
from lob_pipeline.features.kernel import step
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import FeatureState, Int64s

Float32s = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@njit(cache=True, error_model="numpy")
def batch(state: FeatureState, rows: Int64s, out: Float32s, valid: Bools) -> None:
    """Advance ``state`` over ``rows`` (int64, n × ROW_WIDTH), write ``out`` (float32, n × N_BUILT), ``valid`` (n)."""
    for i in range(rows.shape[0]):
        valid[i] = step(state, rows[i], out[i])


def run_batch(state: FeatureState, rows: Int64s) -> tuple[Float32s, Bools]:
    """Allocate and return (features (n, N_BUILT), valid (n,)) of ``rows``; ``state`` advances in place."""
    if rows.ndim != 2 or rows.shape[1] != ROW_WIDTH or rows.dtype != np.int64:
        raise BadInputError(f"book rows are {rows.dtype} {rows.shape}, expected int64 (n, {ROW_WIDTH})")
    out = np.empty((len(rows), N_BUILT), dtype=np.float32)
    valid = np.empty(len(rows), dtype=np.bool_)
    batch(state, np.ascontiguousarray(rows), out, valid)
    return out, valid


_BLOCK = 2048


def rows_of_columns(columns: Columns) -> Int64s:
    """Return book rows int64 (n, ROW_WIDTH) from the columns of BOOK_SNAPSHOTS (n,), booleans as 0 and 1."""
    n = len(columns[BOOK_SNAPSHOTS.names[0]])
    rows = np.empty((n, ROW_WIDTH), dtype=np.int64)
    for start in range(0, n, _BLOCK):  # a block stays in the cache while its columns are spread over its rows
        for i, name in enumerate(BOOK_SNAPSHOTS.names):
            rows[start : start + _BLOCK, i] = columns[name][start : start + _BLOCK]
    return rows
