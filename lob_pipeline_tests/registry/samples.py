"""A small bundle's contents, made without training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from lob_pipeline.features.registry import BUILT
from lob_pipeline.labels.spec import LabelConfig

NAMES = tuple(f.name for f in BUILT[:5])


def sample_info(**changes: Any) -> dict[str, Any]:
    """Return the ``info`` of a bundle of five features; ``changes`` replace keys."""
    info: dict[str, Any] = {
        "name": "lob-moe",
        "semver": "1.0.0",
        "market": "sim.BTCUSDT",
        "instrument": {"tick": "0.1", "lot": "0.001"},
        "clock": "t100ms",
        "features": list(NAMES),
        "label": {
            "config": {**asdict(LabelConfig()), "models": [0, 1, 2], "latency_sample_ns": []},
            "fees": {"maker_bps": 2.0, "taker_bps": 5.5},
        },
        "profile": {"version": "none"},
        "model": {"inputs": 5, "d_model": 8, "layers": 1, "window": 4},
        "training": {"seed": 1, "epochs": 2},
        "preset": "demo",
        "scaling": {"centre_bps": [0.0] * 6, "scale_bps": [1.0] * 6},
        "temperatures": {"entry": 1.0, "direction": 1.1, "adverse": 0.9, "fill": 1.2},
        "masked_heads": [],
        "data": {"data_sha256": "d" * 64, "as_of": "2026-01-07", "days": []},
        "folds": [],
        "evaluation": {"verdict": "DO_NOT_TRADE", "reasons": []},
        "calibration": {},
        "versions": {"numpy": "2.4"},
        "git_sha": "unknown",
    }
    info.update(changes)
    return info


def sample_arrays(seed: int = 1) -> dict[str, np.ndarray]:
    """Return arrays that fit ``sample_info``; another seed, other weights."""
    rng = np.random.default_rng(seed)
    n = len(NAMES)
    return {
        "weights/embed.weight": rng.normal(size=(8, n)).astype(np.float32),
        "weights/embed.bias": rng.normal(size=8).astype(np.float32),
        "normaliser/asinh": np.array([True, False, True, False, False]),
        "normaliser/mean": rng.normal(size=n).astype(np.float32),
        "normaliser/scale": np.ones(n, np.float32),
    }
