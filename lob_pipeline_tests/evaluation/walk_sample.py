"""A walk-forward document as the stage writes it, from the made-up market: real scores, real verdicts, small."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.datasets.folds import walk_forward
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.legs import oracle_direction
from lob_pipeline.evaluation.outcomes import LABEL_COLUMNS, LabelOutcomes, summarise_labels
from lob_pipeline.evaluation.overfitting import pbo, reality_check
from lob_pipeline.evaluation.paired import paired_difference
from lob_pipeline.evaluation.policy import SUFFIXES
from lob_pipeline.evaluation.verdict import Trials, judge_verdict
from lob_pipeline.evaluation.walk import joined_series
from lob_pipeline_tests.evaluation.market import forecast_of, make_instants, scores_of

GATES = load_gates()


def label_outcomes(instants: Instants) -> LabelOutcomes:
    """Return the label rows (both sides of every instant) that the instants came from."""
    n, orders = instants.rows, instants.orders
    columns: dict[str, Any] = {
        "ts_ns": np.repeat(instants.ts_ns, 2), "t_arrive_ns": np.repeat(instants.t_arrive_ns, 2),
        "side": np.tile(np.array([1, -1]), n), "valid": orders.valid.ravel(),
    }  # fmt: skip
    for suffix in SUFFIXES.values():
        for name in ("filled", "fill_delay_ns", "fill_kind", "edge_bps", "adverse", "entry", "markout_5s_bps"):
            columns[name + suffix] = getattr(orders, name)[suffix].ravel()
    for name in LABEL_COLUMNS:
        columns.setdefault(name, columns["markout_5s_bps"])
    return LabelOutcomes(columns, orders.price_ticks.ravel())


def sample_walk(*, base_bps: float = -0.5, skill_bps: float = 2.0, silent: bool = False) -> dict[str, Any]:
    """Return the document of three models; ``silent``: none of them ever has a forecast."""
    instants, signal = make_instants(base_bps=base_bps, skill_bps=skill_bps)
    rng = np.random.default_rng(3)
    blurred = signal + rng.normal(0.0, 2.0, signal.shape)
    forecasts = {
        "majority": forecast_of(np.full(signal.shape, base_bps) + rng.normal(0.0, 0.01, signal.shape)),
        "gbt_full89": forecast_of(base_bps + skill_bps * blurred),
        "moe": forecast_of(base_bps + skill_bps * signal),
    }
    if silent:
        forecasts = {name: np.full_like(f, np.nan) for name, f in forecasts.items()}
    folds = walk_forward(instants)
    scores = {name: scores_of(instants, forecast) for name, forecast in forecasts.items()}
    joined = {name: joined_series(found) for name, found in scores.items()}
    models: dict[str, Any] = {}
    for name, found in scores.items():
        verdict = judge_verdict(name, found, joined[name], GATES, maker_fee_bps=2.0, trials=Trials(7, 0.001))
        models[name] = {"folds": [s.to_json() for s in found], "verdict": verdict, "parameters": None, "seconds": 3.0}
    mine = models["moe"]
    mine.update(parameters=824_671, seconds=61.2)
    mine["curves"] = [
        [{"epoch": e, "train": {"total": 4 * 0.8**e + k / 9}, "held": {"total": 4 * 0.85**e + k / 7}} for e in range(6)]
        for k in range(len(folds))
    ]
    shares = rng.dirichlet(np.ones(8), 3)
    mine["routing"] = {"regimes": ["calm", "middle", "wild"], "experts": shares.tolist()}
    mine["leg_a"] = [oracle_direction(instants, f.test, forecasts["moe"][f.test], GATES) for f in folds]
    worst = {name: series["pessimistic"] for name, series in joined.items()}
    return {
        "market": instants.market, "clock": instants.clock_id, "as_of": "2026-01-01", "gates": GATES.to_json(),
        "gates_sha256": GATES.sha256, "maker_fee_bps": 2.0, "taker_fee_bps": 5.5,
        "data": {
            "days": [{"date": "2026-01-01", "profiled": False}],
            "left_out": [{"date": f"2025-12-{d}", "reason": "absent" if d < 30 else "features are refused: nan_rule"}
                         for d in range(25, 32)],
            "data_sha256": "ab" * 32,
            "summary": {"rows": instants.rows, "scored_rows": int(instants.scored.sum()), "segments": 1,
                        "models": {"proportional": {"filled": 9_000, "effective_n": 7_912}}},
        },
        "inputs": {"feature_set": "full89", "kept": [f"f{i}" for i in range(85)], "left_out": [["vol_1s", "vol_2s"]]},
        "folds": [{"fold": f.number, "train_rows": len(f.train)} for f in folds],
        "models": models, "chosen": "moe", "verdict": mine["verdict"],
        "paired": [
            {"model": "moe", "against": other, "queue": q, **paired_difference(joined["moe"][q], joined[other][q])}
            for other in ("majority", "gbt_full89") for q in SUFFIXES
        ],
        "overfitting": {"pbo": pbo(worst), "reality_check": reality_check(worst)},
        "labels": summarise_labels(label_outcomes(instants)), "trials": {"count": 7, "head": "cd" * 32, "path": "x"},
        "commands": {"verdict": "lob verdict", "labels": "lob feasibility", **dict.fromkeys(
            ("models", "folds", "costs", "calibration", "curves", "routing", "data", "paired"),
            "lob walk-forward --market sim.BTCUSDT")},
        "notes": ["A made-up market."], "seconds": 61.0,
    }  # fmt: skip


