"""Scaling of the features: fitted on training rows, applied by one compiled row function in batch and live alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.jit import njit
from lob_pipeline.datasets.instants import Float32s, Int64s, Mask
from lob_pipeline.features.registry import BUILT

CLIP = 10.0
_CHUNK_ROWS = 1 << 16


@njit(cache=True)
def normalise_row(x: Float32s, asinh: Mask, mean: Float32s, scale: Float32s, out: Float32s) -> None:
    """Write the scaled row (F,): ``asinh`` where marked, (x − mean) / scale, clipped at ±10, NaN stays NaN; float32.

    A column of scale 0 is muted: every number becomes 0.
    """
    high = np.float32(CLIP)
    for j in range(x.size):
        if scale[j] == np.float32(0.0):
            out[j] = np.float32(0.0) if x[j] == x[j] else x[j]
            continue
        value = np.float32(np.arcsinh(x[j])) if asinh[j] else x[j]
        value = np.float32((value - mean[j]) / scale[j])
        if value > high:
            value = high
        elif value < -high:
            value = -high
        out[j] = value


@njit(cache=True)
def _normalise_rows(x: Float32s, asinh: Mask, mean: Float32s, scale: Float32s, out: Float32s) -> None:
    for i in range(x.shape[0]):
        normalise_row(x[i], asinh, mean, scale, out[i])


@dataclass(frozen=True)
class Normaliser:
    """``asinh`` bool, ``mean`` and ``scale`` float32, all (F,); ``scale`` is 0 where a column is muted.

    Muted is what the training rows say nothing about: a column that is constant among them, or one that the caller
    names. A scale of its own choice would let the first other value through as an enormous one.
    """

    names: tuple[str, ...]
    asinh: Mask
    mean: Float32s
    scale: Float32s

    @property
    def muted(self) -> tuple[str, ...]:
        """Return the names of the columns that always answer 0."""
        return tuple(name for name, scale in zip(self.names, self.scale, strict=True) if scale == 0)

    def apply(self, x: Float32s) -> Float32s:
        """Return the scaled rows, float32 (n, F), a new array. Raises ``BadInputError`` on another width or dtype."""
        if x.ndim != 2 or x.shape[1] != len(self.names) or x.dtype != np.float32:
            raise BadInputError(
                f"features of shape {x.shape} and dtype {x.dtype}: expected float32 rows of {len(self.names)} features"
            )
        out = np.empty(x.shape, np.float32)
        _normalise_rows(np.ascontiguousarray(x), self.asinh, self.mean, self.scale, out)
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name, as they are stored in a bundle."""
        return {"asinh": self.asinh, "mean": self.mean, "scale": self.scale}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; float32 values survive the way through their decimals."""
        return {
            "names": list(self.names),
            "asinh": self.asinh.tolist(),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Normaliser:
        """Rebuild a normaliser from ``to_json``."""
        return cls(
            tuple(data["names"]),
            np.array(data["asinh"], np.bool_),
            np.array(data["mean"], np.float32),
            np.array(data["scale"], np.float32),
        )


def takes_asinh(names: tuple[str, ...]) -> Mask:
    """Return which features (F,) are numbers of lots: unbounded and heavy-tailed on both sides."""
    lots = {feature.name for feature in BUILT if feature.unit == "lots"}
    return np.array([name in lots for name in names], np.bool_)


def fit_normaliser(
    features: Float32s, rows: Int64s, names: tuple[str, ...], *, muted: Mask | None = None
) -> Normaliser:
    """Return the scaling of ``features`` float32 (n, F) by the given rows (k,) alone, in float64.

    A column that is constant among them is muted, and those marked in ``muted`` (F,). Raises ``BadInputError`` without
    rows, or where one holds NaN.
    """
    if not len(rows):
        raise BadInputError("no row to fit the scaling of the features on: the training stretch is empty")
    asinh = takes_asinh(names)
    origin = _prepared(features[rows[:1]], asinh)[0]  # sums of differences from it: a constant column is exactly 0
    total = np.zeros(len(names))
    square = np.zeros(len(names))
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = _prepared(features[rows[start : start + _CHUNK_ROWS]], asinh) - origin
        total += part.sum(axis=0)
    shift = total / len(rows)
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = _prepared(features[rows[start : start + _CHUNK_ROWS]], asinh) - origin - shift
        square += (part * part).sum(axis=0)
    deviation = np.sqrt(square / len(rows)).astype(np.float32)
    mean = (origin + shift).astype(np.float32)
    if not np.isfinite(mean).all() or not np.isfinite(deviation).all():
        bad = [n for n, m, d in zip(names, mean, deviation, strict=True) if not (np.isfinite(m) and np.isfinite(d))]
        raise BadInputError(f"training rows hold values of {', '.join(bad[:3])} that are no numbers")
    if muted is not None:
        deviation[muted] = 0.0
    return Normaliser(tuple(names), asinh, mean, deviation)


def _prepared(part: Float32s, asinh: Mask) -> npt.NDArray[np.float64]:
    values = part.astype(np.float64)
    values[:, asinh] = np.arcsinh(values[:, asinh])
    return values
