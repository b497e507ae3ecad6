"""MLflow's store: repaired from the ledger, and its failures said in one sentence with the ledger untouched."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.registry import store_door
from lob_pipeline.registry.bundle import load_bundle
from lob_pipeline.registry.releases import read_releases, releases_ledger
from lob_pipeline.registry.store import Store, open_store
from lob_pipeline.registry.store_door import find_place
from lob_pipeline.stages.promote import promote, repair, rollback
from lob_pipeline.stages.register import register_model
from lob_pipeline_tests.registry.trained import MARKET, new_home, train_sample

BTC = parse_market(MARKET)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a champion (1.0.0) and a challenger (1.1.0)."""
    found = new_home(tmp_path)
    train_sample(found, "2026-01-07", seed=1, verdict="TRADE")
    register_model(found, BTC, "2026-01-07", dagster_run_id="run-1")
    promote(found, "lob-moe@challenger", "the first")
    train_sample(found, "2026-01-08", seed=2, verdict="TRADE")
    register_model(found, BTC, "2026-01-08")
    return found


def _store(home: Home) -> Store:
    return open_store(home, read_releases(home))


def _aliases(home: Home) -> dict[str, int]:
    found = _store(home)._client.get_registered_model("lob-moe").aliases
    return {alias: int(version) for alias, version in found.items()}


def test_a_version_and_its_run_say_what_they_are(home: Home) -> None:
    client = _store(home)._client
    release = read_releases(home).releases[0]
    version = client.get_model_version("lob-moe", "1")
    expected = {
        "semver": "1.0.0",
        "bundle_sha256": release.bundle_sha256,
        "market": MARKET,
        "as_of": "2026-01-07",
        "dagster_run_id": "run-1",
    }
    assert expected.items() <= version.tags.items()
    run = client.get_run(release.mlflow_run_id)
    assert expected.items() <= run.data.tags.items()
    assert run.info.status == "FINISHED"
    assert load_bundle(Path(version.source), release.bundle_sha256).semver == "1.0.0"
    assert _aliases(home) == {"champion": 1, "challenger": 2}


def test_everything_lies_in_the_home_and_pickles_are_off(home: Home) -> None:
    place = find_place(home)
    assert place.uri == f"sqlite:///{home.root}/mlruns/mlflow.db"
    assert place.artifacts == str(home.root / "mlruns" / "artifacts")
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert logging.getLogger("mlflow").level == logging.ERROR


def test_the_default_home_keeps_its_registry_beside_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    default = Home(tmp_path / "data", given=False)
    assert find_place(default).database == tmp_path / "mlruns" / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/else/m.db")
    assert find_place(default).database == tmp_path / "else" / "m.db"
    assert find_place(default).artifacts == str(tmp_path / "else" / "artifacts")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert find_place(default).artifacts is None


def _moved(client: Any) -> None:
    client.set_registered_model_alias("lob-moe", "champion", "2")


def _swapped(client: Any) -> None:
    client.set_registered_model_alias("lob-moe", "champion", "2")
    client.set_registered_model_alias("lob-moe", "challenger", "1")


DRIFTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "removed": (lambda c: c.delete_registered_model_alias("lob-moe", "champion"), "to nothing: set to version 1"),
    "moved": (_moved, "pointed to version 2: set to version 1"),
    "swapped": (_swapped, "alias challenger pointed to version 1: set to version 2"),
    "tag": (lambda c: c.set_model_version_tag("lob-moe", "1", "semver", "9.9.9"), "was '9.9.9': set to 1.0.0"),
    "sha": (lambda c: c.set_model_version_tag("lob-moe", "1", "bundle_sha256", "0"), "tag bundle_sha256 of version 1"),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_drifted_is_repaired_from_the_ledger_and_said(home: Home, drift: str) -> None:
    change, words = DRIFTS[drift]
    assert _store(home).sync_aliases(read_releases(home)) == []
    change(_store(home)._client)
    said = _store(home).sync_aliases(read_releases(home))
    assert any(words in sentence for sentence in said), said
    assert _aliases(home) == {"champion": 1, "challenger": 2}
    assert _store(home).sync_aliases(read_releases(home)) == []


def test_an_alias_that_nobody_has_is_removed(home: Home) -> None:
    promote(home, "lob-moe@challenger", "better")
    _store(home)._client.set_registered_model_alias("lob-moe", "challenger", "1")
    said = _store(home).sync_aliases(read_releases(home))
    assert said == ["alias challenger pointed to version 1, which is not challenger: removed"]
    assert _aliases(home) == {"champion": 2}


def test_a_deleted_version_is_named(home: Home) -> None:
    _store(home)._client.delete_model_version("lob-moe", "1")
    said = _store(home).sync_aliases(read_releases(home))
    assert any("version 1 (1.0.0) is not in MLflow" in sentence for sentence in said)


