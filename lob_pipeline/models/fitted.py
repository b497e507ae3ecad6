"""A fitted model as plain numbers: what training hands to prediction, the registry and the live step. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.models.config import ModelConfig, TrainConfig
from lob_pipeline.models.outputs import BPS_HEADS, TEMPERATURE_HEADS

Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Scaling:
    """How raw numbers become bps: ``raw · scale + centre`` per column of edge, MFE, MAE (six, in forecast order).

    ``fill_rate`` and ``entry_rate`` (buy, sell) are the training rows' base rates; ``edge_level_bps`` is the mean over
    both sides of an order's result (0 when unfilled). The unified signed-edge head answers with them; NaN = unknown.
    """

    centre_bps: tuple[float, ...]
    scale_bps: tuple[float, ...]
    fill_rate: tuple[float, float] = (float("nan"), float("nan"))
    entry_rate: tuple[float, float] = (float("nan"), float("nan"))
    edge_level_bps: float = float("nan")
    signed_scale_bps: float = 1.0

    def sloped(self, slopes: dict[str, float]) -> Scaling:
        """Return the scaling with the held rows' slopes of edge, MFE, MAE (or ``signed_edge``) in it."""
        factors = [slopes.get(head, 1.0) for head in BPS_HEADS for _ in range(2)]
        scale = tuple(s * f for s, f in zip(self.scale_bps, factors, strict=True))
        return replace(self, scale_bps=scale, signed_scale_bps=self.signed_scale_bps * slopes.get("signed_edge", 1.0))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN is null."""
        return {
            "centre_bps": [_nulled(v) for v in self.centre_bps],
            "scale_bps": [_nulled(v) for v in self.scale_bps],
            "fill_rate": [_nulled(v) for v in self.fill_rate],
            "entry_rate": [_nulled(v) for v in self.entry_rate],
            "edge_level_bps": _nulled(self.edge_level_bps),
            "signed_scale_bps": self.signed_scale_bps,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Scaling:
        """Return the record of ``to_json``."""
        return cls(
            tuple(_number(v) for v in data["centre_bps"]),
            tuple(_number(v) for v in data["scale_bps"]),
            (_number(data["fill_rate"][0]), _number(data["fill_rate"][1])),
            (_number(data["entry_rate"][0]), _number(data["entry_rate"][1])),
            _number(data["edge_level_bps"]),
            float(data["signed_scale_bps"]),
        )


@dataclass(frozen=True)
class Fitted:
    """One fitted network: sizes, weights, scaling, temperatures, masked heads, and how the training went."""

    config: ModelConfig
    train_config: TrainConfig
    weights: Weights
    scaling: Scaling
    temperatures: dict[str, float]  # entry, direction, adverse, fill
    masked_heads: tuple[str, ...]
    curves: list[dict[str, Any]]
    parameters: int
    rows: int  # training rows with a loss
    seconds: float
    best_epoch: int = 0
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return everything but the weights as plain JSON values."""
        return {
            "config": self.config.to_json(),
            "train_config": self.train_config.to_json(),
            "scaling": self.scaling.to_json(),
            "temperatures": dict(self.temperatures),
            "masked_heads": list(self.masked_heads),
            "curves": self.curves,
            "parameters": self.parameters,
            "rows": self.rows,
            "seconds": self.seconds,
            "best_epoch": self.best_epoch,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], weights: Weights) -> Fitted:
        """Return the record of ``to_json`` with its weights. Raises ``BadInputError`` on a record of another form."""
        try:
            temperatures = {name: float(data["temperatures"][name]) for name in TEMPERATURE_HEADS}
            return cls(
                ModelConfig.from_json(data["config"]),
                TrainConfig.from_json(data["train_config"]),
                weights,
                Scaling.from_json(data["scaling"]),
                temperatures,
                tuple(data["masked_heads"]),
                list(data["curves"]),
                int(data["parameters"]),
                int(data["rows"]),
                float(data["seconds"]),
                int(data["best_epoch"]),
                tuple(data["notes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInputError(f"a stored model's record is not of this code's form ({error!r}): train it") from None


def _nulled(value: float) -> float | None:
    return None if value != value else float(value)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
