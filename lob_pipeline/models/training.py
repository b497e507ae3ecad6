"""The training loop around the network: Lightning carries it, this file says what a step costs and what is remembered.

One epoch: shuffled windows (order and dropout from the seed and the epoch's number, so a resumed run goes on exactly
as an uninterrupted one), then the loss of the held rows; the best epoch by the held loss is kept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lob_pipeline.core.errors import LobError
from lob_pipeline.models.batches import Batch, Windows
from lob_pipeline.models.config import ModelConfig, TrainConfig
from lob_pipeline.models.losses import head_losses, router_losses
from lob_pipeline.models.network import Network

Progress = Callable[[float, str], None]


class Training(pl.LightningModule):
    """Losses, optimiser, curves, best weights and early stop of one fit."""

    def __init__(self, network: Network, config: ModelConfig, train: TrainConfig, windows: Windows, progress: Progress | None) -> None:
        super().__init__()
        self.network = network
        self.config, self.train_config, self.windows, self.progress = config, train, windows, progress
        self.curves: list[dict[str, Any]] = []
        self.best = {"held": math.inf, "epoch": -1}
        self.best_weights: dict[str, Tensor] = {}
        self._sums: dict[str, defaultdict[str, float]] = {}

    def configure_optimizers(self) -> Any:
        """Return AdamW with a linear warm-up and a cosine down to a twentieth, stepped each batch."""
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": self.train_config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.train_config.learning_rate, betas=(0.9, 0.98))
        total = max(1, self.train_config.epochs * len(self.windows))
        warm = min(self.train_config.warmup_steps, max(1, total // 5))

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Seed dropout and the windows' order by the epoch."""
        self._sums["train"] = defaultdict(float)
        self.windows.epoch = self.current_epoch
        torch.manual_seed(self.train_config.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the total loss of one batch. Raises ``LobError`` naming epoch and head where it is no number."""
        total = self._charge(batch, "train")
        if self.progress is not None and batch_index % 16 == 0:
            done = (self.current_epoch + batch_index / max(1, len(self.windows))) / self.train_config.epochs
            self.progress(done, f"epoch {self.current_epoch + 1} of {self.train_config.epochs}")
        return total

    def on_validation_epoch_start(self) -> None:
        """Start the held sums."""
        self._sums["held"] = defaultdict(float)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add one batch of held rows."""
        self._charge(batch, "held")

    def on_train_epoch_end(self) -> None:
        """Write the epoch's line of the curves, keep the best weights, stop when patience is over."""
        line: dict[str, Any] = {"epoch": self.current_epoch}
        for part, sums in self._sums.items():
            batches = sums.pop("batches")
            line[part] = {name: value / batches for name, value in sums.items()}
        line["learning_rate"] = float(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        self.curves.append(line)
        held = line["held"]["total"]
        if held < self.best["held"]:
            self.best = {"held": held, "epoch": self.current_epoch}
            self.best_weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        elif self.current_epoch - self.best["epoch"] >= self.train_config.patience:
            self.trainer.should_stop = True

    def _charge(self, batch: Batch, part: str) -> Tensor:
        x, truth, counted = batch
        raw, logits = self.network(x)
        losses = head_losses(raw, truth, counted, self.config)
        total = torch.stack(list(losses.values())).sum()
        sums = self._sums[part]
        extra: dict[str, Tensor] = {}
        charged = total
        if logits is not None:
            balance, z, entropy = router_losses(logits, counted)
            charged = total + self.train_config.balance_weight * balance + self.train_config.z_weight * z
            extra = {"balance": balance, "z": z, "gate_entropy": entropy}
        if not bool(torch.isfinite(charged)):
            bad = [name for name, loss in {**losses, **extra}.items() if not bool(torch.isfinite(loss))]
            raise LobError(
                f"the {part} loss of {', '.join(bad) or 'the sum'} is not a finite number in epoch {self.current_epoch + 1}: "
                "look for values that are not finite in the features or targets, or lower the learning rate"
            )
        for name, value in {**losses, "total": total, **extra}.items():
            sums[name] += float(value.detach())
        sums["batches"] += 1
        return charged