def _database(home: Home) -> Path:
    return home.root / "mlruns" / "mlflow.db"


def _promote(home: Home) -> Any:
    return promote(home, "lob-moe@challenger", "newer")


def _register(home: Home) -> Any:
    train_sample(home, "2026-01-09", seed=3)
    return register_model(home, BTC, "2026-01-09")


@pytest.mark.parametrize("work", [_promote, _register])
def test_a_locked_database_is_said_and_the_ledger_untouched(
    home: Home, work: Callable[[Home], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_door, "LOCK_WAIT_S", 0.1)
    before = releases_ledger(home).read_bytes()
    with closing(sqlite3.connect(_database(home), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LobError, match=r"cannot be written now .*database is locked"):
            work(home)
        other.execute("ROLLBACK")
    assert releases_ledger(home).read_bytes() == before
    assert work(home)


@pytest.mark.parametrize("work", [_promote, _register])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: p.unlink(), "is gone"),
        (lambda p: p.write_bytes(b"no database at all" * 1000), "is damaged"),
        (lambda p: os.truncate(p, 40_000), "is damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:200_000] + os.urandom(200_000) + p.read_bytes()[400_000:]), "damaged"),
    ],
)
def test_a_missing_or_damaged_database_is_said_and_the_ledger_untouched(
    home: Home, work: Callable[[Home], Any], damage: Callable[[Path], None], words: str
) -> None:
    before = releases_ledger(home).read_bytes()
    damage(_database(home))
    with pytest.raises(LobError, match=words) as caught:
        work(home)
    assert "lob models --repair" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert releases_ledger(home).read_bytes() == before


def test_an_unreachable_server_is_said_soon(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = releases_ledger(home).read_bytes()
    with pytest.raises(LobError, match=r"http://127\.0\.0\.1:9 failed"):
        _promote(home)
    assert releases_ledger(home).read_bytes() == before


def test_a_lost_database_is_made_again_from_the_ledger(home: Home) -> None:
    rollback_free = releases_ledger(home).read_bytes()
    _database(home).unlink()
    said = repair(home)["repaired"]
    assert [s for s in said if "is in MLflow again" in s] == [
        "version 1 (1.0.0) is in MLflow again",
        "version 2 (1.1.0) is in MLflow again",
    ]
    assert _aliases(home) == {"champion": 1, "challenger": 2}
    assert repair(home)["repaired"] == []
    assert releases_ledger(home).read_bytes() == rollback_free
    for release in read_releases(home).releases:
        version = _store(home)._client.get_model_version("lob-moe", str(release.version))
        assert load_bundle(Path(version.source), release.bundle_sha256).semver == release.semver
    assert _register(home).release.version == 3


def test_numbers_stay_those_of_the_ledger_where_one_was_used_up(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    client = open_store(home, read_releases(home))._client
    client.create_registered_model("lob-moe")
    client.create_model_version("lob-moe", str(tmp_path))  # somebody's own, by hand
    train_sample(home)
    assert register_model(home, BTC, "2026-01-07").release.version == 2
    _database(home).unlink()
    repair(home)
    assert _aliases(home) == {"challenger": 2}


def test_a_way_back_does_not_hang_on_the_database(home: Home) -> None:
    _promote(home)
    _database(home).write_bytes(b"gone" * 1000)
    result = rollback(home, "slow fills")
    assert result["to"]["version"] == 1
    assert "lob models --repair" in result["said"][0]
    champion = read_releases(home).current("champion")
    assert champion is not None
    assert champion.version == 1


def test_another_homes_leftovers_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two homes share one store: neither takes the other's runs for its own killed registrations."""
    first, second = new_home(tmp_path / "a"), new_home(tmp_path / "b")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{_database(first)}")
    for home, seed in ((first, 1), (second, 2)):
        train_sample(home, seed=seed)
        register_model(home, BTC, "2026-01-07")
    train_sample(second, "2026-01-08", seed=3)
    register_model(second, BTC, "2026-01-08")
    client = open_store(first, read_releases(first))._client
    assert len(client.search_model_versions("name = 'lob-moe'")) == 3


def test_a_ledger_that_was_cut_off_is_noticed(home: Home) -> None:
    """A hash chain cannot show that its last line is gone; MLflow's version does."""
    path = releases_ledger(home)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    for work in (_register, repair):
        with pytest.raises(LobError, match=r"lacks version 2 \(1\.1\.0\) .* cut off"):
            work(home)
    assert path.read_bytes() == b"".join(lines[:-1])
    path.write_bytes(b"".join(lines))
    assert _aliases(home) == {"champion": 1, "challenger": 2}
