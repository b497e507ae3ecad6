"""The gates and the three verdicts: planted edges are found, permuted ones refused, too little data says so."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.datasets.permute import permute_blocks
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.policy import SUFFIXES
from lob_pipeline.evaluation.series import PnlSeries, joined, read_series, write_series
from lob_pipeline.evaluation.verdict import Trials, break_even_maker_fee, days_needed, judge_verdict
from lob_pipeline.evaluation.walk import FoldScore, joined_series
from lob_pipeline_tests.evaluation.market import START_NS, forecast_of, make_instants, scores_of

GATES = load_gates()
FEE = 2.0


def verdict_of(scores: list[FoldScore]) -> dict[str, Any]:
    found = judge_verdict("a model", scores, joined_series(scores), GATES, maker_fee_bps=FEE)
    json.dumps(found, allow_nan=False)
    return found


@pytest.fixture(scope="module")
def planted() -> tuple[Instants, np.ndarray, list[FoldScore]]:
    instants, signal = make_instants(base_bps=-0.5, skill_bps=2.0)
    forecast = forecast_of(-0.5 + 2.0 * signal)
    return instants, forecast, scores_of(instants, forecast)


def test_a_planted_edge_is_found(planted: tuple[Instants, np.ndarray, list[FoldScore]]) -> None:
    found = verdict_of(planted[2])
    assert found["verdict"] == "TRADE", found["reasons"]
    assert all(gate["ok"] for gate in found["gates"])
    assert set(found) >= {"verdict", "reasons", "gates", "break_even_maker_fee_bps", "days_needed"}
    assert found["break_even_maker_fee_bps"] > FEE
    assert found["days_needed"] is None
    assert {"name", "value", "bound", "ok"} == set(found["gates"][0])
    lows = [interval["low"] for interval in found["intervals"].values()]
    assert f"{min(lows):+.2f} bps" in found["reasons"][0]
    assert found["power_bps"] < min(i["mean"] for i in found["intervals"].values())
    assert found["gates_sha256"] == GATES.sha256


@pytest.mark.parametrize("seed", range(4))
def test_permuted_outcomes_are_refused(planted: tuple[Instants, np.ndarray, list[FoldScore]], seed: int) -> None:
    instants, forecast, _ = planted
    found = verdict_of(scores_of(permute_blocks(instants, seed), forecast))
    assert found["verdict"] == "DO_NOT_TRADE"
    assert found["reasons"]
    assert "lower 95 % bound" in found["reasons"][0]
    assert found["break_even_maker_fee_bps"] < FEE


def test_one_bad_queue_model_is_enough(planted: tuple[Instants, np.ndarray, list[FoldScore]]) -> None:
    instants, forecast, _ = planted
    edges = {**instants.orders.edge_bps, "_opt": instants.orders.edge_bps["_opt"] - 6.0}
    worse = replace(instants, orders=replace(instants.orders, edge_bps=edges))
    found = verdict_of(scores_of(worse, forecast))
    assert found["verdict"] == "DO_NOT_TRADE"
    assert "optimistic" in found["reasons"][0]
    assert found["intervals"]["proportional"]["low"] > 0.0


def test_two_losing_folds_of_five_are_too_many(planted: tuple[Instants, np.ndarray, list[FoldScore]]) -> None:
    instants, forecast, scores = planted
    assert len(scores) == 5
    for bad, expected in ((1, "TRADE"), (2, "DO_NOT_TRADE")):
        lose = np.zeros(instants.rows, np.bool_)
        for score in scores[-bad:]:
            lose |= (instants.ts_ns > score.test_start_ns) & (instants.ts_ns <= score.test_end_ns)
        edges = {k: np.where(lose[:, None], -0.01, v + 9.0) for k, v in instants.orders.edge_bps.items()}
        unfilled = {k: np.where(instants.orders.filled[k], v, np.nan) for k, v in edges.items()}
        changed = replace(instants, orders=replace(instants.orders, edge_bps=unfilled))
        found = verdict_of(scores_of(changed, forecast))
        assert found["verdict"] == expected, found["reasons"]
        assert next(g for g in found["gates"] if g["name"] == "negative_folds")["value"] == bad


def test_too_few_trades_are_no_answer() -> None:
    instants, signal = make_instants(blocks=6, block_s=1800, base_bps=2.0)
    found = verdict_of(scores_of(instants, forecast_of(2.0 + signal)))
    assert found["verdict"] == "NOT_ENOUGH_DATA"
    total = min(i["filled"] for i in found["intervals"].values())
    assert f"{total} trades were filled" in found["reasons"][0]
    assert found["days_needed"] > 0


@pytest.mark.parametrize("worst", SUFFIXES)
def test_every_gate_looks_at_the_worst_queue_model(
    planted: tuple[Instants, np.ndarray, list[FoldScore]], worst: str
) -> None:
    scores = []
    for score in planted[2]:
        queues = {queue: dict(found) for queue, found in score.queues.items()}
        queues[worst].update(mean_bps=-1.0 if score.fold <= 2 else 0.01, filled=35 + score.fold)
        scores.append(replace(score, queues=queues))
    series = joined_series(scores)
    series[worst] = replace(series[worst], pnl_bps=series[worst].pnl_bps - 20.0)
    found = judge_verdict("a model", scores, series, GATES, maker_fee_bps=FEE)
    values = {gate["name"]: gate["value"] for gate in found["gates"]}
    assert values["negative_folds"] == 2
    assert values["median_fold_bps"] == 0.01
    assert values["filled_trades_per_fold"] == 36
    assert values["lower_bound_bps"] == found["intervals"][worst]["low"] < -15.0
    assert found["verdict"] == "DO_NOT_TRADE"
    assert f"{worst} queue model" in found["reasons"][0]
    trades = series[worst].pnl_bps[~np.isnan(series[worst].pnl_bps)]
    assert found["deflated_sharpe"]["sharpe"] == pytest.approx(trades.mean() / trades.std(ddof=1))


def test_a_masked_entry_head_is_no_answer(planted: tuple[Instants, np.ndarray, list[FoldScore]]) -> None:
    scores = [replace(s, masked_heads=("entry_sell",)) if s.fold == 2 else s for s in planted[2]]
    found = verdict_of(scores)
    assert found["verdict"] == "NOT_ENOUGH_DATA"
    assert "in 1 of 5 folds" in found["reasons"][0]
    other = [replace(s, masked_heads=("adverse_buy",)) for s in planted[2]]
    assert verdict_of(other)["verdict"] == "TRADE"


def test_four_folds_are_no_answer(planted: tuple[Instants, np.ndarray, list[FoldScore]]) -> None:
    found = verdict_of(planted[2][:4])
    assert found["verdict"] == "NOT_ENOUGH_DATA"
    assert "4 test blocks were scored, 5 are needed" in found["reasons"][0]


def test_nothing_at_all_is_no_answer_either(planted: tuple[Instants, np.ndarray, list[FoldScore]]) -> None:
    instants, forecast, _ = planted
    silent = scores_of(instants, np.full_like(forecast, np.nan))
    found = verdict_of(silent)
    assert found["verdict"] == "NOT_ENOUGH_DATA"
    assert found["days_needed"] is None
    assert found["break_even_maker_fee_bps"] is None
    assert verdict_of([])["verdict"] == "NOT_ENOUGH_DATA"


def test_more_trials_deflate_the_sharpe_ratio() -> None:
    series = {q: of_trades(list(np.random.default_rng(1).normal(0.4, 3.0, 120)), [2.0] * 120) for q in SUFFIXES}
    found = [
        judge_verdict("a model", [], series, GATES, maker_fee_bps=FEE, trials=Trials(count, 0.0004))
        for count in (1, 10, 1000)
    ]
    ratios = [f["deflated_sharpe"]["dsr"] for f in found]
    assert ratios[0] > ratios[1] > ratios[2]
    assert found[0]["deflated_sharpe"]["dsr"] == found[0]["deflated_sharpe"]["psr"]
    assert [f["trials"] for f in found] == [1, 10, 1000]


def of_trades(pnl: list[float], legs: list[float], *, every_s: int = 90) -> PnlSeries:
    n = len(pnl)
    ts = START_NS + every_s * 1_000_000_000 // 2 * np.arange(1, 2 * n + 1)
    values, maker, ids = np.full(2 * n, np.nan), np.full(2 * n, np.nan), np.full(2 * n, -1, np.int64)
    values[::2], maker[::2], ids[::2] = pnl, legs, np.arange(n)
    return PnlSeries(ts.astype(np.int64), values, maker, ids, np.ones(2 * n, np.int64), 2 * n)


_PNL = st.lists(st.tuples(st.floats(-30, 30), st.floats(1, 2)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=100)
@given(_PNL, _PNL, _PNL, st.floats(-1, 5))
def test_at_the_break_even_fee_the_worst_queue_model_earns_nothing(
    first: list[tuple[float, float]], second: list[tuple[float, float]], third: list[tuple[float, float]], fee: float
) -> None:
    trades = dict(zip(SUFFIXES, (first, second, third), strict=True))
    series = {name: of_trades([p for p, _ in found], [m for _, m in found]) for name, found in trades.items()}
    even = break_even_maker_fee(series, fee)
    assert even is not None
    means = [np.mean([p + m * (fee - even) for p, m in found]) for found in trades.values()]
    assert min(means) == pytest.approx(0.0, abs=1e-9)


def test_days_needed_follows_its_formula() -> None:
    rng = np.random.default_rng(5)
    series = {q: of_trades(list(rng.normal(0, 3, 120)), [2.0] * 120) for q in SUFFIXES}
    days = series["proportional"].days
    assert days == pytest.approx(120 * 90 / 86_400, rel=0.01)
    estimates = {q: s.estimate() for q, s in series.items()}
    half = max((e.high - e.low) / 2 for e in estimates.values())  # type: ignore[operator]
    expected = max(days * 200 / 120, days * (half / GATES.resolve_bps) ** 2) - days
    assert days_needed(series, estimates, GATES, 5) == pytest.approx(expected)
    fine = replace(GATES, resolve_bps=half / 3)
    assert days_needed(series, estimates, fine, 5) == pytest.approx(8 * days), "a third of the width takes nine times"
    easy = replace(GATES, resolve_bps=1000.0)
    assert days_needed(series, estimates, easy, 5) == pytest.approx(days * 80 / 120)
    assert days_needed(series, estimates, easy, 1) == pytest.approx(4 * days)
    thin = {q: replace(s, fold=np.where(np.arange(240) < 20, 1, 2)) for q, s in series.items()}
    parts = thin["proportional"].days
    assert days_needed(thin, estimates, easy, 5) == pytest.approx(2 * parts), "10 trades in the thinnest, 30 asked"
    empty = {q: replace(s, fold=np.where(np.arange(240) < 1, 1, 2), pnl_bps=np.roll(s.pnl_bps, 1),
                        fill_ids=np.roll(s.fill_ids, 1)) for q, s in series.items()}  # fmt: skip
    assert days_needed(empty, estimates, easy, 5) is None, "a block without a fill has no rate"
    enough = replace(easy, minimum_trades_total=100, minimum_trades_per_fold=10)
    assert days_needed(series, estimates, enough, 5) is None


def test_series_survive_a_file_and_join_without_mixing_fills(
    planted: tuple[Instants, np.ndarray, list[FoldScore]], tmp_path: Path
) -> None:
    scores = planted[2]
    whole = joined_series(scores)["pessimistic"]
    assert whole.filled == sum(s.queues["pessimistic"]["filled"] for s in scores)
    assert whole.effective_n == sum(s.queues["pessimistic"]["effective_n"] for s in scores)
    assert whole.days == pytest.approx(sum(s.days for s in scores))
    write_series(tmp_path / "deep" / "series.npz", {("gbt", "pessimistic"): whole})
    back = read_series(tmp_path / "deep" / "series.npz")["gbt", "pessimistic"]
    assert back.orders == whole.orders
    again = [FoldScore.from_json(json.loads(json.dumps(s.to_json())), s.series) for s in scores]
    assert verdict_of(again) == verdict_of(scores)
    for name in ("ts_ns", "pnl_bps", "maker_legs", "fill_ids", "fold"):
        np.testing.assert_array_equal(getattr(back, name), getattr(whole, name))
    assert joined([]).filled == 0


def test_gates_are_hashed_and_a_misspelt_one_is_refused(tmp_path: Path) -> None:
    text = Path(load_gates.__code__.co_filename).with_name("gates.toml").read_text()
    path = tmp_path / "gates.toml"
    path.write_text(text.replace("minimum_total = 200", "minimum_total = 100"))
    other = load_gates(path)
    assert other.minimum_trades_total == 100
    assert other.sha256 != GATES.sha256
    assert GATES.minimum_trades_total == 200
    assert (GATES.minimum_trades_per_fold, GATES.minimum_folds) == (30, 5)
    assert [GATES.negative_folds_allowed(n) for n in (4, 5, 9, 10)] == [0, 1, 1, 2]
    for bad, said in (("minimum_totl = 200", "minimum_totl"), ("minimum_total = true", "not a number")):
        path.write_text(text.replace("minimum_total = 200", bad))
        with pytest.raises(BadInputError, match=said):
            load_gates(path)
    path.write_text("no toml [")
    with pytest.raises(BadInputError, match="not TOML"):
        load_gates(path)
    assert math.isclose(other.resolve_bps, GATES.resolve_bps)
