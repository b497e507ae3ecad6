"""``lob models``, ``promote`` and ``rollback`` as a user meets them: exit codes, one sentence, one JSON object."""

from __future__ import annotations

from pathlib import Path

import pytest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.releases import releases_ledger
from lob_pipeline.stages.register import register_model
from lob_pipeline_tests.cli.test_cli import run, run_json
from lob_pipeline_tests.registry.trained import MARKET, new_home, train_sample

BTC = parse_market(MARKET)
CHALLENGER = "lob-moe@challenger"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with two registered models whose verdict was TRADE, named by the environment."""
    found = new_home(tmp_path)
    monkeypatch.setenv("LOB_HOME", str(found.root))
    for day in (7, 8):
        train_sample(found, f"2026-01-{day:02d}", seed=day, verdict="TRADE")
        register_model(found, BTC, f"2026-01-{day:02d}")
    return found


def test_list_promote_and_roll_back(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run_json(capsys, "models")
    assert code == 0
    assert [(m["semver"], m["aliases"]) for m in found["models"]] == [("1.0.0", []), ("1.1.0", ["challenger"])]
    code, out, err = run(capsys, "promote", "lob-moe@1.0.0", "--why", "the first")
    assert code == 0, err
    assert "promoted: lob-moe 1.0.0" in out
    assert "before: nobody" in out
    code, result = run_json(capsys, "promote", CHALLENGER, "--why", "newer")
    assert code == 0
    assert (result["from"]["semver"], result["to"]["semver"]) == ("1.0.0", "1.1.0")
    assert {o["status"] for o in result["outcomes"]} == {"passed"}
    code, result = run_json(capsys, "rollback", "--why", "slow fills")
    assert code == 0
    assert (result["state"], result["to"]["semver"]) == ("rolled back", "1.0.0")
    code, out, _ = run(capsys, "models")
    assert code == 0
    line = next(text for text in out.splitlines() if "champion" in text)
    assert "1 (1.0.0)" in line
    assert MARKET in line
    assert "TRADE" in line


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("promote", CHALLENGER), 2, "--why"),
        (("promote", CHALLENGER, "--why", " "), 2, "needs a reason"),
        (("promote", "lob-moe", "--why", "x"), 2, "NAME@ALIAS"),
        (("promote", "lob-moe@champion", "--why", "x"), 2, "nobody is champion"),
        (("promote", CHALLENGER, "--why", "x", "--market", "okx.BTC-USDT"), 2, "no model lob-moe of okx.BTC-USDT"),
        (("promote", CHALLENGER, "--why", "x", "--refresh"), 2, "no champion to refresh"),
        (("rollback", "--why", "x"), 2, "no champion"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    home: Home, words: tuple[str, ...], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = releases_ledger(home).read_bytes()
    found, _, err = run(capsys, *words)
    assert found == code, err
    assert sentence in err
    assert releases_ledger(home).read_bytes() == before


def test_a_gate_that_says_no_is_exit_3(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    train_sample(home, "2026-01-09", seed=9, verdict="DO_NOT_TRADE")
    register_model(home, BTC, "2026-01-09")
    code, answer = run_json(capsys, "promote", CHALLENGER, "--why", "x")
    assert code == 3
    assert answer["exit"] == 3
    assert "the verdict is DO_NOT_TRADE (because DO_NOT_TRADE), not TRADE" in answer["error"]


def test_a_broken_ledger_is_exit_1(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    path = releases_ledger(home)
    path.write_bytes(path.read_bytes().replace(b"TRADE", b"TRAPS", 1))
    for words in (("models",), ("promote", CHALLENGER, "--why", "x"), ("rollback", "--why", "x")):
        code, _, err = run(capsys, *words)
        assert code == 1
        assert "line 1 was changed" in err


def test_a_store_is_repaired_in_words(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (home.root / "mlruns" / "mlflow.db").write_bytes(b"broken")
    code, _, err = run(capsys, "models", "--repair")
    assert code == 1
    assert "move it away" in err
    (home.root / "mlruns" / "mlflow.db").unlink()
    code, out, err = run(capsys, "models", "--repair")
    assert code == 0, err
    assert "repaired: version 2 (1.1.0) is in MLflow again" in out
    assert "once, a few seconds" in err


def test_an_empty_home_has_no_models(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "models", "--home", str(tmp_path / "none"))
    assert code == 0
    assert "nothing is registered" in out
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["models", "promote", "rollback"])
def test_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"Example: lob {command}" in out
