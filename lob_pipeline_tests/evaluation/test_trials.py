"""The trial ledger: one line for each distinct question, and a count that nobody types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import LobError
from lob_pipeline.evaluation.trials import count_trials, record_trial, scoring_sha256, trials_path, verify
from lob_pipeline.lake.home import Home


def summary(market: str = "sim.BTCUSDT", sharpe: float | None = 0.1) -> dict[str, object]:
    return {"market": market, "clock": "t100ms", "model": "lob-moe", "sharpe": sharpe}


def test_the_same_triple_is_the_same_trial(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = record_trial(home, "r1", "d1", "s1", summary())
    again = record_trial(home, "r1", "d1", "s1", summary(sharpe=0.9))
    assert (first["count"], first["new"]) == (1, True)
    assert (again["count"], again["new"]) == (1, False)
    assert again["head"] == first["head"] == verify(home).head
    for triple in (("r2", "d1", "s1"), ("r1", "d2", "s1"), ("r1", "d1", "s2")):
        assert record_trial(home, *triple, summary())["new"]
    assert len(verify(home).records) == 4


def test_the_count_is_of_the_market_and_never_below_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert count_trials(home).count == 1
    for i, sharpe in enumerate((0.1, 0.3, None)):
        record_trial(home, f"r{i}", "d", "s", summary(sharpe=sharpe))
    record_trial(home, "r0", "d", "s9", summary("bybit-linear.BTCUSDT", 5.0))
    assert count_trials(home).count == 4
    found = count_trials(home, "sim.BTCUSDT")
    assert found.count == 3
    assert found.sharpe_variance == pytest.approx(0.02)
    assert count_trials(home, "bybit-linear.BTCUSDT").sharpe_variance == 0.0
    record_trial(home, "r8", "d", "s", summary(sharpe=-40.0))
    assert count_trials(home, "sim.BTCUSDT").sharpe_variance == pytest.approx(np.var([0.1, 0.3, 0.0], ddof=1))
    record_trial(home, "r9", "d", "s", {**summary(sharpe=9.0), "placebo_seed": 3})
    assert count_trials(home, "sim.BTCUSDT").count == 4, "a placebo is no look at the market"


def test_a_broken_ledger_counts_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for i in range(3):
        record_trial(home, f"r{i}", "d", "s", summary())
    path = trials_path(home)
    path.write_text(path.read_text().replace('"sharpe":0.1', '"sharpe":0.2', 1))
    for call in (lambda: count_trials(home), lambda: record_trial(home, "r9", "d", "s", summary())):
        with pytest.raises(LobError, match="line 1 was changed"):
            call()


def test_the_scoring_code_has_one_hash() -> None:
    assert scoring_sha256() == scoring_sha256()
    assert len(scoring_sha256()) == 64
