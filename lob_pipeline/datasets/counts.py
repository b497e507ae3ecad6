"""What a training set and its folds hold, in numbers: rows beside their effective n, classes, fills and base rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lob_pipeline.datasets.folds import Fold, covered_blocks
from lob_pipeline.datasets.instants import SIDES, SUFFIXES, Instants, Int64s, fill_ids
from lob_pipeline.datasets.targets import CLASSES, class_counts, dead_zone_bps, masked_heads
from lob_pipeline.labels.spec import MODEL_NAME, MODEL_SUFFIX

_NAME_OF = {suffix: MODEL_NAME[model] for model, suffix in MODEL_SUFFIX.items()}


class FillCounter:
    """Counts fills among rows, sorting all of them once: ``effective_n`` for many sets of rows."""

    def __init__(self, instants: Instants) -> None:
        self._ids = {s: fill_ids(instants, s) for s in SUFFIXES}

    def counts(self, rows: Int64s) -> dict[str, dict[str, int]]:
        """Return fills and effective n of each queue model among ``rows`` (k,)."""
        found = {}
        for s, ids in self._ids.items():
            own = ids[rows]
            own = own[own >= 0]
            distinct = int(np.count_nonzero(np.bincount(own)))
            found[_NAME_OF[s]] = {"filled": len(own), "effective_n": distinct}
        return found


def base_rates(instants: Instants, rows: Int64s) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return, a queue model and side, the rates among ``rows``: fill and entry of orders, adverse and edge of fills."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    orders = instants.orders
    for s in SUFFIXES:
        found[_NAME_OF[s]] = {}
        for side, name in enumerate(SIDES):
            valid = orders.valid[rows, side]
            found[_NAME_OF[s]][name] = {
                "fill_rate": _mean(orders.filled[s][rows, side][valid]),
                "entry_rate": _mean(orders.entry[s][rows, side][valid]),
                "adverse_rate": _mean(orders.adverse[s][rows, side][valid]),
                "mean_edge_bps": _mean(orders.edge_bps[s][rows, side][valid]),
            }
    return found


def summary(instants: Instants) -> dict[str, Any]:
    """Return what all rows hold, as plain JSON types; class balance around the dead zone of all scored rows."""
    rows = np.flatnonzero(instants.scored)
    delta = dead_zone_bps(instants.mid_return_bps[rows])
    classes = class_counts(instants.mid_return_bps[rows], delta)
    return {
        "rows": instants.rows,
        "scored_rows": len(rows),
        "valid_orders": int(np.count_nonzero(instants.orders.valid[rows])),
        "segments": int(instants.segment.max(initial=-1)) + 1,
        "covered_blocks": len(covered_blocks(instants)),
        "models": FillCounter(instants).counts(rows),
        "base_rates": base_rates(instants, rows),
        "dead_zone_bps": delta,
        "classes": dict(zip(CLASSES, classes, strict=True)),
    }


def fold_table(instants: Instants, folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """Return one entry a fold: its times, rows, purged rows, fills and effective n, dead zone and masked heads."""
    fills = FillCounter(instants)
    return [
        {
            "number": fold.number,
            "held_start_ns": fold.held_start_ns,
            "test_start_ns": fold.test_start_ns,
            "test_end_ns": fold.test_end_ns,
            "purged": fold.purged,
            **{
                name: {"rows": len(rows), "models": fills.counts(rows)}
                for name, rows in (("train", fold.train), ("held", fold.held), ("test", fold.test))
            },
            **_heads(instants, fold),
        }
        for fold in folds
    ]


def _heads(instants: Instants, fold: Fold) -> dict[str, Any]:
    returns = instants.mid_return_bps[fold.train]
    delta = dead_zone_bps(returns)
    return {
        "dead_zone_bps": delta,
        "classes": dict(zip(CLASSES, class_counts(returns, delta), strict=True)),
        "masked_heads": list(masked_heads(instants, fold.train, delta)),
    }


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(np.mean(known)) if len(known) else None
