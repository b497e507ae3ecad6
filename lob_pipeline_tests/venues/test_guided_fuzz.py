"""A few seconds of the guided fuzzing in the suite, and the proof that it would find what it looks for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lob_pipeline_tests.fuzz.__main__ import explore
from lob_pipeline_tests.fuzz.defects import PLANTED
from lob_pipeline_tests.fuzz.loop import mutate
from lob_pipeline_tests.fuzz.targets import targets

SHORT = ("level_table",)
BUDGETS_S = (3.0, 12.0, 50.0)  # the next one only where a busy machine found nothing in the one before
PLACES = {
    "lose a line": ("bybit_trades", "no line is lost"),
    "read beyond": ("trade_table", "MemoryFaultError at pure.py"),
    "crash": ("level_table", "Error at "),
}


def test_every_form_is_a_target() -> None:
    from lob_pipeline.venues.forms import FORMS

    assert {form.name for form in FORMS} == {target.form for target in targets().values()}


def test_changed_inputs_differ_and_end() -> None:
    rng, data = random.Random(1), b'{"a":[1,2.5]}\nx\n'
    made = [mutate(data, [data], rng) for _ in range(500)]
    assert len(set(made)) > 400
    assert max(map(len, made)) <= 4096


@pytest.mark.parametrize("name", SHORT)
def test_a_few_seconds_find_nothing(tmp_path: Path, name: str) -> None:
    for seconds in BUDGETS_S:
        found = explore(name, seconds, seed=1, folder=tmp_path)
        if found["runs"] > 20 and found["edges"] > found["seed_edges"]:
            break
    assert found["findings"] == []
    assert found["runs"] > 20
    assert found["edges"] > found["seed_edges"] > 100
    assert found["replayed"] > 1


@pytest.mark.parametrize("defect", PLACES)
def test_a_planted_defect_is_found(tmp_path: Path, defect: str) -> None:
    name, rule = PLACES[defect]
    for seconds in BUDGETS_S:
        found = explore(name, seconds, seed=2, folder=tmp_path, defect=defect)
        if found["findings"]:
            break
    assert any(rule in f["rule"] for f in found["findings"]), found["findings"]
    assert set(PLACES) <= set(PLANTED)
