"""docs/mutation_score.md comes from a stored result alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lob_pipeline.mutation.table import mutation_md, save


def _result() -> dict[str, Any]:
    fates = {"killed": 3, "equivalent": 0, "survived": 0}
    dose = {"strength": "full", **fates, "checks": ["update_chain"], "how": ["masked"]}
    small = {**dose, "strength": "small", "killed": 1, "equivalent": 1, "survived": 1}
    row = {
        "mutant": 6,
        "venue": "bybit",
        "applies": True,
        "killed_by": "update_chain",
        "title": "gap of k updates unnoticed",
        "reason": "updates left out",
        "doses": {"10 updates": dose, "1 update": small},
        "smallest_dose": "10 updates",
        "smallest_disguised": None,
        "rows_to_alarm": 1,
        "messages_to_alarm": 1,
        "placements": 3,
        "trials": 6,
        "trials_killed": 4,
        "equivalent": 1,
        "recordings": ["a"],
        "survivors": [{"dose": "1 update", "placement": 2, "recording": "a", "why": "one row differs"}],
    }
    away = {"mutant": 8, "venue": "okx", "applies": False, "killed_by": None, "title": "restart", "reason": "Bybit's"}
    alarm = {"mutant": None, "venue": "okx", "applies": False, "killed_by": None, "false_alarm": "x", "recording": "b"}
    return {"mutants": 1, "killed": 1, "false_alarms": 1, "table": [row, away, {**alarm, "words": "said so"}]}


def test_a_stored_result_is_the_json_it_came_from(tmp_path: Path) -> None:
    save(tmp_path / "r.json", _result(), seed=4, placements=3, cuts=20)
    stored = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert {k: stored[k] for k in _result()} == _result()
    assert (stored["seed"], stored["placements"], stored["cuts"]) == (4, 3, 20)


def test_the_document_names_what_kills_what_survives_and_what_cried_wolf(tmp_path: Path) -> None:
    save(tmp_path / "r.json", _result(), seed=4, placements=3, cuts=20)
    text = mutation_md(tmp_path / "r.json")
    assert "**1 of 1 mutants killed, 1 false alarms.**" in text
    assert "6 trials, 1 of them equivalent" in text
    assert "4 killed, 1 survived" in text
    assert "| 6 gap of k updates unnoticed | bybit | `update_chain` | 10 updates |" in text
    assert "| 6 | bybit | 1 update | small | 1 | 1 | 1 | `update_chain` |" in text
    assert "- 6 bybit, 1 update, a (place 2): one row differs" in text
    assert "| 8 | okx | Bybit's |" in text
    assert "- okx, b: `x` said so" in text
    assert mutation_md(tmp_path / "r.json") == text
