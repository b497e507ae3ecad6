"""Stage ``train``: the network on every usable row of the window, its last fifth held out. What is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import SEASONAL_PROFILE
from lob_pipeline.datasets.counts import fold_table
from lob_pipeline.datasets.cycles import uncovered
from lob_pipeline.datasets.folds import Fold, final_split
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.datasets.normalise import fit_normaliser
from lob_pipeline.datasets.targets import Targets, targets
from lob_pipeline.evaluation.heads import calibration
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.models.outputs import COLUMN
from lob_pipeline.registry.fingerprint import features_fingerprint
from lob_pipeline.registry.origin import dependency_versions, git_sha, instrument_json
from lob_pipeline.stages.build_features import NO_PROFILE
from lob_pipeline.stages.build_profile import profile_of_columns
from lob_pipeline.stages.recipe import CHAMPION_KIND, Recipe, default_recipe, digest
from lob_pipeline.stages.trained_model import check_rows, model_folder, read_trained, write_trained
from lob_pipeline.stages.training_set import WINDOW_DAYS, TrainingSet, load_instants, training_set
from lob_pipeline.stages.walk_forward import code_sha256, source_sha256

Say = Callable[[str], None]
Float32s = npt.NDArray[np.float32]
CHECKPOINT = "checkpoint"
_CODE = ("stages/train.py", "stages/trained_model.py")


@dataclass(frozen=True)
class Trained:
    """A trained model: what its record says of it, where it lies, and whether it stood already."""

    record: dict[str, Any]
    folder: Path
    fresh: bool

    def to_json(self) -> dict[str, Any]:
        """Return what a reader wants to know, as plain JSON types."""
        fitted = self.record["fitted"]
        return {
            "state": "fresh" if self.fresh else "trained",
            "market": self.record["market"],
            "clock": self.record["clock"],
            "as_of": self.record["as_of"],
            "parameters": fitted["parameters"],
            "rows": fitted["rows"],
            "epochs": len(fitted["curves"]),
            "best_epoch": fitted["best_epoch"],
            "seconds": fitted["seconds"],
            "masked_heads": fitted["masked_heads"],
            "features": len(self.record["features"]),
            "left_out": self.record["left_out"],
            "data_sha256": self.record["data"]["data_sha256"],
            "folder": str(self.folder),
        }


def train(
    home: Home,
    market: Market,
    as_of: str,
    clock: str | None = None,
    *,
    recipe: Recipe | None = None,
    window_days: int = WINDOW_DAYS,
    say: Say | None = None,
) -> Trained:
    """Fit the recipe's network to the training set that ends at ``as_of`` and keep it for registration.

    Writes ``HOME/training/<market>/<clock>/<as_of>/model/``. An interrupted training goes on from its last epoch; the
    same recipe, data and code train nothing again. Raises ``RefusedError`` without usable days or with features that
    older code computed, ``LobError`` for a loss that is not a number or a checkpoint that cannot be read.
    """
    say = say or (lambda _: None)
    recipe = recipe or default_recipe(market)
    chosen = training_set(home, market, as_of, clock, window_days=window_days)
    folder = model_folder(home, market, chosen.clock, as_of)
    state, standing = standing_model(home, chosen, recipe)
    if state == "fresh" and standing is not None:
        return standing
    _must_be_of_this_code(home, market, chosen)
    run = _run_sha256(chosen, recipe)
    clock_ = parse_clock(chosen.clock)
    names, left_out = model_inputs(recipe.feature_set, clock_)
    instants = load_instants(home, chosen, names)
    fold = final_split(instants)
    wanted = targets(instants, fold)
    say(f"train            {len(fold.train):,} training rows, {len(fold.held):,} held, {len(names)} features")
    checkpoint = folder.with_name(f"{CHECKPOINT}-{run[:12]}")
    fitted, normalised, normaliser = _fit(instants, fold, wanted, recipe, checkpoint, say)
    check = _check(instants, fitted, normalised)
    record = {
        "run_sha256": run,
        "market": str(market),
        "clock": chosen.clock,
        "as_of": as_of,
        "preset": recipe.preset,
        "recipe": recipe.to_json(),
        "fitted": fitted.to_json(),
        "features": list(names),
        "left_out": [list(pair) for pair in left_out],
        "muted": list(normaliser.muted),
        "features_fingerprint": features_fingerprint(names, chosen.clock),
        "data": {"data_sha256": chosen.data_sha256, "as_of": as_of, "days": [dict(vars(day)) for day in chosen.days]},
        "folds": fold_table(instants, [fold]),
        "calibration": _calibration(instants, fold, wanted, fitted, normalised),
        "git_sha": git_sha(),
        "versions": dependency_versions(),
        **_definitions(home, market, chosen),
    }
    profile = _profile(home, market, chosen, record["profile"]["version"])
    write_trained(folder, record, fitted.weights, normaliser.arrays(), check, profile)
    _forget(folder.parent)
    return Trained(record, folder, fresh=False)


def _must_be_of_this_code(home: Home, market: Market, chosen: TrainingSet) -> None:
    """Raise ``RefusedError`` where a day's features are not what the live step would compute today."""
    for date in chosen.dates:
        key = PartitionKey("features", market, date, chosen.clock)
        with open_partition(home, key, FEATURES_TABLE) as features:
            written = features.manifest.code_fingerprint
        if written != code_fingerprint("features", partition_instrument(home, market, date)):
            raise RefusedError(
                f"{key} was computed by other code than this: run `lob run --market {market}` first, or the model "
                "would be trained on other features than the live step computes"
            )


