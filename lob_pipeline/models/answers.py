"""From the head's raw numbers to a forecast: scaling, temperature, masks. One compiled row function for all callers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.models.config import ModelConfig
from lob_pipeline.models.fitted import Scaling
from lob_pipeline.models.outputs import CUT, N_OUTPUTS, TEMPERATURE_HEADS, masked_columns


class AnswerRule(NamedTuple):
    """The constants of ``answer_row``, as arrays: see ``answer_rule``."""

    centre_bps: npt.NDArray[np.float32]  # (6,) edge, mfe, mae
    scale_bps: npt.NDArray[np.float32]  # (6,)
    temperatures: npt.NDArray[np.float32]  # (4,) entry, direction, adverse, fill
    masked: npt.NDArray[np.bool_]  # (15,)
    constants: npt.NDArray[np.float32]  # (6,) entry rate ×2, fill rate ×2, edge level, signed scale


def answer_rule(
    config: ModelConfig, scaling: Scaling, temperatures: dict[str, float], masked: tuple[str, ...]
) -> AnswerRule:
    """Return the constants that turn raw numbers of a ``config`` network into a forecast."""
    dead = masked_columns(masked)
    if config.outputs == 1 and dead[[5, 6, 13, 14]].any():
        dead[:] = True  # the one number stands for edge and fill of both sides: with one of them masked it says nothing
    constants = (*scaling.entry_rate, *scaling.fill_rate, scaling.edge_level_bps, scaling.signed_scale_bps)
    return AnswerRule(
        np.asarray(scaling.centre_bps, np.float32),
        np.asarray(scaling.scale_bps, np.float32),
        np.asarray([temperatures[name] for name in TEMPERATURE_HEADS], np.float32),
        dead,
        np.asarray(constants, np.float32),
    )


@njit(cache=True)
def _sigmoid(x: np.float32) -> np.float32:
    return np.float32(1.0) / (np.float32(1.0) + np.float32(math.exp(np.float32(-x))))


@njit(cache=True)
def _cut(x: np.float32) -> np.float32:
    return min(max(x, np.float32(-CUT)), np.float32(CUT))


@njit(cache=True)
def answer_row(raw: npt.NDArray[np.float32], rule: AnswerRule, out: npt.NDArray[np.float32]) -> None:
    """Write the forecast (15,) of one row's raw numbers: (15,), or (1,) of the unified signed-edge head.

    The signed head's number s is half of what a buy earns more than a sell: a buy is worth level + s, a sell level − s
    (bps of an order sent). It answers fill and entry with the training rows' base rates, edge with worth / fill rate
    (so that p_fill · edge is the worth), and nothing else.
    """
    if raw.size == 1:
        c = rule.constants
        out[:] = np.nan
        out[0], out[1], out[13], out[14] = c[0], c[1], c[2], c[3]
        signed = _cut(raw[0]) * c[5]
        out[5] = (c[4] + signed) / c[2]
        out[6] = (c[4] - signed) / c[3]
    else:
        t = rule.temperatures
        for side in range(2):
            out[side] = _sigmoid(raw[side] / t[0])
            out[11 + side] = _sigmoid(raw[11 + side] / t[2])
            out[13 + side] = _sigmoid(raw[13 + side] / t[3])
        top = max(raw[2], max(raw[3], raw[4]))
        total = np.float32(0.0)
        for j in range(2, 5):
            out[j] = np.float32(math.exp(np.float32((raw[j] - top) / t[1])))
            total += out[j]
        for j in range(2, 5):
            out[j] /= total
        for j in range(6):
            out[5 + j] = _cut(raw[5 + j]) * rule.scale_bps[j] + rule.centre_bps[j]
    for j in range(out.size):
        if rule.masked[j]:
            out[j] = np.nan


@njit(cache=True)
def _answer_rows(raw: npt.NDArray[np.float32], rule: AnswerRule, out: npt.NDArray[np.float32]) -> None:
    for i in range(raw.shape[0]):
        answer_row(raw[i], rule, out[i])


def answer(raw: npt.NDArray[np.float32], rule: AnswerRule) -> npt.NDArray[np.float32]:
    """Return the forecast float32 (n, 15) of raw numbers float32 (n, 15) or (n, 1)."""
    out = np.empty((raw.shape[0], N_OUTPUTS), np.float32)
    _answer_rows(np.ascontiguousarray(raw, np.float32), rule, out)
    return out
