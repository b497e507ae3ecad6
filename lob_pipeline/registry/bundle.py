"""A bundle: one immutable folder of plain files that a model runs from, checked byte by byte when it is opened.

``bundle.json`` says what it is, ``weights.safetensors`` holds every array, ``MANIFEST.json`` maps each file to its
SHA-256. The bundle's own SHA-256 is that of MANIFEST.json's bytes: equal content, equal name. Nothing here imports
mlflow or torch.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.lake.storage import fsync_directory, storing
from lob_pipeline.models.outputs import BPS_HEADS
from lob_pipeline.registry.bundle_files import read_bundle_files
from lob_pipeline.registry.bundle_info import check_bundle, digest_arrays
from lob_pipeline.registry.canonical import canonical, parse_canonical
from lob_pipeline.registry.fingerprint import features_fingerprint

if TYPE_CHECKING:
    from lob_pipeline.models.stream import StreamModel

FORMAT = 1
INFO, ARRAYS, MANIFEST = "bundle.json", "weights.safetensors", "MANIFEST.json"
LIMITS = {INFO: 8 << 20, ARRAYS: 256 << 20, MANIFEST: 1 << 16}
"""The files of a bundle and the most bytes each may have."""
STAGING = ".staging"
_SCALED = 2 * len(BPS_HEADS)

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder, SHA-256, ``bundle.json`` and arrays. Opened means every byte was checked."""

    path: Path
    sha256: str
    info: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]] = field(repr=False)

    @property
    def sha12(self) -> str:
        """Return the first twelve hex digits of the SHA-256: the bundle's name in paths and prediction ids."""
        return self.sha256[:12]

    @property
    def name(self) -> str:
        """Return the registered model's name."""
        return str(self.info["name"])

    @property
    def semver(self) -> str:
        """Return the version MAJOR.MINOR.PATCH."""
        return str(self.info["semver"])

    @property
    def market(self) -> str:
        """Return the market, ``venue.SYMBOL``."""
        return str(self.info["market"])

    @property
    def clock_id(self) -> str:
        """Return the clock that the rows lie on."""
        return str(self.info["clock"])

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the input features, in the order of the model's input columns."""
        return tuple(self.info["features"])

    @property
    def features_fingerprint(self) -> str:
        """Return the SHA-256 of what those features mean."""
        return str(self.info["features_fingerprint"])

    @property
    def model_config(self) -> dict[str, Any]:
        """Return the model configuration as JSON."""
        return dict(self.info["model"])

    @property
    def masked_heads(self) -> tuple[str, ...]:
        """Return the heads that had too few examples to be trained."""
        return tuple(self.info["masked_heads"])

    def group(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of one group (``weights``, ``normaliser``, ``profile``, ``check``) by short name."""
        head = f"{prefix}/"
        return {name.removeprefix(head): a for name, a in self.arrays.items() if name.startswith(head)}


def write_bundle(root: Path, info: Mapping[str, Any], arrays: Arrays) -> Bundle:
    """Write a bundle under ``root`` as ``<first 12 hex of its SHA-256>/`` and return it opened.

    ``info``: the keys of ``bundle_info.REQUIRED``; ``format``, ``features_fingerprint`` and ``arrays_sha256`` are
    filled in. ``arrays``: named ``weights/…``, ``normaliser/{asinh,mean,scale}``, ``profile/…`` and
    ``check/{features,valid,forecast}`` (raw rows and the forecasts that training's own code made of them). It appears
    whole or not at all; a bundle of the same content that stands already is returned unchanged.
    Raises ``BadInputError`` when something is missing or out of range.
    """
    plain = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    full = complete_info(info, plain)
    check_bundle(full, plain)
    contents = {INFO: canonical(full), ARRAYS: save_arrays(plain)}
    contents[MANIFEST] = canonical({name: hashlib.sha256(data).hexdigest() for name, data in contents.items()})
    sha256 = hashlib.sha256(contents[MANIFEST]).hexdigest()
    target = root / sha256[:12]
    if not target.is_dir():
        _publish(root, target, contents)
    return load_bundle(target, sha256)


def complete_info(info: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return ``bundle.json`` with what follows from the rest: format, features fingerprint, digest of the arrays."""
    return {
        **info,
        "format": FORMAT,
        "features_fingerprint": features_fingerprint(info.get("features", ()), str(info.get("clock", ""))),
        "arrays_sha256": digest_arrays(arrays),
    }


def _publish(root: Path, target: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files to a staging folder, make them durable, and rename it to ``target``."""
    staged = root / STAGING / f"{target.name}.{os.getpid()}.{secrets.token_hex(4)}"
    with storing(target):
        staged.mkdir(parents=True)
        try:
            for name, data in contents.items():
                with (staged / name).open("wb") as handle:
                    handle.write(data)
                    handle.flush()
                    os.fsync(handle.fileno())
            fsync_directory(staged)
            try:
                os.rename(staged, target)
            except OSError:
                if not target.is_dir():
                    raise
                # Another process published the same content meanwhile; its files are checked on opening.
            fsync_directory(root)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def load_bundle(folder: Path, sha256: str | None = None, *, any_code: bool = False) -> Bundle:
    """Open the bundle in ``folder`` after checking every byte of it.

    ``sha256``: what the release ledger says it is, where that is known. ``any_code``: open it for looking at, also
    where this code computes its features differently; never run such a one. Raises ``BadInputError`` when there is no
    such folder (``LobError`` where the ledger says that there is one), ``RefusedError`` in one sentence for a changed,
    missing, additional, linked or oversized file, a format that is not this version's, contents out of range, and
    features that this code computes differently.
    """
    if sha256 is not None and not folder.is_dir():
        raise LobError(
            f"bundle {sha256[:12]} is registered, but its folder {folder} is gone: copy it back from MLflow's artifacts"
        )
    files = read_bundle_files(folder, LIMITS)
    manifest = parse_canonical(files[MANIFEST], folder / MANIFEST)
    if sorted(manifest) != sorted((INFO, ARRAYS)):
        raise RefusedError(
            f"bundle {folder}: {MANIFEST} lists {sorted(map(str, manifest))[:5]} instead of {INFO} and {ARRAYS}: "
            "this is no bundle of this version; take it from the registry again"
        )
    for name, expected in manifest.items():
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise RefusedError(
                f"bundle {folder}: {name} is not the file that was registered (its SHA-256 differs from {MANIFEST}): "
                "take the bundle from the registry again"
            )
    found = hashlib.sha256(files[MANIFEST]).hexdigest()
    if sha256 is not None and found != sha256:
        raise RefusedError(
            f"bundle {folder} has SHA-256 {found[:12]}…, not {sha256[:12]}… as registered: "
            "take the bundle from the registry again"
        )
    info = parse_canonical(files[INFO], folder / INFO)
    if info.get("format") != FORMAT:
        raise RefusedError(f"bundle {folder} has format {info.get('format')!r}, this program reads format {FORMAT}")
    try:
        arrays = load_arrays(files[ARRAYS])
    except Exception as error:  # safetensors raises its own type, which derives from Exception alone
        raise RefusedError(f"bundle {folder}: {ARRAYS} cannot be read ({error}): register the model again") from error
    check_bundle(info, arrays, f"bundle {folder}", RefusedError)
    if not any_code:
        _check_code(folder, info)
    return Bundle(folder, found, info, arrays)


def _check_code(folder: Path, info: Mapping[str, Any]) -> None:
    try:
        ours = features_fingerprint(info["features"], info["clock"])
    except BadInputError as error:
        raise RefusedError(f"bundle {folder}: {error}; run the code it was trained with, or train again") from error
    if info["features_fingerprint"] != ours:
        raise RefusedError(
            f"bundle {folder} reads features with the fingerprint {info['features_fingerprint'][:12]}…, "
            f"this code computes {ours[:12]}…: run the code it was trained with (git {str(info['git_sha'])[:12]}), "
            "or train and register again"
        )


def stream_model(bundle: Bundle) -> StreamModel:
    """Return the streaming step of a bundle: raw feature rows in, forecasts out (``models.stream``).

    Raises ``RefusedError`` where what the bundle says of its model does not fit together or is not of this version.
    """
    from lob_pipeline.models.stream import StreamModel

    scaling = dict(bundle.info["scaling"])
    try:
        if (len(scaling["centre_bps"]), len(scaling["scale_bps"])) != (_SCALED, _SCALED):
            raise ValueError(f"scaling is not of {_SCALED} numbers")  # the kernel does not look
        return StreamModel.from_arrays(
            bundle.model_config,
            bundle.group("weights"),
            bundle.group("normaliser"),
            scaling,
            dict(bundle.info["temperatures"]),
            bundle.masked_heads,
        )
    except (BadInputError, KeyError, TypeError, ValueError, AttributeError, MemoryError, OverflowError) as error:
        said = str(error) if isinstance(error, BadInputError) else repr(error)
        raise RefusedError(f"bundle {bundle.path} holds no model of this version ({said}): train it again") from error
