"""A trained model before it is registered: ``fitted.json`` and two files of arrays under HOME/training/…/model/."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.documents import read_json, training_folder, write_bytes, write_json

RECORD, WEIGHTS, CHECK = "fitted.json", "weights.safetensors", "check.safetensors"
CHECK_ROWS = 512
KEYS = (
    "market",
    "clock",
    "as_of",
    "preset",
    "recipe",  # Recipe.to_json()
    "fitted",  # Fitted.to_json()
    "features",
    "features_fingerprint",
    "instrument",  # registry.origin.instrument_json
    "label",  # {"config": LabelConfig, "fees": {"maker_bps", "taker_bps"}}
    "profile",  # {"version": "none" or the profile's}
    "data",  # {"data_sha256", "as_of", "days": [...]}
    "folds",
    "calibration",  # {"fill": [bins], "entry": [bins]} on held-out rows, as evaluation.heads.calibration
    "git_sha",
    "versions",
)
"""What ``fitted.json`` must say; more may stand in it."""
NORMALISER = ("asinh", "mean", "scale")
CHECK_ARRAYS = ("features", "valid", "forecast")

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class TrainedModel:
    """What training left: the record, the weights, the normaliser's arrays and the rows to check the live step with."""

    folder: Path
    record: dict[str, Any]
    weights: Arrays
    normaliser: Arrays
    check: Arrays
    profile: Arrays  # empty: the days had none


def model_folder(home: Home, market: Market, clock: str, as_of: str) -> Path:
    """Return where the model trained on data up to ``as_of`` lies."""
    return training_folder(home, market, clock, as_of) / "model"


def check_rows(segment: npt.NDArray[np.int32]) -> slice:
    """Return the last rows, at most ``CHECK_ROWS``, of the longest unbroken run of ``segment`` int32 (n,).

    Training forecasts exactly these rows by themselves (no context before them), and so does the streaming step.
    Raises ``BadInputError`` where no row is usable.
    """
    usable = segment[segment >= 0]
    if not usable.size:
        raise BadInputError("no row is usable: there is nothing to check the streaming step with")
    longest = int(np.bincount(usable).argmax())
    rows = np.flatnonzero(segment == longest)
    return slice(int(rows[max(0, len(rows) - CHECK_ROWS)]), int(rows[-1]) + 1)


def write_trained(
    folder: Path,
    record: Mapping[str, Any],
    weights: Mapping[str, npt.NDArray[Any]],
    normaliser: Mapping[str, npt.NDArray[Any]],
    check: Mapping[str, npt.NDArray[Any]],
    profile: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Path:
    """Write a trained model; ``fitted.json`` comes last and names the hashes of the arrays, so no mixture is read.

    ``record``: ``KEYS``. ``normaliser``: asinh bool (F,), mean and scale float32 (F,). ``check``: features float32
    (k, F) raw, valid bool (k,), forecast float32 (k, 15) made by training's own code on these rows alone. ``profile``:
    the arrays of the profile whose version the record names, so that a bundle computes its features without a lake.
    Raises ``BadInputError`` naming what is missing.
    """
    for what, need, have in (
        ("record", KEYS, record),
        ("normaliser", NORMALISER, normaliser),
        ("check rows", CHECK_ARRAYS, check),
    ):
        missing = [key for key in need if key not in have]
        if missing:
            raise BadInputError(f"the trained model's {what} lack {', '.join(missing)}: nothing was written")
    arrays = {f"weights/{k}": v for k, v in weights.items()} | {f"normaliser/{k}": normaliser[k] for k in NORMALISER}
    arrays |= {f"profile/{k}": v for k, v in (profile or {}).items()}
    contents = {
        WEIGHTS: save({k: np.ascontiguousarray(v) for k, v in arrays.items()}),
        CHECK: save({k: np.ascontiguousarray(check[k]) for k in CHECK_ARRAYS}),
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    document = {**json.loads(json.dumps(record, allow_nan=False)), "files": hashes}
    for name, data in contents.items():
        write_bytes(folder / name, data)
    write_json(folder / RECORD, document)
    return folder


def read_trained(folder: Path) -> TrainedModel | None:
    """Return the trained model in ``folder``, None where none was finished.

    Raises ``RefusedError`` where files differ from what ``fitted.json`` says, or something is missing in it.
    """
    record = read_json(folder / RECORD)
    if record is None:
        return None
    missing = [key for key in (*KEYS, "files") if key not in record]
    if missing:
        raise RefusedError(f"{folder / RECORD} lacks {', '.join(missing)}: run `lob train` again")
    found = {}
    for name in (WEIGHTS, CHECK):
        try:
            data = (folder / name).read_bytes()
        except FileNotFoundError:
            raise RefusedError(f"{folder / name} is missing: run `lob train` again") from None
        if hashlib.sha256(data).hexdigest() != record["files"].get(name):
            raise RefusedError(f"{folder / name} is not the file that {RECORD} speaks of: run `lob train` again")
        try:
            found[name] = load(data)
        except SafetensorError as error:
            raise RefusedError(f"{folder / name} cannot be read ({error}): run `lob train` again") from error
    arrays = found[WEIGHTS]
    groups = {name: _group(arrays, name) for name in ("weights", "normaliser", "profile")}
    return TrainedModel(folder, record, check=found[CHECK], **groups)


def _group(arrays: Arrays, prefix: str) -> Arrays:
    head = f"{prefix}/"
    return {name.removeprefix(head): array for name, array in arrays.items() if name.startswith(head)}