def standing_model(home: Home, chosen: TrainingSet, recipe: Recipe | None = None) -> tuple[str, Trained | None]:
    """Return ``fresh``, ``stale`` or ``absent``, and what stands: the model of a training set."""
    recipe = recipe or default_recipe(chosen.market)
    folder = model_folder(home, chosen.market, chosen.clock, chosen.as_of)
    standing = read_trained(folder)
    if standing is None:
        return "absent", None
    fresh = standing.record.get("run_sha256") == _run_sha256(chosen, recipe)
    return "fresh" if fresh else "stale", Trained(standing.record, folder, fresh)


def _run_sha256(chosen: TrainingSet, recipe: Recipe) -> str:
    names, _ = model_inputs(recipe.feature_set, parse_clock(chosen.clock))
    # the live engine computes its features anew: a model of another fingerprint could be registered by nobody
    computed = features_fingerprint(names, chosen.clock)
    return digest([recipe.to_json(), chosen.data_sha256, code_sha256(), source_sha256(_CODE), computed])


def _fit(
    instants: Instants, fold: Fold, wanted: Targets, recipe: Recipe, checkpoint: Path, say: Say
) -> tuple[Any, Float32s, Any]:
    from lob_pipeline.models.config import preset
    from lob_pipeline.models.fit import fit

    muted = uncovered(instants.names, instants.ts_ns[fold.train])
    normaliser = fit_normaliser(instants.features, fold.train, instants.names, muted=muted)
    normalised = normaliser.apply(instants.features)
    model, training = preset(recipe.preset, len(instants.names), head=CHAMPION_KIND, seed=recipe.seed)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    fitted = fit(
        normalised,
        instants.segment,
        wanted,
        fold,
        model,
        training,
        progress=once(say),
        checkpoint=checkpoint,
    )
    return fitted, normalised, normaliser


def once(say: Say) -> Callable[[float, str], None]:
    """Return a progress callback that says each text once."""
    said: list[str] = [""]

    def update(_: float, text: str) -> None:
        if text != said[0]:
            said[0] = text
            say(f"  {text}")

    return update


def _check(instants: Instants, fitted: Any, normalised: Float32s) -> dict[str, npt.NDArray[Any]]:
    """Return the rows on which the streaming step must repeat what training's own code forecasts."""
    from lob_pipeline.models.fit import predict

    rows = check_rows(instants.segment)
    alone = instants.segment[rows]
    forecast = predict(fitted, normalised[rows], alone, np.arange(len(alone)))
    return {"features": instants.features[rows], "valid": alone >= 0, "forecast": forecast}


def _calibration(
    instants: Instants, fold: Fold, wanted: Targets, fitted: Any, normalised: Float32s
) -> dict[str, list[dict[str, Any]]]:
    """Return the reliability bins of p_fill and p_entry on the held rows, both sides pooled."""
    from lob_pipeline.models.fit import predict

    forecast = predict(fitted, normalised, instants.segment, fold.held)
    found = {}
    for head in ("fill", "entry"):
        p = forecast[:, [COLUMN[f"{head}_buy"], COLUMN[f"{head}_sell"]]].astype(np.float64)
        truth = getattr(wanted, head)[fold.held]
        known = ~np.isnan(truth) & ~np.isnan(p)
        found[head] = calibration(p[known], truth[known] > 0.5)
    return found


def _definitions(home: Home, market: Market, chosen: TrainingSet) -> dict[str, Any]:
    """Return instrument, label definition and profile as the newest day's partitions state them."""
    last = chosen.dates[-1]
    with open_partition(home, PartitionKey("labels", market, last, chosen.clock), LABELS_TABLE) as labels:
        extra = labels.manifest.extra
    with open_partition(home, PartitionKey("features", market, last, chosen.clock), FEATURES_TABLE) as features:
        profile = features.manifest.extra["profile_version"]
    fees = {"maker_bps": extra["fees_bps"]["maker"], "taker_bps": extra["fees_bps"]["taker"]}
    if not extra["config"]:
        raise RefusedError(f"labels of {market} on {last} do not say how they were made: run `lob labels` again")
    return {
        "instrument": instrument_json(partition_instrument(home, market, last)),
        "label": {"config": extra["config"], "fees": fees},
        "profile": {"version": profile},
    }


def _profile(home: Home, market: Market, chosen: TrainingSet, version: str) -> dict[str, npt.NDArray[Any]]:
    """Return the profile of the newest day, whose features say ``version``; nothing where they had none."""
    if version == NO_PROFILE:
        return {}
    key = PartitionKey("seasonal_profile", market, chosen.dates[-1], chosen.clock)
    with open_partition(home, key, SEASONAL_PROFILE) as partition:
        if partition.manifest.content_sha256 != version:
            raise RefusedError(f"{key} was built again after its features: run `lob run --market {market}` first")
        return dict(profile_of_columns(partition.read())._asdict())


def _forget(folder: Path) -> None:
    """Remove the checkpoints of finished and abandoned trainings of this day."""
    for path in folder.glob(f"{CHECKPOINT}-*"):
        path.unlink()
