"""The live step: a fitted network without torch, one row at a time, with cached keys and values.

The state is a ring of the last ``window`` keys and values a layer. A row that is not valid empties it: nothing crosses
a gap. ``run`` is the only door, for one row and for a day of them, so live and batch answer with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.normalise import Normaliser
from lob_pipeline.models.answers import AnswerRule, answer_rule
from lob_pipeline.models.config import ModelConfig, receptive_field
from lob_pipeline.models.fitted import Fitted, Scaling
from lob_pipeline.models.outputs import N_OUTPUTS
from lob_pipeline.models.stream_kernel import Cache, Layers, Scale, run_rows

__all__ = ["StreamModel", "StreamState", "receptive_field"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StreamState:
    """What the stream remembers; ``run`` changes it in place."""

    cache: Cache

    def copy(self) -> StreamState:
        """Return an independent copy."""
        keys, values, seen = self.cache
        return StreamState(Cache(keys.copy(), values.copy(), seen.copy()))

    def arrays(self) -> dict[str, npt.NDArray]:
        """Return the state as named arrays, fit for safetensors or ``np.savez``."""
        return dict(self.cache._asdict())

    @property
    def seen(self) -> int:
        """Return how many valid rows were seen since the last reset."""
        return int(self.cache.seen[0])

    def reset(self) -> None:
        """Forget every row."""
        self.cache.seen[0] = 0


@dataclass(frozen=True)
class StreamModel:
    """A network ready to stream: weights laid out for the kernel, normaliser, and the rule of its answers."""

    config: ModelConfig
    layers: Layers
    normaliser: Scale
    rule: AnswerRule

    @classmethod
    def from_arrays(
        cls,
        config: ModelConfig | Mapping[str, Any],
        weights: Mapping[str, Floats],
        normaliser: Normaliser | Mapping[str, npt.NDArray],
        scaling: Scaling | Mapping[str, Any],
        temperatures: Mapping[str, float],
        masked_heads: tuple[str, ...] | list[str] = (),
    ) -> StreamModel:
        """Return the model of stored parts (records or their JSON), masked heads silent.

        Raises ``BadInputError`` where sizes do not fit.
        """
        config = config if isinstance(config, ModelConfig) else ModelConfig.from_json(dict(config))
        scaling = scaling if isinstance(scaling, Scaling) else Scaling.from_json(dict(scaling))
        arrays = normaliser.arrays() if isinstance(normaliser, Normaliser) else normaliser
        if any(len(arrays[name]) != config.inputs for name in ("asinh", "mean", "scale")):
            raise BadInputError(f"the normaliser has {len(arrays['mean'])} features, the network {config.inputs}")
        scale = Scale(
            np.ascontiguousarray(arrays["asinh"], np.bool_),
            np.ascontiguousarray(arrays["mean"], np.float32),
            np.ascontiguousarray(arrays["scale"], np.float32),
        )
        rule = answer_rule(config, scaling, dict(temperatures), tuple(masked_heads))
        return cls(config, _layout(config, weights), scale, rule)

    @classmethod
    def from_fitted(cls, fitted: Fitted, normaliser: Normaliser) -> StreamModel:
        """Return the streaming form of a fitted network."""
        parts = (fitted.scaling, fitted.temperatures, fitted.masked_heads)
        return cls.from_arrays(fitted.config, fitted.weights, normaliser, *parts)

    def new_state(self) -> StreamState:
        """Return the state before the first row."""
        c = self.config
        keys = np.zeros((c.layers, c.d_model, c.window), np.float32)
        values = np.zeros((c.layers, c.window, c.d_model), np.float32)
        return StreamState(Cache(keys, values, np.zeros(1, np.int64)))

    def state_from(self, arrays: Mapping[str, npt.NDArray]) -> StreamState:
        """Return the state of ``StreamState.arrays``. Raises ``BadInputError`` where it belongs to another model."""
        state = self.new_state()
        for name, mine in state.arrays().items():
            other = arrays.get(name)
            if other is None or other.shape != mine.shape or other.dtype != mine.dtype:
                raise BadInputError(f"a stored stream state does not fit this model at {name!r}: start from a new one")
            mine[...] = other
        return state

    def run(self, state: StreamState, features: Floats, valid: Mask) -> tuple[Floats, Mask]:
        """Take raw feature rows float32 (n, F) with ``valid`` bool (n,) in order of time; change ``state`` in place.

        Returns forecasts float32 (n, 15) and ready bool (n,): at least ``window`` valid rows since the last reset,
        this one included. A row that is not valid, or holds a number that is not finite, answers NaN and resets.
        """
        rows = np.ascontiguousarray(features, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.config.inputs or valid.shape != (rows.shape[0],):
            found = f"features {rows.shape} and valid {valid.shape}"
            raise BadInputError(f"{found}: expected (n, {self.config.inputs}) and (n,)")
        forecast = np.empty((rows.shape[0], N_OUTPUTS), np.float32)
        ready = np.empty(rows.shape[0], np.bool_)
        flags = np.ascontiguousarray(valid, np.bool_)
        run_rows(self.layers, self.normaliser, self.rule, state.cache, rows, flags, forecast, ready)
        return forecast, ready


def _layout(config: ModelConfig, weights: Mapping[str, Floats]) -> Layers:
    """Return the kernel's arrays of a state dict (torch's names and layout)."""
    left = dict(weights)

    def take(name: str, *shape: int) -> Floats:
        array = left.pop(name, None)
        if array is None or array.shape != shape:
            raise BadInputError(f"weight {name!r}: expected {shape}, found {None if array is None else array.shape}")
        return np.asarray(array, np.float32)

    def stack(suffix: str, *shape: int, flip: bool = False) -> Floats:
        each = [take(f"layers.{i}.{suffix}", *shape) for i in range(config.layers)]
        return np.ascontiguousarray(np.stack([a.T if flip else a for a in each]))

    def norms(name: str) -> Floats:
        return np.ascontiguousarray(np.stack([stack(f"{name}.weight", d), stack(f"{name}.bias", d)], axis=1))

    d, ff, blocks, hidden, outputs = config.d_model, config.d_ff, config.blocks, config.d_hidden, config.outputs
    gated = config.head == "moe"
    layers = Layers(
        np.ascontiguousarray(take("input.weight", d, config.inputs).T),
        take("input.bias", d),
        norms("norm1"),
        stack("attention.qkv.weight", 3 * d, d, flip=True),
        stack("attention.qkv.bias", 3 * d),
        stack("attention.age_bias", config.heads, config.window),
        stack("attention.out.weight", d, d, flip=True),
        stack("attention.out.bias", d),
        norms("norm2"),
        stack("up.weight", ff, d, flip=True),
        stack("up.bias", ff),
        stack("down.weight", d, ff, flip=True),
        stack("down.bias", d),
        np.stack([take("norm.weight", d), take("norm.bias", d)]),
        np.ascontiguousarray(take("head.gate.weight", blocks, d).T) if gated else np.zeros((d, 1), np.float32),
        take("head.gate.bias", blocks) if gated else np.zeros(1, np.float32),
        np.ascontiguousarray(take("head.up.weight", blocks * hidden, d).T),
        take("head.up.bias", blocks * hidden),
        np.ascontiguousarray(take("head.down", blocks, hidden, outputs).reshape(blocks * hidden, outputs)),
        take("head.down_bias", blocks, outputs),
    )
    if left:
        raise BadInputError(f"weights this code does not know: {', '.join(sorted(left))}")
    return layers
