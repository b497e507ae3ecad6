"""Run a training under Lightning's Trainer, with a checkpoint of plain tensors and numbers after each epoch.

A checkpoint is read back with ``weights_only=True`` (nothing in it is executed) and only by the training it came from:
same sizes, same settings, same rows and targets.
"""

from __future__ import annotations

import logging
import os
import pickle
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.models.training import Training

_OURS = "lob"


class EpochCheckpoint(pl.callbacks.Checkpoint):
    """Write the checkpoint after each epoch's own bookkeeping; the file is always a whole one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write beside the file, then replace it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        trainer.save_checkpoint(beside)
        os.replace(beside, self.path)


def run_training(module: Training, held: Any, checkpoint: Path | None) -> Training:
    """Train ``module`` on its windows and return it with what it remembers: curves, best epoch and its weights.

    Raises ``LobError`` where the checkpoint cannot be read, ``BadInputError`` where it belongs to another training.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    resume = checkpoint if checkpoint is not None and checkpoint.exists() else None
    if resume is not None and _restored(module, resume):
        return module
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # Lightning advises on loaders with workers, which this is not
        trainer = pl.Trainer(
            max_epochs=module.train_config.epochs,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=checkpoint is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            gradient_clip_val=module.train_config.gradient_clip,
            callbacks=[EpochCheckpoint(checkpoint)] if checkpoint is not None else [],
        )
        trainer.fit(module, module.windows, held, ckpt_path=resume, weights_only=True if resume is not None else None)
    return module


def _restored(module: Training, path: Path) -> bool:
    """Check the checkpoint and return whether its training was over; then ``module`` remembers what it did."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself does not look: a changed weight would be trained on
        if damaged is not None:
            raise ValueError(f"{damaged} was changed since it was written")
        stored = torch.load(path, map_location="cpu", weights_only=True)
        ours = stored[_OURS]
        identity, over = ours["identity"], ours["over"]
    except (
        OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        why = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise LobError(f"the checkpoint {path} cannot be read ({why}): delete it and train from the start") from None
    if identity != module.identity:
        raise BadInputError(f"the checkpoint {path} belongs to another training (sizes, settings or data): delete it")
    if over:
        module.on_load_checkpoint(stored)
    return bool(over)
