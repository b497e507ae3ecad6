"""Features of many rows: a loop over ``step``, nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.borrow import borrowed
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, ROW, ROW_WIDTH
from lob_pipeline.features.kernel import step
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import FeatureState, Int64s
from lob_pipeline.features.tape_rows import T_COUNT, T_LAST_NS, TAPE_WIDTH, TapeState, take_row, unknown_tape

Float32s = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
_TS = ROW["ts_ns"]


@njit(cache=True, error_model="numpy")
def batch(state: FeatureState, rows: Int64s, tape: Int64s, out: Float32s, valid: Bools) -> None:
    """Advance ``state`` over ``rows`` (int64, n × ROW_WIDTH) and ``tape`` (int64, n × TAPE_WIDTH).

    Writes ``out`` (float32, n × N_BUILT) and ``valid`` (n).
    """
    state, rows, tape, out = borrowed(state), borrowed(rows), borrowed(tape), borrowed(out)
    for i in range(rows.shape[0]):
        valid[i] = step(state, rows[i], tape[i], out[i])


@njit(cache=True, error_model="numpy")
def live(
    state: FeatureState, waiting: TapeState, recorded: bool, rows: Int64s, tape: Int64s, out: Float32s, valid: Bools
) -> None:
    """Advance ``state`` over rows that close now, each taking the trades that wait for it; see ``batch``.

    ``tape`` int64 (n, TAPE_WIDTH) is written; unknown where the market's trades are not ``recorded``.
    """
    for i in range(rows.shape[0]):
        if recorded:
            take_row(waiting, rows[i, _TS], tape[i])
        else:
            tape[i, :] = 0
            tape[i, T_COUNT] = tape[i, T_LAST_NS] = -1
        valid[i] = step(state, rows[i], tape[i], out[i])


def run_batch(state: FeatureState, rows: Int64s, tape: Int64s | None = None) -> tuple[Float32s, Bools]:
    """Allocate and return (features (n, N_BUILT), valid (n,)) of ``rows``; ``state`` advances in place.

    ``tape``: int64 (n, TAPE_WIDTH), what the rows' trades sum to; None where no trades were recorded.
    """
    tape = unknown_tape(len(rows)) if tape is None else tape
    if tape.shape != (len(rows), TAPE_WIDTH) or tape.dtype != np.int64:
        raise BadInputError(f"tape is {tape.dtype} {tape.shape}, expected int64 ({len(rows)}, {TAPE_WIDTH})")
    if rows.ndim != 2 or rows.shape[1] != ROW_WIDTH or rows.dtype != np.int64:
        raise BadInputError(f"book rows are {rows.dtype} {rows.shape}, expected int64 (n, {ROW_WIDTH})")
    out = np.empty((len(rows), N_BUILT), dtype=np.float32)
    valid = np.empty(len(rows), dtype=np.bool_)
    batch(state, np.ascontiguousarray(rows), np.ascontiguousarray(tape), out, valid)
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
