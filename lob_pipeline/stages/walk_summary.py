"""What all folds of a walk-forward say together: verdicts, paired differences, trials, the document of the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.evaluation.gates import Gates
from lob_pipeline.evaluation.legs import pooled_legs
from lob_pipeline.evaluation.outcomes import summarise_labels
from lob_pipeline.evaluation.overfitting import pbo, reality_check
from lob_pipeline.evaluation.paired import paired_difference
from lob_pipeline.evaluation.policy import SUFFIXES
from lob_pipeline.evaluation.series import PnlSeries, read_series
from lob_pipeline.evaluation.trials import count_trials, record_trial, scoring_sha256
from lob_pipeline.evaluation.verdict import judge_verdict
from lob_pipeline.evaluation.walk import FoldScore, joined_series
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.recipe import CHAMPION_KIND, Recipe
from lob_pipeline.stages.survey import survey
from lob_pipeline.stages.training_set import TrainingSet
from lob_pipeline.stages.walk_fold import REGIMES, FoldJob

_WORST = "pessimistic"


def summarise(
    home: Home,
    chosen: TrainingSet,
    recipe: Recipe,
    gates: Gates,
    documents: list[dict[str, Any]],
    jobs: list[FoldJob],
) -> dict[str, Any]:
    """Return the walk-forward document (shape: ``evaluation.walk``) and write one trial a contender into the ledger."""
    scores = _scores(documents, jobs)
    joined = {name: joined_series(of) for name, of in scores.items()}
    fees = _fees(home, chosen)
    trials = _record(home, chosen, recipe, gates, joined)
    counted = count_trials(home, str(chosen.market))
    models = {
        name: {
            "folds": [score.to_json() for score in of],
            "verdict": judge_verdict(name, of, joined[name], gates, maker_fee_bps=fees["maker"], trials=counted),
            **_facts([document["models"][name] for document in documents]),
        }
        for name, of in scores.items()
    }
    kept, left_out = model_inputs(recipe.feature_set, parse_clock(chosen.clock))
    worst = {name: series[_WORST] for name, series in joined.items()}
    return {
        "market": str(chosen.market),
        "clock": chosen.clock,
        "as_of": chosen.as_of,
        "recipe": recipe.to_json(),
        "gates_sha256": gates.sha256,
        "gates": gates.to_json(),
        "maker_fee_bps": fees["maker"],
        "taker_fee_bps": fees["taker"],
        "fees_as_of": fees["as_of"],
        "data": _data(chosen),
        "inputs": {"feature_set": recipe.feature_set, "kept": list(kept), "left_out": [list(p) for p in left_out]},
        "folds": [{k: v for k, v in document.items() if k != "models"} for document in documents],
        "models": models,
        "chosen": CHAMPION_KIND,
        "verdict": models[CHAMPION_KIND]["verdict"],
        "paired": _paired(joined),
        "overfitting": {"pbo": pbo(worst), "reality_check": reality_check(worst)},
        "labels": _labels(home, chosen),
        "trials": trials,
        "commands": _commands(chosen),
        "notes": _notes(recipe, documents),
    }


def _fees(home: Home, chosen: TrainingSet) -> dict[str, Any]:
    """Return ``maker`` and ``taker`` in bps and ``as_of``: the fees that the edges paid, the same on all days of a set.

    Those of markets.toml may have changed since the labels were made.
    """
    key = PartitionKey("labels", chosen.market, chosen.dates[-1], chosen.clock)
    with open_partition(home, key, LABELS_TABLE) as labels:
        return dict(labels.manifest.extra["fees_bps"])


def _scores(documents: list[dict[str, Any]], jobs: list[FoldJob]) -> dict[str, list[FoldScore]]:
    found: dict[str, list[FoldScore]] = {}
    for document, job in zip(documents, jobs, strict=True):
        series = read_series(job.series)
        for name, model in document["models"].items():
            own = {queue: series[name, queue] for queue in SUFFIXES}
            found.setdefault(name, []).append(FoldScore.from_json(model["score"], own))
    return found


def _record(
    home: Home, chosen: TrainingSet, recipe: Recipe, gates: Gates, joined: dict[str, dict[str, PnlSeries]]
) -> dict[str, Any]:
    """Write one trial a contender; return count, head and place of the ledger."""
    found: dict[str, Any] = {}
    for name, series in joined.items():
        pnl = series[_WORST].pnl_bps
        pnl = pnl[~np.isnan(pnl)]
        spread = float(pnl.std(ddof=1)) if pnl.size > 1 else 0.0
        summary = {
            "market": str(chosen.market),
            "clock": chosen.clock,
            "as_of": chosen.as_of,
            "model": name,
            "placebo_seed": recipe.placebo_seed,
            "filled": int(pnl.size),
            "mean_bps": float(pnl.mean()) if pnl.size else None,
            "sharpe": float(pnl.mean()) / spread if spread > 0 else None,
        }
        found = record_trial(home, recipe.sha256(name), chosen.data_sha256, scoring_sha256(), summary)
    return {key: found[key] for key in ("count", "head", "path")}


def _facts(of_folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the folds tell of one model besides its scores."""
    first = of_folds[0]
    facts: dict[str, Any] = {
        "parameters": first.get("parameters"),
        "training_rows": [model.get("training_rows") for model in of_folds],
        "seconds": round(sum(model["seconds"] for model in of_folds), 1),
        "curves": [model["curves"] for model in of_folds] if "curves" in first else None,
        "muted": [model["muted"] for model in of_folds] if "muted" in first else None,
        "temperatures": [model.get("temperatures") for model in of_folds] if "temperatures" in first else None,
        "routing": _routing([model["routing"] for model in of_folds if model.get("routing")]),
        "leg_a": pooled_legs([model["leg_a"] for model in of_folds]) if "leg_a" in first else None,
    }
    return facts


