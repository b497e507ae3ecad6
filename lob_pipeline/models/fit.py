"""Fit a network to a fold, and forecast with it in batch. Imports torch and Lightning: import this module late."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.targets import Targets
from lob_pipeline.models.batches import make_windows
from lob_pipeline.models.calibrate import fit_temperatures
from lob_pipeline.models.checkpoint import run_training
from lob_pipeline.models.config import ModelConfig, TrainConfig
from lob_pipeline.models.fitted import Fitted, Scaling
from lob_pipeline.models.losses import Truth, bps_slopes, build_truth, check_fold, measure_scaling, take_rows
from lob_pipeline.models.network import Network, build
from lob_pipeline.models.outputs import HEADS, SIGMOID_HEADS
from lob_pipeline.models.predict import predict, raw_rows, routing
from lob_pipeline.models.training import Training

__all__ = ["Fitted", "fit", "predict", "routing"]

Floats = npt.NDArray[np.float32]


def fit(
    normalised: Floats,
    segment: npt.NDArray[np.int32],
    targets: Targets,
    fold: Fold,
    config: ModelConfig,
    train_config: TrainConfig,
    *,
    progress: Callable[[float, str], None] | None = None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Return the network fitted to ``fold.train``, stopped early and calibrated on ``fold.held``.

    ``normalised`` float32 (n, F); rows of no segment may hold NaN, rows of a segment may not. With ``checkpoint`` the
    state is written there after each epoch, and a run that finds one goes on from it. The same seed and number of
    threads give the same weights. Raises ``BadInputError`` without training or held rows, ``LobError`` where a loss is
    not a number (naming head and epoch) or the checkpoint cannot be read.
    """
    started = time.monotonic()
    check_fold(fold, normalised.shape[0])
    if fold.train.size == 0 or fold.held.size == 0:
        found = f"{fold.train.size} training and {fold.held.size} held rows"
        raise BadInputError(f"fold {fold.number} has {found}: both are needed")
    threads = torch.get_num_threads()
    torch.set_num_threads(train_config.threads)
    try:
        return _fit(normalised, segment, targets, fold, config, train_config, progress, checkpoint, started)
    finally:
        torch.set_num_threads(threads)


def _fit(
    normalised: Floats,
    segment: npt.NDArray[np.int32],
    targets: Targets,
    fold: Fold,
    config: ModelConfig,
    train_config: TrainConfig,
    progress: Callable[[float, str], None] | None,
    checkpoint: Path | None,
    started: float,
) -> Fitted:
    scaling = measure_scaling(targets, fold.train)
    truth = build_truth(targets, scaling, fold.train)
    features = torch.from_numpy(np.ascontiguousarray(normalised, np.float32))
    c = train_config
    train = make_windows(
        features, truth, segment, fold.train,
        length=c.length, batch_windows=c.batch_windows, max_rows=c.max_train_rows, shuffle=True, seed=c.seed,
    )  # fmt: skip
    held = make_windows(
        features, truth, segment, fold.held,
        length=c.length, batch_windows=4 * c.batch_windows, max_rows=c.max_held_rows, seed=c.seed,
    )  # fmt: skip
    network = build(config, c.seed)
    _start_at_base_rates(network, config, scaling, targets, fold)
    if progress is not None:
        count = sum(p.numel() for p in network.parameters())
        rows = f"{train.rows:,} of {fold.train.size:,} training rows, {held.rows:,} held rows"
        progress(0.0, f"{count:,} parameters, {rows}")
    identity = _identity(features, truth, fold, config, c) if checkpoint is not None else ""
    done = run_training(Training(network, config, c, train, progress, identity), held, checkpoint)
    weights = {name: t.numpy().copy() for name, t in done.best_weights.items()}
    network.load_state_dict(done.best_weights)
    raw = raw_rows(network, config, features, segment, fold.held)
    temperatures = fit_temperatures(raw if config.outputs > 1 else None, targets, fold.held)
    slopes = bps_slopes(torch.from_numpy(raw), take_rows(truth, torch.from_numpy(fold.held)))
    return Fitted(
        config,
        c,
        weights,
        scaling.sloped(slopes),
        temperatures,
        tuple(targets.masked_heads),
        done.curves,
        sum(w.size for w in weights.values()),
        train.rows,
        time.monotonic() - started,
        int(done.best["epoch"]),
        (
            f"{train.rows:,} of {fold.train.size:,} training rows in {train.row.shape[0]:,} windows of {c.length}",
            "slopes on the held rows: " + ", ".join(f"{head} {slope:.2f}" for head, slope in slopes.items()),
        ),
    )


def _identity(features: torch.Tensor, truth: Truth, fold: Fold, config: ModelConfig, train: TrainConfig) -> str:
    """Return the SHA-256 of what a checkpoint must agree with: sizes, settings, rows, targets, some of the inputs."""
    total = hashlib.sha256(json.dumps([config.to_json(), train.to_json()], sort_keys=True).encode())
    for array in (fold.train, fold.held, *(t.numpy() for t in truth), features[::101].numpy()):
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _start_at_base_rates(network: Network, config: ModelConfig, scaling: Scaling, targets: Targets, fold: Fold) -> None:
    """Let every expert begin at the training rows' base rates, so that no epoch is spent on finding them."""
    if config.outputs == 1:
        return
    start = torch.zeros(config.outputs)
    for head in SIGMOID_HEADS:
        for side, column in enumerate(HEADS[head]):
            known = getattr(targets, head)[fold.train, side]
            known = known[~np.isnan(known)]
            share = float(np.clip(known.mean(), 0.001, 0.999)) if known.size else 0.5
            start[column] = float(np.log(share / (1 - share)))
    known = targets.direction[fold.train]
    counts = np.bincount(known[known >= 0], minlength=3) + 1.0
    start[2:5] = torch.from_numpy(np.log(counts / counts.sum())).float()
    with torch.no_grad():
        network.head.down_bias.add_(start)
