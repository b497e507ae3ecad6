"""A home with a trained model and its verdict, made without training; and an MLflow database made once."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.datasets.normalise import Normaliser
from lob_pipeline.features.registry import BUILT
from lob_pipeline.lake.home import Home
from lob_pipeline.models.config import ModelConfig, TrainConfig
from lob_pipeline.models.fitted import Fitted, Scaling
from lob_pipeline.registry.fingerprint import features_fingerprint
from lob_pipeline.registry.store_door import make_database
from lob_pipeline.stages.documents import evaluation_folder, write_json
from lob_pipeline.stages.trained_model import model_folder, write_trained
from lob_pipeline.stages.walk_forward import code_sha256
from lob_pipeline_tests.registry.samples import sample_info

NAMES = tuple(f.name for f in BUILT[:5])
CONFIG = ModelConfig(5, d_model=8, layers=2, heads=2, d_ff=16, window=6, experts=2, d_expert=8)
SCALING = Scaling((0.0,) * 6, (2.0,) * 6, (0.5, 0.5), (0.1, 0.1), -1.0)
BINS = [{"forecast": 0.2, "observed": 0.22, "rows": 900}, {"forecast": 0.6, "observed": 0.55, "rows": 900}]
RECIPE = {"preset": "demo", "feature_set": "full89", "seed": 1, "model": {"d_model": 8}, "training": {"epochs": 2}}
MARKET = "sim.BTCUSDT"


@cache
def _database() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory(prefix="lob-mlflow-")
    path = Path(folder.name) / "mlflow.db"
    make_database(path)
    return folder, path


def new_home(root: Path) -> Home:
    """Return an empty home whose MLflow database is a copy of one made before: a fresh one takes seconds."""
    home = Home(root / "home")
    (home.root / "mlruns").mkdir(parents=True)
    shutil.copy(_database()[1], home.root / "mlruns" / "mlflow.db")
    return home


@cache
def fitted(seed: int) -> Fitted:
    """Return a network that was never trained, as training would hand it over."""
    import torch

    from lob_pipeline.models.network import Network

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    state = Network(CONFIG).state_dict()
    weights = {name: value.numpy().astype(np.float32) for name, value in state.items()}
    temperatures = {"entry": 1.1, "direction": 0.9, "adverse": 1.0, "fill": 1.2}
    return Fitted(CONFIG, TrainConfig(epochs=2, seed=1), weights, SCALING, temperatures, (), [], 1000, 5000, 1.0)


def normaliser() -> Normaliser:
    """Return a scaling of the five features."""
    asinh = np.array([True, False, True, False, False])
    scale = np.array([1.5, 1.5, 0.0, 1.5, 0.5], np.float32)  # the third is muted
    return Normaliser(NAMES, asinh, np.linspace(-1, 1, 5, dtype=np.float32), scale)


@cache
def check_arrays(seed: int) -> dict[str, np.ndarray]:
    """Return raw rows and torch's own forecasts of them."""
    from lob_pipeline.models.predict import predict

    x = np.random.default_rng(7).normal(size=(200, 5)).astype(np.float32)
    rows = np.arange(200)
    forecast = predict(fitted(seed), normaliser().apply(x), np.zeros(200, np.int32), rows)
    return {"features": x, "valid": np.ones(200, np.bool_), "forecast": forecast}


def record_of(seed: int, as_of: str, **changes: Any) -> dict[str, Any]:
    """Return ``fitted.json`` of the sample."""
    info = sample_info()
    return {
        **{key: info[key] for key in ("market", "clock", "instrument", "label", "profile", "preset", "git_sha")},
        "as_of": as_of,
        "recipe": RECIPE,
        "fitted": fitted(seed).to_json(),
        "features": list(NAMES),
        "features_fingerprint": features_fingerprint(NAMES, "t100ms"),
        "data": {"data_sha256": f"{seed:064d}", "as_of": as_of, "days": [{"date": as_of}]},
        "folds": [],
        "calibration": {"fill": BINS, "entry": BINS},
        "versions": {"numpy": "2"},
        **changes,
    }


def train_sample(home: Home, as_of: str = "2026-01-07", seed: int = 1, verdict: str = "", **changes: Any) -> Path:
    """Write a trained model as ``stages.train`` would, and its evaluation where ``verdict`` is not empty."""
    market = parse_market(changes.get("market", MARKET))
    record = record_of(seed, as_of, **changes)
    model = fitted(seed)
    scale = normaliser()
    arrays = {"asinh": scale.asinh, "mean": scale.mean, "scale": scale.scale}
    folder = model_folder(home, market, record["clock"], as_of)
    write_trained(folder, record, model.weights, arrays, check_arrays(seed))
    if verdict:
        write_verdict(home, record, verdict)
    return folder


def write_verdict(home: Home, record: dict[str, Any], verdict: str, **changes: Any) -> None:
    """Write verdict.json and walk_forward.json of a record's day and data."""
    folder = evaluation_folder(home, parse_market(record["market"]), record["clock"], record["as_of"])
    common = {"run_sha256": "r" * 64, "data_sha256": record["data"]["data_sha256"]}
    document = {"verdict": verdict, "reasons": [f"because {verdict}"], "gates": [], "folds": [], **common, **changes}
    write_json(folder / "verdict.json", document)
    recipe = {**record["recipe"], "placebo_seed": -1, "contenders": ["moe"]}
    walk = {**common, "code_sha256": code_sha256(), "recipe": recipe}
    write_json(folder / "walk_forward.json", json.loads(json.dumps(walk)))
