"""One fold of a walk-forward, in a process of its own: fit every contender, forecast, score, keep what was seen.

What a fold finds is one JSON document and one array file (P&L on the row grid); an interrupted run finds them again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.datasets.cycles import uncovered
from lob_pipeline.datasets.folds import Fold, walk_forward
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.datasets.normalise import fit_normaliser
from lob_pipeline.datasets.permute import permute_blocks
from lob_pipeline.datasets.targets import Targets, targets
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.legs import oracle_direction
from lob_pipeline.evaluation.series import PnlSeries, write_series
from lob_pipeline.evaluation.walk import score_fold
from lob_pipeline.features.spec import FULL89, TAPE
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.documents import read_json, write_json
from lob_pipeline.stages.recipe import CHAMPION_KIND, CONTENDERS, Contender, Recipe
from lob_pipeline.stages.training_set import load_instants, training_set

Float32s = npt.NDArray[np.float32]
REGIMES = ("calm", "middle", "wild")
"""Terciles of 300 s volatility, the edges from a fold's training rows."""
_VOLATILITY = "realised_vol_300s_bps"


@dataclass(frozen=True)
class FoldJob:
    """What a process needs to know: plain values only, they travel between processes."""

    root: str
    given: bool
    market: str
    clock: str
    as_of: str
    window_days: int
    data_sha256: str
    number: int
    folder: str
    recipe: dict[str, Any]
    gates_sha256: str
    threads: int = 1

    @property
    def document(self) -> Path:
        """Return the fold's JSON document."""
        return Path(self.folder) / f"fold-{self.number}.json"

    @property
    def series(self) -> Path:
        """Return the fold's arrays: P&L a test row, contender and queue model."""
        return Path(self.folder) / f"fold-{self.number}.npz"


def run_fold(job: FoldJob) -> dict[str, Any]:
    """Fit and score every contender of one fold; return the fold's document. A finished fold is read, not redone.

    Raises ``RefusedError`` where data or gates are no longer those the walk-forward started with.
    """
    kept = read_json(job.document)
    if kept is not None and job.series.exists():
        return kept
    started = time.monotonic()
    recipe, gates = Recipe.from_json(job.recipe), load_gates()
    if gates.sha256 != job.gates_sha256:
        raise RefusedError("gates.toml changed while the walk-forward ran: start it again, the gates come first")
    instants = instants_of(job, recipe)
    fold = next(f for f in folds_of(instants, recipe) if f.number == job.number)
    wanted = targets(instants, fold)
    series: dict[tuple[str, str], PnlSeries] = {}
    models: dict[str, Any] = {}
    for name in recipe.contenders:
        begun = time.monotonic()
        found = _contend(CONTENDERS[name], recipe, instants, fold, wanted, job.threads)
        score = score_fold(
            instants, fold, found.held, found.test, found.masked, gates=gates, dead_zone_bps=wanted.dead_zone_bps
        )
        models[name] = {**found.facts, "score": score.to_json(), "seconds": round(time.monotonic() - begun, 2)}
        series.update({(name, queue): one for queue, one in score.series.items()})
        if name == CHAMPION_KIND:
            models[name]["leg_a"] = oracle_direction(instants, fold.test, found.test, gates)
    write_series(job.series, series)
    document = {
        "fold": fold.number,
        "train_rows": int(fold.train.size),
        "held_rows": int(fold.held.size),
        "test_rows": int(fold.test.size),
        "purged_rows": int(fold.purged),
        "test_start_ns": int(fold.test_start_ns),
        "test_end_ns": int(fold.test_end_ns),
        "dead_zone_bps": float(wanted.dead_zone_bps),
        "masked_heads": list(wanted.masked_heads),
        "models": models,
        "seconds": round(time.monotonic() - started, 2),
    }
    write_json(job.document, document)
    return document


@dataclass(frozen=True)
class _Found:
    held: Float32s
    test: Float32s
    masked: tuple[str, ...]
    facts: dict[str, Any]


