"""What happened to the simulated maker orders: fill rates, markouts and edges for each queue model (LABELS.md).

Neighbouring rows join the same fills: beside every count of rows stands the number of distinct fill instants
(``effective_n``: distinct (t_fill, side, price)), and every mean carries a block-bootstrap interval. A claim holds only
when its sign and its interval's side of zero agree in all three queue models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.evaluation.significance import Estimate, block_mean, mean_block_ns
from lob_pipeline.labels.spec import ALL_MODELS, FILL_KINDS, MARKOUT_NS, MODEL_NAME, MODEL_SUFFIX

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MODELS: tuple[tuple[str, str], ...] = tuple((MODEL_NAME[m], MODEL_SUFFIX[m]) for m in reversed(ALL_MODELS))
MARKOUT_HORIZONS: tuple[str, ...] = tuple(MARKOUT_NS)
EXIT_HORIZON_NS = 30 * NS_PER_S
FILL_AGE_EDGES_S: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_LONGEST_STEP_NS = 60 * NS_PER_S

LABEL_COLUMNS: tuple[str, ...] = (
    *("ts_ns", "side", "valid", "t_arrive_ns"),
    *(f"{name}{s}" for s in ("", "_pess", "_opt") for name in ("filled", "fill_delay_ns", "fill_kind")),
    *(f"{name}{s}" for s in ("", "_pess", "_opt") for name in ("edge_bps", "adverse", "entry")),
    *("markout_5s_bps_pess", "markout_5s_bps_opt", "edge_mid_bps", "edge_cross_bps"),
    *(f"markout_{h}_bps" for h in MARKOUT_HORIZONS),
)


@dataclass(frozen=True)
class LabelOutcomes:
    """Label rows in time order: ``columns`` hold ``LABEL_COLUMNS`` (nulls as NaN, false or -1), all (n,).

    ``price_ticks`` (n,): the limit price of each order, needed to tell two fills of one instant apart.
    """

    columns: Columns
    price_ticks: Int
    _ids: dict[str, Int] = field(default_factory=dict, repr=False)

    def number(self, name: str) -> Float:
        """Return a column as float64 with NaN on rows that are not valid."""
        return np.where(self.flag("valid"), np.asarray(self.columns[name], np.float64), np.nan)

    def flag(self, name: str) -> Mask:
        """Return a column as booleans; a null is false."""
        values = self.columns[name]
        if values.dtype == np.bool_:
            return np.asarray(values, np.bool_)
        return np.nan_to_num(np.asarray(values, np.float64)).astype(np.bool_)

    def filled(self, suffix: str) -> Mask:
        """Return which rows are valid and filled under the queue model of ``suffix``."""
        return self.flag("valid") & self.flag(f"filled{suffix}")

    def block_rows(self, horizon_ns: int) -> float:
        """Return METHODS' mean block for a horizon in rows of these labels (decidable rows are not evenly spaced)."""
        ts = np.asarray(self.columns["ts_ns"], np.int64)
        steps = np.diff(ts)
        span = int(steps[steps < _LONGEST_STEP_NS].sum())
        return mean_block_ns(horizon_ns) * (ts.size / span) if span else 1.0

    def fill_ids(self, suffix: str) -> Int:
        """Return a number for each row (n,): equal where (t_fill, side, price) are, -1 where not filled."""
        if suffix not in self._ids:
            filled = self.filled(suffix)
            delay = np.nan_to_num(np.asarray(self.columns[f"fill_delay_ns{suffix}"], np.float64)).astype(np.int64)
            key = (np.asarray(self.columns["t_arrive_ns"], np.int64) + delay)[filled]
            for column in (np.asarray(self.columns["side"], np.int64), self.price_ticks):
                _, first = np.unique(key, return_inverse=True)
                values, second = np.unique(column[filled], return_inverse=True)
                key = first * np.int64(values.size) + second
            ids = np.full(filled.shape, -1, np.int64)
            ids[filled] = np.unique(key, return_inverse=True)[1]
            self._ids[suffix] = ids
        return self._ids[suffix]

    def distinct_fills(self, among: Mask, suffix: str) -> int:
        """Return the number of distinct (t_fill, side, price) among the rows."""
        ids = self.fill_ids(suffix)[among]
        return int(np.count_nonzero(np.bincount(ids[ids >= 0])))


