"""Leg A: what a perfect sense of direction would earn at the rows that the entry head picks (METHODS.md, Legs).

Fills and exits are still the simulated ones; only the choice between buy and sell is an oracle's. Where even that does
not pay, no better direction head can rescue the entry head; where it does, the distance to the policy is what
direction is worth.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.datasets.instants import Instants
from lob_pipeline.evaluation.gates import Gates
from lob_pipeline.evaluation.policy import SUFFIXES, field_of
from lob_pipeline.evaluation.series import series_of
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.models.outputs import COLUMN

Int = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9)
_ENTRY = COLUMN["entry_buy"]


def oracle_direction(
    instants: Instants, rows: Int, forecast: Float32, gates: Gates, config: LabelConfig | None = None
) -> list[dict[str, Any]]:
    """Return one entry a percentile of p_entry (larger of the sides) over ``rows`` (m,), forecast float32 (m, 15).

    Each: ``percentile``, ``p_entry``, ``queues``: by queue model ``filled``, ``effective_n``, ``mean_bps``,
    ``low_bps``, ``high_bps``, ``days``, ``trades_a_day``. One order or position at a time, as the policy. The oracle
    takes the side whose order leaves more, an unfilled one leaving 0: in a rising market it buys in vain rather than
    sell at a loss, so that no sense of direction earns more. Where both leave the same, the larger p_entry is sent.
    """
    field = field_of(instants, forecast, rows, gates, config)
    orders = instants.orders
    p = np.where(orders.valid[rows], forecast[:, _ENTRY : _ENTRY + 2].astype(np.float64), np.nan)
    best = np.fmax(p[:, 0], p[:, 1]) if rows.size else np.empty(0)
    known = best[~np.isnan(best)]
    queues = {name: field.queue(suffix) for name, suffix in SUFFIXES.items()}
    table = []
    for percentile in PERCENTILES if known.size else ():
        floor = float(np.percentile(known, percentile))
        entry: dict[str, Any] = {"percentile": percentile, "p_entry": floor, "queues": {}}
        picked = np.flatnonzero(best >= floor)
        for name, queue in queues.items():
            filled = queue.filled[picked]
            worth = np.where(filled, np.nan_to_num(queue.edge_bps[picked], nan=queue.charge_bps), 0.0)
            likelier = np.nan_to_num(p[picked], nan=-1.0).argmax(axis=1)
            side = np.where(worth[:, 0] == worth[:, 1], likelier, worth.argmax(axis=1))
            score = np.full((rows.size, 2), -np.inf)
            score[picked, side] = np.where(orders.valid[rows[picked], side], 1.0, -np.inf)
            trades = queue.play(score, 0.0)
            series = series_of(trades, rows, instants.ts_ns[rows], 0)
            estimate = series.estimate()
            entry["queues"][name] = {
                "filled": series.filled,
                "effective_n": series.effective_n,
                "mean_bps": estimate.mean,
                "low_bps": estimate.low,
                "high_bps": estimate.high,
                "days": series.days,
                "trades_a_day": series.filled / series.days if series.days else None,
            }
        table.append(entry)
    return table


def pooled_legs(tables: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return one table (as ``oracle_direction``) from those of several folds; empty where none has a row.

    Means are weighted by filled trades, the folds' intervals combined as those of independent estimates: half width² =
    Σ (share of trades · half width)². ``p_entry`` is the mean of the folds' levels.
    """
    pooled = []
    for percentile in PERCENTILES:
        rows = [entry for table in tables for entry in table if entry["percentile"] == percentile]
        if rows:
            queues = {name: _pooled([row["queues"][name] for row in rows]) for name in SUFFIXES}
            level = float(np.mean([row["p_entry"] for row in rows]))
            pooled.append({"percentile": percentile, "p_entry": level, "queues": queues})
    return pooled


def _pooled(cells: list[dict[str, Any]]) -> dict[str, Any]:
    filled = sum(cell["filled"] for cell in cells)
    days = sum(cell["days"] for cell in cells)
    traded = [cell for cell in cells if cell["filled"]]
    mean = sum(cell["filled"] * cell["mean_bps"] for cell in traded) / filled if filled else None
    half = None
    if traded and all(cell["low_bps"] is not None for cell in traded):
        parts = [cell["filled"] / filled * (cell["high_bps"] - cell["low_bps"]) / 2.0 for cell in traded]
        half = math.sqrt(sum(part * part for part in parts))
    return {
        "filled": filled,
        "effective_n": sum(cell["effective_n"] for cell in cells),
        "mean_bps": mean,
        "low_bps": None if mean is None or half is None else mean - half,
        "high_bps": None if mean is None or half is None else mean + half,
        "days": days,
        "trades_a_day": filled / days if days else None,
    }
