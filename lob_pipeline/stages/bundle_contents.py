"""What goes into a bundle: from the trained model's record and from the evaluation of its recipe on its data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.fingerprint import features_fingerprint
from lob_pipeline.stages.documents import evaluation_folder, read_json
from lob_pipeline.stages.trained_model import TrainedModel
from lob_pipeline.stages.walk_forward import code_sha256

MODEL_NAME = "lob-moe"
NOT_EVALUATED = "NOT_EVALUATED"
_TRAINED = ("market", "clock", "features", "instrument", "label", "profile", "preset", "data", "folds", "calibration")
_VERDICT = ("verdict", "reasons", "gates", "break_even_maker_fee_bps", "days_needed", "intervals", "folds", "trials")
_IDENTITY = ("data_sha256", "run_sha256", "gates_sha256")
_RECIPE = ("preset", "feature_set", "seed", "rolling_blocks", "model", "training")


def bundle_info(home: Home, trained: TrainedModel) -> dict[str, Any]:
    """Return ``bundle.json`` of a trained model, still without a version.

    Raises ``RefusedError`` when features are computed differently now than when the model was trained.
    """
    record = trained.record
    ours = features_fingerprint(record["features"], record["clock"])
    if record["features_fingerprint"] != ours:
        raise RefusedError(
            f"the model in {trained.folder} was trained on features of other code than this "
            f"({record['features_fingerprint'][:12]}…, now {ours[:12]}…): train it again"
        )
    fitted = record["fitted"]
    return {
        "name": MODEL_NAME,
        **{key: record[key] for key in _TRAINED},
        "model": fitted["config"],
        # How many threads a machine gave to training is no part of what was trained.
        "training": {k: v for k, v in fitted["train_config"].items() if k != "threads"},
        "scaling": fitted["scaling"],
        "temperatures": fitted["temperatures"],
        "masked_heads": fitted["masked_heads"],
        "evaluation": evaluation_of(home, record),
        "versions": record["versions"],
        "git_sha": record["git_sha"],
    }


def bundle_arrays(trained: TrainedModel) -> dict[str, npt.NDArray[Any]]:
    """Return the bundle's arrays by group."""
    groups = {
        "weights": trained.weights,
        "normaliser": trained.normaliser,
        "profile": trained.profile,
        "check": trained.check,
    }
    return {f"{group}/{name}": np.asarray(a) for group, arrays in groups.items() for name, a in arrays.items()}


def evaluation_of(home: Home, record: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict that speaks of this model: same recipe, data and code, the standing walk-forward.

    Where there is none the verdict is ``NOT_EVALUATED`` with the reason: such a model can be registered, not promoted.
    """
    folder = evaluation_folder(home, parse_market(record["market"]), record["clock"], record["as_of"])
    verdict, walk = read_json(folder / "verdict.json"), read_json(folder / "walk_forward.json")
    if verdict is None or walk is None:
        return _not_evaluated("no verdict stands on its day: run `lob verdict`")
    if verdict.get("run_sha256") != walk.get("run_sha256"):
        return _not_evaluated("verdict and walk-forward are of different runs: run `lob verdict` again")
    if walk.get("code_sha256") != code_sha256():
        return _not_evaluated("the verdict was reached by other code or gates than these: run `lob verdict` again")
    if verdict.get("data_sha256") != record["data"]["data_sha256"]:
        return _not_evaluated("the verdict is on other data than the model was trained on")
    theirs, ours = walk.get("recipe", {}), record["recipe"]
    if theirs.get("placebo_seed", -1) != -1 or any(theirs.get(key) != ours.get(key) for key in _RECIPE):
        return _not_evaluated("the verdict is on another recipe")
    return {key: verdict.get(key) for key in (*_VERDICT, *_IDENTITY)}


def _not_evaluated(reason: str) -> dict[str, Any]:
    return {"verdict": NOT_EVALUATED, "reasons": [reason]}
