"""kill -9 at any point of a registration leaves nothing half registered, and the next registration sets it right."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake import chain
from lob_pipeline.lake.home import Home
from lob_pipeline.registry import bundle, releases, store, store_door
from lob_pipeline.registry.bundle import load_bundle
from lob_pipeline.registry.releases import bundles_folder, read_releases
from lob_pipeline.registry.store import open_store
from lob_pipeline.stages import register
from lob_pipeline.stages.promote import promote
from lob_pipeline.stages.register import register_model
from lob_pipeline_tests.registry.trained import MARKET, new_home, train_sample

BTC = parse_market(MARKET)
DAYS = ("2026-01-07", "2026-01-08")


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(function: Callable[..., Any]) -> Callable[..., Any]:
    def both(*arguments: Any, **named: Any) -> None:
        function(*arguments, **named)
        _die()

    return both


def _mlflow(name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[[], None]:
    def patch() -> None:
        from mlflow import MlflowClient

        setattr(MlflowClient, name, wrap(getattr(MlflowClient, name)))

    return patch


POINTS: dict[str, Callable[[], None]] = {
    "before the bundle's folder is there": lambda: setattr(bundle.os, "rename", _die),
    "after the bundle's folder": lambda: setattr(register, "write_bundle", _after(bundle.write_bundle)),
    "after MLflow's experiment": _mlflow("create_experiment", _after),
    "after MLflow's run": _mlflow("create_run", _after),
    "after the run's files": _mlflow("log_artifacts", _after),
    "before the version": _mlflow("create_model_version", lambda _: _die),
    "after the version": _mlflow("create_model_version", _after),
    "before the ledger's line": lambda: setattr(chain, "append", _die),
    "after the ledger's line": lambda: setattr(releases.chain, "append", _after(chain.append)),
    "between the aliases": _mlflow("set_registered_model_alias", _after),
}


def _killed(patch: Callable[[], None], work: Callable[[], Any]) -> None:
    """Run ``work`` in a process of its own that kills itself at the patched point."""

    def child() -> None:
        patch()
        work()
        os._exit(0)

    process = get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, "the patched point was never reached"


def _versions(home: Home) -> dict[int, str]:
    """Return what MLflow holds: version → SHA-256 of the bundle, and check that each has its files."""
    client = open_store(home, read_releases(home))._client
    found = {}
    for version in client.search_model_versions("name = 'lob-moe'"):
        assert load_bundle(Path(version.source)).sha256 == version.tags["bundle_sha256"]
        found[int(version.version)] = version.tags["bundle_sha256"]
    return found


def _aliases(home: Home) -> dict[str, int]:
    client = open_store(home, read_releases(home))._client
    return {a: int(v) for a, v in client.get_registered_model("lob-moe").aliases.items()}


def _folders(home: Home) -> set[str]:
    return {p.name for p in bundles_folder(home).iterdir() if p.is_dir()}


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_registration_is_whole_or_nothing(tmp_path: Path, point: str) -> None:
    home = new_home(tmp_path)
    for seed, day in enumerate(DAYS, start=1):
        train_sample(home, day, seed=seed)
    _killed(POINTS[point], lambda: register_model(home, BTC, DAYS[0]))
    listed = read_releases(home).releases
    written = point in ("after the ledger's line", "between the aliases")
    assert len(listed) == int(written)
    # Another model next: what the killed one left must not be taken for it, nor stand beside it.
    second = register_model(home, BTC, DAYS[1]).release
    assert second.semver == ("1.1.0" if written else "1.0.0")
    first = register_model(home, BTC, DAYS[0]).release
    after = read_releases(home)
    assert {r.bundle_sha256 for r in after.releases} == {first.bundle_sha256, second.bundle_sha256}
    assert _versions(home) == {r.version: r.bundle_sha256 for r in after.releases}
    challenger = after.current("challenger")
    assert challenger is not None
    assert _aliases(home) == {"challenger": challenger.version}
    assert ".staging" not in _folders(home) or not list((bundles_folder(home) / ".staging").iterdir())
    for release in after.releases:
        load_bundle(release.path, release.bundle_sha256)


def test_runs_of_killed_registrations_are_gone(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    train_sample(home, DAYS[0])
    _killed(POINTS["after the version"], lambda: register_model(home, BTC, DAYS[0]))
    artifacts = home.root / "mlruns" / "artifacts"
    assert len(list(artifacts.iterdir())) == 1
    release = register_model(home, BTC, DAYS[0]).release
    client = open_store(home, read_releases(home))._client
    experiment = client.get_experiment_by_name("lob-moe")
    assert [r.info.run_id for r in client.search_runs([experiment.experiment_id])] == [release.mlflow_run_id]
    assert [p.name for p in artifacts.iterdir()] == [release.mlflow_run_id]


def test_a_database_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    train_sample(home, DAYS[0])

    def patch() -> None:
        store_door.replace_into = _die

    _killed(patch, lambda: register_model(home, BTC, DAYS[0]))
    assert not (home.root / "mlruns" / "mlflow.db").exists()
    said: list[str] = []
    assert register_model(home, BTC, DAYS[0], say=said.append).state == "registered"
    assert [s for s in said if "once, a few seconds" in s]
    assert [p.name for p in (home.root / "mlruns").iterdir() if "making" in p.name] == []


@pytest.mark.parametrize("point", ["before the ledger's line", "after the ledger's line"])
def test_a_killed_promotion_is_whole_or_nothing(tmp_path: Path, point: str) -> None:
    home = new_home(tmp_path)
    train_sample(home, DAYS[0], verdict="TRADE")
    register_model(home, BTC, DAYS[0])
    _killed(POINTS[point], lambda: promote(home, "lob-moe@challenger", "because"))
    champion = read_releases(home).current("champion")
    assert (champion is not None) == (point == "after the ledger's line")
    if champion is None:
        promote(home, "lob-moe@challenger", "because")
    else:
        said = open_store(home, read_releases(home)).sync_aliases(read_releases(home))
        assert any("champion" in sentence for sentence in said)
    assert _aliases(home) == {"champion": 1}
    assert store.ALIASES == ("champion", "challenger")
