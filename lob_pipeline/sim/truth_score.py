"""Queue models held against the truth: bias and error of fill probability, fill delay and markout, and the bracket.

Every figure compares labels with the true fate of the same orders (``probe_table``), row by row. A bias is the mean of
label − truth over all rows; an error is the mean of its size. Rows of one block of time are not independent: intervals
count blocks, and beside the rows stands the number of distinct fills (LABELS.md, Weights).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.labels.overlap import effective_n
from lob_pipeline.labels.spec import ALL_MODELS, KIND_REJECTED, MARKOUT_NS, MODEL_NAME, MODEL_SUFFIX, LabelConfig

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

BLOCK_NS = 120 * NS_PER_S  # longer than a label's span, which is about 90 s
THIRDS = ("low", "middle", "high")
_Z95 = 1.96
_POINTS = 100.0


def _plain(columns: Columns, name: str, null: float = 0) -> npt.NDArray[Any]:
    values = columns[name]
    return values.filled(null) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)


def _mean(values: Floats) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def mean_with_interval(values: Floats, block: npt.NDArray[np.int64]) -> dict[str, float | None]:
    """Return the mean (n,) and half its 95 % interval, by the sums of blocks (int64 (n,)); None below two blocks."""
    _, of = np.unique(block, return_inverse=True)
    blocks = int(of.max()) + 1 if len(of) else 0
    if blocks < 2:
        return {"mean": _mean(values), "half_interval_95": None}
    sums = np.bincount(of, values - values.mean(), blocks)
    half = _Z95 * float(np.sqrt(np.square(sums).sum() * blocks / (blocks - 1))) / len(values)
    return {"mean": _mean(values), "half_interval_95": round(half, 4)}


class Comparison:
    """Truth and labels of the same orders, rows in the same order, those valid in both.

    ``truth``: columns of ``PROBES``; ``labels``: of the labels table (both (n,), the keys equal). ``seed`` int64 (n,)
    tells markets apart whose times repeat. ``message_ns``: time between messages of the feed. Raises ``ValueError``
    where the rows are not the same orders.
    """

    def __init__(
        self,
        truth: Columns,
        labels: Columns,
        config: LabelConfig,
        seed: npt.NDArray[np.int64],
        message_ns: int = 100 * NS_PER_MS,
    ) -> None:
        for name in ("ts_ns", "side", "t_arrive_ns"):
            if not np.array_equal(truth[name], labels[name]):
                raise ValueError(f"truth and labels differ in {name}: they are not of the same orders")
        both = np.asarray(truth["valid"], np.bool_) & np.asarray(labels["valid"], np.bool_)
        self.truth = {name: column[both] for name, column in truth.items()}
        self.labels = {name: column[both] for name, column in labels.items()}
        self.message_ns = message_ns
        self.life_ns, self.left_out = config.order_life_ns, int((~both).sum())
        self.block = seed[both] * (1 << 40) + np.asarray(self.truth["ts_ns"], np.int64) // BLOCK_NS
        self.seed = seed[both]
        self.true_filled = _plain(self.truth, "filled").astype(np.bool_)
        self.true_delay_ns = _plain(self.truth, "fill_delay_ns", -1)
        self.rejected = _plain(self.truth, "fill_kind") == KIND_REJECTED

    def filled(self, model: int) -> Mask:
        """Return which orders a queue model fills."""
        return _plain(self.labels, "filled" + MODEL_SUFFIX[model]).astype(np.bool_)

    def delay_ns(self, model: int) -> npt.NDArray[np.int64]:
        """Return a queue model's fill delays, -1 where it fills nothing."""
        return _plain(self.labels, "fill_delay_ns" + MODEL_SUFFIX[model], -1)

    def fill_bias(self, model: int, rows: Mask) -> dict[str, Any]:
        """Return the bias of the fill probability in percentage points over ``rows`` (n,), and what stands behind."""
        gap = _POINTS * (self.filled(model)[rows].astype(np.float64) - self.true_filled[rows])
        found = mean_with_interval(gap, self.block[rows])
        return {
            "fill_rate": _mean(self.filled(model)[rows].astype(np.float64)),
            "bias_points": found["mean"],
            "half_interval_95_points": found["half_interval_95"],
            "error_points": _mean(np.abs(gap)),
        }

    def fill_delay(self, model: int, rows: Mask) -> dict[str, Any]:
        """Return bias and error in ms of the delay, where both fill, and of the wait until fill or expiry, of all."""
        mine, true_ns = self.delay_ns(model), self.true_delay_ns
        both = rows & (mine >= 0) & (true_ns >= 0)
        gap = (mine - true_ns)[both] / NS_PER_MS
        wait, true_wait = (np.where(ns >= 0, ns, self.life_ns) for ns in (mine, true_ns))
        stood = rows & ~self.rejected
        return {
            "filled_in_both": int(both.sum()),
            "bias_ms": _mean(gap),
            "error_ms": _mean(np.abs(gap)),
            "wait_bias_ms": _mean((wait - true_wait)[stood] / NS_PER_MS),
            "wait_error_ms": _mean(np.abs(wait - true_wait)[stood] / NS_PER_MS),
        }

    def markouts(self, model: int, rows: Mask) -> dict[str, Any]:
        """Return by horizon: mean markout of a model's fills − that of the true ones; the error where both fill."""
        out: dict[str, Any] = {}
        for horizon in MARKOUT_NS:
            name = f"markout_{horizon}_bps" + MODEL_SUFFIX[model]
            if name not in self.labels:
                continue
            mine = _plain(self.labels, name, np.nan)[rows]
            true = _plain(self.truth, f"markout_{horizon}_bps", np.nan)[rows]
            own, real = mine[np.isfinite(mine)], true[np.isfinite(true)]
            gap = (mine - true)[np.isfinite(mine) & np.isfinite(true)]
            bias = float(own.mean() - real.mean()) if len(own) and len(real) else None
            out[horizon] = {
                "true_bps": _mean(real),
                "bias_bps": None if bias is None else round(bias, 4),
                "error_bps": _mean(np.abs(gap)),
            }
        return out

    def bracket(self, rows: Mask) -> dict[str, Any]:
        """Return the bracket of the fill rate, whether it holds the true one, and the shares of orders it holds.

        An order is held where its true fill lies between those of the two bounds: to the ns, within one message, and
        in whether it is filled at all.
        """
        pess, _, opt = (self.filled(model)[rows] for model in ALL_MODELS)
        low, high, true = (float(x.mean()) for x in (pess, opt, self.true_filled[rows]))
        never = np.int64(1 << 62)
        late, _, early = (np.where(ns < 0, never, ns) for ns in (self.delay_ns(m)[rows] for m in ALL_MODELS))
        at = np.where(self.true_delay_ns[rows] < 0, never, self.true_delay_ns[rows])
        held = (early <= at) & (at <= late)
        near = (early - self.message_ns <= at) & (at <= late + self.message_ns)
        fate = (pess <= self.true_filled[rows]) & (self.true_filled[rows] <= opt)
        return {
            "pessimistic": round(low, 4),
            "true": round(true, 4),
            "optimistic": round(high, 4),
            "width_points": round(_POINTS * (high - low), 3),
            "holds_true_rate": low <= true <= high,
            "orders_outside": int((~held).sum()),
            "coverage": round(float(held.mean()), 5),
            "coverage_within_a_message": round(float(near.mean()), 5),
            "coverage_of_outcomes": round(float(fate.mean()), 5),
        }

    def thirds(self, by: str) -> dict[str, Mask]:
        """Return the rows in each third of a column of the truth; rejected orders and unknown values in none."""
        values = _plain(self.truth, by, np.nan).astype(np.float64)
        known = np.isfinite(values) & ~self.rejected
        if not known.any():
            return {}
        low, high = np.quantile(values[known], [1 / 3, 2 / 3])
        cuts = (values <= low, (values > low) & (values <= high), values > high)
        return {name: known & cut for name, cut in zip(THIRDS, cuts, strict=True) if (known & cut).any()}

    def distinct_fills(self, filled: Mask, delay_ns: npt.NDArray[np.int64], rows: Mask) -> int:
        """Return the effective n of fills: distinct (t_fill, side, P), market by market."""
        mask = filled & rows
        when, side, price = (np.asarray(self.truth[n]) for n in ("t_arrive_ns", "side", "price_ticks"))
        return sum(
            effective_n(when[own] + delay_ns[own], side[own], price[own])
            for own in (mask & (self.seed == seed) for seed in np.unique(self.seed))
        )

    def report(self) -> dict[str, Any]:
        """Return the whole comparison as plain JSON types. Raises ``ValueError`` where no order is valid in both."""
        every = np.ones(len(self.true_filled), np.bool_)
        if not len(every):
            raise ValueError("no order is valid in both truth and labels: there is nothing to compare")
        reached_ns = _plain(self.truth, "reached_delay_ns", -1)
        out: dict[str, Any] = {
            "orders": len(every),
            "left_out": self.left_out,
            "true_fill_rate": _mean(self.true_filled.astype(np.float64)),
            "distinct_true_fills": self.distinct_fills(self.true_filled, self.true_delay_ns, every),
            "unfilled_but_reached_by_dropped_lots": int((~self.true_filled & (reached_ns >= 0)).sum()),
            "rejected": {
                "orders": int(self.rejected.sum()),
                "filled_all_the_same": {
                    MODEL_NAME[m]: _mean(self.filled(m)[self.rejected].astype(np.float64)) for m in ALL_MODELS
                },
            },
            "bracket": self.bracket(every),
            "models": {},
            "thirds": {},
        }
        for model in ALL_MODELS:
            out["models"][MODEL_NAME[model]] = {
                **self.fill_bias(model, every),
                "distinct_fills": self.distinct_fills(self.filled(model), self.delay_ns(model), every),
                "delay": self.fill_delay(model, every),
                "markouts": self.markouts(model, every),
            }
        for by in ("queue_ahead_lots", "volatility_60s_bps"):
            out["thirds"][by] = {
                name: {
                    "orders": int(rows.sum()),
                    "upto": round(float(np.max(_plain(self.truth, by)[rows])), 4),
                    "true_fill_rate": _mean(self.true_filled[rows].astype(np.float64)),
                    "width_points": self.bracket(rows)["width_points"],
                    "models": {MODEL_NAME[m]: self.fill_bias(m, rows) for m in ALL_MODELS},
                }
                for name, rows in self.thirds(by).items()
            }
        return out
