"""A small world with known answers: independent features, two of which decide fills and two the edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.normalise import Normaliser
from lob_pipeline.datasets.targets import Targets
from lob_pipeline.models.config import ModelConfig, TrainConfig
from lob_pipeline.models.fitted import Fitted, Scaling
from lob_pipeline.models.outputs import TEMPERATURE_HEADS

FEATURES = 10


@dataclass(frozen=True)
class World:
    """Raw features (n, 10), their segments, targets and fold; the truth of fill and edge beside them."""

    features: npt.NDArray[np.float32]
    segment: npt.NDArray[np.int32]
    targets: Targets
    fold: Fold
    normaliser: Normaliser
    fill_probability: npt.NDArray[np.float64]
    edge_mean_bps: npt.NDArray[np.float64]

    @property
    def normalised(self) -> npt.NDArray[np.float32]:
        return self.normaliser.apply(self.features)


def world(n: int = 6000, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, FEATURES)).astype(np.float32)
    gap = n // 2
    segment = np.zeros(n, np.int32)
    segment[gap], segment[gap + 1 :] = -1, 1
    chance = 1 / (1 + np.exp(-1.5 * features[:, :2].astype(np.float64)))
    edge_mean = 2.0 * features[:, 2:4].astype(np.float64) - 1.0
    fill = (rng.random((n, 2)) < chance).astype(np.float32)
    edge = np.where(fill > 0, edge_mean + rng.normal(size=(n, 2)), np.nan).astype(np.float32)
    entry = np.where(fill > 0, edge > 0, 0.0).astype(np.float32)
    adverse = np.where(fill > 0, edge < -2, np.nan).astype(np.float32)
    direction = (1 + np.sign(np.round(features[:, 4]))).astype(np.int64)
    features[gap] = np.nan
    for array in (fill, edge, entry, adverse):
        array[gap] = np.nan
    direction[gap] = -1
    targets = Targets(
        entry=entry, edge=edge, mfe=edge + 3, mae=edge - 3, adverse=adverse, fill=fill, direction=direction,
        dead_zone_bps=0.1, weight=np.full((n, 2), 0.01, np.float32), masked_heads=(),
    )  # fmt: skip
    held, test = int(0.6 * n), int(0.75 * n)
    rows = np.flatnonzero(segment >= 0)
    fold = Fold(1, rows[rows < held], rows[(rows >= held) & (rows < test)], rows[rows >= test], held, test, n)
    return World(features, segment, targets, fold, identity(FEATURES), chance, edge_mean)


def identity(width: int) -> Normaliser:
    names = tuple(f"f{i}" for i in range(width))
    return Normaliser(names, np.zeros(width, np.bool_), np.zeros(width, np.float32), np.ones(width, np.float32))


def tiny(head: str = "moe", **changes: object) -> tuple[ModelConfig, TrainConfig]:
    sizes = {"d_model": 16, "layers": 2, "heads": 2, "d_ff": 32, "window": 8, "experts": 4, "d_expert": 16}
    model = ModelConfig(FEATURES, **sizes, dropout=0.0, head=head)
    train = TrainConfig(epochs=4, patience=4, learning_rate=5e-3, warmup_steps=5, batch_windows=8, length=32)
    return model, replace(train, **changes)


def untrained(config: ModelConfig, seed: int = 0) -> Fitted:
    """A network with random weights (biases and age biases too, so that none is zero by luck) and uneven answers."""
    from lob_pipeline.models.network import build

    rng = np.random.default_rng(seed)
    state = build(config, seed).state_dict()
    weights = {k: v.numpy() + rng.normal(0, 0.05, v.shape).astype(np.float32) for k, v in state.items()}
    centre, scale = (-4.0, -5.0, 2.0, 2.5, -3.0, -3.5), (3.0, 3.5, 2.0, 2.0, 2.5, 2.5)
    scaling = Scaling(centre, scale, (0.7, 0.6), (0.1, 0.2), -2.0, 1.5)
    temperatures = dict(zip(TEMPERATURE_HEADS, (1.3, 0.8, 1.1, 0.9), strict=True))
    train = TrainConfig()
    return Fitted(config, train, weights, scaling, temperatures, (), [], sum(w.size for w in weights.values()), 0, 0.0)
