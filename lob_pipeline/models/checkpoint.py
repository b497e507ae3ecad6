"""Run a training under Lightning's Trainer, with a checkpoint of plain tensors after each epoch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl

from lob_pipeline.models.batches import Windows
from lob_pipeline.models.config import ModelConfig, TrainConfig
from lob_pipeline.models.network import Network
from lob_pipeline.models.training import Progress, Training


def run_training(
    network: Network,
    config: ModelConfig,
    train: TrainConfig,
    windows: Windows,
    held: Windows,
    progress: Progress | None,
    checkpoint: Path | None,
) -> Training:
    """Train ``network`` in place and return what was remembered: curves, best epoch and its weights."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    module = Training(network, config, train, windows, progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning advises on loaders with workers, which this is not
        trainer = pl.Trainer(
            max_epochs=train.epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            gradient_clip_val=train.gradient_clip, callbacks=[], inference_mode=False, barebones=False,
        )  # fmt: skip
        trainer.fit(module, train_dataloaders=windows, val_dataloaders=held)
    return module
