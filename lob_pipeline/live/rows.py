"""Forecasts to rows of ``predictions``: two an instant, sell before buy, as the table is sorted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.live.forecast import INPUT_BYTES, Forecasts, Identity
from lob_pipeline.models.outputs import COLUMN

SIDES = (-1, 1)
_SUFFIX = {1: "buy", -1: "sell"}
_BY_SIDE = {
    "p_entry": "entry",
    "edge_bps": "edge",
    "mfe_bps": "mfe",
    "mae_bps": "mae",
    "p_adverse": "adverse",
    "p_fill": "fill",
}
_OF_BOTH = {"p_up": "up", "p_flat": "flat", "p_down": "down"}
NUMBERS = tuple(c.name for c in PREDICTIONS.columns if c.name in _BY_SIDE or c.name in _OF_BOTH)
"""The columns that the model says."""
VARYING = ("ts_recv_ns", "latency_us")
"""The columns in which live and batch differ."""


def number_columns(numbers: npt.NDArray[np.float32], side: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return the columns ``NUMBERS`` of one side, float64 (n,), from forecasts float32 (n, 15)."""
    names = {**{c: f"{head}_{_SUFFIX[side]}" for c, head in _BY_SIDE.items()}, **_OF_BOTH}
    return {c: numbers[:, COLUMN[names[c]]].astype(np.float64) for c in NUMBERS}


def prediction_rows(
    identity: Identity,
    forecasts: Forecasts,
    recv_ns: npt.NDArray[np.int64] | None = None,
    latency_us: npt.NDArray[np.float64] | None = None,
) -> tuple[Columns, dict[str, pa.Array]]:
    """Return the rows of PREDICTIONS, 2 n of them, as numpy columns and Arrow string columns.

    ``recv_ns`` int64 (n,) and ``latency_us`` float64 (n,): live only; 0 and null in batch.
    """
    n = len(forecasts.ts_ns)
    recv = np.zeros(n, np.int64) if recv_ns is None else recv_ns
    late = np.full(n, np.nan) if latency_us is None else latency_us
    columns: Columns = {
        "ts_ns": np.repeat(forecasts.ts_ns, 2),
        "side": np.tile(np.array(SIDES, np.int8), n),
        "valid": np.repeat(forecasts.valid, 2),
        "ts_recv_ns": np.repeat(recv, 2),
        "latency_us": np.repeat(np.where(forecasts.valid, late, np.nan), 2),
    }
    both = [number_columns(forecasts.numbers, side) for side in SIDES]
    for name in NUMBERS:
        columns[name] = np.stack([one[name] for one in both], axis=1).reshape(-1)
    return columns, _strings(identity, forecasts)


def _strings(identity: Identity, forecasts: Forecasts) -> dict[str, pa.Array]:
    n = len(forecasts.ts_ns)
    head = f"{identity.bundle}-{identity.market}-{identity.clock_id}-"
    ids = [f"{head}{ts}-{mark}" for ts in forecasts.ts_ns.tolist() for mark in ("s", "b")]
    text = np.ascontiguousarray(forecasts.inputs).tobytes().hex()
    width = 2 * INPUT_BYTES
    inputs = [text[i * width : (i + 1) * width] for i in range(n) for _ in SIDES]
    found = {"prediction_id": pa.array(ids, pa.string()), "input_sha256": pa.array(inputs, pa.string())}
    for name in ("bundle_sha256", "model_name", "model_version", "alias", "features_fingerprint"):
        found[name] = pa.array(np.full(2 * n, getattr(identity, name), dtype=object), pa.string())
    return found
