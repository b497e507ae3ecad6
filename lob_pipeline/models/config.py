"""What a model is and how it is trained: two frozen records, two presets. No torch here: the live process reads them.

``full`` is the architecture of METHODS.md (4 layers, d 128, 4 heads, 8 experts, window 64; 800–900 thousand
parameters). ``demo`` is the same code at a size that one core trains in seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.models.outputs import N_OUTPUTS

HEAD_KINDS = ("moe", "dense", "signed_edge")


@dataclass(frozen=True)
class ModelConfig:
    """Architecture. ``inputs`` is the number of features; ``window`` counts the row itself (ages 0 … window − 1)."""

    inputs: int
    d_model: int = 128
    layers: int = 4
    heads: int = 4
    d_ff: int = 256
    window: int = 64
    experts: int = 8
    d_expert: int = 256
    dropout: float = 0.1
    head: str = "moe"

    def __post_init__(self) -> None:
        """Raise ``BadInputError`` on sizes that do not fit together."""
        if self.head not in HEAD_KINDS:
            raise BadInputError(f"head {self.head!r} is none of {', '.join(HEAD_KINDS)}")
        small = [f.name for f in fields(self) if f.type == "int" and getattr(self, f.name) < 1]
        if small:
            raise BadInputError(f"{', '.join(small)} of a model must be at least 1")
        if self.d_model % self.heads:
            raise BadInputError(f"d_model {self.d_model} is no multiple of its {self.heads} heads")
        if not 0.0 <= self.dropout < 1.0:
            raise BadInputError(f"dropout {self.dropout} is not in [0, 1)")

    @property
    def outputs(self) -> int:
        """Return how many numbers the head gives: 15, or 1 for the unified signed edge."""
        return 1 if self.head == "signed_edge" else N_OUTPUTS

    @property
    def blocks(self) -> int:
        """Return how many expert blocks the head is made of: ``experts``, or 1 without a gate."""
        return self.experts if self.head == "moe" else 1

    @property
    def d_hidden(self) -> int:
        """Return the hidden width of one block; a head without gate is as wide as matches the mixture's parameters."""
        if self.head == "moe":
            return self.d_expert
        per_unit = self.d_model + 1 + self.outputs
        return max(1, round((_mixture_parameters(self) - self.outputs) / per_unit))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModelConfig:
        """Return the record of ``to_json``. Raises ``BadInputError`` on unknown or missing fields."""
        return cls(**_known(cls, data))


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. ``length`` is rows a window, ``batch_windows`` windows a step, rates per step."""

    epochs: int = 30
    patience: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 50
    batch_windows: int = 16
    length: int = 256
    max_train_rows: int = 0  # 0: all
    max_held_rows: int = 0
    gradient_clip: float = 1.0
    balance_weight: float = 0.01
    z_weight: float = 1e-3
    seed: int = 0
    threads: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrainConfig:
        """Return the record of ``to_json``. Raises ``BadInputError`` on unknown or missing fields."""
        return cls(**_known(cls, data))


def preset(
    name: str, inputs: int, *, head: str = "moe", seed: int = 0, threads: int = 1
) -> tuple[ModelConfig, TrainConfig]:
    """Return the two records of preset ``full`` or ``demo`` for ``inputs`` features. Raises ``BadInputError``."""
    if name == "full":
        return ModelConfig(inputs, head=head), TrainConfig(seed=seed, threads=threads)
    if name == "demo":
        sizes = {"d_model": 32, "layers": 2, "heads": 2, "d_ff": 64, "window": 32, "d_expert": 32}
        model = ModelConfig(inputs, **sizes, dropout=0.05, head=head)
        train = TrainConfig(
            epochs=5, patience=2, learning_rate=3e-3, warmup_steps=20, batch_windows=32, length=64,
            max_train_rows=60_000, max_held_rows=15_000, seed=seed, threads=threads,
        )  # fmt: skip
        return model, train
    raise BadInputError(f"preset {name!r} is neither full nor demo")


def receptive_field(config: ModelConfig) -> int:
    """Return how many of the last rows a forecast can depend on: layers·(window − 1) + 1."""
    return config.layers * (config.window - 1) + 1


def parameter_count(config: ModelConfig) -> int:
    """Return the number of trained numbers of ``config``, counted from its sizes."""
    d, ff = config.d_model, config.d_ff
    attention = 4 * d * d + 4 * d + config.heads * config.window
    layer = attention + 2 * d * ff + ff + d + 4 * d
    return config.inputs * d + d + config.layers * layer + 2 * d + _head_parameters(config)


def _head_parameters(config: ModelConfig) -> int:
    if config.head == "moe":
        return _mixture_parameters(config)
    return config.d_hidden * (config.d_model + 1 + config.outputs) + config.outputs


def _mixture_parameters(config: ModelConfig) -> int:
    one = config.d_expert * (config.d_model + 1 + N_OUTPUTS) + N_OUTPUTS
    return config.experts * one + config.experts * (config.d_model + 1)


def _known(cls: type, data: dict[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(cls)}
    wrong = sorted(set(data) ^ names)
    if wrong:
        raise BadInputError(f"a stored {cls.__name__} differs from this code's in: {', '.join(wrong)}")
    return data
