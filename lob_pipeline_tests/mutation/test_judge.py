"""The judge: from what was said and published alone."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lob_pipeline.mutation import judge as judging
from lob_pipeline.mutation.judge import EQUIVALENT, KILLED, SURVIVED, digest, false_alarm, judge
from lob_pipeline.mutation.trial import Outcome, Said, run_trial

DAY = "2026-01-01"


def _said(name: str, status: str = "passed", judged: int = 5) -> Said:
    return Said("book_snapshots", DAY, name, status, status == "refused", judged, f"{name} {status}", {})


def _outcome(**changes: Any) -> Outcome:
    rows = {
        "ts_ns": np.arange(5) * 100,
        "close_ns": np.arange(5) * 100 + 50,
        "valid": np.ones(5, bool),
        "bid_ticks_1": np.full(5, 10),
        "bid_lots_1": np.arange(5),
    }
    trades = {"order": np.arange(2), "trade_id": np.array(["a", "b"]), "side": np.array([1, -1])}
    certificate = {"holds": True, "gaps": [], "late_messages": 0, "invalid_ns": 0}
    return replace(
        Outcome(
            said=[_said("levels_ordered"), _said("certificate")],
            certificates={DAY: certificate},
            books={DAY: rows},
            trades={DAY: trades},
        ),
        **changes,
    )


def _rows(**columns: Any) -> dict[str, dict[str, np.ndarray]]:
    return {DAY: {**_outcome().books[DAY], **{n: np.asarray(v) for n, v in columns.items()}}}


def test_the_same_rows_are_equivalent() -> None:
    assert judge(_outcome(), _outcome()).fate == EQUIVALENT


def test_other_bytes_of_rows_that_are_not_valid_are_equivalent() -> None:
    valid = np.array([True, True, True, True, False])
    clean = _outcome(books=_rows(valid=valid))
    mutant = _outcome(books=_rows(valid=valid, bid_ticks_1=[10, 10, 10, 10, 99]))
    assert judge(mutant, clean).fate == EQUIVALENT


def test_one_wrong_row_that_nobody_names_survives() -> None:
    judgement = judge(_outcome(books=_rows(bid_ticks_1=[10, 10, 11, 10, 10])), _outcome())
    assert judgement.fate == SURVIVED
    assert "bid_ticks_1" in judgement.how


def test_a_clear_error_kills_and_a_traceback_does_not() -> None:
    assert judge(Outcome(error=("BadInputError", "line 3")), _outcome()).check == "ingest"
    assert judge(Outcome(crash="Traceback\nValueError: x"), _outcome()).fate == SURVIVED


def test_the_first_gate_that_refuses_is_named_not_the_summary() -> None:
    said = [_said("certificate", "refused"), _said("levels_ordered", "refused"), _said("depth_kept", "refused")]
    judgement = judge(_outcome(said=said), _outcome())
    assert (judgement.fate, judgement.check, judgement.how) == (KILLED, "levels_ordered", "refused")


def test_a_gap_that_is_shown_kills_only_where_the_valid_rows_are_right() -> None:
    shown = {DAY: {"holds": True, "gaps": [{"at_ns": 1}], "invalid_ns": 100}}
    valid = np.array([True, True, False, False, True])
    right = judge(_outcome(certificates=shown, books=_rows(valid=valid)), _outcome())
    assert (right.fate, right.check, right.how) == (KILLED, "update_chain", "masked")
    wrong = judge(_outcome(certificates=shown, books=_rows(valid=valid, bid_lots_1=[0, 1, 2, 3, 9])), _outcome())
    assert wrong.fate == SURVIVED


def test_rows_that_go_missing_in_silence_survive() -> None:
    short = {DAY: {name: column[2:] for name, column in _outcome().books[DAY].items()}}
    assert judge(_outcome(books=short), _outcome()).fate == SURVIVED


def test_a_check_that_passes_on_no_row_survives_even_where_others_refuse() -> None:
    said = [_said("levels_ordered", "refused"), _said("schema", "passed", judged=0)]
    judgement = judge(_outcome(said=said), _outcome(said=[_said("schema")]))
    assert judgement.fate == SURVIVED
    assert "schema" in judgement.how


def test_a_trade_that_changed_is_no_equivalent() -> None:
    trades = {DAY: {**_outcome().trades[DAY], "side": np.array([1, 1])}}
    assert digest(_outcome(trades=trades)) != digest(_outcome())
    assert judge(_outcome(trades=trades), _outcome()).fate == SURVIVED


def test_trades_that_are_not_there_bar_from_training_or_survive() -> None:
    none = {DAY: {name: column[:0] for name, column in _outcome().trades[DAY].items()}}
    clean = _outcome(said=[_said("trade_rows")])
    assert judge(_outcome(trades=none, said=[_said("trade_rows")]), clean).fate == SURVIVED
    barred = judge(_outcome(trades=none, said=[_said("trade_rows", "not_judged", judged=0)]), clean)
    assert (barred.fate, barred.how) == (KILLED, "not judged")


def test_only_what_refuses_a_clean_recording_is_a_false_alarm() -> None:
    assert false_alarm(_outcome(said=[_said("warm_rows", "not_judged", 0)])) is None
    alarm = false_alarm(_outcome(said=[_said("depth_kept", "refused")]))
    assert alarm is not None
    assert alarm.check == "depth_kept"


@pytest.mark.parametrize("function", [judge, run_trial, false_alarm])
def test_nothing_that_judges_is_given_a_label(function: Any) -> None:
    assert not {"defect", "dose", "mutant_name", "label"} & set(inspect.signature(function).parameters)
    assert "mutators" not in inspect.getsource(judging)
