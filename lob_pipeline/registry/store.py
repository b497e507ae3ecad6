"""MLflow behind one door: the registered model's versions and aliases, for people and other tools to look at.

MLflow enforces nothing: artifacts, tags and versions can be overwritten or deleted without an error. So nothing is
decided from it; the release ledger decides, HOME/bundles serves, and what stands here is repaired from both.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import storing
from lob_pipeline.registry.bundle import Bundle
from lob_pipeline.registry.releases import ALIASES, Release, Releases, bundles_folder
from lob_pipeline.registry.store_door import Place, connect, find_place, speaking

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACT = "bundle"
_REGISTRY_TAG, _SHA_TAG = "lob.registry", "bundle_sha256"
_DONE_TAG = "lob.registered"  # set once the ledger's line stands
Say = Callable[[str], None]


@dataclass(frozen=True)
class Stored:
    """What MLflow calls a bundle: the number of the model version and the id of the run that holds the files."""

    version: int
    run_id: str


class Store:
    """The tracking store of one home. Every method raises ``LobError`` in one sentence when the store fails."""

    def __init__(self, client: MlflowClient, place: Place, registry_id: str) -> None:
        self._client = client
        self._place = place
        self._id = registry_id

    def register(self, bundle: Bundle, tags: dict[str, str], releases: Releases) -> Stored:
        """Log the bundle's files in a run of its own and make them a version of the model ``bundle.name``.

        What an interrupted registration of this home left (runs that no release names, and their versions) is removed
        first. No alias is set: that follows from the ledger.
        """
        with speaking(self._place):
            self._check_ledger(releases, bundle.name, self._versions(bundle.name))
            experiment = self._experiment(bundle.name)
            self._clean(experiment, bundle.name, frozenset(r.mlflow_run_id for r in releases.releases))
            return self._log(experiment, bundle, tags)

    def _check_ledger(self, releases: Releases, name: str, versions: list[Any]) -> None:
        """Raise ``LobError`` where the store knows a version of this home as registered and the ledger does not.

        A chain of hashes cannot show that its last lines are gone; this does.
        """
        known = {release.version for release in releases.releases if release.name == name}
        lost = [v for v in versions if self._mine(v) and _DONE_TAG in v.tags and int(v.version) not in known]
        if lost:
            raise LobError(
                f"the release ledger lacks version {lost[0].version} ({lost[0].tags.get('semver')}) of {name}, which "
                "was registered: its last lines were cut off; restore the ledger from a copy"
            )

    def _mine(self, version: Any) -> bool:
        return bool(version.tags.get(_REGISTRY_TAG) == self._id)

    def _log(self, experiment: str, bundle: Bundle, tags: dict[str, str]) -> Stored:
        facts = {_SHA_TAG: bundle.sha256, "semver": bundle.semver, "market": bundle.market, "clock": bundle.clock_id}
        all_tags = {**tags, **facts, _REGISTRY_TAG: self._id}
        run = self._client.create_run(experiment, tags=all_tags, run_name=f"{bundle.name} {bundle.semver}")
        self._client.log_artifacts(run.info.run_id, str(bundle.path), ARTIFACT)
        self._client.set_terminated(run.info.run_id)
        self._model(bundle.name)
        version = self._client.create_model_version(
            bundle.name, f"{run.info.artifact_uri}/{ARTIFACT}", run.info.run_id, tags=all_tags
        )
        return Stored(int(version.version), run.info.run_id)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=self._place.artifacts))

    def _model(self, name: str) -> None:
        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name)

    def _clean(self, experiment: str, name: str, known_runs: frozenset[str | None]) -> None:
        """Remove this home's runs without a line in the ledger, their versions and their files."""
        mine = f"tags.`{_REGISTRY_TAG}` = '{self._id}'"
        for run in _pages(lambda token: self._client.search_runs([experiment], mine, page_token=token)):
            if run.info.run_id in known_runs:
                continue
            for version in self._versions(name):
                if version.run_id == run.info.run_id:
                    self._client.delete_model_version(name, str(version.version))
            self._remove_files(run.info.artifact_uri)
            self._client.delete_run(run.info.run_id)

    def _remove_files(self, uri: str) -> None:
        """Remove a run's artifacts where they lie on this machine under the store's own folder."""
        parsed = urlparse(uri)
        if parsed.scheme not in ("", "file") or self._place.artifacts is None:
            return
        folder, root = Path(unquote(parsed.path)), Path(self._place.artifacts)
        if root in folder.parents and folder.is_dir():
            with storing(folder):
                shutil.rmtree(folder.parent if folder.parent != root else folder)

    def _versions(self, name: str) -> list[Any]:
        return list(_pages(lambda token: self._client.search_model_versions(f"name = '{name}'", page_token=token)))

    def sync_aliases(self, releases: Releases) -> list[str]:
        """Make aliases and tags what the ledger says; return one sentence for each repair, none where all was right.

        A version that the ledger knows and the store lacks is named: ``restore`` brings it back.
        """
        said: list[str] = []
        with speaking(self._place):
            for name in sorted({release.name for release in releases.releases}):
                found = self._versions(name)
                self._check_ledger(releases, name, found)
                versions = {int(v.version): v for v in found}
                said += self._sync_tags(releases, name, versions)
                said += self._sync_model(releases, name, versions)
        return said

    def _sync_tags(self, releases: Releases, name: str, versions: dict[int, Any]) -> list[str]:
        said = []
        for release in releases.releases:
            if release.name != name:
                continue
            version = versions.get(release.version)
            if version is None:
                said.append(f"version {release.version} ({release.semver}) is not in MLflow: `lob models --repair`")
                continue
            if _DONE_TAG not in version.tags:
                self._client.set_model_version_tag(name, str(release.version), _DONE_TAG, release.at)
            for key, value in ((_SHA_TAG, release.bundle_sha256), ("semver", release.semver)):
                if version.tags.get(key) != value:
                    self._client.set_model_version_tag(name, str(release.version), key, value)
                    said.append(f"tag {key} of version {release.version} was {version.tags.get(key)!r}: set to {value}")
        return said

    def _sync_model(self, releases: Releases, name: str, versions: dict[int, Any]) -> list[str]:
        said = []
        models = self._client.search_registered_models(f"name = '{name}'")
        found = {alias: int(number) for alias, number in models[0].aliases.items()} if models else {}
        for alias in ALIASES:
            wanted = releases.current(alias, name=name)
            right = wanted.version if wanted is not None and wanted.version in versions else None
            there = found.get(alias)
            if there == right:
                continue
            if right is None:
                self._client.delete_registered_model_alias(name, alias)
                said.append(f"alias {alias} pointed to version {there}, which is not {alias}: removed")
            else:
                self._client.set_registered_model_alias(name, alias, str(right))
                said.append(f"alias {alias} pointed to {_called(there)}: set to version {right}, as the ledger says")
        return said

    def restore(self, releases: Releases, open_bundle: Callable[[Release], Bundle]) -> list[str]:
        """Register again what the ledger knows and the store lacks, under the numbers the ledger gives.

        ``open_bundle`` opens a release's folder. Raises ``LobError`` where a number is taken by something else.
        """
        said = []
        with speaking(self._place):
            for release in releases.releases:
                versions = {int(v.version) for v in self._versions(release.name)}
                if release.version in versions:
                    continue
                bundle = open_bundle(release)
                tags = {"as_of": release.as_of, "verdict": release.verdict, "restored": "true"}
                stored = self._log(self._experiment(bundle.name), bundle, tags)
                while stored.version < release.version:  # numbers are never given twice: use up those in between
                    self._client.delete_model_version(bundle.name, str(stored.version))
                    source = f"{self._client.get_run(stored.run_id).info.artifact_uri}/{ARTIFACT}"
                    again = self._client.create_model_version(bundle.name, source, stored.run_id, tags={
                        **tags, _SHA_TAG: bundle.sha256, "semver": bundle.semver, _REGISTRY_TAG: self._id})
                    stored = Stored(int(again.version), stored.run_id)
                if stored.version != release.version:
                    self._client.delete_model_version(bundle.name, str(stored.version))
                    raise LobError(
                        f"MLflow gave version {stored.version} to the bundle that the ledger calls {release.version}: "
                        f"move {self._place.uri} away and run `lob models --repair` again"
                    )
                said.append(f"version {release.version} ({release.semver}) is in MLflow again")
        return said


def open_store(home: Home, releases: Releases, say: Say | None = None, *, create: bool = False) -> Store:
    """Return the store of a home, checked to be there and writable.

    A database that does not exist yet is made (``say`` is told, it takes seconds) when the ledger knows of no release
    or ``create`` is set. Raises ``LobError`` when it is locked, damaged, missing or cannot be reached.
    """
    place = find_place(home)
    client = connect(place, say, may_create=create or not releases.releases)
    return Store(client, place, _registry_id(home))


def _registry_id(home: Home) -> str:
    """Return the random name of this home's registry: whose leftovers may be removed from a store that is shared."""
    path = bundles_folder(home) / ".registry-id"
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            staged = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            staged.write_text(secrets.token_hex(8))
            staged.replace(path)
        return path.read_text().strip()


def _called(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"


def _pages(fetch: Callable[[str | None], Any]) -> Iterable[Any]:
    token: str | None = None
    while True:
        page = fetch(token)
        yield from page
        token = page.token
        if not token:
            return
