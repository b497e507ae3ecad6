"""What ``bundle.json`` and the arrays must hold, checked alike when a bundle is written and when it is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.registry.semver import parse_version

REQUIRED: dict[str, type] = {
    "format": int,
    "name": str,
    "semver": str,
    "market": str,
    "instrument": dict,  # tick, lot … as text: what the features were computed with
    "clock": str,
    "features": list,
    "features_fingerprint": str,
    "label": dict,  # {"config": LabelConfig, "fees": {"maker_bps", "taker_bps"}}
    "profile": dict,  # {"version": "none" or the profile's}
    "model": dict,
    "training": dict,
    "preset": str,
    "scaling": dict,  # models.fitted.Scaling: raw outputs to bps
    "temperatures": dict,
    "masked_heads": list,
    "data": dict,  # {"data_sha256", "as_of", "days": [...]}
    "folds": list,
    "evaluation": dict,  # {"verdict", "reasons", "gates" …}
    "calibration": dict,
    "versions": dict,
    "git_sha": str,
    "arrays_sha256": str,
}
"""The keys of bundle.json and their types; no other key is allowed."""
GROUPS = ("weights", "normaliser", "profile", "check")
_FINITE = ("weights/", "normaliser/")
_DTYPES = ("float32", "float64", "int64", "int32", "bool")


def digest_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256 over names, dtypes, shapes and values of what the model is made of: all but ``check/…``."""
    total = hashlib.sha256()
    for name in sorted(name for name in arrays if not name.startswith("check/")):
        array = np.ascontiguousarray(arrays[name])
        total.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode() + b"\n")
        total.update(array.tobytes())
    return total.hexdigest()


def check_bundle(
    info: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    what: str = "this bundle",
    error: type[LobError] = BadInputError,
) -> None:
    """Raise ``error``, one sentence that begins with ``what``, unless keys, types, names and ranges are right."""
    wrong = _wrong_keys(info) or _wrong_values(info) or _wrong_arrays(info, arrays)
    if wrong:
        raise error(f"{what}: {wrong}; train and register the model again")


def _wrong_keys(info: Mapping[str, Any]) -> str:
    for key, kind in REQUIRED.items():
        if key not in info:
            return f"bundle.json has no {key!r}"
        if type(info[key]) is not kind:
            return f"{key!r} in bundle.json is {type(info[key]).__name__}, expected {kind.__name__}"
    unknown = sorted(str(key) for key in info.keys() - REQUIRED.keys())
    return f"bundle.json has the unknown key {unknown[0]!r}" if unknown else ""


def _wrong_values(info: Mapping[str, Any]) -> str:
    try:
        parse_market(info["market"])
        parse_clock(info["clock"])
        parse_version(info["semver"])
    except BadInputError as error:
        return str(error)
    names = info["features"]
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        return "'features' is not a list of different names"
    for key, value in info["temperatures"].items():
        if not isinstance(value, int | float) or not np.isfinite(value) or value <= 0:
            return f"temperature {key!r} is {value!r}, expected a finite number above 0"
    for key in ("config", "fees"):
        if key not in info["label"]:
            return f"'label' has no {key!r}"
    if "version" not in info["profile"]:
        return "'profile' has no 'version' (\"none\" where the model reads no profile)"
    return ""


def _wrong_arrays(info: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    for name, array in arrays.items():
        if name.partition("/")[0] not in GROUPS or name.endswith("/") or "/" not in name:
            return f"array {name!r} belongs to none of the groups {', '.join(GROUPS)}"
        if array.dtype.name not in _DTYPES:
            return f"array {name!r} is {array.dtype}, expected one of {', '.join(_DTYPES)}"
        if array.dtype.kind == "f" and name.startswith(_FINITE) and not np.isfinite(array).all():
            return f"array {name!r} holds a number that is not finite"
    if not any(name.startswith("weights/") for name in arrays):
        return "there are no weights"
    for name in ("asinh", "mean", "scale"):
        shape = arrays[f"normaliser/{name}"].shape if f"normaliser/{name}" in arrays else None
        if shape != (len(info["features"]),):
            return f"array 'normaliser/{name}' has shape {shape}, expected one number for each feature"
    if not (arrays["normaliser/scale"] >= 0).all():  # 0: a muted column
        return "array 'normaliser/scale' holds a number below 0"
    version, profiled = info["profile"]["version"], any(name.startswith("profile/") for name in arrays)
    if profiled != (version != "none"):
        return f"'profile' says version {version!r}, and arrays of one are {'' if profiled else 'not '}there"
    return "" if digest_arrays(arrays) == info["arrays_sha256"] else "'arrays_sha256' is not that of the arrays"
