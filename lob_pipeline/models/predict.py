"""Batch forecasts of a fitted network with full context, and where its router sends which rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lob_pipeline.datasets.windows import positions, windows
from lob_pipeline.models.answers import answer, answer_rule
from lob_pipeline.models.batches import real_rows
from lob_pipeline.models.config import ModelConfig, receptive_field
from lob_pipeline.models.fitted import Fitted
from lob_pipeline.models.network import Network

Floats = npt.NDArray[np.float32]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
_FRESH_ROWS = 512  # rows answered a window, behind their context
_BATCH_ROWS = 1 << 13


def load_network(fitted: Fitted) -> Network:
    """Return the fitted network in evaluation mode."""
    network = Network(fitted.config)
    network.load_state_dict({name: torch.from_numpy(np.asarray(w)) for name, w in fitted.weights.items()})
    return network.eval()


def predict(fitted: Fitted, normalised: Floats, segment: npt.NDArray[np.int32], rows: npt.NDArray[np.int64]) -> Floats:
    """Return forecasts float32 (len(rows), 15) of ``rows``, each with its full context; rows of no segment are NaN.

    ``normalised`` float32 (n, F), ``segment`` int32 (n,). Context reaches back to the segment's start, at most
    ``receptive_field`` rows.
    """
    rule = answer_rule(fitted.config, fitted.scaling, fitted.temperatures, fitted.masked_heads)
    threads = torch.get_num_threads()
    torch.set_num_threads(fitted.train_config.threads)
    try:
        features = torch.from_numpy(np.ascontiguousarray(normalised, np.float32))
        raw = raw_rows(load_network(fitted), fitted.config, features, segment, rows)
    finally:
        torch.set_num_threads(threads)
    out = answer(raw, rule)
    out[segment[rows] < 0] = np.nan
    return out


def raw_rows(network: Network, config: ModelConfig, features: Tensor, segment: Int32s, rows: Int64s) -> Floats:
    """Return the head's raw numbers float32 (len(rows), outputs) of ``rows``; NaN for rows of no segment."""
    return _walk(network, config, features, segment, rows, gates=False)


def gate_rows(network: Network, config: ModelConfig, features: Tensor, segment: Int32s, rows: Int64s) -> Floats:
    """Return the gate's shares float32 (len(rows), experts) of ``rows``."""
    return _walk(network, config, features, segment, rows, gates=True)


def _walk(
    network: Network, config: ModelConfig, features: Tensor, segment: Int32s, rows: Int64s, gates: bool
) -> Floats:
    n, context = segment.size, receptive_field(config) - 1
    length = context + _FRESH_ROWS
    target = np.zeros(n, np.bool_)
    target[rows] = True
    starts = windows(segment, target, length, context)
    place = np.full(n, -1, np.int64)
    place[rows] = np.arange(rows.size)
    out = np.full((rows.size, config.experts if gates else config.outputs), np.nan, np.float32)
    network.eval()
    each = max(1, _BATCH_ROWS // length)
    where = positions(segment, target, starts, length)
    read = real_rows(where, starts)
    with torch.inference_mode():
        for at in range(0, starts.size, each):
            row, counted = read[at : at + each], where.counted[at : at + each]
            x = features.index_select(0, torch.from_numpy(row.reshape(-1))).view(*row.shape, -1)
            raw, logits = network(x)
            if gates:
                assert logits is not None
                raw = logits.softmax(-1)
            out[place[row[counted]]] = raw.numpy()[counted]
    return out


def routing(
    fitted: Fitted,
    normalised: Floats,
    segment: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
    regime: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """Return how the router splits ``rows`` among the experts, in all and by ``regime`` int64 (len(rows),).

    ``{"experts", "share": [E], "entropy_nats", "by_regime": {label: {"rows", "share": [E], "entropy_nats"}}}``; a head
    without gate has ``experts`` 0 and nothing else. Rows of no segment are left out.
    """
    if fitted.config.head != "moe":
        return {"experts": 0}
    features = torch.from_numpy(np.ascontiguousarray(normalised, np.float32))
    gate = gate_rows(load_network(fitted), fitted.config, features, segment, rows)
    known = np.isfinite(gate).all(axis=1)
    parts = {str(r): _split(gate[known & (regime == r)]) for r in np.unique(regime[known])}
    return {"experts": fitted.config.experts, **_split(gate[known]), "by_regime": parts}


def _split(gate: Floats) -> dict[str, Any]:
    if gate.shape[0] == 0:
        return {"rows": 0, "share": [], "entropy_nats": None}
    entropy = -(gate * np.log(np.maximum(gate, 1e-9))).sum(axis=1).mean(dtype=np.float64)
    share = [float(v) for v in gate.mean(axis=0, dtype=np.float64)]
    return {"rows": int(gate.shape[0]), "share": share, "entropy_nats": float(entropy)}


def terciles(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the tercile 0, 1 or 2 of each value (n,) among the finite ones, −1 for the others."""
    out = np.full(values.size, -1, np.int64)
    known = np.isfinite(values)
    if known.any():
        edges = np.quantile(values[known], (1 / 3, 2 / 3))
        out[known] = np.searchsorted(edges, values[known], side="right")
    return out
