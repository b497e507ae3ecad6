"""Stage ``register``: a trained model and its evaluation become a bundle, a version in MLflow, and a challenger.

The order makes a killed registration harmless: the bundle's folder appears whole, then MLflow's run and version, and
last the ledger's line, which alone makes the model registered.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.bundle import STAGING, Bundle, complete_info, load_bundle, write_bundle
from lob_pipeline.registry.parity import judge_parity
from lob_pipeline.registry.promotion import judge_calibration
from lob_pipeline.registry.releases import (
    Release,
    Releases,
    bundles_folder,
    read_releases,
    record_registered,
    releasing,
)
from lob_pipeline.registry.semver import differences, judge_step, next_version
from lob_pipeline.registry.store import open_store
from lob_pipeline.stages.bundle_contents import MODEL_NAME, bundle_arrays, bundle_info
from lob_pipeline.stages.survey import clock_of
from lob_pipeline.stages.trained_model import model_folder, read_trained

Say = Callable[[str], None]


@dataclass(frozen=True)
class Registration:
    """What became of a trained model. ``state``: ``registered`` or ``already registered``; ``said``: alias repairs."""

    state: str
    release: Release
    why: str
    said: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        release = self.release.to_json()
        return {
            "state": self.state,
            "why": self.why,
            **release,
            "bundle": release["path"],
            "mlflow_version": self.release.version,
            "said": list(self.said),
        }


def register_model(
    home: Home,
    market: Market,
    as_of: str,
    clock: str | None = None,
    *,
    version: str | None = None,
    dagster_run_id: str | None = None,
    say: Say | None = None,
) -> Registration:
    """Register the model trained on data up to ``as_of`` as challenger; the same contents again change nothing.

    ``version``: the SemVer that the caller expects; a wrong step is refused. Nothing is ever promoted here.
    Raises ``BadInputError`` where no model was trained, ``RefusedError`` where parity, calibration or the version step
    says no or the features' code changed since training, ``LobError`` where the ledger or MLflow's store is broken.
    """
    say = say or (lambda _: None)
    clock_id = clock_of(home, market, clock)
    folder = model_folder(home, market, clock_id, as_of)
    trained = read_trained(folder)
    if trained is None:
        raise BadInputError(f"{folder} holds no trained model: run `lob train --market {market} --to {as_of}` first")
    info, arrays = bundle_info(home, trained), bundle_arrays(trained)
    with releasing(home):
        _remove_staged(home)
        releases = read_releases(home)
        previous = _newest_bundle(releases, str(market))
        standing = _standing(releases, info, arrays)
        if standing is not None:
            store = open_store(home, releases, say)
            why = f"these contents are {standing.semver} already"
            return Registration("already registered", standing, why, tuple(store.sync_aliases(releases)))
        info["semver"], why = next_version(*_comparable(previous, info, arrays))
        return _register(home, releases, previous, info, arrays, why, version, dagster_run_id, say)


def standing_release(home: Home, market: Market, as_of: str, clock: str | None = None) -> Release | None:
    """Return the release that has exactly what was trained on data up to ``as_of``; None where there is none.

    What ``register_model`` would call already registered; MLflow is not asked. Raises as ``register_model`` where the
    trained model or a registered bundle is damaged.
    """
    trained = read_trained(model_folder(home, market, clock_of(home, market, clock), as_of))
    if trained is None:
        return None
    return _standing(read_releases(home), bundle_info(home, trained), bundle_arrays(trained))


def _register(
    home: Home,
    releases: Releases,
    previous: Bundle | None,
    info: dict[str, Any],
    arrays: dict[str, Any],
    why: str,
    version: str | None,
    dagster_run_id: str | None,
    say: Say,
) -> Registration:
    """Judge, then make folder, run and version, ledger line, aliases: in this order."""
    step = judge_step(*_comparable(previous, info, arrays), version or info["semver"])
    _require([step])
    store = open_store(home, releases, say)
    bundle = write_bundle(bundles_folder(home), info, arrays)
    try:
        outcomes = (step, judge_parity(bundle), judge_calibration(bundle.info))
        _require(outcomes)
    except RefusedError:
        shutil.rmtree(bundle.path)  # its contents are no release's: `_standing` looked
        raise
    tags = {"as_of": str(info["data"]["as_of"]), "verdict": str(info["evaluation"]["verdict"])}
    if dagster_run_id:
        tags["dagster_run_id"] = dagster_run_id
    said = store.sync_aliases(releases)
    stored = store.register(bundle, tags, releases)
    runs = {"mlflow_run_id": stored.run_id, "dagster_run_id": dagster_run_id}
    release = record_registered(home, bundle.info, bundle.sha256, stored.version, why, outcomes, **runs)
    say(f"registered {release.name} {release.semver} ({release.sha12}) as challenger: {why}")
    store.sync_aliases(read_releases(home))
    return Registration("registered", release, why, tuple(said))


def _require(outcomes: Iterable[CheckOutcome]) -> None:
    """Raise ``RefusedError`` where a gate refuses; one that was not judged registers, and keeps from promotion."""
    refused = [f"{outcome.name}: {outcome.message}" for outcome in outcomes if outcome.refuses]
    if refused:
        raise RefusedError(f"the model was not registered: {'; '.join(refused)}")


def _remove_staged(home: Home) -> None:
    """Remove what a killed registration left half written; the caller holds the lock."""
    shutil.rmtree(bundles_folder(home) / STAGING, ignore_errors=True)


def _newest_bundle(releases: Releases, market: str) -> Bundle | None:
    newest = releases.newest(MODEL_NAME, market)
    return read_info(newest) if newest else None


def read_info(release: Release) -> Bundle:
    """Return a registered bundle for comparing contents: every byte checked, whatever code its features need."""
    return load_bundle(release.path, release.bundle_sha256, any_code=True)


def _comparable(
    previous: Bundle | None, info: dict[str, Any], arrays: dict[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return both contents as a bundle states them: filled in, and through JSON (tuples are lists)."""
    whole = json.loads(json.dumps(complete_info({"semver": "1.0.0", **info}, arrays)))
    return (previous.info if previous else None), whole


def _standing(releases: Releases, info: dict[str, Any], arrays: dict[str, Any]) -> Release | None:
    """Return the release that has exactly these contents, None when there is none."""
    for release in reversed(releases.releases):
        if (release.name, release.market, release.as_of) == (info["name"], info["market"], info["data"]["as_of"]):
            previous, whole = _comparable(read_info(release), info, arrays)
            if previous is not None and not differences(previous, whole):
                return release
    return None
