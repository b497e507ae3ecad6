"""A trained model becomes a challenger once, with its version, or is refused with the reason."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.features.profile import Profile
from lob_pipeline.lake.home import Home
from lob_pipeline.live.opened import open_bundle
from lob_pipeline.registry.bundle import load_bundle, stream_model
from lob_pipeline.registry.releases import bundles_folder, current, read_releases, releases_ledger
from lob_pipeline.stages.register import register_model
from lob_pipeline.stages.trained_model import read_trained, write_trained
from lob_pipeline_tests.registry.trained import (
    MARKET,
    check_arrays,
    fitted,
    new_home,
    record_of,
    train_sample,
    write_verdict,
)

BTC = parse_market(MARKET)
DAY = "2026-01-07"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path)


def _ledger(home: Home) -> bytes:
    path = releases_ledger(home)
    return path.read_bytes() if path.exists() else b""


def test_a_model_becomes_a_challenger(home: Home) -> None:
    train_sample(home, verdict="DO_NOT_TRADE")
    result = register_model(home, BTC, DAY, dagster_run_id="run-1").to_json()
    assert result["state"] == "registered"
    assert (result["semver"], result["mlflow_version"], result["aliases"]) == ("1.0.0", 1, ["challenger"])
    assert result["verdict"] == "DO_NOT_TRADE"
    assert {o["name"]: o["status"] for o in result["outcomes"]} == {
        "version_step": "passed",
        "parity": "passed",
        "calibration": "passed",
    }
    assert current(home, "champion") is None
    challenger = current(home, "challenger", MARKET)
    assert challenger is not None
    assert challenger.dagster_run_id == "run-1"
    bundle = load_bundle(challenger.path, challenger.bundle_sha256)
    assert bundle.info["evaluation"]["reasons"] == ["because DO_NOT_TRADE"]
    model = stream_model(bundle)
    check = check_arrays(1)
    forecast, ready = model.run(model.new_state(), check["features"], check["valid"])
    np.testing.assert_allclose(forecast[ready], check["forecast"][ready], atol=1e-3)


def test_the_profile_that_the_features_were_computed_with_goes_into_the_bundle(home: Home) -> None:
    profile = Profile(np.full((10, 3), 0.25), np.full(96, 2.0), np.full(96, 50.0))
    folder = train_sample(home, profile={"version": "p" * 64})
    with pytest.raises(BadInputError, match="arrays of one are not there"):
        register_model(home, BTC, DAY)
    trained = read_trained(folder)
    assert trained is not None
    record = {**trained.record}
    write_trained(folder, record, trained.weights, trained.normaliser, trained.check, profile._asdict())
    release = register_model(home, BTC, DAY).release
    found, version = open_bundle(release.path).profile
    assert version == "p" * 64
    for ours, theirs in zip(found, profile, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_profile_of_another_shape_is_refused(home: Home) -> None:
    folder = train_sample(home, profile={"version": "p" * 64})
    trained = read_trained(folder)
    assert trained is not None
    wrong = Profile(np.zeros((2, 2)), np.zeros(3), np.zeros(1))
    write_trained(folder, trained.record, trained.weights, trained.normaliser, trained.check, wrong._asdict())
    release = register_model(home, BTC, DAY).release
    with pytest.raises(RefusedError, match="profile has shapes"):
        _ = open_bundle(release.path).profile


def test_a_network_that_does_not_fit_its_weights_leaves_nothing_behind(home: Home) -> None:
    folder = train_sample(home)
    trained = read_trained(folder)
    assert trained is not None
    weights = {name: array for name, array in trained.weights.items() if name != "norm.bias"}
    write_trained(folder, trained.record, weights, trained.normaliser, trained.check)
    with pytest.raises(RefusedError, match="holds no model"):
        register_model(home, BTC, DAY)
    assert _ledger(home) == b""
    assert [p for p in bundles_folder(home).iterdir() if not p.name.startswith(".")] == []


def test_the_same_model_again_changes_nothing(home: Home) -> None:
    train_sample(home)
    first = register_model(home, BTC, DAY)
    before = _ledger(home)
    train_sample(home)
    again = register_model(home, BTC, DAY)
    assert again.state == "already registered"
    assert again.release == first.release
    assert _ledger(home) == before


def test_an_older_model_again_is_still_the_older_one(home: Home) -> None:
    train_sample(home)
    register_model(home, BTC, DAY)
    train_sample(home, "2026-01-08", seed=2)
    assert register_model(home, BTC, "2026-01-08").release.semver == "1.1.0"
    assert register_model(home, BTC, DAY).release.semver == "1.0.0"
    challenger = current(home, "challenger")
    assert challenger is not None
    assert challenger.semver == "1.1.0"


def test_a_new_verdict_alone_is_a_patch(home: Home) -> None:
    train_sample(home)
    assert register_model(home, BTC, DAY).release.verdict == "NOT_EVALUATED"
    train_sample(home, verdict="TRADE")
    release = register_model(home, BTC, DAY).release
    assert (release.semver, release.verdict, release.version) == ("1.0.1", "TRADE", 2)


def test_other_labels_are_a_major_step(home: Home) -> None:
    train_sample(home)
    register_model(home, BTC, DAY)
    train_sample(home, label={"config": {"q_lots": 2}, "fees": {"maker_bps": 2.0, "taker_bps": 5.5}})
    assert register_model(home, BTC, DAY).release.semver == "2.0.0"


def test_a_wrong_step_is_refused_and_leaves_nothing(home: Home) -> None:
    train_sample(home)
    register_model(home, BTC, DAY)
    before = _ledger(home)
    train_sample(home, "2026-01-08", seed=2)
    with pytest.raises(RefusedError, match=r"1\.0\.1 is not the next one: 1\.1\.0"):
        register_model(home, BTC, "2026-01-08", version="1.0.1")
    assert _ledger(home) == before
    assert register_model(home, BTC, "2026-01-08", version="1.1.0").release.semver == "1.1.0"


def test_a_streaming_step_that_answers_otherwise_is_refused(home: Home) -> None:
    folder = train_sample(home)
    trained = read_trained(folder)
    assert trained is not None
    for column, amount in ((0, 1e-3), (5, 0.1)):
        check = {**trained.check, "forecast": trained.check["forecast"].copy()}
        check["forecast"][150, column] += amount
        write_trained(folder, trained.record, trained.weights, trained.normaliser, check)
        with pytest.raises(RefusedError, match=r"parity: .* differ in (entry_buy|edge_buy)"):
            register_model(home, BTC, DAY)
    assert _ledger(home) == b""
    assert not [p for p in (home.root / "bundles").iterdir() if p.is_dir() and p.name != ".staging"]


def test_a_model_out_of_calibration_is_refused(home: Home) -> None:
    hot = dataclasses.replace(fitted(1), temperatures={**fitted(1).temperatures, "fill": 50.0})
    train_sample(home, fitted=hot.to_json())
    with pytest.raises(RefusedError, match=r"temperature of fill is 50\.0"):
        register_model(home, BTC, DAY)
    train_sample(home, calibration={"fill": [{"forecast": 0.9, "observed": 0.2, "rows": 5000}], "entry": []})
    with pytest.raises(RefusedError, match=r"calibration error of fill is 0\.700"):
        register_model(home, BTC, DAY)
    assert _ledger(home) == b""


def test_too_few_held_rows_register_but_do_not_pass(home: Home) -> None:
    few = [{"forecast": 0.2, "observed": 0.2, "rows": 20}]
    train_sample(home, calibration={"fill": few, "entry": few})
    statuses = {o.name: o.status for o in register_model(home, BTC, DAY).release.outcomes}
    assert statuses["calibration"] == "not_judged"


def test_features_of_other_code_are_refused(home: Home) -> None:
    train_sample(home, features_fingerprint="0" * 64)
    with pytest.raises(RefusedError, match="train it again"):
        register_model(home, BTC, DAY)


def test_a_verdict_on_other_data_or_recipe_does_not_count(home: Home) -> None:
    train_sample(home)
    write_verdict(home, record_of(2, DAY), "TRADE")
    release = register_model(home, BTC, DAY).release
    assert release.verdict == "NOT_EVALUATED"
    write_verdict(home, record_of(1, DAY, recipe={"preset": "full"}), "TRADE")
    assert register_model(home, BTC, DAY).release.verdict == "NOT_EVALUATED"
    write_verdict(home, record_of(1, DAY), "TRADE", run_sha256="x" * 64)  # the walk-forward was run again since
    assert register_model(home, BTC, DAY).release.verdict == "NOT_EVALUATED"
    rolling = {**record_of(1, DAY)["recipe"], "rolling_blocks": 2}
    write_verdict(home, record_of(1, DAY, recipe=rolling), "TRADE")
    assert register_model(home, BTC, DAY).release.verdict == "NOT_EVALUATED"


def test_nothing_trained_is_bad_input(home: Home) -> None:
    with pytest.raises(BadInputError, match="lob train"):
        register_model(home, BTC, DAY)


def test_damaged_training_is_refused(home: Home) -> None:
    folder = train_sample(home)
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(data))
    with pytest.raises(RefusedError, match=r"weights\.safetensors is not the file"):
        register_model(home, BTC, DAY)


def test_markets_have_their_own_challenger_and_versions(home: Home) -> None:
    train_sample(home)
    register_model(home, BTC, DAY)
    train_sample(home, seed=2, market="binance-spot.NEXOUSDT", clock="t100ms")
    other = register_model(home, parse_market("binance-spot.NEXOUSDT"), DAY, "t100ms").release
    assert (other.semver, other.version) == ("1.0.0", 2)
    releases = read_releases(home)
    assert [r.aliases for r in releases.releases] == [("challenger",), ("challenger",)]
    newest = releases.current("challenger")
    assert newest is not None
    assert newest.market == "binance-spot.NEXOUSDT"


def test_a_lost_previous_bundle_is_said(home: Home) -> None:
    train_sample(home)
    shutil.rmtree(register_model(home, BTC, DAY).release.path)
    train_sample(home, "2026-01-08", seed=2)
    with pytest.raises(LobError, match="copy it back from MLflow"):
        register_model(home, BTC, "2026-01-08")


def test_threads_are_no_part_of_a_recipe(home: Home) -> None:
    train_sample(home)
    register_model(home, BTC, DAY)
    model = dataclasses.replace(fitted(1), train_config=dataclasses.replace(fitted(1).train_config, threads=2))
    train_sample(home, fitted=model.to_json())
    assert register_model(home, BTC, DAY).state == "already registered"


def test_a_verdict_of_other_code_speaks_of_no_model(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    train_sample(home, verdict="TRADE")
    monkeypatch.setattr("lob_pipeline.stages.bundle_contents.code_sha256", lambda: "0" * 64)
    release = register_model(home, BTC, DAY).release
    assert release.verdict == "NOT_EVALUATED"
    reasons = load_bundle(release.path, release.bundle_sha256).info["evaluation"]["reasons"]
    assert reasons == ["the verdict was reached by other code or gates than these: run `lob verdict` again"]
