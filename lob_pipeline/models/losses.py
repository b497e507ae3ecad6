"""What the seven heads are charged for: masked, weighted by uniqueness, at every position of a window.

A target that is NaN (or direction −1) costs nothing, whatever stands in the row. Probabilities pay cross-entropy, edge,
MFE and MAE squared error of standardised values: their answer is a mean given a fill, so the loss must be one whose
minimum is the mean. Standardised values are cut at ±10, in training only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.targets import Targets
from lob_pipeline.models.config import ModelConfig
from lob_pipeline.models.fitted import Scaling
from lob_pipeline.models.outputs import BPS_HEADS, CUT, HEADS, SIGMOID_HEADS

# the value of a side is p_fill · edge, so these two count most; MFE and MAE follow the same path as edge
HEAD_WEIGHT = {
    "entry": 1.0,
    "direction": 0.5,
    "edge": 1.0,
    "mfe": 0.25,
    "mae": 0.25,
    "adverse": 0.5,
    "fill": 2.0,
    "signed_edge": 1.0,
}
MAX_SLOPE = 1.5


class Truth(NamedTuple):
    """Targets of n rows as tensors: ``values`` float32 (n, 15) (direction's columns unused), NaN = not asked; weights.

    ``direction`` int64 (n,), −1 not asked; ``weight`` float32 (n, 2), mean 1 over the weighted training rows;
    ``signed`` float32 (n,): half of what a buy earned more than a sell, standardised; NaN where one is unknown.
    """

    values: Tensor
    direction: Tensor
    weight: Tensor
    signed: Tensor


def measure_scaling(targets: Targets, train: npt.NDArray[np.int64]) -> Scaling:
    """Return centre and scale of edge, MFE and MAE and the base rates, over the training rows alone.

    Centre and scale are mean and deviation after a cut at the median ± 10 · IQR / 1.349: a few wild fills move neither,
    and standardised targets of every head have variance 1, so that no head drowns the others.
    """
    centre, scale = [], []
    for head in BPS_HEADS:
        for side in range(2):
            known = getattr(targets, head)[train, side].astype(np.float64)
            known = known[~np.isnan(known)]
            if known.size == 0:
                centre.append(0.0)
                scale.append(1.0)
                continue
            low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
            robust = float(high - low) / 1.349
            if robust <= 0.0:
                robust = float(known.std()) or 1.0
            cut = np.clip(known, middle - CUT * robust, middle + CUT * robust)
            centre.append(float(cut.mean()))
            scale.append(float(cut.std()) or 1.0)
    worth = earned_bps(targets, train)
    half = (worth[:, 0] - worth[:, 1]) / 2
    spread = float(np.nanstd(half)) if np.isfinite(half).any() else 0.0
    level = float(np.nanmean(worth)) if np.isfinite(worth).any() else float("nan")
    rates = [_rates(getattr(targets, head)[train]) for head in ("fill", "entry")]
    return Scaling(tuple(centre), tuple(scale), rates[0], rates[1], level, spread or 1.0)


def earned_bps(targets: Targets, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return what an order sent earned (k, 2): its edge where filled, 0 where not, NaN where unknown."""
    fill, edge = targets.fill[rows].astype(np.float64), targets.edge[rows].astype(np.float64)
    return np.where(fill == 0.0, 0.0, np.where(np.isnan(fill), np.nan, edge))


def _rates(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    both = [float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for v in values.T]
    return both[0], both[1]


def build_truth(targets: Targets, scaling: Scaling, train: npt.NDArray[np.int64]) -> Truth:
    """Return the targets of all rows as tensors, standardised by ``scaling``."""
    n = targets.direction.size
    values = np.full((n, 15), np.nan, np.float32)
    for head in SIGMOID_HEADS:
        values[:, list(HEADS[head])] = getattr(targets, head)
    for i, head in enumerate(BPS_HEADS):
        part = slice(2 * i, 2 * i + 2)
        centre = np.asarray(scaling.centre_bps[part], np.float32)
        scale = np.asarray(scaling.scale_bps[part], np.float32)
        values[:, list(HEADS[head])] = np.clip((getattr(targets, head) - centre) / scale, -CUT, CUT)
    weight = np.nan_to_num(targets.weight, nan=0.0)
    mean = float(weight[train].mean(dtype=np.float64))
    weight = weight / np.float32(mean if mean > 0.0 else 1.0)
    worth = earned_bps(targets, np.arange(n))
    signed = np.clip((worth[:, 0] - worth[:, 1]) / 2 / scaling.signed_scale_bps, -CUT, CUT).astype(np.float32)
    parts = (values, targets.direction.astype(np.int64), weight.astype(np.float32), signed)
    return Truth(*(torch.from_numpy(np.ascontiguousarray(p)) for p in parts))


def _mean(loss: Tensor, weight: Tensor) -> Tensor:
    return (loss * weight).sum() / weight.sum().clamp_min(1e-9)


def head_losses(raw: Tensor, truth: Truth, counted: Tensor, config: ModelConfig) -> dict[str, Tensor]:
    """Return the loss of each head (scalars) over positions (…,) where ``counted``; a head without targets costs 0.

    ``raw`` float (…, 15), or (…, 1) of the unified signed edge, whose only head is ``"signed_edge"``.
    """
    weight = truth.weight * counted.unsqueeze(-1)
    both = weight.mean(-1)
    if config.outputs == 1:
        asked = ~torch.isnan(truth.signed)
        miss = raw[..., 0] - torch.nan_to_num(truth.signed)
        return {"signed_edge": _mean(miss * miss, both * asked)}
    losses = {}
    for head, columns in HEADS.items():
        part = slice(columns[0], columns[-1] + 1)
        answer = raw[..., part]
        if head == "direction":
            asked = truth.direction >= 0
            classes = truth.direction.clamp_min(0).flatten()
            loss = functional.cross_entropy(answer.flatten(0, -2), classes, reduction="none")
            losses[head] = _mean(loss, (both * asked).flatten())
            continue
        target = truth.values[..., part]
        asked = ~torch.isnan(target)
        target = torch.nan_to_num(target)
        if head in SIGMOID_HEADS:
            loss = functional.binary_cross_entropy_with_logits(answer, target, reduction="none")
        else:
            loss = (answer - target) ** 2
        losses[head] = _mean(loss, weight * asked)
    return losses


def bps_slopes(raw: Tensor, truth: Truth) -> dict[str, float]:
    """Return, for edge, MFE and MAE (or the signed edge), the factor on raw numbers (k, outputs) that fits best.

    Least squares through the training mean over both sides, within [0, 1.5]: what temperature is to a classifier. An
    overfitted head keeps its order of rows and loses its boldness; a head that knows nothing says the mean. 1 where
    nothing is known.
    """
    both = truth.weight.mean(-1)
    if raw.shape[-1] == 1:
        return {"signed_edge": _slope(raw[:, 0], truth.signed, both)}
    parts = {head: slice(HEADS[head][0], HEADS[head][-1] + 1) for head in BPS_HEADS}
    return {head: _slope(raw[:, part], truth.values[:, part], truth.weight) for head, part in parts.items()}


def _slope(answer: Tensor, target: Tensor, weight: Tensor) -> float:
    asked = ~torch.isnan(target) & torch.isfinite(answer) & (weight > 0)
    p, y, w = answer[asked].clamp(-CUT, CUT).double(), target[asked].double(), weight[asked].double()
    power = float((w * p * p).sum())
    return min(MAX_SLOPE, max(0.0, float((w * p * y).sum()) / power)) if power > 0.0 else 1.0


def scale_bps(raw: Tensor, slopes: dict[str, float]) -> Tensor:
    """Return raw numbers (k, outputs) with edge, MFE and MAE (or the signed edge) cut at ±10 and times their slopes."""
    out = raw.clone()
    for head, slope in slopes.items():
        columns = slice(0, 1) if head == "signed_edge" else slice(HEADS[head][0], HEADS[head][-1] + 1)
        out[:, columns] = out[:, columns].clamp(-CUT, CUT) * slope
    return out


def router_losses(logits: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (balance, z, mean gate entropy in nats) of router logits (…, experts) over counted positions.

    Balance: experts · Σ (mean gate)², 1 when all are used alike (the dense form of Switch Transformer's, Fedus et al.
    2021, where the share routed and the mean gate are one). z: mean log-sum-exp squared (ST-MoE, Zoph et al. 2022).
    """
    picked = logits[counted]
    gate = picked.softmax(-1)
    balance = gate.shape[-1] * (gate.mean(0) ** 2).sum()
    z = (torch.logsumexp(picked, -1) ** 2).mean()
    entropy = -(gate * torch.log(gate.clamp_min(1e-9))).sum(-1).mean()
    return balance, z, entropy


def take_rows(truth: Truth, rows: Tensor) -> Truth:
    """Return the targets of ``rows`` int64 (batch, length)."""
    return Truth(truth.values[rows], truth.direction[rows], truth.weight[rows], truth.signed[rows])


def pack(truth: Truth) -> Tensor:
    """Return the targets as one float32 tensor (n, 18), so that a batch of them is one gather; see ``unpack``."""
    packed = torch.cat([truth.values, truth.weight, truth.signed[:, None]], dim=1)
    packed[:, HEADS["direction"][0]] = truth.direction.float()
    return packed


def unpack(packed: Tensor) -> Truth:
    """Return the targets of ``pack``, float32 (…, 18); direction's columns of ``values`` stay unused."""
    direction = packed[..., HEADS["direction"][0]].long()
    return Truth(packed[..., :15], direction, packed[..., 15:17], packed[..., 17])


def check_fold(fold: Fold, n: int) -> None:
    """Raise ``ValueError`` where a fold's rows do not belong to n rows of data."""
    for name in ("train", "held"):
        rows = getattr(fold, name)
        if rows.size and (rows.min() < 0 or rows.max() >= n):
            raise ValueError(f"{name} rows of fold {fold.number} lie outside the {n} rows of data")
