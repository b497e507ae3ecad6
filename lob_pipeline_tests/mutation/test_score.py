"""The reduced score: every defect at least once on Bybit and Binance, killed by a check with a name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.cli import main
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.mutation.bases import BASES, Venue
from lob_pipeline.mutation.clean import clean_alarms
from lob_pipeline.mutation.judge import EQUIVALENT, KILLED
from lob_pipeline.mutation.mutators import CATALOGUE
from lob_pipeline.mutation.recordings import recordings_root
from lob_pipeline.mutation.rows import Row
from lob_pipeline.mutation.score import Runner, mutation_score

pytestmark = pytest.mark.real
CASES = [
    (name, number) for name in ("bybit", "binance-usdm") for number, d in CATALOGUE.items() if name not in d.not_on
]


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(seed=3)


@pytest.mark.parametrize(("venue", "number"), CASES)
def test_the_defect_is_killed(root: Path, small: dict[str, Venue], runner: Runner, venue: str, number: int) -> None:
    defect = CATALOGUE[number]
    bases = [b for b in small[venue].bases(root, np.random.default_rng(1)) if b.fits(defect.needs)]
    killed = 0
    for dose in (d for d in defect.doses if d.strength == "full" and d.name != "the recorded ones"):
        tried = list(runner.mutants(Row(defect, venue), dose, bases[::-1], 1))
        assert tried
        for _, base, mutant in tried:
            judgement = runner.judged(base, mutant)
            if judgement.fate == EQUIVALENT:
                continue  # a depth under a topic of its own changes nothing: there is nothing to catch
            assert judgement.fate == KILLED, f"{dose.name} on {base.recording.name}: {judgement}"
            assert judgement.check
            killed += 1
        if killed:
            break
    assert killed


def test_the_catalogue_has_22_defects_and_each_applies_somewhere() -> None:
    assert list(CATALOGUE) == list(range(1, 23))
    for defect in CATALOGUE.values():
        assert set(defect.not_on) < set(BASES)
        assert all(reason for reason in defect.not_on.values())
        assert defect.doses[0].strength == "full" or any(d.strength == "full" for d in defect.doses)
    on = {v: {n for n, d in CATALOGUE.items() if v not in d.not_on} for v in BASES}
    assert on["bybit"] == set(CATALOGUE)
    assert on["binance-usdm"] == set(CATALOGUE) - {4, 8, 9}


def test_clean_recordings_and_their_cuts_pass(root: Path, small: dict[str, Venue]) -> None:
    for venue in small.values():
        assert clean_alarms(venue.bases(root, np.random.default_rng(1)), 2, np.random.default_rng(5)) == []


def test_the_report_has_the_keys_of_the_contract(root: Path, small: dict[str, Venue]) -> None:
    report = mutation_score(
        root, venue="bybit", defect=6, placements=1, cuts=0, venues={"bybit": small["bybit"]}, alarms=True
    )
    assert set(report) == {"mutants", "killed", "false_alarms", "table"}
    (row,) = report["table"]
    assert {"mutant", "venue", "applies", "killed_by"} <= set(row)
    assert (row["mutant"], row["venue"], row["applies"], row["killed_by"]) == (6, "bybit", True, "update_chain")
    assert row["trials"] == row["trials_killed"] + row["equivalent"] + len(row["survivors"])
    assert row["smallest_dose"] == "1 update"
    assert row["messages_to_alarm"] == 1
    json.dumps(report)


def test_absent_recordings_and_unknown_names_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="holds no recordings"):
        recordings_root(tmp_path)
    monkeypatch.setenv("LOB_REAL_DATA", str(tmp_path))
    with pytest.raises(BadInputError, match="--recordings"):
        recordings_root()


def test_the_command_says_that_recordings_are_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["mutation-score", "--recordings", str(tmp_path), "--json"])
    assert stop.value.code == 2
    assert "holds no recordings" in json.loads(capsys.readouterr().out)["error"]


def test_unknown_venue_and_defect(root: Path) -> None:
    with pytest.raises(BadInputError, match="--venue nowhere"):
        mutation_score(root, venue="nowhere")
    with pytest.raises(BadInputError, match="--defect 23"):
        mutation_score(root, defect=23)