def instants_of(job: FoldJob, recipe: Recipe) -> Instants:
    """Return the rows of the job's training set; with permuted outcomes where the recipe is a placebo."""
    market = parse_market(job.market)
    chosen = training_set(Home(Path(job.root), job.given), market, job.as_of, job.clock, window_days=job.window_days)
    if chosen.data_sha256 != job.data_sha256:
        raise RefusedError(f"the data of {market} changed while the walk-forward ran: start it again")
    instants = load_instants(Home(Path(job.root), job.given), chosen, inputs_read(recipe, job.clock))
    return permute_blocks(instants, recipe.placebo_seed) if recipe.placebo_seed >= 0 else instants


def inputs_read(recipe: Recipe, clock: str) -> tuple[str, ...]:
    """Return the features that a fold of the recipe reads: those of the book, with the tape's where the recipe says."""
    return model_inputs(TAPE if recipe.feature_set == TAPE else FULL89, parse_clock(clock))[0]


def folds_of(instants: Instants, recipe: Recipe) -> tuple[Fold, ...]:
    """Return the folds that the recipe cuts."""
    return walk_forward(instants, rolling_blocks=recipe.rolling_blocks)


def _contend(
    contender: Contender, recipe: Recipe, instants: Instants, fold: Fold, wanted: Targets, threads: int
) -> _Found:
    if contender.kind == "baseline":
        from lob_pipeline.models.baselines import fit_baseline

        unseen = uncovered(instants.names, instants.ts_ns[fold.train])
        kept = tuple(name for name, out in zip(instants.names, unseen, strict=True) if not out)
        forecast = fit_baseline(contender.name, columns_of(instants, kept), kept, wanted, fold, recipe.seed)
        return _Found(forecast(fold.held), forecast(fold.test), wanted.masked_heads, {})
    return _network(contender, recipe, instants, fold, wanted, threads)


def _network(
    contender: Contender, recipe: Recipe, instants: Instants, fold: Fold, wanted: Targets, threads: int
) -> _Found:
    from lob_pipeline.models.config import preset
    from lob_pipeline.models.fit import fit, predict, routing

    names, left_out = model_inputs(recipe.inputs_of(contender), parse_clock(instants.clock_id))
    features = columns_of(instants, names)
    muted = uncovered(names, instants.ts_ns[fold.train])
    normaliser = fit_normaliser(features, fold.train, names, muted=muted)
    normalised = normaliser.apply(features)
    model, training = preset(recipe.preset, len(names), head=contender.head, seed=recipe.seed, threads=threads)
    fitted = fit(normalised, instants.segment, wanted, fold, model, training)
    facts: dict[str, Any] = {
        "parameters": fitted.parameters,
        "training_rows": fitted.rows,
        "best_epoch": fitted.best_epoch,
        "curves": fitted.curves,
        "temperatures": dict(fitted.temperatures),
        "left_out": [list(pair) for pair in left_out],
        "muted": list(normaliser.muted),
        "notes": list(fitted.notes),
    }
    if contender.head == "moe" and _VOLATILITY in instants.names:
        facts["routing"] = routing(fitted, normalised, instants.segment, fold.test, _regimes(instants, fold))
    held = predict(fitted, normalised, instants.segment, fold.held)
    return _Found(held, predict(fitted, normalised, instants.segment, fold.test), fitted.masked_heads, facts)


def columns_of(instants: Instants, names: tuple[str, ...]) -> Float32s:
    """Return the named features, float32 (n, len(names)), without a copy where they are all of them."""
    if names == instants.names:
        return instants.features
    return np.ascontiguousarray(instants.features[:, [instants.names.index(name) for name in names]])


def _regimes(instants: Instants, fold: Fold) -> npt.NDArray[np.int64]:
    volatility = instants.features[:, instants.names.index(_VOLATILITY)]
    edges = np.quantile(volatility[fold.train], (1 / 3, 2 / 3))
    return np.asarray(np.searchsorted(edges, volatility[fold.test]), np.int64)
