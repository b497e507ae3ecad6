"""The walk-forward on a small lake of random outcomes: what it writes, what it keeps, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.jit import imported_files
from lob_pipeline.datasets.cycles import uncovered
from lob_pipeline.datasets.folds import final_split
from lob_pipeline.datasets.normalise import fit_normaliser
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.trials import _SCORING as SCORING
from lob_pipeline.lake import chain
from lob_pipeline.lake.fingerprint import PACKAGE
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.origin import dependency_versions
from lob_pipeline.stages import walk_forward as stage
from lob_pipeline.stages.learned import learned, learned_lines
from lob_pipeline.stages.recipe import Recipe
from lob_pipeline.stages.train import standing_model, train
from lob_pipeline.stages.trained_model import read_trained
from lob_pipeline.stages.training_set import load_instants, training_set
from lob_pipeline.stages.training_set_rows import bytes_of
from lob_pipeline.stages.verdict import verdict
from lob_pipeline.stages.walk_fold import folds_of, inputs_read
from lob_pipeline.stages.walk_forward import evaluations_ledger, standing_walk, walk_forward
from lob_pipeline.stages.walk_lines import walk_lines
from lob_pipeline_tests.stages.training_lake import CLOCK, LABEL_SETTINGS, MARKET, add_day

DAYS = ("2026-01-05", "2026-01-06")
AS_OF = DAYS[-1]
RECIPE = Recipe(preset="demo", feature_set="orderflow15", contenders=("majority", "persistence", "moe"))


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Any]]:
    """A home with two days of 8 hours (four blocks, three folds) and the walk-forward over them."""
    home = Home(tmp_path_factory.mktemp("walk"))
    for seed, date in enumerate(DAYS):
        add_day(home, date, seed=seed)
    found = walk_forward(home, MARKET, AS_OF, CLOCK, recipe=RECIPE, workers=1)
    assert not found.fresh
    return home, found.to_json()


def test_every_fold_of_every_model_is_in_the_document(walked: tuple[Home, dict[str, Any]]) -> None:
    _, walk = walked
    assert [fold["fold"] for fold in walk["folds"]] == [1, 2, 3]
    assert all(fold["train_rows"] > 1000 and fold["test_rows"] > 5000 for fold in walk["folds"])
    assert list(walk["models"]) == list(RECIPE.contenders)
    for model in walk["models"].values():
        assert [score["fold"] for score in model["folds"]] == [1, 2, 3]
        assert model["verdict"]["verdict"] in ("DO_NOT_TRADE", "NOT_ENOUGH_DATA")
    assert walk["models"]["moe"]["parameters"] > 10_000
    assert len(walk["models"]["moe"]["curves"]) == 3
    shares = walk["models"]["moe"]["routing"]
    assert shares is None or all(sum(row) == pytest.approx(1.0, abs=1e-4) for row in shares["experts"] if row)


def test_random_outcomes_earn_no_trade_and_the_report_says_why(walked: tuple[Home, dict[str, Any]]) -> None:
    home, walk = walked
    said = verdict(home, MARKET, AS_OF, CLOCK, recipe=RECIPE).to_json()
    assert said["verdict"] != "TRADE"
    assert said["reasons"]
    assert said["gates_sha256"] == load_gates().sha256
    page = Path(said["report"]).read_text("utf-8")
    assert said["verdict"].replace("_", " ").lower() in page.lower()
    assert any(said["verdict"] in line for line in walk_lines(walk))
    (newest,) = learned(home)["verdicts"]
    assert (newest["market"], newest["as_of"], newest["verdict"]) == (str(MARKET), AS_OF, said["verdict"])
    assert any(said["verdict"] in line for line in learned_lines(learned(home)))


def test_the_gates_are_recorded_before_and_each_model_is_one_trial(walked: tuple[Home, dict[str, Any]]) -> None:
    home, walk = walked
    started = chain.verify(evaluations_ledger(home)).records
    assert [(r["event"], r["gates_sha256"]) for r in started] == [("started", load_gates().sha256)]
    assert started[0]["run_sha256"] == walk["run_sha256"]
    trials = chain.verify(home.ledgers / "trials.jsonl").records
    assert sorted(r["summary"]["model"] for r in trials) == sorted(RECIPE.contenders)
    assert walk["trials"]["count"] == len(RECIPE.contenders)


def test_the_same_question_is_not_asked_twice(walked: tuple[Home, dict[str, Any]]) -> None:
    home, walk = walked
    trials = (home.ledgers / "trials.jsonl").read_bytes()
    again = walk_forward(home, MARKET, AS_OF, CLOCK, recipe=RECIPE)
    assert again.fresh
    assert again.document["run_sha256"] == walk["run_sha256"]
    assert (home.ledgers / "trials.jsonl").read_bytes() == trials


def test_another_block_window_recipe_gate_code_or_package_is_another_question(
    walked: tuple[Home, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = walked
    chosen = training_set(home, MARKET, AS_OF, CLOCK)
    assert standing_walk(home, chosen, RECIPE)[0] == "fresh"
    others = [
        (replace(chosen, block_ns=chosen.block_ns // 2), RECIPE),
        (training_set(home, MARKET, AS_OF, CLOCK, window_days=1), RECIPE),
        *((chosen, replace(RECIPE, **change)) for change in ({"seed": 2}, {"preset": "full"}, {"rolling_blocks": 1})),
        (chosen, replace(RECIPE, contenders=("majority", "moe"))),
        (chosen, replace(RECIPE, feature_set="full89")),
    ]
    assert [standing_walk(home, *other)[0] for other in others] == ["stale"] * len(others)
    training_set(home, MARKET, AS_OF, CLOCK)
    for name, value in (
        ("load_gates", lambda: replace(load_gates(), sha256="another")),
        ("scoring_sha256", lambda: "another"),
        ("source_sha256", lambda globs: str(globs)),
        ("dependency_versions", lambda: {**dependency_versions(), "torch": "another"}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(stage, name, value)
            assert standing_walk(home, chosen, RECIPE)[0] == "stale", name
    assert standing_walk(home, chosen, RECIPE)[0] == "fresh"


def test_the_code_of_a_fold_is_all_that_its_numbers_come_from() -> None:
    hashed = {path for glob in stage._CODE for path in PACKAGE.glob(glob)}
    hashed |= {PACKAGE / "evaluation" / f"{name}.py" for name in SCORING}
    rooms = ("datasets", "models", "evaluation", "labels", "stages")
    imported = {p for p in imported_files(PACKAGE / "stages/walk_fold.py") if p.parent.name in rooms}
    # overviews of labels that a fold imports nothing of, and how documents and days are found
    aside = {"evaluation": ("costs", "feasibility", "outcomes", "overview"), "labels": ("states",)}
    aside["stages"] = ("documents", "survey")
    left = imported - hashed - {PACKAGE / room / f"{name}.py" for room, names in aside.items() for name in names}
    assert not {path.relative_to(PACKAGE).as_posix() for path in left}
    assert len(imported) > 25


def test_folds_are_found_again_where_only_the_report_is_another(
    walked: tuple[Home, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, walk = walked
    page = stage.source_sha256
    with monkeypatch.context() as patch:
        patch.setattr(stage, "source_sha256", lambda globs: "x" if globs is stage._SUMMARY_CODE else page(globs))
        patch.setattr("lob_pipeline.stages.walk_fold.load_instants", None)  # no fold is redone
        again = walk_forward(home, MARKET, AS_OF, CLOCK, recipe=RECIPE, workers=1)
    assert not again.fresh
    assert again.document["run_sha256"] == walk["run_sha256"]
    assert again.document["verdict"] == walk["verdict"]
    assert not walk_forward(home, MARKET, AS_OF, CLOCK, recipe=RECIPE, workers=1).fresh


def test_fees_are_those_that_the_edges_paid(walked: tuple[Home, dict[str, Any]]) -> None:
    _, walk = walked
    paid = LABEL_SETTINGS["fees_bps"]
    assert (walk["maker_fee_bps"], walk["taker_fee_bps"], walk["fees_as_of"]) == (
        paid["maker"], paid["taker"], paid["as_of"],
    )  # fmt: skip
    for queue, interval in walk["verdict"]["intervals"].items():
        even = paid["maker"] + interval["mean"] / interval["maker_legs"]
        assert walk["verdict"]["break_even_maker_fee_bps"] <= even + 1e-9, queue


def test_differences_trials_and_classes_are_of_the_right_side_queue_and_dead_zone(
    walked: tuple[Home, dict[str, Any]],
) -> None:
    home, walk = walked
    found = {name: model["verdict"]["intervals"] for name, model in walk["models"].items()}
    assert len(walk["paired"]) == 2 * 3
    for pair in walk["paired"]:
        mine, other = (found[pair[who]][pair["queue"]]["per_day_bps"] for who in ("model", "against"))
        assert pair["model"] == "moe"
        assert pair["mean_bps_a_day"] == pytest.approx(mine - other)
    for record in chain.verify(home.ledgers / "trials.jsonl").records[: len(RECIPE.contenders)]:
        summary = record["summary"]
        assert summary["mean_bps"] == pytest.approx(found[summary["model"]]["pessimistic"]["mean"])
    instants = load_instants(home, training_set(home, MARKET, AS_OF, CLOCK), inputs_read(RECIPE, CLOCK))
    for fold, one in zip(folds_of(instants, RECIPE), walk["folds"], strict=True):
        move, delta = instants.mid_return_bps[fold.test], one["dead_zone_bps"]
        shares = [np.mean(move < -delta), np.mean(np.abs(move) <= delta), np.mean(move > delta)]
        heads = walk["models"]["moe"]["folds"][fold.number - 1]["heads"]
        assert heads["direction"]["majority"] == pytest.approx(max(shares))
        assert delta > 0.0


def test_rolling_training_leaves_out_folds_that_nothing_lies_before(walked: tuple[Home, dict[str, Any]]) -> None:
    home, walk = walked
    rolling = replace(RECIPE, contenders=("moe",), rolling_blocks=1, placebo_seed=5)
    found = walk_forward(home, MARKET, AS_OF, CLOCK, recipe=rolling, workers=1)
    starts = [fold["test_start_ns"] for fold in walk["folds"]]
    assert [fold["test_start_ns"] for fold in found.document["folds"]] == [starts[0], starts[2]]
    assert found.document["folds"][1]["train_rows"] < walk["folds"][2]["train_rows"] / 2


def test_finished_folds_survive_an_interruption(walked: tuple[Home, dict[str, Any]]) -> None:
    home, walk = walked
    Path(walk["path"]).unlink()
    folds = sorted(Path(walk["path"]).parent.glob("folds/*/fold-*.json"))
    assert len(folds) == 3
    written = [path.stat().st_mtime_ns for path in folds]
    again = walk_forward(home, MARKET, AS_OF, CLOCK, recipe=RECIPE, workers=1)
    assert not again.fresh
    assert [path.stat().st_mtime_ns for path in folds] == written
    same = {key: again.document[key] for key in ("verdict", "models", "folds")}
    assert same == {key: walk[key] for key in same}


def test_a_placebo_lies_beside_and_leaves_the_verdict_alone(walked: tuple[Home, dict[str, Any]]) -> None:
    home, walk = walked
    only = replace(RECIPE, contenders=("moe",), placebo_seed=3)
    found = walk_forward(home, MARKET, AS_OF, CLOCK, recipe=only, workers=1)
    assert found.path.parent.name == "placebo-3"
    assert found.document["models"]["moe"]["folds"][0]["queues"] != walk["models"]["moe"]["folds"][0]["queues"]
    assert found.document["verdict"]["verdict"] != "TRADE"
    assert json.loads(Path(walk["path"]).read_text("utf-8"))["run_sha256"] == walk["run_sha256"]


def test_training_is_done_once_and_leaves_no_checkpoint(
    walked: tuple[Home, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = walked
    first = train(home, MARKET, AS_OF, CLOCK, recipe=RECIPE)
    assert not first.fresh
    assert first.record["fitted"]["parameters"] == first.to_json()["parameters"] > 10_000
    assert not list(first.folder.parent.glob("checkpoint*"))
    assert train(home, MARKET, AS_OF, CLOCK, recipe=RECIPE).fresh
    chosen = training_set(home, MARKET, AS_OF, CLOCK)
    names = tuple(first.record["features"])
    instants = load_instants(home, chosen, names)
    rows = final_split(instants).train
    scaling = fit_normaliser(instants.features, rows, names, muted=uncovered(names, instants.ts_ns[rows]))
    stored = read_trained(first.folder)
    assert stored is not None
    assert all(np.array_equal(stored.normaliser[key], value) for key, value in scaling.arrays().items())
    assert standing_model(home, replace(chosen, data_sha256="another"), RECIPE)[0] == "stale"
    with monkeypatch.context() as patch:
        patch.setattr("lob_pipeline.stages.train.features_fingerprint", lambda names, clock: "another")
        assert standing_model(home, chosen, RECIPE)[0] == "stale", "nobody could register it"
    weights = (first.folder / "weights.safetensors").read_bytes()
    other = train(home, MARKET, AS_OF, CLOCK, recipe=replace(RECIPE, seed=2))
    assert not other.fresh
    assert (other.folder / "weights.safetensors").read_bytes() != weights


def test_features_of_other_code_are_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    for seed, date in enumerate(DAYS):
        add_day(home, date, seed=seed)
    monkeypatch.setattr("lob_pipeline.stages.train.code_fingerprint", lambda stage, instrument: f"{stage} since then")
    with pytest.raises(RefusedError, match=r"features of sim\.BTCUSDT on 2026-01-05 at t1s was computed by other code"):
        train(home, MARKET, AS_OF, CLOCK, recipe=RECIPE)
    assert not list(home.root.glob("training/**/fitted.json"))


def test_a_fold_needs_three_times_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Chosen:
        summary: ClassVar[dict[str, int]] = {"rows": 1_000_000, "inputs": 89}

    need = 3 * bytes_of(1_000_000, 89)
    for available, expected in ((0.5 * need, 1), (1.5 * need, 1), (2.5 * need, 2), (9 * need, 4)):
        monkeypatch.setattr(stage, "available_bytes", lambda a=available: int(a))
        assert stage._processes(Chosen(), 4) == expected


def test_one_block_is_no_fold(tmp_path: Path) -> None:
    home = Home(tmp_path)
    add_day(home, AS_OF, rows=3 * 3600)
    with pytest.raises(RefusedError, match="has no fold in 2026-01-06"):
        walk_forward(home, MARKET, AS_OF, CLOCK, recipe=RECIPE)
    assert not (home.root / "evaluation").exists()


def test_a_damaged_document_is_refused_by_name(walked: tuple[Home, dict[str, Any]]) -> None:
    home, walk = walked
    path = Path(walk["path"])
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(RefusedError, match=r"walk_forward\.json is damaged"):
            walk_forward(home, MARKET, AS_OF, CLOCK, recipe=RECIPE)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preset": "huge"}, "preset 'huge'"),
        ({"feature_set": "all"}, "feature set 'all'"),
        ({"contenders": ("majority",)}, "must include moe"),
        ({"contenders": ("moe", "oracle")}, "contender 'oracle'"),
        ({"seed": -1}, "at least 0"),
    ],
)
def test_a_recipe_that_does_not_exist(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        Recipe(**wrong)