def summarise_labels(labels: LabelOutcomes) -> dict[str, Any]:
    """Return the outcomes of every queue model, the fill-age table and the bracket's verdict, as plain JSON types."""
    valid = labels.flag("valid")
    models = {name: _model(labels, valid, suffix) for name, suffix in MODELS}
    return {
        "orders": int(valid.size),
        "valid_orders": int(valid.sum()),
        "models": models,
        "fill_age": fill_age(labels),
        "bracket": bracket({name: model["edge_bps"] for name, model in models.items()}),
    }


def _mean(labels: LabelOutcomes, values: Float, horizon_ns: int) -> dict[str, Any]:
    return block_mean(values, labels.block_rows(horizon_ns)).to_json()


def _model(labels: LabelOutcomes, valid: Mask, suffix: str) -> dict[str, Any]:
    filled = labels.filled(suffix)
    edge = np.where(filled, labels.number(f"edge_bps{suffix}"), np.nan)
    known = ~np.isnan(edge)
    delay = np.asarray(labels.columns[f"fill_delay_ns{suffix}"], np.float64)[filled]
    kinds = np.asarray(labels.columns[f"fill_kind{suffix}"])[valid]
    horizons = MARKOUT_HORIZONS if suffix == "" else ("5s",)
    result: dict[str, Any] = {
        "filled": int(filled.sum()),
        "effective_n": labels.distinct_fills(filled, suffix),
        "fill_rate": _mean(labels, np.where(valid, filled.astype(np.float64), np.nan), EXIT_HORIZON_NS),
        "median_fill_delay_s": float(np.median(delay)) / NS_PER_S if delay.size else None,
        "fill_kinds": {word: int(np.sum(kinds == kind)) for kind, word in FILL_KINDS.items()},
        "markouts_bps": {
            h: _mean(labels, np.where(filled, labels.number(f"markout_{h}_bps{suffix}"), np.nan), EXIT_HORIZON_NS)
            for h in horizons
        },
        "edge_bps": _mean(labels, edge, EXIT_HORIZON_NS),
        "positive_share": float(np.mean(edge[known] > 0)) if known.any() else None,
        # what a selector that knows every outcome in advance would earn per order it looks at
        "perfect_selection_bps": float(np.maximum(edge[known], 0).sum() / valid.sum()) if valid.any() else None,
        "adverse_share": float(np.mean(labels.flag(f"adverse{suffix}")[filled])) if filled.any() else None,
        "entry_share": float(np.mean(labels.flag(f"entry{suffix}")[valid])) if valid.any() else None,
    }
    if suffix == "":
        for name in ("edge_mid_bps", "edge_cross_bps"):
            result[name] = _mean(labels, np.where(filled, labels.number(name), np.nan), EXIT_HORIZON_NS)
    return result


def fill_age(labels: LabelOutcomes) -> list[dict[str, Any]]:
    """Return the 5 s markout by the time an order waited for its fill, for each queue model."""
    table = []
    for low, high in pairwise(FILL_AGE_EDGES_S):
        entry: dict[str, Any] = {"from_s": low, "to_s": high}
        for name, suffix in MODELS:
            delay_s = np.asarray(labels.columns[f"fill_delay_ns{suffix}"], np.float64) / NS_PER_S
            among = labels.filled(suffix) & (delay_s > low) & (delay_s <= high)
            markout = np.where(among, labels.number(f"markout_5s_bps{suffix}"), np.nan)
            entry[name] = {
                **_mean(labels, markout, EXIT_HORIZON_NS),
                "effective_n": labels.distinct_fills(among, suffix),
            }
        table.append(entry)
    return table


def bracket(edges: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what all three queue models agree on about the mean of filled orders' ``edge_bps``.

    ``verdict``: ``loses`` or ``earns`` when sign and interval lie on one side of zero in all three, else ``open``.
    """
    found = [Estimate(**edge) for edge in edges.values()]
    if any(e.mean is None for e in found):
        return {"verdict": "open", "sentence": "At least one queue model has no filled order: nothing can be said."}
    means = ", ".join(f"{name} {e.mean:+.2f}" for name, e in zip(edges, found, strict=True))
    start = f"Joining the best on every row and waiting up to 30 s: mean edge of filled orders in bps: {means}. "
    if any(e.low is None or e.high is None for e in found):
        return {"verdict": "open", "sentence": start + "The recording is too short for intervals."}
    if all(e.high < 0 for e in found if e.high is not None):
        return {"verdict": "loses", "sentence": start + "All three intervals lie below zero."}
    if all(e.low > 0 for e in found if e.low is not None):
        return {"verdict": "earns", "sentence": start + "All three intervals lie above zero."}
    return {"verdict": "open", "sentence": start + "The three intervals do not agree on a side of zero."}
