"""The training loop around the network: Lightning carries it, this file says what a step costs and what is remembered.

One epoch: shuffled windows (order and dropout from the seed and the epoch's number, so a resumed run goes on exactly
as an uninterrupted one), then the loss of the held rows; the best epoch by the held loss is kept.
"""

from __future__ import annotations

import json
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
from lob_pipeline.models.losses import HEAD_WEIGHT, Truth, bps_slopes, head_losses, router_losses, scale_bps
from lob_pipeline.models.network import Network

Progress = Callable[[float, str], None]


class Training(pl.LightningModule):
    """Losses, optimiser, curves, best weights and early stop of one fit."""

    def __init__(
        self,
        network: Network,
        config: ModelConfig,
        train: TrainConfig,
        windows: Windows,
        progress: Progress | None = None,
        identity: str = "",
    ) -> None:
        super().__init__()
        self.identity = identity
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
        decay = self.train_config.weight_decay
        groups = [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
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
        x, truth, counted = batch
        raw, logits = self.network(x)
        total = self._charge(raw, logits, truth, counted, "train")
        if self.progress is not None and batch_index % 16 == 0:
            done = (self.current_epoch + batch_index / max(1, len(self.windows))) / self.train_config.epochs
            self.progress(done, f"epoch {self.current_epoch + 1} of {self.train_config.epochs}")
        return total

    def on_validation_epoch_start(self) -> None:
        """Forget the held rows of the epoch before."""
        self._held: list[tuple[Tensor, Truth, Tensor]] = []

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Keep the answers to one batch of held rows."""
        x, truth, counted = batch
        raw, logits = self.network(x)
        gate = logits[counted] if logits is not None else raw.new_zeros(0)
        self._held.append((raw[counted], Truth(*(t[counted] for t in truth)), gate))

    def on_validation_epoch_end(self) -> None:
        """Charge all held rows at once, edge, MFE and MAE after the slope that calibration will give them."""
        raw = torch.cat([part[0] for part in self._held])
        truth = Truth(*(torch.cat(parts) for parts in zip(*(part[1] for part in self._held), strict=True)))
        gate = torch.cat([part[2] for part in self._held])
        everywhere = torch.ones(raw.shape[0], dtype=torch.bool)
        scaled = scale_bps(raw, bps_slopes(raw, truth))
        self._sums["held"] = defaultdict(float)
        self._charge(scaled, gate if gate.numel() else None, truth, everywhere, "held")

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
        elif self._over():
            self.trainer.should_stop = True

    def _over(self) -> bool:
        last = len(self.curves) - 1
        return last + 1 >= self.train_config.epochs or last - int(self.best["epoch"]) >= self.train_config.patience

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what this training remembers: plain numbers and tensors only."""
        checkpoint["lob"] = {
            "identity": self.identity,
            "over": self._over(),
            "curves": json.dumps(self.curves),
            "best": dict(self.best),
            "best_weights": self.best_weights,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        ours = checkpoint["lob"]
        self.curves = json.loads(ours["curves"])
        self.best = dict(ours["best"])
        self.best_weights = dict(ours["best_weights"])

    def _charge(self, raw: Tensor, logits: Tensor | None, truth: Truth, counted: Tensor, part: str) -> Tensor:
        losses = head_losses(raw, truth, counted, self.config)
        total = torch.stack([HEAD_WEIGHT[name] * loss for name, loss in losses.items()]).sum()
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
                f"the {part} loss of {', '.join(bad) or 'the sum'} is not a finite number in epoch "
                f"{self.current_epoch + 1}: look for features that are not finite, or lower the learning rate"
            )
        for name, value in {**losses, "total": total, **extra}.items():
            sums[name] += float(value.detach())
        sums["batches"] += 1
        return charged
