"""Assets that show documents: metadata, checks at their partition, too little data is green, errors are a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lob_pipeline.assets.tables import result_assets
from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.outcome import judge
from lob_pipeline.jobs import EVALUATED, RETRAINED
from lob_pipeline.lake.home import Home
from lob_pipeline.partitions import make_partitions, parse_key
from lob_pipeline.resources import Lake, Stages, default_stages
from lob_pipeline.results import (
    MLFLOW_TAG,
    NOT_ENOUGH_DATA,
    RESULT_CHECKS,
    document_of,
    metadata_in,
    outcomes_in,
    recorded_result,
)
from lob_pipeline.stages.documents import evaluation_folder, training_folder, write_json

KEY = "2026-01-07|sim.BTCUSDT"
GATES = [
    {"name": "folds", "value": 5, "bound": 5, "ok": True},
    {"name": "lower_bound_bps", "value": -3.5, "bound": 0.0, "ok": False},
    {"name": "median_fold_bps", "value": None, "bound": 0.0, "ok": False},
]


@dataclass
class Reports:
    """Stages that return small documents and remember who was called with what."""

    called: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    registered: set[str] = field(default_factory=set)
    answers: dict[str, Any] = field(default_factory=dict)

    def stages(self, **real: Any) -> Stages:
        """Return the stubs; ``real`` replaces some of them."""
        names = ("training_set", "feasibility", "walk_forward", "verdict", "train", "predictions", "shadow_report")
        stubs = {name: self._stub(name) for name in names}
        return replace(default_stages(), **{**stubs, "register_model": self._register, **real})

    def _stub(self, name: str) -> Any:
        def stage(home: Home, market: object, date: str) -> Any:
            self.called.append(name)
            answer = self.answers.get(name, {"days": [date], "folds": [1, 2], "market": str(market)})
            if isinstance(answer, Exception):
                raise answer
            return answer

        return stage

    def _register(self, home: Home, market: object, date: str, *, dagster_run_id: str) -> dict[str, Any]:
        """Register what was trained, once: the same contents are the same bundle."""
        self.called.append("register_model")
        self.runs.append(dagster_run_id)
        bundle = f"{market} {date}"
        state = "already registered" if bundle in self.registered else "registered"
        self.registered.add(bundle)
        outcomes = [judge("parity", True, examined=512, judged=512).to_json()]
        return {"state": state, "bundle_sha256": "ab" * 32, MLFLOW_TAG: "run-7", "outcomes": outcomes}


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dg.AssetsDefinition]:
    return result_assets(make_partitions(Home(tmp_path_factory.mktemp("home"))))


def run(
    assets: dict[str, dg.AssetsDefinition],
    names: tuple[str, ...],
    reports: Reports,
    instance: dg.DagsterInstance,
    root: Path = Path("/nowhere"),
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [assets[name] for name in names],
        instance=instance,
        resources={"lake": Lake(root=str(root), given=True), "stages": reports.stages()},
        partition_key=KEY,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def made(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    events = [e.event_specific_data.materialization for e in result.get_asset_materialization_events()]
    assert {e.partition for e in events} <= {KEY}
    return {e.asset_key.path[-1]: {k: v.value for k, v in e.metadata.items()} for e in events}


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], Any]:
    found = [
        e.asset_check_evaluation_data
        for e in result.all_events
        if e.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert {e.partition for e in found} <= {KEY}
    return {(e.asset_key.path[-1], e.check_name): e for e in found}


def test_retrain_runs_in_order_and_shows_what_each_stage_says(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance
) -> None:
    said = {"verdict": "DO_NOT_TRADE", "reasons": ["costs eat it", "few trades"], "gates": GATES, "report": "/r/x.html"}
    reports = Reports(answers={"verdict": said})
    result = run(assets, RETRAINED, reports, instance)
    assert result.success  # a verdict is a result, whatever it says
    order = reports.called
    assert len(order) == len(RETRAINED)
    assert order.index("training_set") < order.index("walk_forward") < order.index("verdict")
    assert order.index("verdict") < order.index("train") < order.index("register_model")
    shown = made(result)
    assert set(shown) == set(RETRAINED)
    assert shown["verdict"]["verdict"] == "DO_NOT_TRADE"
    assert shown["verdict"]["reasons"] == "- costs eat it\n- few trades"
    assert shown["verdict"]["report"] == "file:///r/x.html"
    assert shown["registered_model"]["bundle_sha256"] == "ab" * 32


def test_gates_are_shown_with_value_and_bound_and_never_fail_a_run(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance
) -> None:
    reports = Reports(answers={"verdict": {"verdict": "NOT_ENOUGH_DATA", "gates": GATES}})
    result = run(assets, EVALUATED, reports, instance)
    assert result.success
    found = checks(result)
    assert {name: found["verdict", name].passed for name in ("folds", "lower_bound_bps", "median_fold_bps")} == {
        "folds": True,
        "lower_bound_bps": False,
        "median_fold_bps": False,
    }
    lower = found["verdict", "lower_bound_bps"]
    assert lower.description == "-3.5 against 0"
    assert (lower.metadata["value"].value, lower.metadata["bound"].value) == (-3.5, 0.0)
    assert lower.severity == dg.AssetCheckSeverity.WARN
    assert found["verdict", "median_fold_bps"].metadata["status"].value == "not_judged"
    assert found["training_set", "enough_days"].passed


def test_too_few_days_is_a_green_run_that_registers_nothing(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance
) -> None:
    reports = Reports(answers={"training_set": RefusedError("1 usable day, 2 needed")})
    result = run(assets, RETRAINED, reports, instance)
    assert result.success
    assert reports.called == ["training_set"]
    assert made(result) == {}
    enough = checks(result)["training_set", "enough_days"]
    assert not enough.passed
    assert "1 usable day, 2 needed" in enough.description
    seen = [e for e in result.all_events if e.event_type == dg.DagsterEventType.ASSET_OBSERVATION]
    assert seen[0].asset_observation_data.asset_observation.metadata["result"].value == NOT_ENOUGH_DATA


def test_days_without_a_fold_are_green_and_a_damaged_report_is_not(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    reports = Reports(answers={"walk_forward": RefusedError("one block, two needed")})
    folder = training_folder(Home(tmp_path), parse_key(KEY)[0], "t100ms", "2026-01-07")
    for folds, green in (([], True), ([{"fold": 0}], False)):
        reports.called.clear()
        write_json(folder.with_name("2026-01-07.json"), {"days": [{"date": "2026-01-07"}], "folds": folds})
        result = run(assets, RETRAINED, reports, instance, tmp_path)
        assert result.success is green
        assert set(reports.called) == {"training_set", "feasibility", "walk_forward"}
        assert set(made(result)) == {"training_set", "feasibility_report"}
        if green:
            assert "one block, two needed" in checks(result)["walk_forward_report", "enough_blocks"].description


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("training_set", BadInputError("no features of this market")),
        ("train", RefusedError("loss is NaN in epoch 3")),
        ("verdict", RefusedError("the walk-forward is of other days")),
    ],
)
def test_any_other_error_fails_the_step_with_its_own_sentence(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance, stage: str, error: Exception
) -> None:
    reports = Reports(answers={stage: error})
    result = run(assets, RETRAINED, reports, instance)
    assert not result.success
    (failed,) = result.get_step_failure_events()
    assert failed.step_failure_data.user_failure_data.description == f"{KEY}: {error}"
    assert "register_model" not in reports.called


def test_a_refused_part_fails_the_step_and_is_not_materialised(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance
) -> None:
    parts = {"champion": {"refused": False, "rows": 4}, "challenger": {"refused": True, "reason": "ready_rule: early"}}
    result = run(assets, ("predictions", "shadow_report"), Reports(answers={"predictions": parts}), instance)
    assert not result.success
    assert made(result) == {}
    (failed,) = result.get_step_failure_events()
    assert failed.step_failure_data.user_failure_data.description == f"{KEY}: challenger: ready_rule: early"


def test_a_gate_that_refuses_in_a_document_fails_the_step_and_shows(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance
) -> None:
    bad = judge("parity", False, examined=512, judged=512, message="row 3 differs").to_json()
    reports = Reports(answers={"training_set": {"days": [1], "outcomes": [bad]}})
    result = run(assets, ("training_set",), reports, instance)
    assert not result.success
    logged = [r.event_log_entry.dagster_event for r in instance.get_records_for_run(result.run_id, limit=100).records]
    shown = [e.asset_check_evaluation_data for e in logged if e and e.event_type.value == "ASSET_CHECK_EVALUATION"]
    assert [(e.passed, e.partition) for e in shown if e.check_name == "parity"] == [(False, KEY)]


def test_retraining_a_day_twice_registers_one_challenger_and_names_both_runs(
    assets: dict[str, dg.AssetsDefinition], instance: dg.DagsterInstance
) -> None:
    reports = Reports()
    first, second = (run(assets, RETRAINED, reports, instance) for _ in range(2))
    assert (first.success, second.success) == (True, True)
    states = [made(r)["registered_model"]["state"] for r in (first, second)]
    assert states == ["registered", "already registered"]
    assert len(reports.registered) == 1
    assert reports.runs == [first.run_id, second.run_id]
    assert instance.get_run_by_id(first.run_id).tags[MLFLOW_TAG] == "run-7"
    assert checks(first)["registered_model", "parity"].passed


def test_the_ui_knows_every_gate_of_a_real_verdict() -> None:
    from lob_pipeline.evaluation.gates import load_gates
    from lob_pipeline.evaluation.verdict import judge_verdict
    from lob_pipeline.evaluation.walk import joined_series

    found = judge_verdict("a model", [], joined_series([]), load_gates(), maker_fee_bps=2.0)
    outcomes = outcomes_in(found)
    assert found["verdict"] == NOT_ENOUGH_DATA
    assert tuple(outcome.name for outcome in outcomes) == tuple(RESULT_CHECKS["verdict"])
    assert not any(outcome.refuses for outcome in outcomes)
    assert {o.name: o.status for o in outcomes}["filled_trades"] == "refused"


def test_documents_become_plain_metadata() -> None:
    import numpy as np

    document = {"n": 3, "share": 0.5, "none": None, "empty": "", "path": "/a/b", "rows": [1], "text": "x" * 900}
    shown = metadata_in(document)
    assert set(shown) == {"n", "share", "path", "rows", "text"}
    assert isinstance(shown["path"], dg.PathMetadataValue)
    assert isinstance(shown["text"], dg.MarkdownMetadataValue)
    said = metadata_in({"caveats": ["it rains", "often"], "dates": ["a", "b"], "notes": [], "nested": [{"a": [1]}]})
    assert (said["caveats"].value, said["dates"]) == ("- it rains\n- often", "a, b")
    assert isinstance(said["nested"], dg.JsonMetadataValue)
    assert "notes" not in said
    table = metadata_in({"left_out": [{"date": "a", "reason": "absent"}, {"date": "b", "n": None}]})["left_out"]
    first, second = (record.data for record in table.records)
    assert first == {"date": "a", "reason": "absent", "n": ""}
    assert second == {"date": "b", "reason": "", "n": ""}
    (gate,) = outcomes_in({"gates": [{"name": "folds", "value": float(np.float64(2)), "bound": 5, "ok": False}]})
    assert (gate.status, gate.refuses) == ("refused", False)


def test_what_was_written_can_be_shown_again(tmp_path: Path) -> None:
    home, (market, day) = Home(tmp_path), parse_key(KEY)
    assert recorded_result(home, "verdict", market, day) == recorded_result(home, "training_set", market, day) == []
    write_json(evaluation_folder(home, market, "t100ms", day) / "verdict.json", {"gates": GATES})
    write_json(training_folder(home, market, "t100ms", day).with_name(f"{day}.json"), {"days": [{"date": day}]})
    assert [o.status for o in recorded_result(home, "verdict", market, day)] == ["passed", "refused", "not_judged"]
    assert [o.name for o in recorded_result(home, "training_set", market, day)] == ["enough_days"]
    assert recorded_result(home, "registered_model", market, day) == []


def test_a_walk_forward_is_shown_in_its_words_and_not_in_full() -> None:
    from lob_pipeline_tests.evaluation.walk_sample import sample_walk

    walk = document_of(sample_walk(silent=True))
    shown = metadata_in(walk)
    assert shown["verdict"].value == NOT_ENOUGH_DATA
    assert "test block" in shown["reasons"].value
    assert outcomes_in(walk) == []  # its `gates` are the bounds, not the gates' answers
    assert walk["models"]
    assert "in the document" in shown["models"]
    assert list(shown)[:2] == ["verdict", "reasons"]
