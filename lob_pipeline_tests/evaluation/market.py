"""A made-up market of simulated orders: instants, forecasts and folds whose truth the test has chosen itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.datasets.folds import Fold, walk_forward
from lob_pipeline.datasets.instants import SUFFIXES, Instants, empty_orders
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.walk import FoldScore, score_fold
from lob_pipeline.labels.spec import KIND_QUEUE, KIND_REJECTED
from lob_pipeline.models.outputs import COLUMN, N_OUTPUTS

START_NS = 20_454 * 86_400 * NS_PER_S  # a midnight, so that blocks begin where the rows do
LATENCY_NS = 50 * NS_PER_MS
LIFE_NS = 30 * NS_PER_S
SPAN_NS = 90 * NS_PER_S + LATENCY_NS


def smooth(rng: np.random.Generator, n: int, rows: int) -> np.ndarray:
    """Return a standard normal (n,) that stays put for ``rows`` rows at a time."""
    return np.repeat(rng.normal(size=-(-n // rows)), rows)[:n]


def make_instants(
    *, blocks: int = 6, block_s: int = 7200, step_s: int = 2, base_bps: float = -1.0, skill_bps: float = 1.0,
    fill: float = 0.7, seed: int = 0,
) -> tuple[Instants, np.ndarray]:  # fmt: skip
    """Return instants and the signal (n, 2) that their edges follow: edge = base + skill · signal + noise.

    The pessimistic model fills a little later and the optimistic earlier; a fifth of the unfilled are rejected.
    """
    rng = np.random.default_rng(seed)
    n = blocks * block_s // step_s
    ts = START_NS + step_s * NS_PER_S * np.arange(1, n + 1)
    arrive = ts + 3 * NS_PER_MS + LATENCY_NS
    signal = np.stack([smooth(rng, n, 15), smooth(rng, n, 15)], axis=1)
    noise = rng.normal(0.0, 2.0, (n, 2))
    draw, wait = rng.random((n, 2)), rng.exponential(6.0, (n, 2))
    orders = replace(empty_orders(n), valid=np.ones((n, 2), np.bool_))
    orders.price_ticks[:] = np.array([1000, 1001]) + rng.integers(0, 3, (n, 1))
    for suffix, late in zip(SUFFIXES, (1.0, 1.2, 0.8), strict=True):
        delay = np.ceil(late * wait * NS_PER_S).astype(np.int64) + 1
        filled = (draw < fill) & (delay <= LIFE_NS)
        orders.filled[suffix][:] = filled
        orders.fill_delay_ns[suffix][:] = np.where(filled, delay, -1)
        orders.fill_kind[suffix][:] = np.where(filled, KIND_QUEUE, np.where(draw > 0.94, KIND_REJECTED, 0))
        edge = base_bps + skill_bps * signal + noise
        orders.edge_bps[suffix][:] = np.where(filled, edge, np.nan)
        orders.adverse[suffix][:] = np.where(filled, edge < -2.0, np.nan)
        orders.entry[suffix][:] = filled & (edge > 0.0)
        orders.markout_5s_bps[suffix][:] = np.where(filled, edge + 4.0, np.nan)
        orders.exit_maker_ratio[suffix][:] = np.where(filled, (draw < 0.5).astype(float), np.nan)
    instants = Instants(
        market="sim.BTCUSDT", clock_id=f"t{step_s}s", step_ns=step_s * NS_PER_S, block_ns=block_s * NS_PER_S,
        names=("signal_buy", "signal_sell"), features=signal.astype(np.float32), ts_ns=ts,
        segment=np.zeros(n, np.int32), t_arrive_ns=arrive, t_end_ns=arrive + SPAN_NS,
        mid_return_bps=signal[:, 0] - signal[:, 1] + rng.normal(size=n), orders=orders, dates=("2026-01-01",),
    )  # fmt: skip
    return instants, signal


def forecast_of(edge_bps: np.ndarray, p_fill: float = 0.7) -> np.ndarray:
    """Return a forecast (n, 15) that says ``edge_bps`` (n, 2) and a constant everywhere else."""
    out = np.full((len(edge_bps), N_OUTPUTS), 0.5, np.float32)
    out[:, COLUMN["edge_buy"] : COLUMN["edge_buy"] + 2] = edge_bps
    out[:, COLUMN["fill_buy"] : COLUMN["fill_buy"] + 2] = p_fill
    out[:, COLUMN["down"] : COLUMN["down"] + 3] = (0.2, 0.3, 0.5)
    odds = 1.0 / (1.0 + np.exp(-edge_bps))
    out[:, COLUMN["entry_buy"] : COLUMN["entry_buy"] + 2] = p_fill * odds
    out[:, COLUMN["adverse_buy"] : COLUMN["adverse_buy"] + 2] = 1.0 - odds
    return out


def scores_of(instants: Instants, forecast: np.ndarray, masked: tuple[str, ...] = ()) -> list[FoldScore]:
    """Return the score of every fold of a forecast (n, 15) that needed no training."""
    gates = load_gates()
    return [
        score_fold(instants, fold, forecast[fold.held], forecast[fold.test], masked, gates=gates)
        for fold in walk_forward(instants)
    ]


def first_fold(instants: Instants) -> Fold:
    """Return the first fold; there must be one."""
    return walk_forward(instants)[0]
