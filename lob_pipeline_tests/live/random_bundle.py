"""A bundle of random weights: the streaming step does not care whether a network was trained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.features.registry import BUILT
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.models.config import ModelConfig, preset
from lob_pipeline.registry.bundle import Bundle, write_bundle

_ASINH = frozenset(f.name for f in BUILT if f.unit == "lots")


def random_weights(config: ModelConfig, seed: int) -> dict[str, np.ndarray]:
    """Return a state dict of torch's names and shapes for ``models.stream``."""
    rng = np.random.default_rng(seed)
    d, ff, blocks, hidden, outputs = config.d_model, config.d_ff, config.blocks, config.d_hidden, config.outputs
    shapes: dict[str, tuple[int, ...]] = {"input.weight": (d, config.inputs), "input.bias": (d,)}
    for i in range(config.layers):
        shapes |= {
            f"layers.{i}.{name}": shape
            for name, shape in {
                "norm1.weight": (d,),
                "norm1.bias": (d,),
                "attention.qkv.weight": (3 * d, d),
                "attention.qkv.bias": (3 * d,),
                "attention.age_bias": (config.heads, config.window),
                "attention.out.weight": (d, d),
                "attention.out.bias": (d,),
                "norm2.weight": (d,),
                "norm2.bias": (d,),
                "up.weight": (ff, d),
                "up.bias": (ff,),
                "down.weight": (d, ff),
                "down.bias": (d,),
            }.items()
        }
    shapes |= {"norm.weight": (d,), "norm.bias": (d,)}
    if config.head == "moe":
        shapes |= {"head.gate.weight": (blocks, d), "head.gate.bias": (blocks,)}
    shapes |= {
        "head.up.weight": (blocks * hidden, d),
        "head.up.bias": (blocks * hidden,),
        "head.down": (blocks, hidden, outputs),
        "head.down_bias": (blocks, outputs),
    }
    return {
        name: (rng.normal(size=shape) / np.sqrt(max(1, shape[-1]))).astype(np.float32) for name, shape in shapes.items()
    }


def random_bundle(
    root: Path,
    market: str,
    clock: str,
    *,
    seed: int = 1,
    size: str = "demo",
    grid: dict[str, str] | None = None,
    **changes: Any,
) -> Bundle:
    """Write a bundle of random weights under ``root`` and return it. ``changes`` replace keys of its info."""
    names, _ = model_inputs(changes.pop("feature_set", "full89"), parse_clock(clock))
    config, training = preset(size, len(names))
    rng = np.random.default_rng(seed + 1)
    info: dict[str, Any] = {
        "name": "lob-moe",
        "semver": "1.0.0",
        "market": market,
        "instrument": grid or {"tick": "0.1", "lot": "0.001"},
        "clock": clock,
        "features": list(names),
        "label": {
            "config": {**asdict(LabelConfig()), "models": [0, 1, 2], "latency_sample_ns": []},
            "fees": {"maker_bps": 2.0, "taker_bps": 5.5},
        },
        "profile": {"version": "none"},
        "model": config.to_json(),
        "training": training.to_json(),
        "preset": size,
        "scaling": {
            "centre_bps": [0.0] * 6,
            "scale_bps": [2.0] * 6,
            "entry_rate": [0.1, 0.1],
            "fill_rate": [0.4, 0.4],
            "edge_level_bps": 0.0,
            "signed_scale_bps": 1.0,
        },
        "temperatures": {"entry": 1.0, "direction": 1.1, "adverse": 0.9, "fill": 1.2},
        "masked_heads": [],
        "data": {"data_sha256": "d" * 64, "as_of": "2026-01-07", "days": []},
        "folds": [],
        "evaluation": {"verdict": "DO_NOT_TRADE", "reasons": []},
        "calibration": {},
        "versions": {"numpy": np.__version__},
        "git_sha": "unknown",
        **changes,
    }
    arrays = {f"weights/{name}": array for name, array in random_weights(config, seed).items()}
    arrays["normaliser/asinh"] = np.array([name in _ASINH for name in names])
    arrays["normaliser/mean"] = (0.1 * rng.normal(size=len(names))).astype(np.float32)
    arrays["normaliser/scale"] = np.full(len(names), 2.0, np.float32)
    return write_bundle(root, info, arrays)
