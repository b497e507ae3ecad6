"""Promotion is a command that gates; rollback is one that does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.promotion import FreshComparison
from lob_pipeline.registry.releases import read_releases, releases_ledger
from lob_pipeline.stages import promote as promotion
from lob_pipeline.stages.promote import models, promote, rollback
from lob_pipeline.stages.register import register_model
from lob_pipeline_tests.registry.trained import MARKET, new_home, train_sample

BTC = parse_market(MARKET)
NEWEST = "lob-moe@challenger"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path)


def _challenge(home: Home, day: int, verdict: str = "TRADE", **changes: Any) -> str:
    train_sample(home, f"2026-01-{day:02d}", seed=day, verdict=verdict, **changes)
    return register_model(home, BTC, f"2026-01-{day:02d}").release.semver


def _champion(home: Home) -> str | None:
    found = read_releases(home).current("champion", MARKET)
    return found.semver if found else None


def test_a_first_model_with_a_verdict_of_trade_is_promoted(home: Home) -> None:
    _challenge(home, 7)
    result = promote(home, NEWEST, "five folds positive")
    assert _champion(home) == "1.0.0"
    assert result["from"] is None
    assert {o["name"]: o["status"] for o in result["outcomes"]} == dict.fromkeys(
        ("parity", "calibration", "verdict"), "passed"
    )
    assert result["to"]["aliases"] == ["champion"]
    assert read_releases(home).events[-1]["why"] == "five folds positive"


@pytest.mark.parametrize("verdict", ["DO_NOT_TRADE", "NOT_ENOUGH_DATA", ""])
def test_without_a_verdict_of_trade_nothing_is_promoted(home: Home, verdict: str) -> None:
    _challenge(home, 7, verdict)
    before = releases_ledger(home).read_bytes()
    with pytest.raises(RefusedError, match=f"the verdict is {verdict or 'NOT_EVALUATED'}"):
        promote(home, NEWEST, "I want it")
    assert releases_ledger(home).read_bytes() == before


def test_a_changed_bundle_is_not_promoted(home: Home) -> None:
    _challenge(home, 7)
    path = read_releases(home).releases[0].path / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RefusedError, match="is not the file that was registered"):
        promote(home, NEWEST, "why not")
    assert _champion(home) is None


def test_a_model_that_was_not_judged_is_not_promoted(home: Home) -> None:
    few = [{"forecast": 0.2, "observed": 0.2, "rows": 20}]
    _challenge(home, 7, calibration={"fill": few, "entry": few})
    with pytest.raises(RefusedError, match="calibration: 20 held-out rows, 500 needed"):
        promote(home, NEWEST, "hurry")


def test_the_champion_again_changes_nothing(home: Home) -> None:
    _challenge(home, 7)
    promote(home, NEWEST, "first")
    before = releases_ledger(home).read_bytes()
    assert promote(home, "lob-moe@champion", "again")["state"] == "champion already"
    assert releases_ledger(home).read_bytes() == before


def test_a_way_back_and_forth(home: Home) -> None:
    for day in (7, 8, 9):
        _challenge(home, day)
        promote(home, NEWEST, f"day {day}")
    assert _champion(home) == "1.2.0"
    assert rollback(home, "slow fills")["from"]["semver"] == "1.2.0"
    assert _champion(home) == "1.1.0"
    rollback(home, "still slow")
    assert _champion(home) == "1.0.0"
    before = releases_ledger(home).read_bytes()
    with pytest.raises(RefusedError, match="nothing to go back to"):
        rollback(home, "further")
    assert releases_ledger(home).read_bytes() == before
    promote(home, "lob-moe@1.2.0", "it was the network")
    assert _champion(home) == "1.2.0"
    rollback(home, "no, it was not")
    assert _champion(home) == "1.0.0"
    events = [e["event"] for e in read_releases(home).events if e["event"] != "registered"]
    assert events == [*["promoted"] * 3, *["rolled_back"] * 2, "promoted", "rolled_back"]


def test_there_is_no_way_back_to_a_changed_bundle(home: Home) -> None:
    for day in (7, 8):
        _challenge(home, day)
        promote(home, NEWEST, f"day {day}")
    (read_releases(home).releases[0].path / "bundle.json").unlink()
    with pytest.raises(RefusedError, match=r"bundle\.json is missing"):
        rollback(home, "slow fills")
    assert _champion(home) == "1.1.0"


def test_no_champion_has_no_way_back(home: Home) -> None:
    with pytest.raises(BadInputError, match="no champion"):
        rollback(home, "why")


@pytest.mark.parametrize("why", ["", "   "])
def test_no_reason_no_release(home: Home, why: str) -> None:
    for work in (lambda: promote(home, NEWEST, why), lambda: rollback(home, why)):
        with pytest.raises(BadInputError, match="--why"):
            work()


def _fresh(rows: int, worse: float) -> Any:
    return lambda *_: FreshComparison(("2026-01-09",), rows, 0.2 + worse, 0.2)


def test_a_refresh_needs_no_verdict_but_to_be_no_worse(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    _challenge(home, 7)
    promote(home, NEWEST, "first")
    _challenge(home, 8, "NOT_ENOUGH_DATA")
    with pytest.raises(RefusedError, match="verdict"):
        promote(home, NEWEST, "newer data")
    with pytest.raises(RefusedError, match="only 0 rows lie after both training ends"):
        promote(home, NEWEST, "newer data", refresh=True)
    monkeypatch.setattr(promotion, "compare_on_fresh_days", _fresh(5000, 0.05))
    with pytest.raises(RefusedError, match=r"worse than the champion's by 0\.05"):
        promote(home, NEWEST, "newer data", refresh=True)
    assert _champion(home) == "1.0.0"
    monkeypatch.setattr(promotion, "compare_on_fresh_days", _fresh(5000, -0.001))
    promote(home, NEWEST, "newer data", refresh=True)
    assert _champion(home) == "1.1.0"
    assert read_releases(home).events[-1]["kind"] == "refresh"


def test_another_recipe_is_no_refresh(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "compare_on_fresh_days", _fresh(5000, 0.0))
    _challenge(home, 7)
    promote(home, NEWEST, "first")
    _challenge(home, 8, "DO_NOT_TRADE", preset="full")
    with pytest.raises(RefusedError, match="preset changed: a recipe change needs its own verdict"):
        promote(home, NEWEST, "sneak it in", refresh=True)


def test_a_first_model_is_no_refresh(home: Home) -> None:
    _challenge(home, 7)
    with pytest.raises(BadInputError, match="no champion to refresh"):
        promote(home, NEWEST, "first", refresh=True)


def test_the_list_needs_no_database(home: Home) -> None:
    _challenge(home, 7)
    promote(home, NEWEST, "first")
    (home.root / "mlruns" / "mlflow.db").unlink()
    found = models(home)["models"]
    assert [(m["semver"], m["aliases"], m["verdict"], m["market"]) for m in found] == [
        ("1.0.0", ["champion"], "TRADE", MARKET)
    ]
    assert len(found[0]["bundle_sha12"]) == 12
