"""One model's score on one fold, and the shape of the walk-forward's JSON that the report and the verdict read.

**The walk-forward JSON** (``HOME/evaluation/<market>/<clock>/<as_of>/walk_forward.json``), plain JSON types, no array
longer than a few hundred entries; ``walk_page.render`` shows whatever of it is there and says in words what is not::

    {
      "market", "clock", "as_of": str, "gates_sha256": str, "gates": Gates.to_json(),
      "maker_fee_bps", "taker_fee_bps": float,
      "data": {"days": [{"date", "rows", "scored_rows", "effective_n"}], "left_out": [{"date", "reason"}],
               "data_sha256"},
      "inputs": {"feature_set", "kept": [name], "left_out": [[name, twin]]},
      "folds": [{"fold", "train_rows", "held_rows", "test_rows", "test_start_ns", "test_end_ns", "masked_heads"}],
      "models": {name: {"folds": [FoldScore.to_json()], "verdict": judge_verdict(...),
                        "parameters", "seconds": number|None, "curves": [[{"epoch", "train_loss", "held_loss"}]]|None,
                        "routing": {"regimes": [name], "experts": [[share]]}|None,
                        "leg_a": oracle_direction(...)|None}},
      "chosen": name of the model that the verdict is about, "verdict": its verdict,
      "paired": [paired_difference(...) with "model", "against"],
      "overfitting": {"pbo": pbo(...), "reality_check": reality_check(...)}|None,
      "labels": outcomes.summarise_labels(...)|None,      # fill age against markout
      "trials": {"count", "head", "path"},
      "commands": {figure: command line}, "notes": [str], "seconds": float
    }

``curves`` holds a list of epochs for each fold. ``routing.experts[r][e]``: mean share of expert e in regime r.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.evaluation.gates import Gates, load_gates
from lob_pipeline.evaluation.heads import head_metrics
from lob_pipeline.evaluation.policy import SUFFIXES, Threshold, Trades, choose_threshold, field_of, observed_ns
from lob_pipeline.evaluation.series import PnlSeries, joined, series_of
from lob_pipeline.labels.spec import LabelConfig

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FoldScore:
    """A model on a fold. ``queues``: by queue model, what the policy did on the test rows. ``series`` stays in memory.

    ``masked_heads``: heads with too few positives among the training rows, by name (``entry_buy`` …).
    """

    fold: int
    test_start_ns: int
    test_end_ns: int
    test_rows: int
    days: float
    threshold: Threshold
    queues: dict[str, dict[str, Any]]
    heads: dict[str, Any]
    masked_heads: tuple[str, ...]
    series: dict[str, PnlSeries] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, without the series."""
        return {
            "fold": self.fold,
            "test_start_ns": self.test_start_ns,
            "test_end_ns": self.test_end_ns,
            "test_rows": self.test_rows,
            "days": self.days,
            "theta_bps": self.threshold.theta_bps,
            "threshold": dict(vars(self.threshold)),
            "queues": self.queues,
            "heads": self.heads,
            "masked_heads": list(self.masked_heads),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any], series: dict[str, PnlSeries]) -> FoldScore:
        """Rebuild a score from ``to_json`` and the series of each queue model (``series.read_series``)."""
        plain = {k: v for k, v in document.items() if k != "theta_bps"}
        return cls(
            **{
                **plain,
                "threshold": Threshold(**document["threshold"]),
                "masked_heads": tuple(document["masked_heads"]),
                "series": series,
            }
        )


def score_fold(
    instants: Instants,
    fold: Fold,
    forecast_held: Float32,
    forecast_test: Float32,
    masked_heads: tuple[str, ...],
    *,
    gates: Gates | None = None,
    dead_zone_bps: float = 0.0,
    config: LabelConfig | None = None,
) -> FoldScore:
    """Choose θ on the fold's held rows, play the test rows in all three queue models and score the heads.

    ``forecast_held`` float32 (len(fold.held), 15), ``forecast_test`` float32 (len(fold.test), 15), NaN rows where there
    is no forecast. ``dead_zone_bps``: the fold's δ of the direction classes.
    """
    gates = gates or load_gates()
    threshold = choose_threshold(instants, forecast_held, fold.held, gates, config)
    stretch = field_of(instants, forecast_test, fold.test, gates, config)
    ts_ns = instants.ts_ns[fold.test]
    days = observed_ns(ts_ns) / 86_400e9
    queues, series = {}, {}
    for name, suffix in SUFFIXES.items():
        trades = stretch.play(threshold.theta_bps, suffix)
        series[name] = series_of(trades, fold.test, ts_ns, fold.number)
        queues[name] = _queue_json(trades, series[name], days)
    return FoldScore(
        fold=fold.number,
        test_start_ns=int(fold.test_start_ns),
        test_end_ns=int(fold.test_end_ns),
        test_rows=int(fold.test.size),
        days=days,
        threshold=threshold,
        queues=queues,
        heads=head_metrics(instants, fold.test, forecast_test, dead_zone_bps),
        masked_heads=tuple(masked_heads),
        series=series,
    )


def _queue_json(trades: Trades, series: PnlSeries, days: float) -> dict[str, Any]:
    filled = trades.filled_count
    estimate = series.estimate()
    return {
        "orders": int(trades.row.size),
        "filled": filled,
        "effective_n": trades.distinct_fills(),
        "mean_bps": estimate.mean,
        "low_bps": estimate.low,
        "high_bps": estimate.high,
        "total_bps": trades.total_bps,
        "per_day_bps": trades.total_bps / days if days else None,
        "buys": int(np.count_nonzero(trades.filled & (trades.side > 0))),
        "maker_legs": float(trades.maker_legs[trades.filled].mean()) if filled else None,
        "edge_unknown": int(trades.edge_unknown.sum()),
    }


def joined_series(scores: list[FoldScore]) -> dict[str, PnlSeries]:
    """Return one series a queue model over all test blocks, in time order."""
    return {name: joined([score.series[name] for score in scores]) for name in SUFFIXES}