def _routing(of_folds: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the experts' mean shares by regime over all folds, rows counted, and by fold."""
    if not of_folds:
        return None
    experts = []
    for regime in range(len(REGIMES)):
        parts = [fold["by_regime"].get(str(regime)) for fold in of_folds]
        rows = [part["rows"] for part in parts if part and part["rows"]]
        shares = [part["share"] for part in parts if part and part["rows"]]
        experts.append(np.average(shares, axis=0, weights=rows).tolist() if rows else [])
    return {
        "regimes": list(REGIMES),
        "experts": experts,
        "by_fold": [fold["share"] for fold in of_folds],
        "entropy_nats": [fold["entropy_nats"] for fold in of_folds],
    }


def _data(chosen: TrainingSet) -> dict[str, Any]:
    return {
        "days": [dict(vars(day)) for day in chosen.days],
        "left_out": [dict(vars(day)) for day in chosen.left_out],
        "data_sha256": chosen.data_sha256,
        "summary": chosen.summary,
        "folds": list(chosen.folds),
    }


def _paired(joined: dict[str, dict[str, PnlSeries]]) -> list[dict[str, Any]]:
    mine = joined[CHAMPION_KIND]
    return [
        {
            "model": CHAMPION_KIND,
            "against": other,
            "queue": queue,
            **paired_difference(mine[queue], series[queue]),
        }
        for other, series in joined.items()
        if other != CHAMPION_KIND
        for queue in SUFFIXES
    ]


def _labels(home: Home, chosen: TrainingSet) -> dict[str, Any] | None:
    labels = survey(home, chosen.market, chosen.dates[0], chosen.dates[-1], chosen.clock).labels
    return None if labels is None else summarise_labels(labels)


def _commands(chosen: TrainingSet) -> dict[str, str]:
    where = f"--market {chosen.market} --from {chosen.dates[0]} --to {chosen.dates[-1]} --clock {chosen.clock}"
    walk = f"lob walk-forward {where}"
    return {
        "verdict": f"lob verdict {where}",
        "labels": f"lob feasibility {where}",
        **dict.fromkeys(("models", "folds", "costs", "calibration", "curves", "routing", "data", "paired"), walk),
    }


def _notes(recipe: Recipe, documents: list[dict[str, Any]]) -> list[str]:
    notes = []
    if recipe.preset == "demo":
        rows = max(m["training_rows"] for d in documents for m in d["models"].values() if "training_rows" in m)
        notes.append(
            f"Preset demo: small networks, at most {rows:,} training rows a fold were used. It shows the method; "
            "judge your own market with --preset full."
        )
    muted = documents[0]["models"][CHAMPION_KIND].get("muted", [])
    if muted:
        notes.append(
            f"Muted in the first fold, because its training rows do not show their whole cycle or any change: "
            f"{', '.join(muted)}."
        )
    if recipe.placebo_seed >= 0:
        notes.append(
            f"Placebo: the outcomes were permuted in blocks of time (seed {recipe.placebo_seed}). "
            "Any edge here is a bug."
        )
    return notes


